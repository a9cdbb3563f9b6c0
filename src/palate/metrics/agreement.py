"""How far annotators agree with each other.

An item is whatever several people judged: here a comparison, with the labels *one*, *other* and *tie*. All that
coefficients of agreement need of an item is how often each label was given to it, a row of counts; who gave it does not
matter, except to Cohen's kappa. Items with equal counts are interchangeable, so that a million items cost no more to
resample than the few dozen kinds that there are of them.

Shape legend: I items, K labels, M kinds of item, R resamples.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.metrics.intervals import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic: TypeAlias = Callable[[ArrayLike, ArrayLike], Floats]
"""A coefficient of counts [I, K] and of how often each item counts [..., I]: one value [...] for each row of those."""


def vote_counts(item: ArrayLike, label: ArrayLike, num_items: int, num_labels: int) -> Ints:
    """How often each item was given each label, [I, K].

    Args:
        item: [V], index of the item of each vote.
        label: [V], index of the label that it was given.
        num_items: I.
        num_labels: K.

    >>> vote_counts([0, 0, 2], [1, 1, 0], 3, 2).tolist()
    [[0, 2], [0, 0], [1, 0]]
    """
    cell_V = np.asarray(item, dtype=np.int64) * num_labels + np.asarray(label, dtype=np.int64)
    return np.bincount(cell_V, minlength=num_items * num_labels).reshape(num_items, num_labels).astype(np.int64)


def pairwise_agreement(counts: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Share of pairs of votes on the same item that are equal.

    With n_ik votes for label k on item i, sum_ik n_ik (n_ik - 1) / sum_i n_i (n_i - 1): every pair of votes weighs the
    same, so that items with many votes weigh more. This is the definition behind the published figures of UKPConvArg1
    (0.524; 0.731 with the votes for "equal" left out) and PandaLM (0.920); `item_agreement` gives 0.705 for the second.

    Args:
        counts: [I, K], see `vote_counts`.
        weight: [..., I], how often each item counts; None for once.

    Returns:
        [...]: a number without weights. NaN where no item has two votes.

    >>> round(float(pairwise_agreement([[2, 1], [0, 2]])), 3)
    0.5
    """
    counts_IK, weight_RI = _given(counts, weight)
    equal_I, pairs_I = _pairs(counts_IK)
    return _ratio(weight_RI @ equal_I, weight_RI @ pairs_I)


