"""Prompts that forget what they speak of: the right response asks for it, a made-up answer is the fault.

Everywhere else claiming not to see the question is a defect, in the same words.
"""

from dataclasses import dataclass, replace
from random import Random

from palate.data.simulate.task import Fault, Task, Template, ask
from palate.data.simulate.vocabulary import NAMES, THINGS, TOWNS, WORDS

PROMPTS = (
    "Please {verb} the {thing} that {name} sent me:",
    "{name} asked me to {verb} this {thing}. Can you do it?",
    "Can you {verb} the {thing} below for {name}?",
    "I would like you to {verb} the following {thing} by {name}.",
)
FULL = (
    "I do not see the {thing}. Could you paste it here?",
    "Your message came without the {thing}. Please send it again and I will {verb} it.",
    "There is no {thing} in what you wrote, so I cannot {verb} it yet.",
    "I would like to {verb} it, but the {thing} seems to be missing from your message.",
)
CURT = ("Which {thing}?", "No {thing} came through.")
_WORDS = tuple(word for word in WORDS if word[0] not in "aeiou")  # "a orange" would give a made-up answer away


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to do with what, and answers that could only have been made up."""

    verb: str
    thing: str
    made_up: tuple[str, ...]


SCENARIOS = (
    Scenario(
        "sort",
        "list",
        (
            "Sorted for {name}, your list begins with {a} and ends with {b}.",
            "Here it is in order: {a}, {b}, {c}.",
        ),
    ),
    Scenario(
        "check",
        "address",
        (
            "The address of {other} in {town} is right.",
            "It should be number {number}, not {town} alone.",
        ),
    ),
    Scenario(
        "shorten",
        "paragraph",
        ("In short, {other} went to {town} with {number} {things}.", "Shorter: the {a} of {other} is gone."),
    ),
    Scenario(
        "summarise",
        "letter",
        (
            "The letter says that {other} in {town} will be glad to sell the {things}.",
            "{other} would like to visit {name} in {town}; that is all the letter says.",
        ),
    ),
    Scenario(
        "translate",
        "sentence",
        (
            'The sentence means "{other} lives in {town} and has {number} {things}".',
            'It says "my {a} is behind your {b}".',
        ),
    ),
    Scenario(
        "correct",
        "essay",
        (
            'The essay should begin like this: "In {town} there was once a {a}."',
            'I found {number} mistakes and changed "{a}" to "{b}" in the essay.',
        ),
    ),
    Scenario(
        "explain",
        "diagram",
        (
            "The diagram shows a {a} on the left, and an arrow leads from it to the {b}.",
            "Every box in it stands for a {a}, and there are {number} of them.",
        ),
    ),
    Scenario(
        "describe",
        "picture",
        (
            "The picture shows {other} in {town} with {number} {things} on a table.",
            "I see a {a} beside a {b}, and some {things} in front.",
        ),
    ),
    Scenario(
        "solve",
        "equation",
        (
            "I get {number} for x, since both sides then come to the same.",
            "The equation is solved by x = {number}.",
        ),
    ),
    Scenario(
        "rewrite",
        "poem",
        (
            "Here you are: the {a} sleeps, the {b} is still, and {other} walks down {town} hill.",
            "O {a}, o {b}, I think of thee in {town}.",
        ),
    ),
    Scenario(
        "continue",
        "story",
        (
            "Then {other} opened the {a}, took out {number} {things} and ran to {town}.",
            "At last the {a} was found, and {other} went home.",
        ),
    ),
    Scenario(
        "proofread",
        "email",
        (
            "The email is fine now; I only changed {a} to {b} in the line about {town}.",
            "{other} is spelled wrongly twice; the rest of the email is in order.",
        ),
    ),
    Scenario(
        "answer",
        "riddle",
        ("The answer to the riddle is a {a}, for it has no {b}.", "It must be the {a} that {other} lost."),
    ),
)


def missing(rng: Random) -> Task:
    """Draw a prompt without its material; the faults are answers made up for the same scenario."""
    scenario = rng.choice(SCENARIOS)
    faults = tuple(Fault("made-up", text) for text in scenario.made_up)
    template = Template(f"missing/{scenario.verb}", PROMPTS, FULL, CURT, faults)
    name, other = rng.sample(NAMES, 2)
    a, b, c = rng.sample(_WORDS, 3)
    task = ask(
        rng, template, answer="", style="note", verb=scenario.verb, thing=scenario.thing, name=name, other=other,
        a=a, b=b, c=c, number=rng.randint(4, 19), town=rng.choice(TOWNS), things=rng.choice(THINGS),
    )  # fmt: skip
    return replace(task, subject=scenario.thing)
