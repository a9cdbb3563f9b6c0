"""Words of many texts at once, as numbers.

A word is a run of letters and digits; case, Unicode form, punctuation and white space do not count. Chinese and
Japanese characters are words by themselves, since nothing stands between those, and so are the signs of arithmetic:
2 + 2 and 2 * 2 are different questions. Each word becomes 64 bits that are the same in every process and run.

All of it is array arithmetic over the characters of all texts, ten times as fast as a regular expression.

Shape legend: N texts, W words of all of them, X characters.
"""

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from palate.health.texts.forms import normalised_form

Keys = NDArray[np.uint64]
Ints = NDArray[np.int64]

_BETWEEN, _LETTER, _ALONE = 0, 1, 2
_LISTED = 0x20000  # beyond lie rare Chinese characters and nothing else that is a word
_SIGNS = frozenset("-*/%^")  # arithmetic that Unicode does not count as such
_LONGEST = 64  # characters of a word whose order counts
_FACTOR = 0x9E3779B97F4A7C15  # odd, with irregular bits: the golden ratio of 2^64


@dataclass(frozen=True, slots=True)
class Hashes:
    """Of each text so many numbers: its words, or runs of them.

    Attributes:
        values: [W], end to end.
        start: [N + 1], where each text's begin, and W.
    """

    values: Keys
    start: Ints

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def counts(self) -> Ints:
        """[N], how many each text has."""
        return np.diff(self.start)

    @property
    def text(self) -> Ints:
        """[W], which text each belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)


def word_hashes(texts: Sequence[str], *, signs: bool = True) -> Hashes:
    """The words of each text.

    Args:
        texts: N of them.
        signs: whether signs of arithmetic are words. Rows of them are rules of tables and say nothing.

    >>> words = word_hashes(["A pear, a PEAR.", "", "日本 2+2"])
    >>> words.counts.tolist(), len(set(words.values[:4].tolist()))
    ([4, 0, 5], 2)
    """
    forms = [normalised_form(text) for text in texts]
    code_X = np.frombuffer("\n".join([*forms, ""]).encode(_UTF32, "surrogatepass"), np.uint32)
    kind_X = _kinds(signs).take(code_X, mode="clip")
    letter_X = kind_X == _LETTER
    inside_X = np.zeros(len(code_X), np.bool_)  # goes on with the word before it
    np.logical_and(letter_X[1:], letter_X[:-1], out=inside_X[1:])
    first_W = np.flatnonzero((kind_X != _BETWEEN) & ~inside_X)
    # the line feed behind each text is between words, so none goes on into the next text
    end_N = np.cumsum([len(form) + 1 for form in forms], dtype=np.int64)
    start = np.concatenate([np.zeros(1, np.int64), np.searchsorted(first_W, end_N)])
    if not len(first_W):
        return Hashes(np.empty(0, np.uint64), start)
    length_W = np.diff(first_W, append=len(code_X))
    place_X = np.arange(first_W[0], len(code_X)) - np.repeat(first_W, length_W)
    value_X = (code_X.astype(np.uint64) + np.uint64(1))[first_W[0] :] * _powers()[np.minimum(place_X, _LONGEST - 1)]
    value_X[kind_X[first_W[0] :] == _BETWEEN] = 0
    return Hashes(mixed(np.add.reduceat(value_X, first_W - first_W[0])), start)


def runs(words: Hashes, n: int) -> Hashes:
    """All runs of n consecutive words of one text; a text of fewer has none.

    >>> runs(word_hashes(["a b c d", "a b"]), 3).counts.tolist()
    [2, 0]
    """
    windows = max(0, len(words.values) - n + 1)
    total = np.zeros(windows, np.uint64)
    for place in range(n):
        total *= np.uint64(_FACTOR)
        total += words.values[place : place + windows]
    text = words.text
    whole = text[:windows] == text[n - 1 : n - 1 + windows]
    counts = np.maximum(words.counts - (n - 1), 0)
    return Hashes(mixed(total[whole]), np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))


def mixed(keys: Keys) -> Keys:
    """Each number scrambled, so that every bit depends on every bit: the end of SplitMix64 (Steele et al. 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


_UTF32 = f"utf-32-{sys.byteorder[0]}e"


@lru_cache(maxsize=1)
def _powers() -> Keys:
    powers: Keys = np.cumprod(np.full(_LONGEST, _FACTOR, np.uint64), dtype=np.uint64)
    return powers


@lru_cache(maxsize=2)
def _kinds(signs: bool) -> NDArray[np.uint8]:
    """What each character is; 20 ms once."""
    kinds = [_kind(chr(code), signs) for code in range(_LISTED)]
    return np.array([*kinds, _ALONE], np.uint8)


def _kind(character: str, signs: bool) -> int:
    category = unicodedata.category(character)
    if category == "Sm" or character in _SIGNS:
        return _ALONE if signs else _BETWEEN
    if _without_spaces(character):
        return _ALONE
    # marks are part of a letter in many scripts
    return _LETTER if category[0] in "LNM" else _BETWEEN


def _without_spaces(character: str) -> bool:
    return "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff"
