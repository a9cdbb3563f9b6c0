"""Simple facts that are true and stay true, from small tables.

A wrong answer is the right answer to another row of the same table, so every value is right as often as it is
wrong and no single word gives a response away.
"""

from dataclasses import dataclass
from random import Random

from palate.data.simulate.facts_tables import (
    AUTHORS,
    CAPITALS,
    CLASSES,
    CONTINENTS,
    NUMBERS,
    OPPOSITES,
    PLANETS,
    SHAPES,
    SYMBOLS,
    YOUNG,
    Pairs,
)
from palate.data.simulate.task import Task, Template, ask, others


@dataclass(frozen=True, slots=True)
class Table:
    """Pairs of subject and value with the wordings that ask for the value; drawn with the given weight."""

    template: Template
    pairs: Pairs
    weight: float = 1.0


TABLES = (
    Table(
        Template(
            "facts/capital",
            prompts=(
                "Which city is the capital of {subject}?",
                "I am planning a trip to {subject}. What is its capital called?",
                "Name the capital city of {subject}, please.",
                "For my geography test: what is the capital of {subject}?",
            ),
            full=(
                "{answer} is the capital of {subject}.",
                "The capital of {subject} is {answer}.",
                "The government of {subject} sits in {answer}, the capital city.",
                "If you travel to {subject}, the capital you will want to see is {answer}.",
            ),
        ),
        CAPITALS,
        2.0,
    ),
    Table(
        Template(
            "facts/continent",
            prompts=(
                "On which continent would I find {subject}?",
                "Which continent does the country of {subject} belong to?",
                "My atlas is lost. Where does {subject} lie, which continent?",
            ),
            full=(
                "{subject} lies in {answer}.",
                "The continent you are looking for is {answer}, where {subject} lies.",
                "{subject} belongs to {answer}.",
                "You will find {subject} on the map of {answer}.",
            ),
        ),
        CONTINENTS,
    ),
    Table(
        Template(
            "facts/young",
            prompts=(
                "What do people call the young of a {subject}?",
                "A {subject} has had a baby. What is the word for it?",
                "My son asks what a baby {subject} is called. Do you know?",
            ),
            full=(
                "A young {subject} is called a {answer}.",
                "The young of a {subject} is a {answer}.",
                "People say {answer} when they mean the baby of a {subject}.",
                "The word is {answer}: that is how the young of the {subject} is known.",
            ),
            curt=("{answer}.", "A {answer}."),
        ),
        YOUNG,
    ),
    Table(
        Template(
            "facts/class",
            prompts=(
                "Is the {subject} a mammal, a bird, a fish, a reptile, an amphibian or an insect?",
                "To which class of animals does the {subject} belong?",
                "My daughter wonders what kind of animal the {subject} is: bird, fish, mammal, something else?",
            ),
            full=(
                "The {subject} is counted among the {answer}.",
                "Biologists place the {subject} with the {answer}.",
                "It belongs to the {answer}.",
                "Look at how the {subject} is built and you will see why it belongs to the {answer}.",
            ),
        ),
        CLASSES,
    ),
    Table(
        Template(
            "facts/symbol",
            prompts=(
                "What is the chemical symbol of the element {subject}?",
                "How do chemists abbreviate {subject} in the periodic table?",
                "I need the symbol for {subject} on a chemistry poster.",
            ),
            full=(
                "The symbol of {subject} is {answer}.",
                "Chemists write {answer} for {subject}.",
                "In the periodic table {subject} goes by {answer}.",
                "On your poster, use {answer}, which stands for {subject} everywhere.",
            ),
        ),
        SYMBOLS,
    ),
    Table(
        Template(
            "facts/number",
            prompts=(
                "What is the atomic number of the element {subject}?",
                "How many protons does an atom of {subject} have?",
            ),
            full=(
                "The atomic number of {subject} is {answer}.",
                "An atom of {subject} has {answer} protons.",
                "{subject} stands at place {answer} in the periodic table.",
                "Every atom of {subject} carries {answer} protons in its nucleus.",
            ),
        ),
        NUMBERS,
    ),
    Table(
        Template(
            "facts/planet",
            prompts=(
                "Counting from the sun, which planet is the {subject}?",
                "Which planet of our solar system is {subject} from the sun?",
            ),
            full=(
                "{answer} is the {subject} planet from the sun.",
                "The {subject} planet, counted from the sun, is {answer}.",
                "Going outward from the sun, the {subject} planet you pass is {answer}.",
            ),
        ),
        PLANETS,
        0.5,
    ),
    Table(
        Template(
            "facts/shape",
            prompts=(
                "How many sides does a regular {subject} have?",
                "Think of this shape: {subject}. How many sides will it need?",
            ),
            full=(
                "The {subject} has {answer} sides.",
                "There are {answer} sides to the {subject}.",
                "To draw the {subject} you will need {answer} straight sides.",
            ),
        ),
        SHAPES,
        0.5,
    ),
    Table(
        Template(
            "facts/author",
            prompts=(
                "Who is the author of {subject}, the famous work?",
                "I forgot who wrote {subject}. Can you remind me?",
                "Whose work is {subject}? It came up in a quiz.",
            ),
            full=(
                "{answer} wrote {subject}.",
                "{subject} is a work by {answer}.",
                "The author of {subject} is {answer}.",
                "You can thank {answer} for {subject}, which people still read today.",
            ),
        ),
        AUTHORS,
    ),
    Table(
        Template(
            "facts/opposite",
            prompts=(
                'What is the opposite of the word "{subject}"?',
                'I am learning English. Which word means the reverse of "{subject}"?',
            ),
            full=(
                'The opposite of "{subject}" is "{answer}".',
                'If something is not "{subject}" at all, it is "{answer}".',
                '"{subject}" and "{answer}" are opposites.',
            ),
            curt=('"{answer}".', 'It is "{answer}".'),
        ),
        OPPOSITES,
    ),
)


def facts(rng: Random) -> Task:
    """Draw a row of a table; the wrong answers are other rows' values."""
    table = rng.choices(TABLES, [table.weight for table in TABLES])[0]
    subject, answer = rng.choice(table.pairs)
    values = tuple(value for _, value in table.pairs)
    return ask(rng, table.template, answer=answer, wrong=others(rng, values, answer, 4), subject=subject)
