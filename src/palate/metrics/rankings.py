"""How well rewards rank groups of responses: the best one, the order near the top, and the whole order.

Each figure is computed for each group and averaged over groups, so that a group with many responses counts no more
than one with few. Equal rewards are never an order: every figure is what a draw among them gives on average.

Shape legend: R responses, G groups, K responses of a group, E comparisons in it, that is K (K - 1) / 2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.metrics.columns import Floats, finite_column, refuse_rows
from palate.metrics.intervals import Estimate, Ints, Names, cluster_bootstrap, cluster_codes, wilson_interval

_BLOCK = 2_000_000  # comparisons at a time


@dataclass(frozen=True, slots=True)
class RankingQuality:
    """Means over `groups`, with 95 % intervals that resample groups.

    Attributes:
        best: how often the response with the highest reward is one of the best, see `best_found`.
        chance: how often one drawn at random is.
        ndcg: see `ndcg`.
        kendall: see `kendall_tau`.
        groups: groups with responses that differ in worth.
        left_out: groups in which all are worth the same, or with a single response: nothing to rank.
    """

    best: Estimate
    chance: float
    ndcg: Estimate
    kendall: Estimate
    groups: int
    left_out: int


def ranking_quality(reward: ArrayLike, gold: ArrayLike, group: Names) -> RankingQuality:
    """Best found, NDCG and Kendall's tau of rewards against what responses are worth.

    Args:
        reward: [R].
        gold: [R], what each response is worth, from 0; for rankings, how many it is ranked above.
        group: [R], names of the groups.

    Raises:
        ValueError: unequal lengths, no responses, values that are not finite, negative gold, or nothing to rank.
    """
    reward_R, gold_R, code_R = _columns(reward, gold, group)
    highest_G, lowest_G = _by_group(np.maximum, gold_R, code_R), _by_group(np.minimum, gold_R, code_R)
    kept_R = (highest_G > lowest_G)[code_R]
    if not kept_R.any():
        raise ValueError(
            f"all responses are worth the same in each of {len(highest_G)} groups: there is nothing to rank"
        )
    columns = reward_R[kept_R], gold_R[kept_R], code_R[kept_R]
    is_best_R = (columns[1] == highest_G[columns[2]]).astype(np.float64)
    best_G = best_found(*columns)
    return RankingQuality(
        best=_mean(best_G, 0.0),
        chance=float(best_found(np.zeros_like(is_best_R), is_best_R, columns[2]).mean()),
        ndcg=_mean(ndcg(*columns), 0.0),
        kendall=_mean(kendall_tau(*columns), -1.0),
        groups=len(best_G),
        left_out=len(highest_G) - len(best_G),
    )


def best_found(reward: ArrayLike, gold: ArrayLike, group: Names) -> Floats:
    """Of each group's responses with the highest reward, the share that are worth most, [G].

    With one best response that shares the highest reward with k - 1 others, 1/k: best-of-n accuracy as RewardBench 2
    has it (Malik et al. 2506.01937). Arguments as in `ranking_quality`; groups in order of appearance.

    Raises:
        ValueError: see `ranking_quality`.

    >>> best_found([2.0, 2.0, 1.0, 5.0, 3.0], [1, 0, 0, 0, 1], ["a", "a", "a", "b", "b"]).tolist()
    [0.5, 0.0]
    """
    reward_R, gold_R, code_R = _columns(reward, gold, group)
    first_R = reward_R == _by_group(np.maximum, reward_R, code_R)[code_R]
    best_R = gold_R == _by_group(np.maximum, gold_R, code_R)[code_R]
    return np.asarray(np.bincount(code_R, weights=first_R & best_R) / np.bincount(code_R, weights=first_R))


def ndcg(reward: ArrayLike, gold: ArrayLike, group: Names) -> Floats:
    """Normalised discounted cumulative gain of each group, [G], in [0, 1]; NaN where nothing is worth anything.

    sum gold_i / log2(1 + rank_i), ranked by reward, over the same ranked by gold (Järvelin and Kekäläinen 2002), with
    gold itself as the gain. Responses of equal reward share their discounts (McSherry and Najork 2008).
    Arguments as in `ranking_quality`; groups in order of appearance.

    Raises:
        ValueError: see `ranking_quality`.

    >>> ndcg([3.0, 2.0, 1.0], [0, 1, 2], ["a", "a", "a"]).round(3).tolist()
    [0.62]
    """
    reward_R, gold_R, code_R = _columns(reward, gold, group)
    gain_G, ideal_G = _gain(reward_R, gold_R, code_R), _gain(gold_R, gold_R, code_R)
    return np.asarray(np.divide(gain_G, ideal_G, out=np.full(len(gain_G), np.nan), where=ideal_G > 0))


def kendall_tau(reward: ArrayLike, gold: ArrayLike, group: Names) -> Floats:
    """Kendall's tau-b of each group, [G], in [-1, 1]: comparisons ranked right minus those ranked wrong, as a share.

    sum of sign(reward_i - reward_j) sign(gold_i - gold_j) over the geometric mean of how many comparisons are no ties
    in reward and how many are none in gold, which makes up for ties on one side (Kendall 1945). Where all rewards are
    equal that is 0/0, and 0 is given: such rewards say nothing. NaN where all are worth the same.
    Arguments as in `ranking_quality`; groups in order of appearance.

    Raises:
        ValueError: see `ranking_quality`.

    >>> kendall_tau([1.0, 2.0, 3.0, 1.0, 1.0], [1, 3, 2, 1, 2], ["a", "a", "a", "b", "b"]).round(3).tolist()
    [0.333, 0.0]
    """
    reward_R, gold_R, code_R = _columns(reward, gold, group)
    order_R, size_G = np.argsort(code_R, kind="stable"), np.bincount(code_R)
    start_G, tau_G = np.cumsum(size_G) - size_G, np.full(len(size_G), np.nan)
    for size in np.unique(size_G[size_G > 1]).tolist():
        one_E, other_E = np.triu_indices(size, 1)
        same_size = np.flatnonzero(size_G == size)
        for some_G in np.array_split(same_size, 1 + len(same_size) * len(one_E) // _BLOCK):
            row_GK = order_R[start_G[some_G, None] + np.arange(size)]
            by_reward_GE, by_gold_GE = (
                np.sign(column[row_GK[:, one_E]] - column[row_GK[:, other_E]]) for column in (reward_R, gold_R)
            )
            decided_G, judged_G = (np.abs(signs).sum(axis=1) for signs in (by_reward_GE, by_gold_GE))
            right_G = (by_reward_GE * by_gold_GE).sum(axis=1) / np.sqrt(
                np.maximum(decided_G, 1) * np.maximum(judged_G, 1)
            )
            tau_G[some_G] = np.where(judged_G > 0, right_G, np.nan)
    return tau_G


def _gain(by_R: Floats, gold_R: Floats, code_R: Ints) -> Floats:
    """Discounted cumulative gain [G] of gold in descending order of another column."""
    order_R = np.lexsort((-by_R, code_R))
    by_R, gold_R, code_R = by_R[order_R], gold_R[order_R], code_R[order_R]
    size_G = np.bincount(code_R)
    rank_R = np.arange(1, len(code_R) + 1) - (np.cumsum(size_G) - size_G)[code_R]
    tied_R = np.cumsum((np.diff(code_R, prepend=-1) != 0) | (np.diff(by_R, prepend=np.nan) != 0)) - 1
    discount_R = (np.bincount(tied_R, weights=1 / np.log2(1 + rank_R)) / np.bincount(tied_R))[tied_R]
    return np.bincount(code_R, weights=discount_R * gold_R).astype(np.float64)


def _by_group(reduce: np.ufunc, values_R: Floats, code_R: Ints) -> Floats:
    order_R, size_G = np.argsort(code_R, kind="stable"), np.bincount(code_R)
    return np.asarray(reduce.reduceat(values_R[order_R], np.cumsum(size_G) - size_G))


def _columns(reward: ArrayLike, gold: ArrayLike, group: Names) -> tuple[Floats, Floats, NDArray[np.int64]]:
    reward_R = finite_column(reward, "reward")
    gold_R = finite_column(gold, "gold", len(reward_R))
    refuse_rows(gold_R < 0, "values of gold are negative")
    return reward_R, gold_R, cluster_codes(group, len(reward_R))


def _mean(values_G: Floats, lowest: float) -> Estimate:
    """The mean of values in [lowest, 1], with its bootstrap interval or, where all are equal, Wilson's."""
    if np.ptp(values_G) > 0:
        sums_G2 = np.column_stack([values_G, np.ones_like(values_G)])
        return cluster_bootstrap(lambda sums: sums[..., 0] / sums[..., 1], sums_G2)
    # of all values in a range with that mean, those at its ends vary most: Wilson's is on the safe side
    share = float(values_G[0] - lowest) / (1 - lowest)
    interval = wilson_interval(min(share, 1.0) * len(values_G), len(values_G))
    low, high = (lowest + (1 - lowest) * end for end in (interval.low, interval.high))
    return Estimate(float(values_G[0]), low, high)