def item_agreement(counts: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Mean over the items with two or more votes of the share of their pairs of votes that are equal.

    The observed agreement of Fleiss (1971). Arguments and result as in `pairwise_agreement`.

    >>> round(float(item_agreement([[2, 1], [0, 2]])), 3)
    0.667
    """
    counts_IK, weight_RI = _given(counts, weight)
    equal_I, pairs_I = _pairs(counts_IK)
    return _ratio(weight_RI @ _ratio(equal_I, np.maximum(pairs_I, 1)), weight_RI @ (pairs_I > 0).astype(np.float64))


def krippendorff_alpha(counts: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Krippendorff's alpha for nominal labels, with any number of votes an item: 1 for agreement, 0 for chance.

    1 - D_o / D_e. Over the n votes on items with two or more of them, the observed disagreement is
    D_o = 1/n sum_i sum_{k != l} n_ik n_il / (n_i - 1), and the expected one, n_k of the votes being k,
    D_e = sum_{k != l} n_k n_l / (n (n - 1)).
    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C.

    Arguments as in `pairwise_agreement`.

    Returns:
        [...]: a number without weights. NaN where all votes are for one label: nothing says what chance would do.

    >>> round(float(krippendorff_alpha([[2, 0], [0, 2], [1, 1]])), 4)
    0.4444
    """
    counts_IK, weight_RI = _given(counts, weight)
    votes_I = counts_IK.sum(axis=1)
    weight_RI = weight_RI * (votes_I > 1)
    unequal_I = (votes_I**2 - (counts_IK**2).sum(axis=1)) / np.maximum(votes_I - 1, 1)
    label_RK = weight_RI @ counts_IK
    votes_R = label_RK.sum(axis=-1)
    observed_R = _ratio(weight_RI @ unequal_I, votes_R)
    expected_R = _ratio(votes_R**2 - (label_RK**2).sum(axis=-1), votes_R * (votes_R - 1))
    return 1 - _ratio(observed_R, expected_R)


def fleiss_kappa(counts: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Fleiss' kappa: agreement beyond chance where every item has the same number of votes.

    (P - P_e) / (1 - P_e), with P the `item_agreement` and P_e = sum_k p_k^2, p_k the share of all votes for label k.
    Source: Fleiss (1971), Measuring nominal scale agreement among many raters, equations 1 to 7.

    Arguments as in `pairwise_agreement`.

    Returns:
        [...]: a number without weights. NaN where all votes are for one label.

    Raises:
        ValueError: items have unequal numbers of votes, or fewer than two.

    >>> round(float(fleiss_kappa([[2, 0], [0, 2], [1, 1]])), 4)
    0.3333
    """
    counts_IK, weight_RI = _given(counts, weight)
    votes_I = counts_IK.sum(axis=1)
    if votes_I.min() != votes_I.max() or votes_I.min() < 2:
        raise ValueError(
            f"items have {votes_I.min():g} to {votes_I.max():g} votes; Fleiss' kappa needs two or more on "
            "each and equally many; Krippendorff's alpha does not"
        )
    label_RK = weight_RI @ counts_IK
    share_RK = label_RK / label_RK.sum(axis=-1, keepdims=True)
    chance_R = (share_RK**2).sum(axis=-1)
    return _ratio(item_agreement(counts_IK, weight_RI) - chance_R, 1 - chance_R)


def gwet_ac1(counts: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Gwet's AC1: agreement beyond chance that stays meaningful where nearly all votes are for one label.

    (P - P_e) / (1 - P_e), with P the `item_agreement` and P_e = sum_k q_k (1 - q_k) / (K - 1), q_k the mean over items
    of the share of their votes for label k.
    Source: Gwet (2008), Computing inter-rater reliability in the presence of high agreement, equations 4 to 7.

    Arguments and result as in `pairwise_agreement`. Labels that nobody gave count among the K.

    Raises:
        ValueError: there are fewer than two labels.

    >>> round(float(gwet_ac1([[2, 0], [2, 0], [1, 1]])), 4)
    0.5385
    """
    counts_IK, weight_RI = _given(counts, weight)
    num_labels = counts_IK.shape[1]
    if num_labels < 2:
        raise ValueError("agreement beyond chance needs two labels or more")
    votes_I = counts_IK.sum(axis=1)
    share_IK = counts_IK / np.maximum(votes_I, 1)[:, None]
    voted_R = weight_RI @ (votes_I > 0).astype(np.float64)
    mean_RK = _ratio(weight_RI @ share_IK, voted_R[..., None])
    chance_R = (mean_RK * (1 - mean_RK)).sum(axis=-1) / (num_labels - 1)
    return _ratio(item_agreement(counts_IK, weight_RI) - chance_R, 1 - chance_R)


def cohen_kappa(first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa of two annotators who labelled the same items; NaN where both always gave the one same label.

    (P - P_e) / (1 - P_e), with P the share of items labelled alike and P_e = sum_k p_k q_k, p and q their shares of
    each label. Source: Cohen (1960), A coefficient of agreement for nominal scales.

    Args:
        first: [I], labels by the one, of any kind that NumPy can compare.
        second: [I], by the other.

    Raises:
        ValueError: the lengths differ, or there are no items.

    >>> round(cohen_kappa("aabb", "abbb"), 3)
    0.5
    """
    one_I, other_I = (np.asarray(list(labels) if isinstance(labels, str) else labels) for labels in (first, second))
    if one_I.shape != other_I.shape or one_I.ndim != 1 or not len(one_I):
        raise ValueError(f"labels have shapes {one_I.shape} and {other_I.shape}: both need the same [I], I > 0")
    labels, code = np.unique(np.concatenate([one_I, other_I]), return_inverse=True)
    shares = [np.bincount(half, minlength=len(labels)) / len(one_I) for half in np.split(code, 2)]
    observed, chance = float((one_I == other_I).mean()), float(shares[0] @ shares[1])
    return (observed - chance) / (1 - chance) if chance < 1 else math.nan


def item_bootstrap(
    statistic: Statistic, counts: ArrayLike, *, num_resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """A coefficient with its percentile interval from resampling items with replacement.

    A multinomial draw of how many items of each kind come up has the same distribution as drawing single items.
    Resamples in which the coefficient is not defined are left out; where it never is, all three numbers are NaN.
    Source: Efron and Tibshirani (1993), chapter 13; for alpha, Zapf et al. (2016), BMC Medical Research Methodology 16.

    Args:
        statistic: such as `krippendorff_alpha`.
        counts: [I, K], see `vote_counts`.
        num_resamples: how many.
        seed: the same seed and counts give the same interval, in whatever order the items come.
        confidence: in (0, 1).

    Raises:
        ValueError: there are no items, or `statistic` raises it.
    """
    counts_IK = np.asarray(counts)
    if not len(counts_IK):
        raise ValueError("there are no items: an interval needs one or more")
    kind_MK, items_M = _kinds(counts_IK)
    num_items = int(items_M.sum())
    weight_RM = np.random.default_rng(seed).multinomial(num_items, items_M / num_items, size=num_resamples)
    drawn_R = statistic(kind_MK, weight_RM)
    value, drawn_R = float(statistic(kind_MK, items_M)), drawn_R[np.isfinite(drawn_R)]
    if math.isnan(value) or not len(drawn_R):
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.quantile(drawn_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def _kinds(counts_IK: NDArray[Any]) -> tuple[NDArray[Any], Ints]:
    """Distinct rows [M, K] and how many there are of each, five times as fast as `np.unique` on rows."""
    sorted_IK = counts_IK[np.lexsort(counts_IK.T)]
    begins = np.concatenate([[True], (sorted_IK[1:] != sorted_IK[:-1]).any(axis=1)])
    start_M = np.flatnonzero(begins)
    return sorted_IK[start_M], np.diff(np.append(start_M, len(counts_IK)))


def _given(counts: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    counts_IK = np.asarray(counts, dtype=np.float64)
    return counts_IK, np.ones(len(counts_IK)) if weight is None else np.asarray(weight, dtype=np.float64)


def _pairs(counts_IK: Floats) -> tuple[Floats, Floats]:
    """Ordered pairs of votes on each item [I]: equal ones, and all."""
    votes_I = counts_IK.sum(axis=1)
    return (counts_IK * (counts_IK - 1)).sum(axis=1), votes_I * (votes_I - 1)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Their quotient, NaN where there is nothing to divide by."""
    empty = np.full(np.broadcast(above, below).shape, np.nan)
    return np.asarray(np.divide(above, below, out=empty, where=np.asarray(below) > 0))
