"""Parts of the data on which a reward model may be worse than on the whole."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from palate.auditing.scorer import Scored

FEWEST = 20
"""Comparisons that a slice needs to be shown."""
_LETTERS = 200  # characters of a prompt that its script is told from
_LENGTHS = (0, 200, 500, 1000, 2000, 4000)  # characters of the longer response
_TURNS = ((0, "no prompt"), (1, "1 message"), (3, "2 or 3 messages"), (7, "4 to 7 messages"))


@dataclass(frozen=True, slots=True)
class Slice:
    """Some comparisons under one name.

    Attributes:
        kind: what the data was divided by: `length`, `source`, ...
        name: of the part.
        member_C: which comparisons belong to it.
    """

    kind: str
    name: str
    member_C: NDArray[np.bool_]


def slices_of(scored: Scored) -> Iterator[Slice]:
    """All parts that hold at least `FEWEST` usable comparisons, kind by kind."""
    usable = scored.usable_C
    for kind, names in _kinds(scored):
        values, counts = np.unique(names[usable], return_counts=True)
        kept = [str(value) for value, count in zip(values, counts, strict=True) if value and count >= FEWEST]
        if len(values) > 1:  # a kind with one value is the whole
            for name in kept:
                yield Slice(kind, name, usable & (names == name))


def _kinds(scored: Scored) -> Iterator[tuple[str, NDArray[np.str_]]]:
    corpus = scored.corpus
    labels, groups = corpus.comparisons, corpus.groups
    chosen, rejected = (corpus.responses.characters[rows] for rows in (labels.winner, labels.loser))
    yield "length", _length_names(np.maximum(chosen, rejected))
    yield (
        "chosen is",
        np.where(
            2 * np.abs(chosen - rejected) <= 0.2 * (chosen + rejected),
            "about as long",
            np.where(chosen > rejected, "longer", "shorter"),
        ),
    )
    yield "source", np.array(corpus.sources)[groups.source[labels.group]]
    yield "prompt", _turn_names(groups.turns[labels.group])
    yield "script", _scripts(scored)[labels.group]
    strengths = np.unique(labels.margin)
    if len(strengths) > 1:
        yield "labelled margin", np.array([f"{margin:g}" for margin in labels.margin])
    if np.unique(labels.probability).size > 1:
        yield "votes for chosen", np.array([f"{int(share * 10) * 10} %" for share in labels.probability])


def _length_names(longer: NDArray[np.int32]) -> NDArray[np.str_]:
    bounds = [*_LENGTHS, None]
    names = [
        f"{low} characters and more" if high is None else f"{low} to {high} characters"
        for low, high in pairwise(bounds)
    ]
    return np.array(names)[np.searchsorted(_LENGTHS, longer, side="right") - 1]


def _turn_names(turns: NDArray[np.int32]) -> NDArray[np.str_]:
    names = np.array([*(name for _, name in _TURNS), "more messages"])
    return names[np.searchsorted([most for most, _ in _TURNS], turns, side="left")]


def _scripts(scored: Scored) -> NDArray[np.str_]:
    """[G], the script that most letters of the prompt's end belong to, by Unicode's names of them."""
    return np.array([script_of(prompt[-_LETTERS:]) for prompt in scored.corpus.prompts()] or [""])


def script_of(text: str) -> str:
    """The commonest script among a text's letters; empty where there are none.

    >>> script_of("What is 2+2?"), script_of("東京はどこ"), script_of("Где?"), script_of("12")
    ('Latin', 'Cjk', 'Cyrillic', '')
    """
    names = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    names.pop("", None)
    if not names:
        return ""
    most = names.most_common(1)[0][0]
    return "Cjk" if most in ("CJK", "HIRAGANA", "KATAKANA") else most.capitalize()
