"""Sorting and counting: short lists of numbers or words, written out in the prompt after a colon."""

from random import Random

from palate.data.simulate.task import Task, Template, ask, listed
from palate.data.simulate.vocabulary import NAMES, WORDS

SORT_UP = Template(
    "lists/sort-up",
    prompts=(
        "Sort these numbers from the smallest to the largest: {items}.",
        "{name} wants these numbers in rising order: {items}.",
        "Put the following numbers in order, lowest first: {items}.",
    ),
    full=(
        "In rising order: {answer}.",
        "From smallest to largest they are {answer}.",
        "Sorted, with {first} in front, the list reads {answer}.",
        "The smallest goes first and the largest last, so you get {answer}.",
    ),
    curt=("{answer}.",),
)
SORT_DOWN = Template(
    "lists/sort-down",
    prompts=(
        "Sort these numbers from the largest to the smallest: {items}.",
        "{name} wants these numbers in falling order: {items}.",
        "Put the following numbers in order, highest first: {items}.",
    ),
    full=(
        "In falling order: {answer}.",
        "From largest to smallest they are {answer}.",
        "Sorted, with {first} in front, the list reads {answer}.",
        "The largest goes first and the smallest last, so you get {answer}.",
    ),
    curt=("{answer}.",),
)
ALPHABET = Template(
    "lists/alphabet",
    prompts=(
        "Please put these words in alphabetical order: {items}.",
        "In which order would a dictionary list these words: {items}?",
        "{name} is sorting labels from A to Z. What is the order of these: {items}?",
    ),
    full=(
        "In alphabetical order: {answer}.",
        "From A to Z they go {answer}.",
        "A dictionary would list them as {answer}.",
        "The word {first} has the earliest first letter, so the order is {answer}.",
    ),
    curt=("{answer}.",),
)
COUNT = Template(
    "lists/count",
    prompts=(
        "How many words are in this list: {items}?",
        "{name} wrote down a few things. Tell me how many there are: {items}.",
        "Count the items I am about to give you, please: {items}.",
    ),
    full=(
        "There are {answer} of them.",
        "I count {answer}, from {first} to {final}.",
        "The list that starts with {first} has {answer} items.",
        "Going from {first} through to {final} one by one gives {answer} altogether.",
    ),
)
REPEATS = Template(
    "lists/repeats",
    prompts=(
        'How often does the word "{word}" come up in this list: {items}?',
        'Count how many times I wrote "{word}" here: {items}.',
    ),
    full=(
        'The word "{word}" comes up {answer} times.',
        "It appears {answer} times in your list.",
        'Reading along, I find "{word}" in {answer} places.',
        'If you tick off every "{word}" in the list, you end up with {answer} ticks.',
    ),
    curt=("{answer}.", "{answer} times."),
)
EXTREME = Template(
    "lists/largest",
    prompts=(
        "Which of these numbers is the largest: {items}?",
        "{name} threw these scores. What was the highest: {items}?",
        "Please pick out the biggest number here: {items}.",
    ),
    full=(
        "The largest is {answer}.",
        "{answer} is the highest number in your list.",
        "Of the numbers that start with {first}, {answer} is the biggest.",
        "Nothing else among {listed} is higher than {answer}.",
    ),
)


def lists(rng: Random) -> Task:
    """Draw a question about a list of three to six items."""
    return rng.choice((_sort, _alphabet, _count, _repeats, _largest))(rng)


def _sort(rng: Random) -> Task:
    numbers = rng.sample(range(2, 99), rng.randint(4, 5))
    template = rng.choice((SORT_UP, SORT_DOWN))
    ordered = [str(number) for number in sorted(numbers, reverse=template is SORT_DOWN)]
    items = ", ".join(map(str, numbers))
    wrong = (*_disorders(rng, ordered), items)
    return ask(
        rng,
        template,
        answer=", ".join(ordered),
        wrong=wrong,
        items=items,
        first=ordered[0],
        name=rng.choice(NAMES),
    )


def _alphabet(rng: Random) -> Task:
    words = _distinct_initials(rng, rng.randint(3, 4))
    ordered = sorted(words)
    items = ", ".join(words)
    wrong = (*_disorders(rng, ordered), items)
    return ask(
        rng,
        ALPHABET,
        answer=", ".join(ordered),
        wrong=wrong,
        items=items,
        first=ordered[0],
        name=rng.choice(NAMES),
    )


def _count(rng: Random) -> Task:
    words = rng.sample(WORDS, rng.randint(3, 7))
    number = len(words)
    wrong = (str(number + 1), str(number - 1), str(number + 2))
    return ask(
        rng, COUNT, answer=str(number), wrong=wrong, items=", ".join(words), first=words[0], final=words[-1],
        name=rng.choice(NAMES),
    )  # fmt: skip


def _repeats(rng: Random) -> Task:
    word, *rest = rng.sample(WORDS, rng.randint(3, 4))
    number = rng.randint(2, 4)
    items = [word] * number + rest
    rng.shuffle(items)
    wrong = (str(number + 1), str(number + 2), str(len(items)))
    return ask(rng, REPEATS, answer=str(number), wrong=wrong, word=word, items=", ".join(items))


def _largest(rng: Random) -> Task:
    numbers = [str(number) for number in rng.sample(range(11, 990), rng.randint(4, 5))]
    ordered = sorted(numbers, key=int)
    return ask(
        rng, EXTREME, answer=ordered[-1], wrong=tuple(ordered[:-1]), items=", ".join(numbers),
        listed=listed(tuple(numbers)), first=numbers[0], name=rng.choice(NAMES),
    )  # fmt: skip


def _distinct_initials(rng: Random, number: int) -> list[str]:
    by_initial = {word[0]: word for word in rng.sample(WORDS, len(WORDS))}
    return rng.sample(list(by_initial.values()), number)


def _disorders(rng: Random, ordered: list[str]) -> list[str]:
    """Two neighbours exchanged, and one item left out."""
    place = rng.randrange(len(ordered) - 1)
    exchanged = [*ordered]
    exchanged[place], exchanged[place + 1] = ordered[place + 1], ordered[place]
    lost = rng.randrange(1, len(ordered))
    return [", ".join(exchanged), ", ".join(ordered[:lost] + ordered[lost + 1 :])]
