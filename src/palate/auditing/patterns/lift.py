"""How much more often the responses that a model rewards most have something than the others.

Responses are compared with the others of their prompt, so that nothing that prompts differ in can look like a taste of
the model. Where prompts have one response each, all are compared with all.

Shape legend: N responses with a reward, S strata (prompts, or one for all), C pairs.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from palate.metrics import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TOP = 0.1
"""The share of the responses that counts as rewarded most."""
ENOUGH = 5.0
"""How far the count must be able to lie below and above what chance gives, for the test to hold."""


@dataclass(frozen=True, slots=True)
class Split:
    """The responses that are rewarded most, and what they are compared with.

    Attributes:
        top_N: whether a response is among them.
        stratum_N: responses of the same number are compared with each other.
        within: whether strata are prompts.
    """

    top_N: Bools
    stratum_N: Ints
    within: bool


@dataclass(frozen=True, slots=True)
class Lift:
    """How a pattern goes with the top.

    Attributes:
        top, rest: share of those responses that have it.
        ratio: top against rest within strata, with its interval; above 1 where the top has it more often.
        p_value: two-sided, for no difference; None where there are too few to tell.
        count: responses that have it.
    """

    top: float
    rest: float
    ratio: Estimate
    p_value: float | None
    count: int


def split_top(reward_N: Floats, prompt_N: NDArray[np.uint64]) -> Split | None:
    """The tenth of the responses that lies furthest above its prompt's mean; None where rewards do not differ.

    Prompts with one response are left out of the top, since there is nothing to compare them with, unless no prompt has
    more: then the tenth with the highest rewards is taken.
    """
    _, stratum_N, size_S = np.unique(prompt_N, return_inverse=True, return_counts=True)
    within = bool((size_S[stratum_N] > 1).mean() >= 0.5)
    if within:
        above_N = reward_N - (np.bincount(stratum_N, reward_N) / size_S)[stratum_N]
        above_N[size_S[stratum_N] == 1] = -np.inf
    else:
        above_N, stratum_N = reward_N, np.zeros(len(reward_N), np.int64)
    among = above_N[np.isfinite(above_N)]
    border = np.sort(among)[-max(1, round(TOP * len(among)))]
    top_N = above_N >= border
    # with many equal rewards the border takes in most of them, and there is no top
    if border <= np.median(among) or not top_N.any():
        return None
    return Split(top_N, stratum_N.astype(np.int64), within)


def lift_of(split: Split, has_N: Bools) -> Lift:
    """Shares, the Mantel-Haenszel ratio of them over strata, and the test of Cochran, Mantel and Haenszel.

    With a of the m responses of a stratum of n that have the pattern among its t top ones, and b = m - a elsewhere:
    ratio = sum(a (n - t) / n) / sum(b t / n), and the variance of its logarithm is
    sum((m t (n - t) - a b n) / n^2) / (product of the two sums) (Greenland and Robins 1985, Biometrics 41, which holds
    for many small strata too). The test compares sum(a) with its mean sum(m t / n) and variance
    sum(m (n - m) t (n - t) / (n^2 (n - 1))) under exchange within strata, with a continuity correction of 1/2 (Mantel
    and Haenszel 1959), where Mantel and Fleiss (1980) allow the normal limit: the sum could lie at least 5 from its
    mean, either way.
    """
    strata = int(split.stratum_N.max()) + 1
    n_S = np.bincount(split.stratum_N, minlength=strata)
    t_S = np.bincount(split.stratum_N[split.top_N], minlength=strata)
    m_S = np.bincount(split.stratum_N[has_N], minlength=strata)
    a_S = np.bincount(split.stratum_N[has_N & split.top_N], minlength=strata)
    expected_S = m_S * t_S / n_S
    room_below = float((expected_S - np.maximum(0, m_S + t_S - n_S)).sum())
    room_above = float((np.minimum(m_S, t_S) - expected_S).sum())
    variance = float((m_S * (n_S - m_S) * t_S * (n_S - t_S) / (n_S**2 * np.maximum(n_S - 1, 1.0))).sum())
    p_value = None
    if min(room_below, room_above) >= ENOUGH:
        distance = abs(float((a_S - expected_S).sum())) - 0.5
        p_value = min(1.0, float(2 * norm.sf(max(0.0, distance) / math.sqrt(variance))))
    return Lift(
        float(has_N[split.top_N].mean()),
        float(has_N[~split.top_N].mean()),
        _ratio(n_S.astype(float), t_S.astype(float), m_S.astype(float), a_S.astype(float)),
        p_value,
        int(has_N.sum()),
    )


def _ratio(n_S: Floats, t_S: Floats, m_S: Floats, a_S: Floats) -> Estimate:
    above, below = float((a_S * (n_S - t_S) / n_S).sum()), float(((m_S - a_S) * t_S / n_S).sum())
    if not above or not below:
        value = math.inf if above else 0.0 if below else math.nan
        return Estimate(value, math.nan, math.nan)
    spread = float(((m_S * t_S * (n_S - t_S) - a_S * (m_S - a_S) * n_S) / n_S**2).sum()) / (above * below)
    width = 1.959963984540054 * math.sqrt(max(0.0, spread))
    ratio = above / below
    return Estimate(ratio, ratio * math.exp(-width), ratio * math.exp(width))
