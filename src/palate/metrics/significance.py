"""Whether a difference between two models may be chance, and what to make of many such questions at once.

Shape legend: C comparisons, M clusters, H hypotheses, P permutations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.metrics.columns import Floats, finite_column, refuse_rows
from palate.metrics.comparison import paired_gains
from palate.metrics.intervals import Names, cluster_sums

_EXACT_CLUSTERS = 13  # 2^13 = 8,192 signs, no more than are drawn otherwise
_BLOCK = 1_000_000  # signs at a time


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test.

    Attributes:
        better, worse: pairs on which the candidate does better, and worse.
        discordance: share of pairs that are either.
        p_value: two-sided.
    """

    better: int
    worse: int
    discordance: float
    p_value: float


def mcnemar(candidate: ArrayLike, incumbent: ArrayLike) -> McNemar:
    """McNemar's exact test that both models are right equally often.

    Of the discordant pairs as many should be better as worse: with k the smaller number of n, p = 2 P(X <= k) for
    X ~ Binomial(n, 1/2), at most 1 (McNemar 1947; exact: Mosteller 1952). With equal rewards it is the sign test of who
    did better on a pair. It takes pairs for independent: where prompts have several, `sign_flip_p_value` does not.

    Args:
        candidate: [C], margins of one model.
        incumbent: [C], those of the other on the same pairs.

    Raises:
        ValueError: unequal lengths, no pairs, or margins that are not finite.

    >>> mcnemar([1, 1, 1, 1, -1], [-1, -1, -1, 1, -1])
    McNemar(better=3, worse=0, discordance=0.6, p_value=0.25)
    """
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.special import bdtr

    gain_C, _ = paired_gains(candidate, incumbent)
    better, worse = int((gain_C > 0).sum()), int((gain_C < 0).sum())
    discordant = better + worse
    p_value = min(1.0, 2 * float(bdtr(min(better, worse), discordant, 0.5))) if discordant else 1.0
    return McNemar(better, worse, discordant / len(gain_C), p_value)


def sign_flip_p_value(difference: ArrayLike, cluster: Names, *, num_permutations: int = 10_000, seed: int = 0) -> float:
    """Permutation test that two models are interchangeable within a prompt: two-sided p for their mean difference.

    If they are, the differences of a prompt could as well all have the other sign. The p-value is the share of sign
    flips of whole prompts whose mean is at least as far from 0 as the one seen: of all 2^M for up to 13 prompts, of as
    many as are drawn, and the one seen, for more (Phipson and Smyth 2010). Exact whatever the distribution.

    Args:
        difference: [C], such as one model's margin minus the other's. Margins of different models have different
            units: divide each by its model's median absolute margin first.
        cluster: [C], names of the prompts.
        num_permutations: P.
        seed: of the draws.

    Raises:
        ValueError: unequal lengths, no pairs, or differences that are not finite.

    >>> sign_flip_p_value([0.5, 0.7, 0.1, 0.2, 0.9], ["a", "a", "b", "c", "c"])
    0.25
    """
    difference_C = finite_column(difference, "difference")
    sum_M = cluster_sums(difference_C[:, None], cluster)[:, 0]
    # a zero has no sign to flip
    sum_M = np.sort(sum_M[sum_M != 0])
    # rounding must not part flips that are equal
    seen = abs(float(sum_M.sum())) - 1e-12 * float(np.abs(sum_M).sum())
    if len(sum_M) <= _EXACT_CLUSTERS:
        every_PM = np.arange(2 ** len(sum_M))[:, None] >> np.arange(len(sum_M)) & 1
        return float((np.abs(_flipped(every_PM, sum_M)) >= seen).mean())
    generator, extreme, rows = np.random.default_rng(seed), 0, max(1, _BLOCK // len(sum_M))
    for left in range(num_permutations, 0, -rows):
        flips_PM = np.unpackbits(
            generator.integers(0, 256, (min(rows, left), -(-len(sum_M) // 8)), dtype=np.uint8), axis=1, count=len(sum_M)
        )
        extreme += int((np.abs(_flipped(flips_PM, sum_M)) >= seen).sum())
    return (1 + extreme) / (1 + num_permutations)


def holm(p_values: ArrayLike) -> Floats:
    """P-values [H] adjusted so that the chance of any false rejection keeps to the level, whatever their dependence.

    max over the i smallest of min(1, (H - i + 1) p_(i)). Source: Holm (1979), A simple sequentially rejective multiple
    test procedure.

    Raises:
        ValueError: there are none, or one lies outside [0, 1].

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p_H = _p_values(p_values)
    order_H = np.argsort(p_H, kind="stable")
    adjusted_H = np.minimum(1, np.maximum.accumulate(np.arange(len(p_H), 0, -1) * p_H[order_H]))
    return adjusted_H[np.argsort(order_H)]


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """P-values [H] adjusted so that the expected share of false ones among those rejected keeps to the level.

    min over the i-th smallest and larger ones of H p_(i) / i, at most 1, for independent or positively dependent tests.
    Source: Benjamini and Hochberg (1995), Controlling the false discovery rate.

    Raises:
        ValueError: there are none, or one lies outside [0, 1].

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    p_H = _p_values(p_values)
    order_H = np.argsort(-p_H, kind="stable")
    adjusted_H = np.minimum(1, np.minimum.accumulate(len(p_H) / np.arange(len(p_H), 0, -1) * p_H[order_H]))
    return adjusted_H[np.argsort(order_H)]


def _flipped(flips_PM: NDArray[Any], sum_M: Floats) -> Floats:
    """Sums [P] with the signs of some clusters flipped."""
    return np.asarray(sum_M.sum() - 2 * (flips_PM @ sum_M))


def _p_values(values: ArrayLike) -> Floats:
    p_H = finite_column(values, "p_values")
    refuse_rows((p_H < 0) | (p_H > 1), "p-values lie outside [0, 1]")
    return p_H
