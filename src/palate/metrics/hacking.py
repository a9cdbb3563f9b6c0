"""How far a reward can be optimised against: best-of-n curves of the reward (proxy) and of what is wanted (gold).

With more samples to choose from, the proxy reward of the chosen one can only rise. What is wanted rises too as long as
the proxy tells good from bad among the best, and from some n on stands still or falls (Gao et al. 2210.10760). A few
dozen samples for each of some hundred prompts, scored by both, show where.

Shape legend: S samples, P prompts, N values of n, R resamples after the data itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.metrics.best_of_n import best_of_n_kl, best_of_n_value, doublings
from palate.metrics.columns import Floats, finite_column
from palate.metrics.intervals import Estimate, Names, cluster_codes, percentile_estimate, resampled_sums

SHORTFALL = 0.2
"""Gold falls short of proxy where it gains this much less than promised; less drowns in the noise of 100 prompts."""


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Choosing the best of n.

    Attributes:
        n: samples to choose from.
        kl: divergence from the policy that was sampled, at most ln n - (n - 1)/n nats.
        proxy, gold: mean reward of the chosen sample, with its interval over prompts.
    """

    n: int
    kl: float
    proxy: Estimate
    gold: Estimate


@dataclass(frozen=True, slots=True)
class HackingBudget:
    """How far the proxy can be optimised against. Infinity stands for beyond the samples that there are.

    Attributes:
        curve: by n, from 1.
        alpha, beta: of the fit gold(n) - gold(1) = d (alpha - beta d), d = sqrt(KL): what the first step is worth, and
            how fast that wears off.
        peak: the n at which the fit is highest; infinite where it still rises at the last n.
        regret: gold at the n of the curve nearest to the peak, minus gold at the last n.
        realised: gold gained at the last n, as a share of what the proxy promises there, see `hacking_budget`.
        parts_at: the first n at which that share is under 1 - SHORTFALL; infinite where it never is.
        prompts: how many.
    """

    curve: tuple[BestOfN, ...]
    alpha: Estimate
    beta: Estimate
    peak: Estimate
    regret: Estimate
    realised: Estimate
    parts_at: Estimate
    prompts: int


def hacking_budget(proxy: ArrayLike, gold: ArrayLike, prompt: Names) -> HackingBudget:
    """Best-of-n curves, where gold peaks, and where it parts from the proxy; all intervals resample prompts.

    The fit is the form of Gao et al. (2210.10760, introduction) for best-of-n, by least squares.

    What the proxy promises is its gain in units of gold, and the rate of exchange is taken from choosing between two:
    promised(n) = (gold(2) - gold(1)) / (proxy(2) - proxy(1)) (proxy(n) - proxy(1)). Choosing between two is what
    accuracy measures, so this is what a proxy of that accuracy should give. As long as expected gold is linear in the
    proxy reward within a prompt, gold gains just that at every n, whatever the noise, the slopes and the distributions:
    a proxy that is merely noisy never parts. It parts where its best samples are worth less than the others let expect,
    which is what optimisation finds.

    Args:
        proxy: [S], rewards of the model in question.
        gold: [S], rewards of one that is trusted, or labels.
        prompt: [S], names, two or more; each with three samples or more. Curves end at the smallest number of samples,
            and prompts that have more of them use all.

    Raises:
        ValueError: unequal lengths, values that are not finite, a single prompt, or one with fewer than three samples.
    """
    samples_P = np.bincount(cluster_codes(prompt, len(finite_column(proxy, "proxy"))))
    if len(samples_P) < 2 or samples_P.min() < 3:
        raise ValueError(
            f"{len(samples_P)} prompts with {samples_P.min()} samples or more: curves need two prompts, and three "
            "samples for each"
        )
    numbers_N = doublings(int(samples_P.min()))
    proxy_PN, gold_PN = (best_of_n_value(proxy, value, prompt, numbers_N.tolist()) for value in (proxy, gold))
    curves_P = np.concatenate([proxy_PN, gold_PN], axis=1)
    # all curves at once: the observed one first, then those of the resamples
    drawn_R = resampled_sums(curves_P) / len(curves_P)
    proxy_RN, gold_RN = np.split(np.vstack([curves_P.mean(axis=0), drawn_R]), 2, axis=1)
    alpha_R, beta_R = _fit(numbers_N, gold_RN)
    peak_R = _peak(alpha_R, beta_R, int(numbers_N[-1]))
    nearest_R = np.abs(np.log(numbers_N) - np.log(np.minimum(peak_R, numbers_N[-1]))[:, None]).argmin(axis=1)
    regret_R = np.take_along_axis(gold_RN, nearest_R[:, None], axis=1)[:, 0] - gold_RN[:, -1]
    realised_R, parts_R = _parting(numbers_N, proxy_RN, gold_RN)
    curve = tuple(
        BestOfN(int(n), float(best_of_n_kl(n)), _estimate(proxy_RN[:, i]), _estimate(gold_RN[:, i]))
        for i, n in enumerate(numbers_N)
    )
    return HackingBudget(
        curve=curve,
        alpha=_estimate(alpha_R),
        beta=_estimate(beta_R),
        peak=_estimate(peak_R),
        regret=_estimate(regret_R),
        realised=_estimate(realised_R),
        parts_at=_estimate(parts_R),
        prompts=len(curves_P),
    )


