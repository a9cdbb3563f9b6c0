"""What held-out data shares with the data: prompts, groups and responses, exactly or nearly.

Shape legend: G groups, R responses; the other data is what the data is compared with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.leaks.distinct import TextIndex
from palate.health.leaks.repeats import group_keys

Ints = NDArray[np.int64]

TELLING = 20
"""Words from which a response that is found elsewhere says more than that the answer was short."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Distinct texts of the other data, by their numbers, and the distinct text of the data that each is, or is like.

    Attributes:
        text: their numbers.
        match: numbers of texts of the data; the same number where they are equal.
        similarity: 1 for those.
    """

    text: Ints
    match: Ints
    similarity: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shared:
    """Figures of the other data; prompts and responses are distinct ones.

    Attributes:
        prompts, groups: how many it has; only groups with a prompt count.
        same: prompts that the data has too.
        same_groups: the groups of those.
        near: prompts of which the data has a near-duplicate, but not themselves.
        duplicate_groups: groups with a prompt and responses that a group of the data has too.
        responses: of `TELLING` words or more whose prompt is not in the data, and so no leak by itself.
        found: those of them that the data has, equal or nearly.
    """

    prompts: int
    groups: int
    same: Ints
    same_groups: int
    near: Alike
    duplicate_groups: int
    responses: int
    found: Alike


def find_shared(corpus: Corpus, index: TextIndex) -> Shared:
    """Look for the other data's texts in the data."""
    against_G = corpus.groups.against
    prompts, replies = index.prompts, index.responses
    same = np.flatnonzero(prompts.in_data & prompts.in_against)
    apart = np.flatnonzero(prompts.in_against & ~prompts.in_data)
    match, similarity = index.near_prompts.matches(apart, np.flatnonzero(prompts.in_data))
    leaked_G = against_G & np.isin(prompts.text, same)
    asked_R = (against_G & ~leaked_G)[corpus.responses.group] & (corpus.responses.words >= TELLING)
    asked = np.unique(replies.text[asked_R])
    key_G = group_keys(corpus)
    return Shared(
        prompts=int(prompts.in_against.sum()),
        groups=int((against_G & (prompts.text >= 0)).sum()),
        same=same,
        same_groups=int(leaked_G.sum()),
        near=_kept(apart, match, similarity),
        duplicate_groups=int(np.isin(key_G[against_G], key_G[~against_G]).sum()),
        responses=len(asked),
        found=_found(index, asked),
    )


def _found(index: TextIndex, asked: Ints) -> Alike:
    in_data = index.responses.in_data
    equal, apart = asked[in_data[asked]], asked[~in_data[asked]]
    near = _kept(apart, *index.near_responses.matches(apart, np.flatnonzero(in_data)))
    return Alike(
        np.concatenate([equal, near.text]),
        np.concatenate([equal, near.match]),
        np.concatenate([np.ones(len(equal)), near.similarity]),
    )


def _kept(texts: Ints, match: Ints, similarity: NDArray[np.float64]) -> Alike:
    found = match >= 0
    return Alike(texts[found], match[found], similarity[found])
