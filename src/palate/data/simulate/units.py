"""Unit conversion: exact factors of everyday units, with the unit as part of the answer.

Two defects are the family's own: the number without its unit, and the right number with another unit.
"""

from dataclasses import dataclass
from random import Random

from palate.data.simulate.arithmetic import near_misses
from palate.data.simulate.task import Fault, Task, Template, ask
from palate.data.simulate.vocabulary import NAMES

PROMPTS = (
    "How many {to} are there in {amount} {unit}?",
    "Please convert {amount} {unit} to {to} for me.",
    "{name} measured {amount} {unit}. What is that in {to}?",
    "My form wants {to}, but all I have is {amount} {unit}. What should I write?",
    "I have {amount} {unit} on my list. How much is that in {to}?",
)
FULL = (
    "{amount} {unit} is {answer}.",
    "There are {answer} in {amount} {unit}.",
    "That is {answer}, because {rule}.",
    "Converted, {amount} {unit} comes to {answer}.",
    "Since {rule}, {amount} {unit} is the same as {answer}.",
    "Remember that {rule}; then {amount} {unit} must be {answer} altogether.",
)
FAULTS = (
    Fault("unit-missing", "It comes to {number}."),
    Fault("unit-missing", "If you convert it, you get {number}, because {rule}."),
    Fault("unit-missing", "The value you should write down in that case is {number}."),
    Fault("unit-wrong", "{amount} {unit} is {number} {other}."),
    Fault("unit-wrong", "Converted, {amount} {unit} comes to {number} {other}."),
    Fault("unit-wrong", "Since {rule}, {amount} {unit} is the same as {number} {other}."),
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """One large unit is `factor` small ones; `other` is a unit that would be wrong in the answer."""

    large: str
    small: str
    factor: int
    rule: str
    other: str


CONVERSIONS = (
    Conversion("kilometres", "metres", 1000, "a kilometre has 1000 metres", "centimetres"),
    Conversion("metres", "centimetres", 100, "a metre has 100 centimetres", "millimetres"),
    Conversion("centimetres", "millimetres", 10, "a centimetre has 10 millimetres", "metres"),
    Conversion("kilograms", "grams", 1000, "a kilogram has 1000 grams", "milligrams"),
    Conversion("tonnes", "kilograms", 1000, "a tonne has 1000 kilograms", "grams"),
    Conversion("litres", "millilitres", 1000, "a litre has 1000 millilitres", "centilitres"),
    Conversion("hours", "minutes", 60, "an hour has 60 minutes", "seconds"),
    Conversion("minutes", "seconds", 60, "a minute has 60 seconds", "hours"),
    Conversion("days", "hours", 24, "a day has 24 hours", "minutes"),
    Conversion("weeks", "days", 7, "a week has 7 days", "hours"),
    Conversion("years", "months", 12, "a year has 12 months", "weeks"),
    Conversion("feet", "inches", 12, "a foot has 12 inches", "yards"),
    Conversion("yards", "feet", 3, "a yard has 3 feet", "inches"),
    Conversion("euros", "cents", 100, "a euro has 100 cents", "dollars"),
)
TO_SMALL = Template("units/to-small", PROMPTS, FULL, faults=FAULTS)
TO_LARGE = Template("units/to-large", PROMPTS, FULL, faults=FAULTS)


def units(rng: Random) -> Task:
    """Draw a conversion, from the larger unit to the smaller or back, always with a whole result."""
    conversion = rng.choice(CONVERSIONS)
    few = rng.randint(2, 30)
    many = few * conversion.factor
    if rng.random() < 0.5:
        template, amount, unit, number, to = TO_SMALL, few, conversion.large, many, conversion.small
        wrong = (few * factor for factor in (10, 12, 60, 100, 1000) if factor != conversion.factor)
        misses = (*wrong, (few + 1) * conversion.factor)
    else:
        template, amount, unit, number, to = TO_LARGE, many, conversion.small, few, conversion.large
        misses = near_misses(rng, few)
    return ask(
        rng, template, answer=f"{number} {to}", wrong=tuple(f"{miss} {to}" for miss in misses),
        amount=amount, unit=unit, to=to, rule=conversion.rule, other=conversion.other, number=number,
        name=rng.choice(NAMES),
    )  # fmt: skip
