"""Comparisons sorted by how much longer the longer response is, and what balances each of the sorts.

Half the time in all would not do: if the longer response won all close races and lost all others, a model could learn
just that. So "the longer is better" is made right half the time in every stratum of the ratio of lengths, within each
source.

The advantage of a comparison is log((1 + l_w) / (1 + l_l)), its winner's length over its loser's: above 0 where the
longer response won, and 0 where length says nothing, because both are equally long or neither is better.

Shape legend: C comparisons.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST, _FEWEST_PAIRS = 10, 50  # strata of a source, and the pairs that each should hold
_RARE = 5  # with fewer pairs than that on either side a stratum joins its neighbour: weights would explode


def strata_of(advantage_C: Floats, source_C: Ints) -> Ints:
    """[C], the stratum of each comparison, numbered over all sources; -1 where the advantage is 0.

    Up to ten strata a source with as many pairs each. Those in which either side wins fewer than five join the next
    one, so that a source in which one side hardly ever wins is a single stratum.
    """
    stratum_C = np.full(len(advantage_C), -1, np.int64)
    taken = 0
    for source in np.unique(source_C):
        rows = np.flatnonzero((source_C == source) & (advantage_C != 0))
        if not len(rows):
            continue
        size = np.abs(advantage_C[rows])
        count = min(_MOST, max(1, len(rows) // _FEWEST_PAIRS))
        edges = np.unique(np.quantile(size, np.linspace(0, 1, count + 1)[1:-1]))
        merged = _merged(np.searchsorted(edges, size, side="right"), advantage_C[rows] > 0)
        stratum_C[rows] = taken + merged
        taken += int(merged.max()) + 1
    return stratum_C


def subset_factors(advantage_C: Floats, stratum_C: Ints, seed: int) -> Floats:
    """[C], 1 for comparisons to keep and 0 for those to leave out: in each stratum the surplus of the side that wins
    more often, drawn at random. No smaller number would balance every stratum.
    """  # noqa: D205
    rng = np.random.default_rng(seed)
    factor_C = np.ones(len(advantage_C))
    for longer, shorter in _sides(advantage_C, stratum_C):
        more, fewer = (longer, shorter) if len(longer) > len(shorter) else (shorter, longer)
        factor_C[rng.permutation(more)[len(fewer) :]] = 0
    return factor_C


def weight_factors(advantage_C: Floats, stratum_C: Ints, weight_C: Floats) -> Floats:
    """[C], what weights are multiplied by so that both sides of a stratum weigh half of what they weighed together.

    0 in strata where one side has no weight at all.
    """
    factor_C = np.ones(len(advantage_C))
    for sides in _sides(advantage_C, stratum_C):
        weights = [float(weight_C[side].sum()) for side in sides]
        for side, weight in zip(sides, weights, strict=True):
            factor_C[side] = sum(weights) / (2 * weight) if min(weights) > 0 else 0
    return factor_C


def one_sided(advantage_C: Floats, stratum_C: Ints) -> int:
    """Comparisons in strata that one side wins every time, and no choice or weights can balance."""
    return sum(len(a) + len(b) for a, b in _sides(advantage_C, stratum_C) if min(len(a), len(b)) == 0)


def _sides(advantage_C: Floats, stratum_C: Ints) -> list[tuple[Ints, Ints]]:
    """Of each stratum, the rows that the longer response won, and those that the shorter one won."""
    order = np.argsort(stratum_C, kind="stable")
    order = order[stratum_C[order] >= 0]
    parts = np.split(order, np.flatnonzero(np.diff(stratum_C[order])) + 1) if len(order) else []
    return [(rows[advantage_C[rows] > 0], rows[advantage_C[rows] < 0]) for rows in parts]


def _merged(stratum: Ints, longer_won: NDArray[np.bool_]) -> Ints:
    """Neighbours joined from the closest races on, until each has enough of both; a last one joins the one before."""
    won = np.bincount(stratum, weights=longer_won)
    lost = np.bincount(stratum, weights=~longer_won)
    number = np.zeros(len(won), np.int64)
    current, held = 0, [0.0, 0.0]
    for place in range(len(won)):
        number[place] = current
        held = [held[0] + won[place], held[1] + lost[place]]
        if min(held) >= _RARE:
            current, held = current + 1, [0.0, 0.0]
    number[number == current] = max(0, current - 1)
    return number[stratum]
