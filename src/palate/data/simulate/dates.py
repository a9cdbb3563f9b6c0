"""Dates and times: weekdays ahead and back, months, days between, and the clock."""

from random import Random

from palate.data.simulate.task import Task, Template, ask, others
from palate.data.simulate.vocabulary import MONTHS, NAMES, WEEKDAYS

AHEAD = Template(
    "dates/ahead",
    prompts=(
        "Today is {day}. Which day of the week will it be in {number} days?",
        "If it is {day} now, what day of the week comes {number} days later?",
        "{name}'s parcel was sent on a {day} and needs {number} days. On which weekday does it arrive?",
    ),
    full=(
        "It will be a {answer}.",
        "{number} days after {day} comes {answer}.",
        "Counting {number} days on from {day} brings you to {answer}.",
        "Start on {day}, go forward {number} days, and the day you reach is {answer}.",
    ),
)
BACK = Template(
    "dates/back",
    prompts=(
        "Today is {day}. Which day of the week was it {number} days ago?",
        "{name} wrote to me {number} days before this {day}. On which weekday was that?",
        "If it is {day} today, what weekday was it {number} days earlier?",
    ),
    full=(
        "It was a {answer}.",
        "{number} days before {day} it was {answer}.",
        "Counting {number} days back from {day} brings you to {answer}.",
        "Start on {day}, go back {number} days, and the day you reach is {answer}.",
    ),
)
MONTH_AFTER = Template(
    "dates/month-after",
    prompts=(
        "Which month comes {number} months after {month}?",
        "{name} starts a course in {month}; it ends {number} months later. In which month is that?",
        "It is {month} now. What will be the month {number} months from now?",
    ),
    full=(
        "That is {answer}.",
        "{number} months after {month} comes {answer}.",
        "If you begin in {month} and wait {number} months, you are in {answer}.",
        "Going on {number} months from {month} takes you to {answer} in the calendar.",
    ),
)
BETWEEN = Template(
    "dates/between",
    prompts=(
        "How many days are there from {month} {first} to {month} {second}?",
        "{name}'s holiday starts on {month} {first} and the flight home is on {month} {second}. How many days later?",
        "I borrowed a book on {month} {first} and must return it on {month} {second}. How many days is that?",
    ),
    full=(
        "It is {answer} days.",
        "From {month} {first} to {month} {second} there are {answer} days.",
        "Take {first} from {second}: the two dates in {month} lie {answer} days apart.",
        "Between the {first} and the {second} of {month} you have {answer} days.",
    ),
)
CLOCK = Template(
    "dates/clock",
    prompts=(
        "A train leaves at {start} and the ride takes {number} minutes. When does it arrive?",
        "{name} puts a cake in the oven at {start} for {number} minutes. At what time is it done?",
        "The film starts at {start} and runs for {number} minutes. When is it over?",
    ),
    full=(
        "At {answer}.",
        "{number} minutes after {start} it is {answer}.",
        "Start at {start}, add {number} minutes, and the clock shows {answer}.",
        "It begins at {start} and takes {number} minutes, so it ends at {answer}.",
    ),
    curt=("{answer}.", "By {answer}."),
)


def dates(rng: Random) -> Task:
    """Draw a question about the calendar or the clock."""
    return rng.choice((_weekday, _month, _between, _clock))(rng)


def _weekday(rng: Random) -> Task:
    template, sign = rng.choice(((AHEAD, 1), (BACK, -1)))
    start, number = rng.randrange(7), rng.choice((2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 15, 16, 20, 22))
    answer = WEEKDAYS[(start + sign * number) % 7]
    wrong = others(rng, WEEKDAYS, answer, 4)
    return ask(rng, template, answer=answer, wrong=wrong, day=WEEKDAYS[start], number=number, name=rng.choice(NAMES))


def _month(rng: Random) -> Task:
    start, number = rng.randrange(12), rng.randint(2, 10)
    answer = MONTHS[(start + number) % 12]
    wrong = (
        MONTHS[(start + number + 1) % 12],
        MONTHS[(start + number - 1) % 12],
        MONTHS[(start - number) % 12],
    )
    return ask(
        rng,
        MONTH_AFTER,
        answer=answer,
        wrong=wrong,
        month=MONTHS[start],
        number=number,
        name=rng.choice(NAMES),
    )


def _between(rng: Random) -> Task:
    first = rng.randint(1, 18)
    days = rng.randint(3, 28 - first)
    return ask(
        rng, BETWEEN, answer=str(days), wrong=(str(days + 3), str(days - 2), str(days + 2), str(days + 10)),
        # one more and one less are right, too, for whoever counts both ends or neither
        month=rng.choice(MONTHS), first=first, second=first + days, name=rng.choice(NAMES),
    )  # fmt: skip


def _clock(rng: Random) -> Task:
    start, number = (
        rng.randrange(6 * 60, 21 * 60, 5),
        rng.choice((15, 20, 25, 35, 40, 45, 50, 55, 70, 80, 95)),
    )
    wrong = tuple(_time(start + number + slip) for slip in (-10, 10, -60, 60, 5))
    return ask(
        rng, CLOCK, answer=_time(start + number), wrong=wrong, start=_time(start), number=number,
        name=rng.choice(NAMES),
    )  # fmt: skip


def _time(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"
