"""Proxy and gold reward of the best of n, in standard deviations, and how much of the gold that there is was found.

Shape legend: P prompts, S samples of all prompts end to end, N values of n.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.auditing.scorer import Floats
from palate.metrics import (
    Estimate,
    HackingBudget,
    best_of_n_value,
    cluster_bootstrap,
    hacking_budget,
)

FEWEST_PROMPTS = 20
"""Prompts below which intervals are too narrow: with 20 they hold the truth in 93 % of the cases, with 10 in 89 %."""
FEWEST_SAMPLES = 3
"""Samples a prompt below which there is no curve."""
_SPARED = 0.1  # share of the prompts that may be left out so that the others' curves reach further


@dataclass(frozen=True, slots=True)
class Curves:
    """What choosing by proxy came to.

    Attributes:
        budget: curves and fit, in standard deviations of proxy and gold, from 0 at n = 1; see `draw_curves`.
        best: [N], gold in the same units if gold itself chose: what the samples have to offer.
        share_of_best: gold gained at the last n, as a share of what gold itself would have gained there.
        share_of_proxy: the same as a share of what the proxy gained, each in its own standard deviations.
        proxy_std, gold_std: the standard deviations, in the units of either.
        kept: [P'], which of the given prompts the curves are made of.
        fewest: samples of a prompt that are needed to be among them.
        unscored: prompts left out because a sample has no proxy or no gold reward.
        too_few: prompts left out because they have fewer samples than that.
    """

    budget: HackingBudget
    best: Floats
    share_of_best: Estimate
    share_of_proxy: Estimate
    proxy_std: float
    gold_std: float
    kept: tuple[int, ...]
    fewest: int
    unscored: int
    too_few: int


def draw_curves(proxy: Sequence[Floats], gold: Sequence[Floats]) -> Curves | str:
    """Best-of-n curves of the prompts whose samples all have both rewards, or why there are none.

    Rewards are taken as differences from their prompt's mean, which no choice among its samples can change, and divided
    by their standard deviation within prompts, sqrt(sum (r - mean_p)^2 / sum (N_p - 1)): so every curve begins at 0 and
    says how far beyond an average sample of the policy the chosen one lies. For normal rewards, proxy gains the
    expected maximum of n, and gold that times the correlation of both within prompts.

    The curves end at the largest n that nine in ten prompts have samples for; the others are left out, and all samples
    of those with more are used.

    Args:
        proxy: P arrays, the rewards of each prompt's samples; NaN where there is none.
        gold: P arrays of the same lengths.
    """
    finite = [bool(np.isfinite(one).all() and np.isfinite(two).all()) for one, two in zip(proxy, gold, strict=True)]
    size_P = np.array([len(one) for one in proxy], np.int64)
    scored = np.flatnonzero(finite)
    fewest = _fewest(size_P[scored])
    kept = scored[size_P[scored] >= fewest]
    if len(kept) < FEWEST_PROMPTS:
        return (
            f"{len(kept)} of {len(proxy)} prompts have {fewest} samples or more with both rewards; "
            f"{FEWEST_PROMPTS} are needed"
        )
    name_S = np.repeat(kept, size_P[kept])
    (proxy_S, proxy_std), (gold_S, gold_std) = (_standardised([one[place] for place in kept]) for one in (proxy, gold))
    for std, what in ((proxy_std, "the reward"), (gold_std, "gold")):
        if std == 0:
            return f"{what} is the same for all samples of a prompt: there is nothing to choose between"
    budget = _from_zero(hacking_budget(proxy_S, gold_S, name_S))
    numbers = [one.n for one in budget.curve]
    best_PN = best_of_n_value(gold_S, gold_S, name_S, numbers)
    last_P3 = np.column_stack(
        [
            best_of_n_value(proxy_S, gold_S, name_S, numbers[-1:]),
            best_PN[:, -1:],
            best_of_n_value(proxy_S, proxy_S, name_S, numbers[-1:]),
        ]
    )
    return Curves(
        budget=budget,
        best=np.array([0.0, *best_PN.mean(axis=0)[1:]]),
        share_of_best=cluster_bootstrap(lambda sums: _ratio(sums[..., 0], sums[..., 1]), last_P3),
        share_of_proxy=cluster_bootstrap(lambda sums: _ratio(sums[..., 0], sums[..., 2]), last_P3),
        proxy_std=proxy_std,
        gold_std=gold_std,
        kept=tuple(kept.tolist()),
        fewest=int(fewest),
        unscored=len(proxy) - len(scored),
        too_few=len(scored) - len(kept),
    )


def _fewest(size_P: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    """The most samples that all but a tenth of the prompts have."""
    if not len(size_P):
        return FEWEST_SAMPLES
    return max(FEWEST_SAMPLES, int(np.sort(size_P)[math.floor(_SPARED * len(size_P))]))


def _standardised(rewards: Sequence[Floats]) -> tuple[Floats, float]:
    """Differences from each prompt's mean in units of their standard deviation, end to end, and that; 0 if none."""
    differences = np.concatenate([one - one.mean() for one in rewards])
    freedom = len(differences) - len(rewards)
    std = float(np.sqrt((differences**2).sum() / freedom))
    largest = max(float(np.abs(one).max()) for one in rewards)
    # what rounding leaves is no difference
    return (differences / std, std) if std > 1e-9 * largest else (np.zeros_like(differences), 0.0)


def _from_zero(budget: HackingBudget) -> HackingBudget:
    """Curves that begin at 0, where nothing is chosen, and not at what rounding leaves of it."""
    nothing = Estimate(0.0, 0.0, 0.0)
    return replace(budget, curve=(replace(budget.curve[0], proxy=nothing, gold=nothing), *budget.curve[1:]))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan))
