"""What occurs more than once within the data: prompts, groups and responses, exactly or nearly.

Shape legend: G groups, R responses, D distinct texts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.leaks.distinct import Distinct, TextIndex
from palate.health.texts.forms import exact_key
from palate.health.texts.neighbours import Neighbours
from palate.health.texts.words import mixed

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

HELD_OUT = 0.1
"""The share of rows that a split by row is imagined to hold out."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Figures of the data proper; prompts and responses are distinct ones.

    Attributes:
        groups: all of them.
        without_prompt: groups that have none.
        prompts: how many there are.
        repeated_prompts: those of several groups.
        groups_of_repeated_prompts: how many groups that is.
        near_prompts: those with a near-duplicate.
        boilerplate_prompts: those compared without what many prompts have in common.
        row_split_leak: expected share of held-out groups whose prompt is in training too, were a tenth held out by row.
        row_split_leak_near: the same for near-duplicates of the prompt, itself included.
        duplicate_groups: groups with the prompt and the responses of an earlier one.
        responses: how many there are.
        near_responses: those with a near-duplicate.
        boilerplate_responses: as for prompts.
    """

    groups: int
    without_prompt: int
    prompts: int
    repeated_prompts: int
    groups_of_repeated_prompts: int
    near_prompts: int
    boilerplate_prompts: int
    row_split_leak: float
    row_split_leak_near: float
    duplicate_groups: int
    responses: int
    near_responses: int
    boilerplate_responses: int


def find_repeats(corpus: Corpus, index: TextIndex) -> Repeats:
    """Count what repeats."""
    own_G = ~corpus.groups.against
    cluster, size = _clusters(index.prompts, index.near_prompts)
    _, reply_size = _clusters(index.responses, index.near_responses)
    in_data = index.prompts.in_data
    rows = index.prompts.rows[in_data]
    rows_of_cluster = np.bincount(cluster, weights=rows)[cluster]
    groups = int(own_G.sum())
    return Repeats(
        groups=groups,
        without_prompt=int((own_G & (corpus.groups.turns == 0)).sum()),
        prompts=len(rows),
        repeated_prompts=int((rows > 1).sum()),
        groups_of_repeated_prompts=int(rows[rows > 1].sum()),
        near_prompts=int((size > 1).sum()),
        boilerplate_prompts=int(index.near_prompts.boilerplate[in_data].sum()),
        row_split_leak=expected_leak(rows, rows),
        row_split_leak_near=expected_leak(rows, rows_of_cluster),
        duplicate_groups=groups - len(np.unique(group_keys(corpus)[own_G])),
        responses=len(reply_size),
        near_responses=int((reply_size > 1).sum()),
        boilerplate_responses=int(index.near_responses.boilerplate[index.responses.in_data].sum()),
    )


def _clusters(texts: Distinct, near: Neighbours) -> tuple[Ints, Ints]:
    """Of each distinct text of the data its cluster's number and size."""
    _, cluster, sizes = np.unique(near.clusters(np.flatnonzero(texts.in_data)), return_inverse=True, return_counts=True)
    return cluster, sizes[cluster]


def expected_leak(rows: NDArray[np.number], alike: NDArray[np.number]) -> float:
    """Share of held-out rows that have another one like them in training.

    Each row is held out with probability f by itself. One that has m - 1 others like it then has none of them in
    training with probability f^(m - 1).

    Args:
        rows: [D], how many rows each text has.
        alike: [D], m.

    >>> expected_leak(np.array([1, 2]), np.array([1, 2]))
    0.6
    """
    return float(np.average(1 - HELD_OUT ** (alike - 1.0), weights=rows)) if len(rows) else 0.0


def group_keys(corpus: Corpus) -> Keys:
    """[G], equal for groups with the same prompt and the same responses, in whatever order."""
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed(corpus.responses.key))])
    # sums wrap around, and so do their differences
    own = total[corpus.groups.start[1:]] - total[corpus.groups.start[:-1]]
    return mixed(corpus.groups.prompt_key ^ mixed(own))


def prompt_and_response_keys(corpus: Corpus) -> Keys:
    """[R], equal for the same response, letter for letter, to the same prompt.

    Case may be the very point of a response, where a prompt asks for capitals, and white space that of code; only what
    stands around it does not count.
    """
    key_R = mixed(corpus.groups.prompt_key[corpus.responses.group] ^ mixed(corpus.responses.key))
    _, which, counts = np.unique(key_R, return_inverse=True, return_counts=True)
    # only texts that are equal once normalised can be equal: most need not be read
    again = np.flatnonzero(counts[which] > 1)
    letters = (exact_key(corpus.response(row).strip()) for row in again.tolist())
    key_R[again] = mixed(key_R[again] ^ mixed(np.fromiter(letters, np.uint64, len(again))))
    return key_R
