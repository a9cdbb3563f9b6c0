"""String tasks: letters and words to turn, count, cut and join."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from palate.data.simulate.task import Task, Template, ask
from palate.data.simulate.vocabulary import NAMES, WORDS


@dataclass(frozen=True, slots=True)
class Operation:
    """What to do with a word, as done rightly and as done subtly wrongly."""

    template: Template
    right: Callable[[str], str]
    wrong: Callable[[str], tuple[str, ...]]


def _swapped_middle(word: str) -> str:
    middle = len(word) // 2
    return word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]


def _count_misses(number: int) -> tuple[str, ...]:
    return tuple(str(other) for other in (number + 1, number - 1, number + 2) if other > 0)


def _vowels(word: str) -> int:
    return sum(letter in "aeiou" for letter in word)


REVERSE = Operation(
    Template(
        "strings/reverse",
        prompts=(
            'Please write the word "{word}" backwards for me.',
            'How do you spell "{word}" in reverse order?',
            'Turn the letters of "{word}" round, last one first.',
        ),
        full=(
            'It reads "{answer}".',
            '"{word}" backwards is "{answer}".',
            'If you read "{word}" from the end, you get "{answer}".',
            'Take the letters of "{word}" from last to first and they spell "{answer}".',
        ),
        curt=('"{answer}".', '"{answer}"'),
    ),
    right=lambda word: word[::-1],
    wrong=lambda word: (_swapped_middle(word[::-1]), word[::-1][:-1], word),
)
LENGTH = Operation(
    Template(
        "strings/length",
        prompts=(
            'How many letters does the word "{word}" have?',
            'Count the letters in "{word}" for me, please.',
            'For a crossword: how long is "{word}", in letters?',
        ),
        full=(
            "It has {answer} letters.",
            '"{word}" has {answer} letters.',
            'The word "{word}" is {answer} letters long.',
            'You need {answer} boxes in a row to write "{word}" out in full.',
        ),
    ),
    right=lambda word: str(len(word)),
    wrong=lambda word: _count_misses(len(word)),
)
VOWELS = Operation(
    Template(
        "strings/vowels",
        prompts=(
            'How many vowels (a, e, i, o, u) are in "{word}"?',
            'Count only the vowels a, e, i, o, u of the word "{word}".',
        ),
        full=(
            "The number of vowels is {answer}.",
            '"{word}" contains this many vowels: {answer}.',
            'Counting a, e, i, o and u in "{word}" gives {answer}.',
            'Leave the consonants of "{word}" aside and the count of vowels comes to {answer}.',
        ),
    ),
    right=lambda word: str(_vowels(word)),
    wrong=lambda word: _count_misses(_vowels(word)),
)
FIRST = Operation(
    Template(
        "strings/first",
        prompts=(
            'Which letter does the word "{word}" start with?',
            'What is the first letter of "{word}", please?',
        ),
        full=(
            'It starts with "{answer}".',
            '"{word}" starts with the letter "{answer}".',
            'The first letter of "{word}" is "{answer}".',
            'If you look "{word}" up in a dictionary, search under "{answer}", its opening letter.',
        ),
        curt=('"{answer}".', 'With "{answer}".'),
    ),
    right=lambda word: word[0],
    wrong=lambda word: tuple(word[1:]),
)
LAST = Operation(
    Template(
        "strings/last",
        prompts=(
            'Which letter does the word "{word}" end in?',
            'What is the final letter of "{word}", please?',
        ),
        full=(
            'It ends in "{answer}".',
            '"{word}" ends in the letter "{answer}".',
            'The final letter of "{word}" is "{answer}".',
            'Read "{word}" through to its end and the letter you stop at is "{answer}".',
        ),
        curt=('"{answer}".', 'In "{answer}".'),
    ),
    right=lambda word: word[-1],
    wrong=lambda word: tuple(word[:-1]),
)
UPPER = Operation(
    Template(
        "strings/upper",
        prompts=(
            'Write the word "{word}" in capital letters, please.',
            'What does "{word}" look like with every letter in upper case?',
        ),
        full=(
            'It becomes "{answer}".',
            'In capitals "{word}" is "{answer}".',
            'With every letter of "{word}" in upper case you get "{answer}".',
        ),
        curt=('"{answer}".', '"{answer}"'),
    ),
    right=str.upper,
    wrong=lambda word: (word.title(), _swapped_middle(word).upper(), word[:-1].upper() + word[-1]),
)
DASHES = Operation(
    Template(
        "strings/dashes",
        prompts=(
            'Spell "{word}" letter by letter with dashes in between.',
            'Put a dash between all letters of the word "{word}".',
        ),
        full=(
            'It is spelled "{answer}".',
            'Spelled out, "{word}" is "{answer}".',
            'With a dash between all its letters, "{word}" turns into "{answer}".',
        ),
        curt=('"{answer}".', '"{answer}"'),
    ),
    right="-".join,
    wrong=lambda word: ("-".join(_swapped_middle(word)), "-".join(word[:-1]), "-".join(word[:2]) + word[2:]),
)
BEHEAD = Operation(
    Template(
        "strings/behead",
        prompts=(
            'What remains of "{word}" when you drop its first letter?',
            'Take the first letter off the word "{word}" and show me the rest.',
        ),
        full=(
            'That leaves "{answer}".',
            'Without its first letter, "{word}" is "{answer}".',
            'Drop the letter in front of "{word}" and what remains is "{answer}".',
        ),
        curt=('"{answer}".', '"{answer}"'),
    ),
    right=lambda word: word[1:],
    wrong=lambda word: (word[:-1], word[2:], _swapped_middle(word[1:])),
)
INITIALS = Template(
    "strings/initials",
    prompts=(
        'Which word do the first letters of "{phrase}" form?',
        'Make an acronym of "{phrase}" from the first letters.',
        '{name} named a club "{phrase}". What are its initials?',
    ),
    full=(
        'They make "{answer}".',
        'The initials of "{phrase}" are "{answer}".',
        'Taking the first letter of each word in "{phrase}" gives you "{answer}".',
    ),
    curt=('"{answer}".', '"{answer}"'),
)

OPERATIONS = (REVERSE, LENGTH, VOWELS, FIRST, LAST, UPPER, DASHES, BEHEAD)


def strings(rng: Random) -> Task:
    """Draw a question about the letters of a word or of a phrase."""
    if rng.random() < 0.15:
        words = rng.sample(WORDS, rng.randint(3, 4))
        initials = "".join(word[0] for word in words).upper()
        wrong = (_swapped_middle(initials), initials[:-1], "".join(word[-1] for word in words).upper())
        return ask(rng, INITIALS, answer=initials, wrong=wrong, phrase=" ".join(words), name=rng.choice(NAMES))
    operation, word = rng.choice(OPERATIONS), rng.choice(WORDS)
    return ask(rng, operation.template, answer=operation.right(word), wrong=operation.wrong(word), word=word)
