"""Accuracy by which response is longer: whether the model is right for a reason other than length.

A model that follows length is right where the chosen response is the longer one, and wrong where it is the shorter one.
Overall accuracy does not show it, because in most data the longer one is chosen more often.

Shape legend: C comparisons, M clusters.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palate.metrics.columns import Floats, finite_column, refuse_rows
from palate.metrics.intervals import Estimate, Names, cluster_bootstrap, cluster_codes, cluster_sums, share_estimate

MATCHED = 0.1
"""Lengths are matched where they differ by no more than this share of the longer one."""


@dataclass(frozen=True, slots=True)
class LengthRelation:
    """Accuracy by which response is longer. Estimates are None where there are no such pairs.

    Attributes:
        longer, shorter, matched: accuracy where the chosen response is the longer one, the shorter one, or neither by
            much, see `MATCHED`.
        pairs: how many there are of each.
        balanced: mean of the accuracies on `longer` and `shorter`: what it would be if both were equally frequent.
        gap: accuracy on `longer` minus that on `shorter`; 0 for a model that does not look at length.
    """

    longer: Estimate | None
    shorter: Estimate | None
    matched: Estimate | None
    pairs: tuple[int, int, int]
    balanced: Estimate | None
    gap: Estimate | None


def accuracy_by_length(margin: ArrayLike, winner: ArrayLike, loser: ArrayLike, cluster: Names) -> LengthRelation:
    """Accuracy where the chosen response is longer, shorter, or as long; equal rewards count half.

    Balanced accuracy and gap resample prompts, which may have pairs of both kinds. Where one of the two accuracies is
    the same in all prompts, as for a model that is always right there, that would show too little, and the ends come
    from those of the two accuracies: with distances a and b of theirs, sqrt(a^2 + b^2) (Newcombe 1998, method 10).

    Args:
        margin: [C], reward of the chosen response minus that of the rejected one.
        winner: [C], length of the chosen response.
        loser: [C], length of the rejected one.
        cluster: [C], names of the prompts.

    Raises:
        ValueError: unequal lengths, no pairs, values that are not finite, or negative lengths.

    >>> found = accuracy_by_length([1, -1, 1], [20, 10, 15], [10, 20, 15], ["a", "b", "c"])
    >>> [one.value for one in (found.longer, found.shorter, found.matched, found.balanced, found.gap)]
    [1.0, 0.0, 1.0, 0.5, 1.0]
    """
    margin_C = finite_column(margin, "margin")
    winner_C, loser_C = (
        finite_column(column, name, len(margin_C)) for column, name in ((winner, "winner"), (loser, "loser"))
    )
    refuse_rows((winner_C < 0) | (loser_C < 0), "pairs have a negative length")
    correct_C, code_C = (np.sign(margin_C) + 1) / 2, cluster_codes(cluster, len(margin_C))
    matched_C = np.abs(winner_C - loser_C) <= MATCHED * np.maximum(winner_C, loser_C)
    sides = (~matched_C & (winner_C > loser_C), ~matched_C & (winner_C < loser_C), matched_C)
    longer, shorter, matched = (share_estimate(correct_C[side], code_C[side]) if side.any() else None for side in sides)
    balanced = gap = None
    if longer and shorter:
        columns = [column for side in sides[:2] for column in (correct_C * side, side)]
        sums_M4 = cluster_sums(np.column_stack(columns), code_C)
        if _varies(sums_M4[:, :2]) and _varies(sums_M4[:, 2:]):
            balanced = cluster_bootstrap(lambda sums: (_share(sums, 0) + _share(sums, 2)) / 2, sums_M4)
            gap = cluster_bootstrap(lambda sums: _share(sums, 0) - _share(sums, 2), sums_M4)
        else:
            balanced, gap = _combined(longer, shorter, 0.5, 0.5), _combined(longer, shorter, 1, -1)
    pairs = tuple(int(side.sum()) for side in sides)
    return LengthRelation(longer, shorter, matched, (pairs[0], pairs[1], pairs[2]), balanced, gap)


def _varies(sums_M2: Floats) -> bool:
    """Whether a share differs between the prompts that have one."""
    return bool(np.ptp(_share(sums_M2[sums_M2[:, 1] > 0], 0)) > 0)


def _combined(one: Estimate, other: Estimate, times: float, other_times: float) -> Estimate:
    """The sum times * one + other_times * other of independent estimates; `times` is positive."""
    below, above = other.value - other.low, other.high - other.value
    if other_times < 0:
        below, above = above, below
    value = times * one.value + other_times * other.value
    low = value - math.hypot(times * (one.value - one.low), other_times * below)
    return Estimate(value, low, value + math.hypot(times * (one.high - one.value), other_times * above))


def _share(sums: Floats, column: int) -> Floats:
    """A column over the next one, NaN where that is 0."""
    empty = np.full(sums.shape[:-1], np.nan)
    return np.asarray(np.divide(sums[..., column], sums[..., column + 1], out=empty, where=sums[..., column + 1] > 0))
