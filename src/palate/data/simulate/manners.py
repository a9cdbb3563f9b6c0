"""Politeness: short notes to people, on an errand that the prompt names.

A note may be rude in plain words, or polite and on the wrong day. Other notes of the family are polite, too,
but go to somebody else about something else.
"""

from random import Random

from palate.data.simulate.task import Fault, Task, Template, ask, others
from palate.data.simulate.vocabulary import NAMES, WEEKDAYS


def _rude(*texts: str) -> tuple[Fault, ...]:
    return tuple(Fault("rude", text) for text in texts)


TEMPLATES = (
    Template(
        "manners/request",
        prompts=(
            "Write a short and polite note asking {name} to send me the {thing} by {answer}.",
            "I need the {thing} from {name} by {answer}. Please put that kindly in a message.",
        ),
        full=(
            "Hi {name}, could you please send me the {thing} by {answer}? Thank you.",
            "Dear {name}, I would be grateful if you could send me the {thing} by {answer}. Kind regards.",
            "Hello {name}, would you send over the {thing} when you find a moment? I need it by {answer}. Thanks.",
        ),
        curt=("Please send the {thing} by {answer}, {name}.",),
        faults=_rude(
            "{name}, I want the {thing} by {answer}. Do not make me ask twice.",
            "Hello {name}, I need the {thing} by {answer}, and even you should be able to manage that for once.",
            "Dear {name}, send me the {thing} by {answer}. Other people would have found a moment long ago.",
        ),
    ),
    Template(
        "manners/decline",
        prompts=(
            "Help me turn down the {event} that {name} invited me to on {answer}, in a friendly way.",
            "{name} asked me to a {event} on {answer} and I cannot go. Write a kind reply.",
        ),
        full=(
            "Dear {name}, thank you for asking me, but I cannot come to the {event} on {answer}.",
            "Hi {name}, what a lovely idea! Sadly I am not free on {answer}; I hope the {event} goes well.",
            "Hello {name}, I am sorry to miss the {event} on {answer}. Have a good time without me.",
        ),
        curt=("I cannot come to the {event} on {answer}, {name}, but thank you.",),
        faults=_rude(
            "Hello {name}, I will not come on {answer}. A {event} of yours is no idea of a good time.",
            "Dear {name}, thank you, but I am free on {answer} and would rather stay at home than go to the {event}.",
            "{name}, ask somebody else to the {event} on {answer}. I have better things to do.",
        ),
    ),
    Template(
        "manners/apologise",
        prompts=(
            "I missed the {event} with {name} on {answer}. Write a short apology for me.",
            "Please write {name} a message that says sorry for my not coming to the {event} on {answer}.",
        ),
        full=(
            "Dear {name}, I am sorry that I missed the {event} on {answer}.",
            "Hi {name}, I should have been at the {event} on {answer} and I was not. Please forgive me.",
            "Hello {name}, it was my fault alone that I was not there on {answer}; I hope the {event} went well.",
        ),
        curt=("Sorry about the {event} on {answer}, {name}.",),
        faults=_rude(
            "Dear {name}, I was not at the {event} on {answer}, and it was your fault for asking me.",
            "Hi {name}, I missed the {event} on {answer}. I hope you were not silly enough to wait.",
            "{name}, so I was not there on {answer}. The {event} went well without me, so leave me alone.",
        ),
    ),
    Template(
        "manners/remind",
        prompts=(
            "{name} still has my {thing} and promised it back on {answer}. Write a gentle reminder.",
            "Write to {name}, nicely, that I hoped to get my {thing} back on {answer}.",
        ),
        full=(
            "Hi {name}, a small reminder: you wanted to bring back my {thing} on {answer}. Does that still suit you?",
            "Dear {name}, I hope you are well. May I have my {thing} back on {answer}, as we said?",
            "Hello {name}, could you bring my {thing} on {answer}? Thank you.",
        ),
        curt=("Please remember my {thing} on {answer}, {name}.",),
        faults=_rude(
            "Hello {name}, bring my {thing} on {answer}, or do I have to come and get it from you?",
            "Dear {name}, people like you never bring a {thing} back. I said {answer}, so remember it.",
            "{name}, is {answer} too hard for you to remember? I want my {thing} back, as we said.",
        ),
    ),
    Template(
        "manners/thank",
        prompts=(
            "Write two lines to thank {name} for the {thing} that came on {answer}.",
            "{name} gave me a {thing} on {answer}. I would like to say thank you in a short note.",
        ),
        full=(
            "Dear {name}, thank you so much for the {thing} on {answer}.",
            "Hi {name}, the {thing} came on {answer} and I use it all the time. Thank you!",
            "Hello {name}, it was kind of you to think of me. The {thing} you gave me on {answer} is just right.",
        ),
        curt=("Thank you for the {thing} on {answer}, {name}.",),
        faults=_rude(
            "Hi {name}, the {thing} came on {answer}. I have one already, and mine is better than yours.",
            "Dear {name}, so much for the {thing} you gave me on {answer}. Did you think of me at all?",
            "{name}, the {thing} on {answer} was not kind of you. Next time just give me the money.",
        ),
    ),
    Template(
        "manners/late",
        prompts=(
            "A customer, {name}, is waiting for a {thing} that will be late, on {answer}. Write a courteous reply.",
            "Tell our customer {name} politely that the {thing} arrives only on {answer}.",
        ),
        full=(
            "Dear {name}, we are sorry for the delay. Your {thing} will arrive on {answer}.",
            "Hello {name}, thank you for waiting so long: the {thing} is on its way and due on {answer}.",
            "Dear {name}, your {thing} arrives on {answer}. We know this is late and apologise.",
        ),
        curt=("Your {thing} arrives on {answer}, {name}. Sorry.",),
        faults=_rude(
            "Hello {name}, you are not our only customer. The {thing} will arrive on {answer}, so stop waiting for it.",
            "Dear {name}, we know this is late. Your {thing} is due on {answer}, like it or not.",
            "{name}, a {thing} takes as long as it takes. It arrives on {answer}, so do not write again.",
        ),
    ),
)
THINGS = (
    "report", "sunshade", "drill", "camera", "contract", "blanket", "key", "parcel", "lamp", "guitar", "photo",
    "ladder", "receipt", "recipe", "tent", "map", "suitcase", "bicycle", "teapot", "scarf",
)  # fmt: skip
EVENTS = (
    "dinner",
    "meeting",
    "concert",
    "picnic",
    "party",
    "lecture",
    "game",
    "walk",
    "wedding",
    "rehearsal",
)


def manners(rng: Random) -> Task:
    """Draw a note to write; the answer is the day that it has to name."""
    day = rng.choice(WEEKDAYS)
    return ask(
        rng, rng.choice(TEMPLATES), answer=day, wrong=others(rng, WEEKDAYS, day, 3), style="note",
        name=rng.choice(NAMES), thing=rng.choice(THINGS), event=rng.choice(EVENTS),
    )  # fmt: skip
