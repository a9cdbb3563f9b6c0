"""Runs of words that two sets of texts have in common.

The runs of the smaller set are held in memory as 64-bit numbers; the texts of the other are streamed past them.

Shape legend: B distinct runs that are looked for, I pairs of a run and an item that has it, H finds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from palate.health.texts.similarity import CHUNK
from palate.health.texts.words import Hashes, Keys, runs, word_hashes

Ints = NDArray[np.int64]
Item = TypeVar("Item")

_BITS = 24  # of the table that most runs are turned away at: 16 MB, which is read faster than the runs are searched
_SHIFT = np.uint64(64 - _BITS)


@dataclass(frozen=True, slots=True)
class Sought:
    """Runs that are looked for.

    Attributes:
        n: words of a run.
        values: [B], sorted.
        run: [I], numbers of runs, sorted.
        item: [I], number of an item that has it.
        table: [2^24], whether any run begins with these bits.
    """

    n: int
    values: Keys
    run: Ints
    item: Ints
    table: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finds:
    """Where runs were found, each run of each text once.

    Attributes:
        run: [H], numbers of runs.
        text: [H], numbers of texts.
    """

    run: Ints
    text: Ints


def seek(texts: Iterable[tuple[int, str]], sizes: tuple[int, ...]) -> tuple[Sought, ...]:
    """Take in the texts that are to be found.

    Args:
        texts: the number of an item, and one of its texts.
        sizes: how many words a run has; one result for each.
    """
    parts: list[list[tuple[Keys, Ints]]] = [[] for _ in sizes]
    for chunk in _chunks(texts):
        items = np.array([item for item, _ in chunk])
        words = word_hashes([text for _, text in chunk], signs=False)
        for size, part in zip(sizes, parts, strict=True):
            found = runs(words, size)
            part.append((found.values, items[found.text]))
    return tuple(_sought(size, part) for size, part in zip(sizes, parts, strict=True))


def find(sought: tuple[Sought, ...], texts: Iterable[str]) -> tuple[Finds, ...]:
    """Look for all of them in texts, which are read once."""
    parts: list[list[tuple[Ints, Ints]]] = [[] for _ in sought]
    first = 0
    for chunk in _chunks(texts):
        words = word_hashes(chunk, signs=False)
        for kind, part in zip(sought, parts, strict=True):
            run, text = _hits(kind, words)
            part.append((run, text + first))
        first += len(chunk)
    empty = np.empty(0, np.int64)
    return tuple(
        Finds(*(np.concatenate([empty, *column]) for column in zip(*part, strict=True)))
        if part
        else Finds(empty, empty)
        for part in parts
    )


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    stream = iter(items)
    return iter(lambda: list(islice(stream, CHUNK)), [])


def _sought(size: int, parts: list[tuple[Keys, Ints]]) -> Sought:
    value = np.concatenate([np.empty(0, np.uint64), *(values for values, _ in parts)])
    item = np.concatenate([np.empty(0, np.int64), *(items for _, items in parts)])
    distinct, run = np.unique(value, return_inverse=True)
    table = np.zeros(1 << _BITS, np.bool_)
    table[distinct >> _SHIFT] = True
    return Sought(size, distinct, *_once(run, item), table)


def _hits(sought: Sought, words: Hashes) -> tuple[Ints, Ints]:
    found = runs(words, sought.n)
    likely = np.flatnonzero(sought.table[found.values >> _SHIFT])
    if not len(likely):
        return likely, likely
    run = np.minimum(np.searchsorted(sought.values, found.values[likely]), len(sought.values) - 1)
    hit = sought.values[run] == found.values[likely]
    text = np.searchsorted(found.start, likely[hit], side="right") - 1
    return _once(run[hit], text)


def _once(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Each pair of numbers once, sorted."""
    order = np.lexsort((other, one))
    one, other = one[order], other[order]
    new = np.ones(len(one), np.bool_)
    new[1:] = (np.diff(one) != 0) | (np.diff(other) != 0)
    return one[new], other[new]
