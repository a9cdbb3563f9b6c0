"""Texts as bags of hashed n-grams, with and without their prompt.

Three blocks, each of unit length after log(1 + count): words and pairs of words; characters in threes, within words;
and, for models that may see the prompt, words of the response marked by what they have to do with it. A linear model
adds up features, so it cannot read a prompt; what it can be given is whether a word of the response occurs in the
prompt, too, and how often such a word goes with a question that begins like this one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from palate.forked import ordered_map
from palate.health.shortcuts.held_out import Matrix

Item = TypeVar("Item")

MOST_CHARACTERS = 4000
"""Of a response, its beginning, and of a prompt, its end: what is beyond is not looked at."""

_CHUNK = 512
_BUCKETS = 2**18
_WORD = re.compile(r"\w+")
_HASH = {"n_features": _BUCKETS, "alternate_sign": False, "norm": None, "dtype": np.float32}
_WORDS = HashingVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **_HASH)
_CHARACTERS = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 3), **_HASH)
_LENGTH = 0.3  # of a doubling of length beside texts of unit length: about a third of their distance


def response_features(responses: Iterable[str], *, workers: int = 1) -> Matrix:
    """[N, F], sparse rows: words, characters and the logarithm of the length."""
    return _stacked(ordered_map(_response_block, _chunks(responses), workers=workers))


def crossed_features(turns: Iterable[tuple[str, str]], *, workers: int = 1) -> Matrix:
    """[N, F], sparse rows: of prompts and responses, what a linear model can see of how they belong together."""
    return _stacked(ordered_map(_crossed_block, _chunks(turns), workers=workers))


def crossed_words(turn: tuple[str, str]) -> list[str]:
    r"""The words of a response that its prompt has too, and all of them beside the word that the question begins with.

    >>> sorted(crossed_words(("Hello there.\n\nHow far is it?", "It is near.")))
    ['how is', 'how it', 'how near', 'is +prompt', 'it +prompt']
    """
    prompt, response = (text.lower() for text in turn)
    asked = _WORD.findall(prompt[-MOST_CHARACTERS:])
    answered = set(_WORD.findall(response[:MOST_CHARACTERS]))
    beginning = _WORD.search(prompt.rstrip().rpartition("\n")[2])
    first = beginning.group() if beginning else ""
    return [f"{word} +prompt" for word in answered & set(asked)] + [f"{first} {word}" for word in answered]


_CROSSED = HashingVectorizer(analyzer=crossed_words, **_HASH)


def _response_block(responses: Sequence[str]) -> Matrix:
    texts = [text[:MOST_CHARACTERS] for text in responses]
    length = np.log1p([len(text) for text in responses]).astype(np.float32) * np.float32(_LENGTH)
    blocks = [_damped(_WORDS.transform(texts)), _damped(_CHARACTERS.transform(texts))]
    return sparse.hstack([*blocks, sparse.csr_matrix(length[:, None])], format="csr")


def _crossed_block(turns: Sequence[tuple[str, str]]) -> Matrix:
    counts = _CROSSED.transform(turns)
    overlap = np.array([_overlap(*turn) for turn in turns], np.float32).reshape(-1, 2)
    return sparse.hstack([_damped(counts), sparse.csr_matrix(overlap)], format="csr")


def _overlap(prompt: str, response: str) -> tuple[float, float]:
    """Which share of the response's words the prompt has, and of the prompt's words the response."""
    asked, answered = set(_WORD.findall(prompt.lower())), set(_WORD.findall(response.lower()))
    both = len(asked & answered)
    return both / max(1, len(answered)), both / max(1, len(asked))


def _damped(counts: Matrix) -> Matrix:
    counts.data = np.log1p(counts.data)
    return normalize(counts, copy=False)


def _stacked(blocks: Iterator[Matrix]) -> Matrix:
    return sparse.vstack(list(blocks), format="csr")


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    stream = iter(items)
    return iter(lambda: list(islice(stream, _CHUNK)), [])
