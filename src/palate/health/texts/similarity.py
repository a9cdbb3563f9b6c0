"""Near-duplicate texts: equal but for a few words.

Two texts are near-duplicates where the sets of their pairs of neighbouring words have a Jaccard similarity of 0.8
or more. The ends of a text count as neighbours too, so that a first word weighs as much as any other. Texts are then
near-duplicates with one word more at an end from 12 words on, and with one word exchanged from 17: in a shorter
question, one word is as a rule what it asks about.

No two texts are compared that do not look alike. MinHash (Broder 1997) draws numbers of a text of which two texts
share each with a probability of their similarity J. They are taken `ROWS` at a time into `BANDS` keys, and texts that
share a key are candidates: with probability 1 - (1 - J^ROWS)^BANDS,

    J        0.3    0.4    0.5    0.6    0.7    0.8    0.9
    found  0.004  0.029  0.132  0.400  0.787  0.986  1.000

Candidates are then compared exactly, see `palate.health.texts.neighbours`. 1,100 characters take 26 us.

Shape legend: N texts, S shingles (pairs of neighbouring words) of all texts.
"""

from collections.abc import Sequence

import numpy as np

from palate.health.texts.words import Hashes, Keys, mixed, word_hashes

BANDS, ROWS = 18, 7
CHUNK = 128
"""Texts at a time: arrays that stay in the processor's cache, twice as fast as 1,024."""

_RANDOM = np.random.default_rng(20_240_607).integers(0, 2**63, (BANDS, ROWS), dtype=np.uint64) * np.uint64(
    2
) + np.uint64(1)
_END = np.uint64(0x5851F42D4C957F2D)  # stands for the end of a text among the hashes of its words


def band_keys(texts: Sequence[str]) -> Keys:
    """[N, BANDS]: texts that share a key in one column are candidates; 0, of texts without words, matches nothing."""
    chunks = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
    return np.concatenate([np.empty((0, BANDS), np.uint64), *(keys_of(shingles(chunk)) for chunk in chunks)])


def shingles(texts: Sequence[str]) -> Hashes:
    """Pairs of neighbouring words, ends included; a text without words has none.

    >>> shingles(["to be or not to be", "yes", ""]).counts.tolist()
    [7, 2, 0]
    """
    words = word_hashes(texts)
    with_ends = np.insert(words.values, words.start, _END)
    pair_S = mixed(with_ends[:-1] * np.uint64(3) + with_ends[1:])
    count_N = np.where(words.counts > 0, words.counts + 1, 0)
    # between two texts, or in one without words, two ends are neighbours
    kept_S = (with_ends[:-1] != _END) | (with_ends[1:] != _END)
    return Hashes(pair_S[kept_S], np.concatenate([np.zeros(1, np.int64), np.cumsum(count_N)]))


def keys_of(found: Hashes) -> Keys:
    """[N, BANDS], of shingles."""
    keys = np.zeros((len(found), BANDS), np.uint64)
    some_N = found.counts > 0
    start = found.start[:-1][some_N]
    for band in range(BANDS if len(start) else 0):
        key = np.full(len(start), band, np.uint64)
        for factor in _RANDOM[band]:
            # the high bits of a product order the shingles anew for each odd factor
            least = np.minimum.reduceat(found.values * factor, start)
            key = mixed(key + (least >> np.uint64(32)))
        keys[some_N, band] = np.maximum(key, np.uint64(1))
    return keys
