"""Two-sample tests in which whole prompts change sides.

If the policy wrote what the reference holds, a prompt with its responses could as well have come from the other side,
and the responses of a prompt that both sides have could be exchanged. Every test here asks how often such exchanges
part the sides as far as they are. All that a permutation is, is a row of weights: positive for the responses that stand
for the reference, negative for the policy's, both summing to 1. Statistics are functions of such rows.

Shape legend: N responses taken from both sides, U sets (the responses of one side to one prompt), P permutations, the
first of which is how things are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.auditing.scorer import Floats
from palate.health.tables import Ints, Keys

Bools = NDArray[np.bool_]

PERMUTATIONS = 999
MOST = 3000
"""Responses that a test looks at: distances between all of them have to fit."""
_BINS = 10  # of PSI


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is compared, and all the exchanges.

    Attributes:
        row: [N], rows of the reference's responses followed by the policy's, the latter counted on from the former.
        set: [N], the same number for responses of one side to one prompt.
        weight: [P + 1, N].
        responses_a_prompt: at most so many were taken from each, so that both sides have about as many.
    """

    row: Ints
    set: Ints
    weight: Floats
    responses_a_prompt: int


def exchange(
    reference: Keys, policy: Keys, *, permutations: int = PERMUTATIONS, most: int = MOST, seed: int = 0
) -> Exchange:
    """Draw the sets that are compared and the exchanges of them.

    Sets of a prompt that both sides have are exchanged with each other; all others change sides at random, as many as
    there are on each. They change within each half of the prompts (see `half_of`), so that what was fitted to one half
    may be tested on the other.

    Args:
        reference: [R], prompt of each response.
        policy: likewise.
        permutations: P.
        most: N, about.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    prompt = np.concatenate([reference, policy])
    is_policy = np.arange(len(prompt)) >= len(reference)
    row, set_N, sets, each = _draw(prompt, is_policy, most, generator)
    side_PU = np.broadcast_to(np.where(sets.is_policy, -1, 1), (permutations + 1, len(sets.prompt))).copy()
    _, place, count = np.unique(sets.prompt, return_inverse=True, return_counts=True)
    shared = count[place] > 1
    swapped = generator.random((permutations, len(count))) < 0.5
    side_PU[1:, shared] *= np.where(swapped[:, place[shared]], -1, 1)
    for half in (0, 1):
        alone = np.flatnonzero(~shared & (half_of(sets.prompt) == half))
        side_PU[1:, alone] = generator.permuted(side_PU[1:, alone], axis=1)
    theirs = int(sets.is_policy.sum())
    weight_PU = np.where(side_PU > 0, 1 / max(1, len(place) - theirs), -1 / max(1, theirs)) / np.bincount(set_N)
    return Exchange(row, set_N, weight_PU[:, set_N], each)


def half_of(prompt: Keys) -> Ints:
    """Which half of all prompts each belongs to, 0 or 1: keys are hashes, and their last bit is as good as a coin."""
    return (prompt & np.uint64(1)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Sets:
    """The responses of one side to one prompt: columns [U]."""

    prompt: Keys
    is_policy: Bools


def _draw(prompt: Keys, is_policy: Bools, most: int, generator: np.random.Generator) -> tuple[Ints, Ints, _Sets, int]:
    """Rows taken, the set of each, the sets, and how many responses a set may have."""
    keys, prompt_R = np.unique(prompt, return_inverse=True)
    code, set_R, size = np.unique(2 * prompt_R + is_policy, return_inverse=True, return_counts=True)
    theirs = code % 2 == 1
    each = max(1, int(min(np.median(size[theirs]), np.median(size[~theirs]))))
    # the policy's prompts and those of the reference alone get half of the room each
    answered = np.isin(np.arange(len(keys)), code[theirs] // 2)
    room = max(1, most // (2 * each))
    wanted = np.concatenate([generator.permutation(np.flatnonzero(group))[:room] for group in (answered, ~answered)])
    shuffled = generator.permutation(len(prompt))
    by_set = shuffled[np.argsort(set_R[shuffled], kind="stable")]
    place = np.arange(len(by_set)) - np.repeat(np.cumsum(size) - size, size)
    row = np.sort(by_set[(place < each) & np.isin(prompt_R[by_set], wanted)])
    kept, set_N = np.unique(set_R[row], return_inverse=True)
    return row, set_N, _Sets(keys[code[kept] // 2], theirs[kept]), each


def kolmogorov_smirnov(value: Floats, weight: Floats) -> Floats:
    """Largest difference of the two distribution functions, [P + 1].

    It is a lower bound of the total variation distance: at least that share of either side would have to be others for
    the two to be alike.

    Args:
        value: [N], NaN for responses to be left out.
        weight: [P + 1, N].

    >>> kolmogorov_smirnov(np.array([1.0, 2, 3, 4]), np.array([[0.5, 0.5, -0.5, -0.5], [0.5, -0.5, -0.5, 0.5]]))
    array([1. , 0.5])
    """
    weight, value = _finite(value, weight)
    if not _both_sides(weight):
        return np.zeros(len(weight))
    order = np.argsort(value, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(value[order])), len(value) - 1)
    difference = np.cumsum(weight[:, order], axis=1)[:, ends]
    return np.asarray(np.abs(difference).max(axis=1).round(12))


def population_stability(value: Floats, weight: Floats, bins: int = _BINS) -> Floats:
    """Population stability index over the reference's deciles, [P + 1]: sum (p - q) ln(p / q).

    0.1 and 0.25 are the customary limits for some and for much change, but chance alone comes to about
    (bins - 1) (1/n + 1/m) for sides of n and m: compare with the permutations. Bins get half a response more than they
    have, lest the logarithm be infinite. Source: Siddiqi (2006), Credit Risk Scorecards; the distribution: Yurdakul
    and Naranjo (2020), Statistical properties of the population stability index, J. Risk Model Validation 14.

    Args:
        value: [N], NaN for responses to be left out.
        weight: [P + 1, N]; its first row says which are the reference's.
        bins: number of bins, fewer where many values are equal.
    """
    weight, value = _finite(value, weight)
    if not _both_sides(weight):
        return np.zeros(len(weight))
    edges = np.unique(np.quantile(value[weight[0] > 0], np.linspace(0, 1, bins + 1)[1:-1]))
    edges = edges[edges < value.max()]  # nothing lies beyond the last
    bin_N = np.searchsorted(edges, value, side="left")
    member = np.eye(len(edges) + 1)[bin_N]
    extra = np.array([0.5 / max(1, int((weight[0] > 0).sum())), 0.5 / max(1, int((weight[0] < 0).sum()))])
    shares = []
    for side, more in zip((np.clip(weight, 0, None), np.clip(-weight, 0, None)), extra, strict=True):
        share = side @ member + more
        shares.append(share / share.sum(axis=1, keepdims=True))
    return np.asarray(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(axis=1))


def energy_distance(point: Floats, weight: Floats) -> Floats:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| as a share of 2 E|X - Y|, [P + 1]: 0 for alike, 1 for two single points.

    With w the weights and D the distances between all points it is -w D w, all permutations by one product.
    Source: Szekely and Rizzo (2013), Energy statistics, J. Statistical Planning and Inference 143, section 3 and the
    coefficient of homogeneity there.

    Args:
        point: [N, d].
        weight: [P + 1, N].
    """
    from scipy.spatial.distance import cdist

    between = cdist(point, point).astype(np.float32)
    light = weight.astype(np.float32)
    energy = -np.einsum("pn,pn->p", light @ between, light).astype(np.float64)
    reference, policy = np.clip(light, 0, None), np.clip(-light, 0, None)
    across = 2 * np.einsum("pn,pn->p", reference @ between, policy).astype(np.float64)
    return np.asarray(np.divide(energy, across, out=np.zeros_like(energy), where=across > 0))


def p_value(statistic: Floats) -> float:
    """Share of exchanges that part the sides as far, the observed one counted in (Phipson and Smyth 2010)."""
    return float((statistic >= statistic[0] - 1e-9 * abs(statistic[0])).mean())


def _finite(value: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weights without those of NaN, each side's summing to 1 again, and the values that are left."""
    kept = np.isfinite(value)
    if kept.all():
        return weight, value
    weight = weight[:, kept]
    positive, negative = np.clip(weight, 0, None), np.clip(-weight, 0, None)
    return positive / _sum(positive) - negative / _sum(negative), value[kept]


def _both_sides(weight: Floats) -> bool:
    return bool((weight[0] > 0).any() and (weight[0] < 0).any())


def _sum(side: Floats) -> Floats:
    total = side.sum(axis=1, keepdims=True)
    return np.where(total > 0, total, 1.0)
