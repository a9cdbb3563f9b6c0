"""Arithmetic: bare sums and small stories, with numbers that fit the head."""

from random import Random

from palate.data.simulate.task import Task, Template, ask
from palate.data.simulate.vocabulary import NAMES, THINGS

ADD = Template(
    "arithmetic/add",
    prompts=(
        "Could you tell me what {a} plus {b} comes to?",
        "I need to add {a} and {b}. What do I get?",
        "What is the sum of the numbers {a} and {b}?",
        "Please work out {a} + {b} for me.",
    ),
    full=(
        "{a} plus {b} is {answer}.",
        "If you add {a} and {b}, you get {answer}.",
        "The sum of {a} and {b} is {answer}.",
        "Adding {b} to {a} takes you to {answer}.",
        "Start at {a} and count on {b} more, and you arrive at {answer}.",
    ),
)
BUY = Template(
    "arithmetic/buy",
    prompts=(
        "{name} has {a} {things} and buys {b} more at the market. How many {things} does {name} have now?",
        "There were {a} {things} in {name}'s bag and then {b} more went in. How many are in there?",
        "{name} counted {a} {things} in the morning and found another {b} later. What is the total?",
    ),
    full=(
        "{name} has {answer} {things}.",
        "That is {answer} {things} in all for {name}.",
        "{name} began with {a} {things} and {b} came on top, which makes {answer}.",
        "Put the {a} {things} and the other {b} together and {name} has {answer} of them.",
    ),
)
SUBTRACT = Template(
    "arithmetic/subtract",
    prompts=(
        "What is left when you take {b} away from {a}?",
        "Please work out {a} - {b} for me.",
        "Can you subtract {b} from {a}? I keep losing count.",
        "By how much is {a} larger than {b}, please?",
    ),
    full=(
        "{a} minus {b} is {answer}.",
        "If you take {b} away from {a}, {answer} is left.",
        "The difference between {a} and {b} is {answer}.",
        "Count back {b} from {a} and you arrive at {answer}.",
        "You need {answer} more to get from {b} up to {a}.",
    ),
)
GIVE = Template(
    "arithmetic/give",
    prompts=(
        "{name} had {a} {things} and gave {b} of them to a friend. How many {things} are left?",
        "Out of {a} {things}, {name} lost {b} on the way home. How many remain?",
        "{name} sells {b} of {a} {things}. How many {things} does {name} still have?",
    ),
    full=(
        "{name} still has {answer} {things}.",
        "There are {answer} {things} left.",
        "With {b} of the {a} {things} gone, {name} keeps {answer}.",
        "{name} started with {a} {things}; take away {b} and {answer} remain.",
    ),
)
MULTIPLY = Template(
    "arithmetic/multiply",
    prompts=(
        "What do you get when you multiply {a} by {b}?",
        "Please tell me how much {a} times {b} is.",
        "My calculator is broken. What is {a} x {b}?",
    ),
    full=(
        "{a} times {b} is {answer}.",
        "Multiplying {a} by {b} gives {answer}.",
        "The product of {a} and {b} is {answer}.",
        "{b} groups of {a} each add up to {answer} altogether.",
    ),
)
PRICE = Template(
    "arithmetic/price",
    prompts=(
        "{name} buys {a} {things} at {b} euros each. How many euros is that altogether?",
        "One of these {things} costs {b} euros. What would {name} pay in euros for {a} of them?",
    ),
    full=(
        "{name} pays {answer} euros.",
        "That comes to {answer} euros for {a} {things}.",
        "{a} {things} at {b} euros each cost {answer} euros.",
        "Each costs {b} euros and {name} wants {a} {things}, so the bill is {answer} euros.",
    ),
)
SHARE = Template(
    "arithmetic/share",
    prompts=(
        "{b} children share {a} {things} equally. How many {things} does each child get?",
        "{name} packs {a} {things} into {b} equal bags. How many {things} go into each bag?",
        "Divide {a} {things} fairly among {b} people, please. How many is that each?",
    ),
    full=(
        "Each gets {answer} {things}.",
        "That is {answer} {things} in every share.",
        "{a} {things} divided by {b} makes {answer} each.",
        "Split {a} {things} into {b} equal parts and every part holds {answer}.",
    ),
)


def arithmetic(rng: Random) -> Task:
    """Draw an arithmetic question; operands keep every result below 200."""
    template = rng.choice((ADD, BUY, SUBTRACT, GIVE, MULTIPLY, PRICE, SHARE))
    if template in (MULTIPLY, PRICE, SHARE):
        first, second = rng.randint(3, 15), rng.randint(2, 9)
        a, b, result = first, second, first * second
        if template is SHARE:
            a, result = first * second, first
    else:
        a, b = rng.randint(12, 95), rng.randint(5, 60)
        if template in (SUBTRACT, GIVE):
            a, b = a + b, b
        result = a + b if template in (ADD, BUY) else a - b
    wrong = tuple(str(near) for near in near_misses(rng, result))
    return ask(
        rng,
        template,
        answer=str(result),
        wrong=wrong,
        a=a,
        b=b,
        name=rng.choice(NAMES),
        things=rng.choice(THINGS),
    )


def near_misses(rng: Random, number: int) -> tuple[int, ...]:
    """Positive numbers that look right: off by one, two or ten, or with two digits swapped."""
    swapped = int(str(number)[::-1])
    steps = [number + step for step in (-10, -2, -1, 1, 2, 10)] + [swapped, number * 2]
    rng.shuffle(steps)
    return tuple(dict.fromkeys(step for step in steps if step > 0 and step != number))