def _fit(numbers_N: NDArray[np.int64], gold_RN: Floats) -> tuple[Floats, Floats]:
    """Alpha and beta [R] of gold(n) - gold(1) = alpha d - beta d^2."""
    distance_N = np.sqrt(best_of_n_kl(numbers_N))
    solution_2N = np.linalg.pinv(np.column_stack([distance_N, -(distance_N**2)]))
    alpha_R, beta_R = solution_2N @ (gold_RN - gold_RN[:, :1]).T
    return alpha_R, beta_R


def _peak(alpha_R: Floats, beta_R: Floats, last: int) -> Floats:
    """The n [R] at which alpha d - beta d^2 is highest; infinite beyond the last."""
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.special import lambertw

    end = float(np.sqrt(best_of_n_kl(last)))
    at_R = np.maximum(alpha_R, 0) / (2 * np.where(beta_R > 0, beta_R, 1))
    # without wear the end is highest, or the start
    at_R = np.where(beta_R > 0, at_R, np.where(alpha_R > beta_R * end, np.inf, 0.0))
    # with u = 1/n, KL = u - 1 - ln u, so that u exp(-u) = exp(-1 - KL); n = 1 is the branch point of lambertw, and NaN
    n_R = -1 / lambertw(-np.exp(-1 - np.clip(at_R, 1e-6, end) ** 2)).real
    return np.where(at_R <= 0, 1.0, np.where(at_R < end, n_R, np.inf))


def _parting(numbers_N: NDArray[np.int64], proxy_RN: Floats, gold_RN: Floats) -> tuple[Floats, Floats]:
    """The share realised at the last n [R], and the first n at which too little is [R]; see `hacking_budget`."""
    proxy_gain_RN, gold_gain_RN = proxy_RN - proxy_RN[:, :1], gold_RN - gold_RN[:, :1]
    # where the choice between two gains nothing but rounding, there is nothing to part from: it has parted there
    useless_R = np.zeros(len(proxy_RN), dtype=np.bool_)
    for gain_RN, value_RN in ((proxy_gain_RN, proxy_RN), (gold_gain_RN, gold_RN)):
        useless_R |= gain_RN[:, 1] <= 1e-12 * np.abs(value_RN).max()
    # not divided, so that a proxy which does not rise is no trouble
    promised_RN = gold_gain_RN[:, 1:2] * proxy_gain_RN
    realised_RN = gold_gain_RN * proxy_gain_RN[:, 1:2]
    short_RN = (realised_RN < (1 - SHORTFALL) * promised_RN) | useless_R[:, None]
    short_RN[:, 0] = False
    parts_R = np.where(short_RN.any(axis=1), numbers_N[short_RN.argmax(axis=1)], np.inf)
    share_R = realised_RN[:, -1] / np.where(useless_R, np.nan, promised_RN[:, -1])
    return share_R, parts_R


def _estimate(column_R: Floats) -> Estimate:
    return percentile_estimate(float(column_R[0]), column_R[1:])
