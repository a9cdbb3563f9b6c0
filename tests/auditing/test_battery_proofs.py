"""Every pair that a program can judge is judged by one: the proof holds for the chosen response alone."""

import ast
import csv
import io
import json
import math
import re
import sqlite3
from calendar import day_name, isleap, monthrange
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from palate.auditing.battery import BatteryPair, adversarial, battery

PROVEN = {"arithmetic", "units", "dates", "code", "instructions", "format", "language", "memory", "completeness"}
PROVEN |= {"editing", "number", "name", "bug"}
"""Families that need a proof for each pair."""

# words that are frequent in one of the languages and foreign to the others
_WORDS = {
    "en": {"the", "is", "and", "are"},
    "de": {"das", "ist", "hat", "und", "der", "ein"},
    "fr": {"la", "est", "et", "de", "le", "font"},
    "es": {"una", "tiene", "el", "los"},
    "it": {"è", "ma", "piccola"},
}
_SCRIPTS = {  # Cyrillic, Hiragana, Han
    "ru": "[\u0430-\u044f]",
    "ja": "[\u3041-\u3096]",
    "zh": "[\u4e00-\u9fff]",
}


def numbers(text: str) -> list[float]:
    """Those in the text, without the separators of thousands."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def spelled(text: str) -> int:
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return next((words.index(word) for word in re.findall("[a-z]+", text.lower()) if word in words), -1)


def written(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def snippet(text: str) -> str:
    """The first piece of code within single backticks."""
    return re.findall(r"(?<!`)`([^`]+)`(?!`)", text)[0]


def fenced(text: str) -> str:
    return re.findall(r"```\w+\n(.*?)```", text, flags=re.DOTALL)[0]


def run(text: str) -> dict[str, Any]:
    """The names that the fenced Python defines."""
    names: dict[str, Any] = {}
    exec(fenced(text), names)
    return names


def query(text: str) -> list[tuple[Any, ...]]:
    """The rows of the fenced SQL: Al has two orders, Bo has none, Cy has one."""
    with sqlite3.connect(":memory:") as database:
        database.executescript(
            "create table customers(id, name); create table orders(id, customer_id);"
            "insert into customers values (1, 'Al'), (2, 'Bo'), (3, 'Cy');"
            "insert into orders values (1, 1), (2, 1), (3, 3);"
        )
        return database.execute(fenced(text)).fetchall()


def speaks(text: str, language: str) -> bool:
    """Whether most of the frequent words are of the language, or its script is there and Japanese is not Chinese."""
    if language in _SCRIPTS:
        return bool(re.search(_SCRIPTS[language], text.lower())) and (
            language != "zh" or not re.search(_SCRIPTS["ja"], text)
        )
    found = {name: sum(word in own for word in re.findall(r"\w+", text.lower())) for name, own in _WORDS.items()}
    return found[language] > 0 and found[language] == max(found.values())


_NAMES: dict[str, Any] = {
    **{found.__name__: found for found in (ast, csv, io, json, math, re, yaml, isleap, monthrange, date, datetime)},
    **{
        found.__name__: found for found in (timedelta, Fraction, numbers, spelled, written, snippet, run, query, speaks)
    },
    "ElementTree": ElementTree,
    "day_name": day_name,
}


def holds(proof: str, response: str) -> bool:
    try:
        return bool(eval(proof, {**_NAMES, "response": response}))
    except Exception:  # a response that does not parse or does not run fails its proof
        return False


PAIRS = (*battery(), *adversarial())


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.proof], ids=lambda pair: pair.id)
def test_the_proof_holds_for_the_chosen_response_alone(pair: BatteryPair) -> None:
    assert holds(pair.proof, pair.chosen)
    assert not holds(pair.proof, pair.rejected)


def test_whole_families_are_proven() -> None:
    assert {pair.family for pair in PAIRS} >= PROVEN
    assert not [pair.id for pair in PAIRS if pair.family in PROVEN and not pair.proof]


def test_a_proof_looks_at_the_response() -> None:
    for pair in PAIRS:
        names = {node.id for node in ast.walk(ast.parse(pair.proof)) if isinstance(node, ast.Name)}
        assert not pair.proof or "response" in names, pair.id


def test_code_is_valid_except_where_that_is_the_point() -> None:
    broken = []
    for pair in PAIRS:
        for text in (pair.chosen, pair.rejected):
            for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
                try:
                    ast.parse(block)
                except SyntaxError:
                    broken.append(pair.id)
    assert broken == ["code-04"]
