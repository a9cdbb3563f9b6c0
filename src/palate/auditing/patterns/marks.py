"""What a response may have in its form: marks that are counted for every check, some more, and how it begins and ends.

Openings and endings are chosen by how frequent they are, not by their rewards, so that a test of each is a fair one.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.texts.style import STYLE

Ints = NDArray[np.int64]

COUNTED = {
    "headers": "headings",
    "lists": "list items",
    "bold": "bold text",
    "code": "inline code",
    "tables": "tables",
    "links": "links",
    "emoji": "emoji",
    "closings": '"I hope this helps"',
    "exclamations": "exclamation marks",
    "questions": "question marks",
    "flattery": 'praise of the question ("Great question")',
    "courtesies": "offers of more help",
    "refusals": "refusals",
    "ai": '"as an AI"',
    "apologies": "apologies",
    "hedges": 'hedges ("I think")',
    "unfinished": "an unfinished end",
}
"""Marks of `palate.health.texts.style` that a response has or has not, and what to call them."""

_AGREES = re.compile(r"\W*(?:sure|certainly|of course|absolutely|definitely|yes)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?m)^[ \t]*\d{1,3}[.)] ")
_SUMMARY = re.compile(r"\W*(?:in summary|in conclusion|to sum up|to summari[sz]e|overall|in short)\b", re.IGNORECASE)
_CITED = re.compile(
    r"\[\d{1,3}\]|\([A-Z][\w.&' -]{1,40},? (?:19|20)\d\d[a-z]?\)|\bet al\b|\bdoi\b|\baccording to\b", re.I
)

READ: dict[str, Callable[[str], bool]] = {
    "a code block": lambda text: "```" in text,
    "a numbered list": lambda text: _NUMBERED.search(text) is not None,
    "a citation": lambda text: _CITED.search(text) is not None,
    'agreement at the start ("Sure")': lambda text: _AGREES.match(text) is not None,
    "a question at the end": lambda text: text.rstrip().endswith("?"),
    "a summary at the end": lambda text: _SUMMARY.match(text.rstrip().rpartition("\n")[2]) is not None,
}
"""Those that are read off the text here."""

_WORD = re.compile(r"[\w']+")
_EDGE = 160  # characters of the beginning and of the end that words are taken from
_BEGINNINGS, _ENDINGS = (1, 2, 3), (2, 3, 4)  # words
_FREQUENT = 40  # phrases of each kind
_SELDOM = 5  # responses below which a phrase is not looked at


@dataclass(frozen=True, slots=True)
class Pattern:
    """Something that a response has or has not.

    Attributes:
        name: for people.
        rows: the responses that have it, ascending.
    """

    name: str
    rows: Ints

    def mask(self, size: int) -> NDArray[np.bool_]:
        """[size], whether each of so many responses has it."""
        has = np.zeros(size, np.bool_)
        has[self.rows] = True
        return has


def patterns_of(corpus: Corpus) -> tuple[Pattern, ...]:
    """All patterns of a corpus; of phrases that the same responses have, the longest stands for all."""
    style = corpus.responses.style
    counted = (Pattern(name, np.flatnonzero(style[:, STYLE.index(column)] > 0)) for column, name in COUNTED.items())
    read: dict[str, list[int]] = {name: [] for name in READ}
    phrases: dict[tuple[str, int], dict[str, list[int]]] = {}
    for row, text in enumerate(corpus.all_responses()):
        for name, has in READ.items():
            if has(text):
                read[name].append(row)
        for kind, size, phrase in edge_phrases(text):
            phrases.setdefault((kind, size), {}).setdefault(phrase, []).append(row)
    found = [*counted, *(Pattern(name, np.array(rows, np.int64)) for name, rows in read.items())]
    return (*(pattern for pattern in found if len(pattern.rows)), *_distinct(_frequent(phrases)))


def edge_phrases(text: str) -> list[tuple[str, int, str]]:
    """How a text begins and ends, in so many words: kind, size, phrase in lower case.

    >>> [phrase for *_, phrase in edge_phrases("Great question! It is 4.")]
    ['great', 'great question', 'great question it', 'is 4', 'it is 4', 'question it is 4']
    """
    first, last = (_WORD.findall(edge.lower().replace("\u2019", "'")) for edge in (text[:_EDGE], text[-_EDGE:]))
    found = [("beginning", size, " ".join(first[:size])) for size in _BEGINNINGS if len(first) >= size]
    return found + [("ending", size, " ".join(last[-size:])) for size in _ENDINGS if len(last) >= size]


def _frequent(phrases: dict[tuple[str, int], dict[str, list[int]]]) -> Iterable[Pattern]:
    for (kind, _), by_phrase in phrases.items():
        counts = Counter({phrase: len(rows) for phrase, rows in by_phrase.items() if len(rows) >= _SELDOM})
        for phrase, _ in counts.most_common(_FREQUENT):
            yield Pattern(f'the {kind} "{phrase}"', np.array(by_phrase[phrase], np.int64))


def _distinct(patterns: Iterable[Pattern]) -> Iterable[Pattern]:
    by_rows: dict[bytes, Pattern] = {}
    for pattern in patterns:
        known = by_rows.get(pattern.rows.tobytes())
        if known is None or len(pattern.name) > len(known.name):
            by_rows[pattern.rows.tobytes()] = pattern
    return by_rows.values()
