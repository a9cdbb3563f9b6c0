"""Which texts are near-duplicates of each other: candidates by their band keys, then an exact comparison.

Shape legend: N texts, P pairs of them, S shingles of all texts; see `palate.health.texts.similarity`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from palate.health.texts.similarity import BANDS, CHUNK, keys_of, shingles
from palate.health.texts.words import Hashes, Keys

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NEAR = 0.8
"""The Jaccard similarity from which texts are near-duplicates."""

_REACH = 8  # texts of a bucket that each is compared with; all of them in buckets of up to 9
_WIDE = 64  # a bucket of more texts is boilerplate's work
_SAMPLE, _COMMON = 2000, 0.02  # of the texts in such buckets; the share of them that makes a shingle common
_PAIRS = 2048  # compared at a time
_NONE = np.uint64(0)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Texts that can be asked which of them are near-duplicates.

    Attributes:
        keys: [N, BANDS].
        text: the text of a row.
        boilerplate: [N], texts whose keys and similarity leave out what many texts have in common.
        common: those shingles.
    """

    keys: Keys
    text: Callable[[int], str]
    boilerplate: NDArray[np.bool_]
    common: Keys

    @classmethod
    def plain(cls, keys: Keys, text: Callable[[int], str]) -> Self:
        """Without a look for boilerplate."""
        return cls(keys, text, np.zeros(len(keys), np.bool_), np.empty(0, np.uint64))

    def similarity(self, pairs: Ints) -> Floats:
        """[P], the exact Jaccard similarity of each pair of rows [P, 2]."""
        blocks = [self._similarity(pairs[at : at + _PAIRS]) for at in range(0, len(pairs), _PAIRS)]
        return np.concatenate([np.empty(0), *blocks])

    def _similarity(self, pairs: Ints) -> Floats:
        rows = np.unique(pairs)
        found = _without(_shingles_of(self.text, rows.tolist()), self.common, self.boilerplate[rows])
        sets = {
            row: set(found.values[start:end].tolist())
            for row, start, end in zip(rows.tolist(), found.start, found.start[1:], strict=False)
        }
        shared = [(len(sets[one] & sets[other]), len(sets[one] | sets[other])) for one, other in pairs.tolist()]
        return np.array([both / either if either else 0.0 for both, either in shared])

    def clusters(self, rows: Ints) -> Ints:
        """Of each of some rows the first one, by its place among them, that is alike or joined to it by others alike.

        >>> from palate.health.texts.similarity import band_keys
        >>> texts = ["Where do all the ducks of this city sleep when their lake is frozen?", "Yes."]
        >>> texts.append(f"Say, {texts[0]}")
        >>> neighbours(band_keys(texts), texts.__getitem__).clusters(np.arange(3)).tolist()
        [0, 1, 0]
        """
        first = np.arange(len(rows))
        edges = np.empty((0, 2), np.int64)
        for band in range(BANDS):
            # next in the bucket first: a bucket of true duplicates is then one cluster and needs no more comparing
            for distances in (range(1, 2), range(2, _REACH + 1)):
                pairs = _bucket_pairs(self.keys[rows, band], distances)
                pairs = pairs[first[pairs[:, 0]] != first[pairs[:, 1]]]
                near = pairs[self.similarity(rows[pairs]) >= NEAR]
                if len(near):
                    edges = np.concatenate([edges, near])
                    first = _first_rows(edges, len(rows))
        return first

    def matches(self, rows: Ints, among: Ints) -> tuple[Ints, Floats]:
        """For each of some rows a near-duplicate among others, -1 where there is none, and how similar it is."""
        match, similarity = np.full(len(rows), -1), np.zeros(len(rows))
        for band in range(BANDS if len(among) else 0):
            order = among[np.argsort(self.keys[among, band], kind="stable")]
            sorted_keys = self.keys[order, band]
            wanted = self.keys[rows, band]
            first = np.searchsorted(sorted_keys, wanted)
            for distance in range(_REACH):
                place = np.minimum(first + distance, len(order) - 1)
                open_rows = np.flatnonzero((match < 0) & (wanted != _NONE) & (sorted_keys[place] == wanted))
                other = order[place[open_rows]]
                found = self.similarity(np.stack([rows[open_rows], other], axis=1))
                near = found >= NEAR
                match[open_rows[near]], similarity[open_rows[near]] = other[near], found[near]
        return match, similarity


def neighbours(keys: Keys, text: Callable[[int], str]) -> Neighbours:
    """Texts by their band keys, ready to be compared.

    Where more than 64 texts share a key, they share boilerplate: a system message, a template. All of them would be
    near-duplicates, and hide those that are. What more than 2 % of (a sample of) them have in common is left out of
    their keys and of their similarity.

    Args:
        keys: [N, BANDS] of `band_keys`.
        text: gives the text of a row.
    """
    wide_N = np.zeros(len(keys), np.bool_)
    for band in range(BANDS):
        _, which, size = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        wide_N |= (size[which] > _WIDE) & (keys[:, band] != _NONE)
    rows = np.flatnonzero(wide_N)
    if not len(rows):
        return Neighbours.plain(keys, text)
    sample = np.random.default_rng(0).permutation(rows)[:_SAMPLE]
    common = _common(_shingles_of(text, sorted(sample.tolist())))
    keys = keys.copy()
    for at in range(0, len(rows), CHUNK):
        chunk = rows[at : at + CHUNK]
        keys[chunk] = keys_of(_without(_shingles_of(text, chunk.tolist()), common, np.ones(len(chunk), np.bool_)))
    return Neighbours(keys, text, wide_N, common)


def _shingles_of(text: Callable[[int], str], rows: Iterable[int]) -> Hashes:
    return shingles([text(row) for row in rows])


def _common(found: Hashes) -> Keys:
    """Shingles of more than 2 % of the texts, and of at least three."""
    once = np.unique(np.stack([found.text.astype(np.uint64), found.values]), axis=1)
    values, texts = np.unique(once[1], return_counts=True)
    return values[texts > max(2, _COMMON * len(found))]


def _without(found: Hashes, common: Keys, which: NDArray[np.bool_]) -> Hashes:
    """Without the common shingles, in those texts that `which` says."""
    kept_S = ~(which[found.text] & np.isin(found.values, common))
    counts = np.bincount(found.text[kept_S], minlength=len(found))
    return Hashes(found.values[kept_S], np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))


def _bucket_pairs(key_N: Keys, distances: Iterable[int]) -> Ints:
    """[P, 2], rows with equal keys that lie so far from each other among all rows with that key."""
    order = np.argsort(key_N, kind="stable")
    order = order[np.searchsorted(key_N[order], _NONE, side="right") :]
    pairs = [
        np.stack([order[:-distance], order[distance:]], axis=1)[key_N[order[:-distance]] == key_N[order[distance:]]]
        for distance in distances
    ]
    return np.concatenate([np.empty((0, 2), np.int64), *pairs])


def _first_rows(edges: Ints, rows: int) -> Ints:
    """[N], the first row of each row's component."""
    graph = coo_array((np.ones(len(edges), np.bool_), (edges[:, 0], edges[:, 1])), shape=(rows, rows))
    _, component = connected_components(graph, directed=False)
    first = np.full(rows, rows)
    np.minimum.at(first, component, np.arange(rows))
    label: Ints = first[component]
    return label
