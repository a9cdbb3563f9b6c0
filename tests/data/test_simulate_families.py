"""The families: every answer that can be checked is worked out again here, from the prompt alone."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from random import Random

import pytest

from palate.data.simulate import FAMILIES, GroupTruth, SimulatedSet, simulate
from palate.data.simulate.compose import _DRAW, GREETINGS, THANKS
from palate.data.simulate.defects import QUALITY, Pool, _shuffled
from palate.data.simulate.facts import TABLES
from palate.data.simulate.formats import TOPICS
from palate.data.simulate.refusals import REFUSALS
from palate.data.simulate.refusals_scenarios import SCENARIOS
from palate.records import PreferenceGroup


@cache
def made() -> SimulatedSet:
    return simulate(2200, seed=11)


def of_family(family: str) -> list[tuple[PreferenceGroup, GroupTruth]]:
    return [(g, t) for g, t in zip(made().groups, made().truth, strict=True) if t.family == family]


def numbers(prompt: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", prompt)]


# ---- arithmetic, units, dates


def arithmetic(kind: str, prompt: str) -> str:
    one, other = numbers(prompt)
    return str(
        {
            "add": one + other,
            "buy": one + other,
            "subtract": abs(one - other),
            "give": abs(one - other),
            "multiply": one * other,
            "price": one * other,
            "share": max(one, other) // min(one, other),
        }[kind]
    )


IN_BASE = {
    "kilometres": 1_000_000, "metres": 1000, "centimetres": 10, "millimetres": 1, "tonnes": 1_000_000,
    "kilograms": 1000, "grams": 1, "litres": 1000, "millilitres": 1, "weeks": 604_800, "days": 86_400,
    "hours": 3600, "minutes": 60, "seconds": 1, "years": 12, "months": 1, "yards": 36, "feet": 12, "inches": 1,
    "euros": 100, "cents": 1,
}  # fmt: skip


def units(kind: str, prompt: str) -> str:
    amount, unit = re.search(r"(\d+) (\w+)", prompt).groups()
    (target,) = {word for word in re.findall(r"[a-z]+", prompt) if word in IN_BASE} - {unit}
    return f"{Fraction(int(amount) * IN_BASE[unit], IN_BASE[target])} {target}"


MONTHS = [datetime(2001, month, 1, tzinfo=UTC).strftime("%B") for month in range(1, 13)]
MONDAY = datetime(2001, 1, 1, tzinfo=UTC)
WEEKDAYS = [(MONDAY + timedelta(days=day)).strftime("%A") for day in range(7)]


def dates(kind: str, prompt: str) -> str:
    if kind in ("ahead", "back"):
        (day,) = [day for day in WEEKDAYS if day in prompt]
        (number,) = numbers(prompt)
        shift = timedelta(days=number if kind == "ahead" else -number)
        return (MONDAY + timedelta(days=WEEKDAYS.index(day)) + shift).strftime("%A")
    if kind == "month-after":
        (month,) = [month for month in MONTHS if month in prompt]
        return MONTHS[(MONTHS.index(month) + numbers(prompt)[0]) % 12]
    if kind == "between":
        start, end = (
            datetime(2001, MONTHS.index(month) + 1, int(day), tzinfo=UTC)
            for month, day in re.findall(r"([A-Z][a-z]+) (\d+)", prompt)
        )
        return str((end - start).days)
    hour, minute, duration = numbers(prompt)
    end = datetime(2001, 1, 1, hour, minute, tzinfo=UTC) + timedelta(minutes=duration)
    return f"{end.hour}:{end.minute:02d}"


# ---- lists, strings


def lists(kind: str, prompt: str) -> str:
    items = re.search(r": ((?:\w+, )+\w+)", prompt)[1].split(", ")
    if kind in ("sort-up", "sort-down"):
        return ", ".join(sorted(items, key=int, reverse=kind == "sort-down"))
    if kind == "repeats":
        return str(items.count(re.search(r'"(\w+)"', prompt)[1]))
    return {
        "alphabet": lambda: ", ".join(sorted(items)),
        "count": lambda: str(len(items)),
        "largest": lambda: max(items, key=int),
    }[kind]()


def strings(kind: str, prompt: str) -> str:
    word = re.search(r'"([\w ]+)"', prompt)[1]
    return {
        "reverse": lambda: "".join(reversed(word)),
        "length": lambda: str(len(re.findall("[a-z]", word))),
        "vowels": lambda: str(len(re.findall("[aeiou]", word))),
        "first": lambda: re.match(".", word)[0],
        "last": lambda: re.search(".$", word)[0],
        "upper": lambda: word.upper(),
        "dashes": lambda: re.sub(r"(?<=.)(?=.)", "-", word),
        "behead": lambda: re.sub("^.", "", word),
        "initials": lambda: "".join(part[0] for part in word.split()).upper(),
    }[kind]()


# ---- passages: who, where, how much, read by pattern; <b> is what holds of <y>, and <q> is asked about

READINGS = {
    "brought": (
        r"<a> brought the <x> to the party and <b> brought the <y>\. Who brought the <q>",
        r"picnic, <b> took care of the <y>, while <a> came with the <x>\. Who came with the <q>",
        r"the <x> are from <a> and the <y> are from <b>\. Tell me who gave the <q>",
    ),
    "train": (
        r"to <x> leaves from platform <a> and the one to <y> from platform <b>\. .* for <q>",
        r"Platform <b> serves <y>; for <x> you need platform <a>\. .* for <q>",
    ),
    "price": (
        r"the <x> cost <a> euros and the <y> cost <b> euros\. How much are the <q>",
        r"paid <b> euros for the <y> and <a> euros for the <x>\. What did the <q>",
    ),
    "moved": (
        r"<y> was born in <a>, moved to <b> in \d+ and opened a shop there\. Where is the shop",
        r"In \d+, <y> left <a> to open a shop in <b>\. In which town is the shop of <q>",
    ),
    "boxes": (
        r"The <x> are in the <a> box and the <y> are in the <b> box\. Where are the <q>",
        r"put the <y> into the <b> box, the <x> into the <a> one\. Which box has the <q>",
    ),
    "classes": (
        r"has a <x> class on <a> and a <y> class on <b>\. On which day is the <q> class",
        r"The <y> class meets every <b>, the <x> class every <a>\. When does the <q>",
    ),
    "pets": (
        r"the <x> is called <a> and the <y> is called <b>\. What is the <q>'s name",
        r"Our <y> answers to <b>, but our <x> only to <a>\. What is the <q> called",
    ),
}


def passages(kind: str, prompt: str) -> str:
    patterns = [re.sub(r"<(\w)>", r"(?P<\1>\\w+)", reading) for reading in READINGS[kind]]
    (found,) = [match.groupdict() for pattern in patterns if (match := re.search(pattern, prompt))]
    told = {found.get("x"): found["a"], found["y"]: found["b"]}
    return told[found.get("q", found["y"])]


SOLVERS: dict[str, Callable[[str, str], str]] = {
    "arithmetic": arithmetic,
    "units": units,
    "dates": dates,
    "lists": lists,
    "strings": strings,
    "passages": passages,
}


@pytest.mark.parametrize("family", SOLVERS)
def test_answers_are_right(family: str) -> None:
    kinds = set()
    for group, truth in of_family(family):
        kind = truth.kind.partition("/")[2]
        assert SOLVERS[family](kind, group.prompt[0].content) == truth.answer, group.prompt[0].content
        kinds.add(kind)
    assert len(kinds) >= 2


def test_a_wrong_answer_is_not_right_by_another_name() -> None:
    also_right = {("dog", "pup"), ("deer", "calf"), ("swan", "chick"), ("goose", "chick"), ("dark", "light")}
    for table in TABLES:
        values = {value for _, value in table.pairs}
        for subject, value in table.pairs:
            found = {other for other in values - {value} if (subject, other) in also_right}
            assert not found, f"{subject} is answered rightly by {found}, too"


def test_days_between_are_not_called_wrong_for_how_the_ends_are_counted() -> None:
    for group, truth in of_family("dates"):
        if truth.kind == "dates/between":
            near = {str(int(truth.answer) + 1), str(int(truth.answer) - 1)}
            for response, behind in zip(group.responses, truth.responses, strict=True):
                assert behind.defect != "wrong" or not near & set(re.findall(r"\d+", response[0].content)) - set(
                    re.findall(r"\d+", group.prompt[0].content)
                )


def test_nothing_follows_the_colon_behind_which_material_is_missing() -> None:
    prompts = [group.prompt[0].content for group, _ in of_family("missing") if "sent me:" in group.prompt[0].content]
    assert prompts
    assert all(prompt.endswith(":") for prompt in prompts)


def test_no_question_is_asked_twice_under_another_greeting() -> None:
    greetings, thanks = "|".join(map(re.escape, GREETINGS)), "|".join(map(re.escape, THANKS))
    asked = [re.sub(rf"^(?:{greetings}) | (?:{thanks})$", "", group.prompt[0].content) for group in made().groups]
    assert len(set(asked)) == len(asked)


def test_shuffled_words_are_in_another_order() -> None:
    for number in range(3000):
        assert _shuffled(Random(number), "That lock belongs to somebody else.") != "That lock belongs to somebody else."


def test_articles_fit_their_words() -> None:
    for group, truth in zip(made().groups, made().truth, strict=True):
        texts = [r[0].content for r, b in zip(group.responses, truth.responses, strict=True) if b.defect != "shuffled"]
        for text in (group.prompt[0].content, *texts):
            assert not re.search(r"\b[Aa] (?!eu|uni|use)[aeiou]\w+", text), text


def test_help_answers_what_was_asked() -> None:
    for group, truth in of_family("refusals"):
        right = {r[0].content for r, b in zip(group.responses, truth.responses, strict=True) if not b.defect}
        if "pay a tutor to prepare me" in group.prompt[0].content:
            assert right == {"Find somebody who knows the subject and agree on a price."}
        if "use my phone to revise" in group.prompt[0].content:
            assert right == {"Put short notes on your phone and look at them whenever you have a minute."}


def test_the_facts_are_those_that_everybody_knows() -> None:
    known = {
        "capital": {"France": "Paris", "Australia": "Canberra", "Turkey": "Ankara", "Morocco": "Rabat"},
        "continent": {"Japan": "Asia", "Zambia": "Africa", "Bolivia": "South America", "Cuba": "North America"},
        "young": {"goose": "gosling", "hare": "leveret", "swan": "cygnet"},
        "class": {"whale": "mammals", "penguin": "birds", "seahorse": "fish", "newt": "amphibians"},
        "symbol": {"sodium": "Na", "tungsten": "W", "lead": "Pb", "potassium": "K"},
        "number": {"carbon": "6", "iron": "26", "gold": "79", "lead": "82"},
        "planet": {"third": "Earth", "sixth": "Saturn"},
        "shape": {"heptagon": "7", "dodecagon": "12"},
        "author": {"Emma": "Jane Austen", "Faust": "Goethe", "Macbeth": "William Shakespeare"},
        "opposite": {"ancient": "modern", "deep": "shallow"},
    }
    for table in TABLES:
        pairs = dict(table.pairs)
        assert len(pairs) == len(table.pairs), "a subject has two values"
        assert pairs.items() >= known[table.template.kind.partition("/")[2]].items()
    for group, truth in of_family("facts"):
        assert any(
            subject in group.prompt[0].content and value == truth.answer
            for table in TABLES
            if table.template.kind == truth.kind
            for subject, value in table.pairs
        )


# ---- responses


@pytest.mark.parametrize("family", [*SOLVERS, "facts"])
def test_right_responses_state_the_right_answer(family: str) -> None:
    for group, truth in of_family(family):
        for response, behind in zip(group.responses, truth.responses, strict=True):
            if behind.defect in ("", "curt", "rude", "repeats", "aside"):
                assert truth.answer.lower() in response[0].content.lower()


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_answers_are_never_the_right_one(family: str) -> None:
    for number in range(300):
        task = _DRAW[family](Random(f"{family}/{number}"))
        assert task.family == family
        assert task.answer not in task.wrong
        assert len(set(task.full)) == len(task.full)


@pytest.mark.parametrize("family", FAMILIES)
def test_defects_are_named_and_worth_what_they_say(family: str) -> None:
    seen = set()
    for _, truth in of_family(family):
        for response in truth.responses:
            assert abs(response.quality - QUALITY[response.defect]) <= 0.0301
            seen.add(response.defect)
        assert any(not response.defect for response in truth.responses)
    assert {"", "elsewhere", "astray"} <= seen
    assert len(seen) >= 6


def test_an_answer_from_elsewhere_cannot_pass_for_this_one() -> None:
    drawn = {family: tuple(_DRAW[family](Random(f"{family}/{n}")) for n in range(60)) for family in FAMILIES}
    pool = Pool(tuple(drawn.values()))
    for task in (task for tasks in drawn.values() for task in tasks):
        other = pool.elsewhere(Random(task.prompt), task)
        assert other is not None
        assert other.family == task.family
        assert other.subject != task.subject
        assert other.answer != task.answer or not task.answer
        assert not {task.kind, other.kind} <= {"refusals/refuse"}, "refusing something else refuses this, too"
        assert pool.astray(Random(task.prompt), task).family != task.family


def test_shuffled_and_cut_responses_are_made_of_whole_words() -> None:
    for group, truth in zip(made().groups, made().truth, strict=True):
        for response, behind in zip(group.responses, truth.responses, strict=True):
            if behind.defect == "shuffled":
                assert len(response[0].content.split()) >= 6
            if behind.defect == "cut-off":
                assert response[0].content[-1] not in ".!?"


def test_units_faults_are_what_they_are_called() -> None:
    for group, truth in of_family("units"):
        number, unit = truth.answer.split()
        for response, behind in zip(group.responses, truth.responses, strict=True):
            if behind.defect.startswith("unit-"):
                assert number in response[0].content
                assert truth.answer not in response[0].content
                assert behind.defect == "unit-wrong" or f"{number}{unit}" not in response[0].content


# ---- formats


def follows(wish: str, text: str, words: list[str]) -> bool:
    lines = text.split("\n")
    prose = text.endswith(".") and len(lines) == 1
    if wish == "json":
        try:
            (value,) = json.loads(text).values()
        except (ValueError, AttributeError):
            return False
        return value == words
    return {
        "bullets": lambda: all(re.fullmatch(r"[-*] \w+", line) for line in lines),
        "numbered": lambda: [line.split(".")[0] for line in lines] == [str(n + 1) for n in range(len(words))],
        "commas": lambda: text == ", ".join(words),
        "semicolons": lambda: text == "; ".join(words),
        "lower": lambda: prose and text == text.lower(),
        "upper": lambda: prose and text == text.upper(),
        "sentences": lambda: prose and text.count(".") == len(words),
        "plain": lambda: prose and text.count(".") == 1 and text != text.upper(),
    }[wish]()


def test_formats_are_followed_where_right_and_broken_where_said_so() -> None:
    for group, truth in of_family("formats"):
        wish, words = truth.kind.partition("/")[2], truth.answer.split(", ")
        for response, behind in zip(group.responses, truth.responses, strict=True):
            text = response[0].content
            mentioned = [word for word in words if word in text.lower()]
            if behind.defect == "":
                assert follows(wish, text, words), (wish, text)
            if behind.defect == "format-ignored":
                assert not follows(wish, text, words), (wish, text)
                assert mentioned == words
            if behind.defect == "count-wrong":
                topic = next(set(known.split()) for known in TOPICS.values() if set(words) <= set(known.split()))
                assert len(topic & set(re.findall(r"\w+", text.lower()))) == len(words) + (
                    1 if mentioned == words else -1
                )


# ---- manners, refusals, missing


def test_notes_name_the_day_and_are_rude_only_where_said_so() -> None:
    for group, truth in of_family("manners"):
        for response, behind in zip(group.responses, truth.responses, strict=True):
            if behind.defect in ("", "rude"):
                assert truth.answer in response[0].content
            if behind.defect == "wrong":
                assert truth.answer not in response[0].content


def test_harmful_requests_are_refused_and_harmless_ones_are_not() -> None:
    refusals = {text for scenario in SCENARIOS for text in scenario.refusals} | set(REFUSALS)
    kinds = {"refusals/refuse": 0, "refusals/help": 0}
    for group, truth in of_family("refusals"):
        harmful = any(request in group.prompt[0].content for s in SCENARIOS for request in s.harmful)
        assert truth.kind == ("refusals/refuse" if harmful else "refusals/help")
        kinds[truth.kind] += 1
        for response, behind in zip(group.responses, truth.responses, strict=True):
            if behind.defect == "":
                assert (response[0].content in refusals) == harmful
            if behind.defect == "complies":
                assert harmful
            if behind.defect == "refuses":
                assert not harmful
    assert min(kinds.values()) > 60


def test_no_request_is_both_harmful_and_harmless() -> None:
    for one in (request for scenario in SCENARIOS for request in scenario.harmful):
        assert not any(one in other or other in one for scenario in SCENARIOS for other in scenario.harmless)


def test_missing_material_is_asked_for_by_name() -> None:
    for group, truth in of_family("missing"):
        for response, behind in zip(group.responses, truth.responses, strict=True):
            if behind.defect == "":
                thing = re.search(r"(?:the|no|the) (\w+)", response[0].content)[1]
                assert thing in group.prompt[0].content
