"""How far the reward model agrees with each annotator, and whether annotators differ by more than chance.

Shape legend: V votes, A annotators, P permutations.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from palate.auditing.people.votes import SidedVotes
from palate.auditing.scorer import Floats
from palate.health.tables import Ints

PERMUTATIONS = 499


@dataclass(frozen=True, slots=True)
class BetaPrior:
    """How annotators' shares are spread: a beta distribution.

    Attributes:
        mean: the common share.
        weight: in votes; an annotator with as many is half their own and half the common share.
    """

    mean: float
    weight: float

    def shrunk(self, hits: Floats, trials: Floats) -> Floats:
        """Posterior means (hits + weight mean) / (trials + weight)."""
        return np.asarray((hits + self.weight * self.mean) / (trials + self.weight))

    def quantile(self, hits: Floats, trials: Floats, probability: float) -> Floats:
        """Of each annotator's posterior, Beta(hits + weight mean, trials - hits + weight (1 - mean))."""
        ours, theirs = hits + self.weight * self.mean, trials - hits + self.weight * (1 - self.mean)
        # a share of exactly 0 or 1 in all votes leaves nothing on the other side
        return np.asarray(beta.ppf(probability, np.maximum(ours, 1e-9), np.maximum(theirs, 1e-9)))


def fit_prior(hits: Floats, trials: Floats) -> BetaPrior:
    """The beta distribution of annotators' shares, by moments (empirical Bayes).

    With m the share of all votes and t what the shares vary by beyond binomial chance, the weight is m (1 - m) / t - 1.
    It is at most the number of all votes: even where annotators do not seem to differ, the common share is known no
    better than those votes tell. Source: Kleinman (1973), Proportions with extraneous variance, JASA 68, 46-54.

    Args:
        hits: [A].
        trials: [A], each 1 or more.
    """
    total = float(trials.sum())
    mean = float(hits.sum() / total)
    noise = mean * (1 - mean)
    spread = float((trials * (hits / trials - mean) ** 2).sum()) - (len(trials) - 1) * noise
    room = total - float((trials**2).sum()) / total
    variance = spread / room if room > 0 else 0.0
    weight = total if variance <= 0 else noise / variance - 1
    return BetaPrior(mean, float(np.clip(weight, 1e-3, total)))


@dataclass(frozen=True, slots=True)
class Ability:
    """The reward model's agreement with each annotator: columns [A].

    Attributes:
        votes: how many each cast.
        share: of them that the reward agrees with.
        shrunk, low, high: posterior mean and 95 % interval.
        others: the reward's share on the votes of others on the same comparisons; NaN where there are none.
        prior: how shares are spread.
        p_value: that annotators differ so much by chance; NaN where no two votes on a comparison differ.
    """

    votes: Ints
    share: Floats
    shrunk: Floats
    low: Floats
    high: Floats
    others: Floats
    prior: BetaPrior
    p_value: float


def ability_of(votes: SidedVotes, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Ability:
    """Agreement with each annotator."""
    people = len(votes.names)
    trials = np.bincount(votes.annotator, minlength=people)
    hits: Floats = np.bincount(votes.annotator, weights=votes.agrees, minlength=people).astype(np.float64)
    number_A: Floats = trials.astype(np.float64)
    prior = fit_prior(hits, number_A)
    _, item = np.unique(votes.comparison, return_inverse=True)
    number, right = np.bincount(item)[item], np.bincount(item, weights=votes.agrees)[item]
    several = number > 1
    among_others = (right[several] - votes.agrees[several]) / (number[several] - 1)
    seen = np.bincount(votes.annotator[several], minlength=people)
    total = np.bincount(votes.annotator[several], weights=among_others, minlength=people)
    return Ability(
        votes=trials,
        share=hits / trials,
        shrunk=prior.shrunk(hits, number_A),
        low=prior.quantile(hits, number_A, 0.025),
        high=prior.quantile(hits, number_A, 0.975),
        others=np.divide(total, seen, out=np.full(people, np.nan), where=seen > 0),
        prior=prior,
        p_value=spread_p_value(votes.agrees, item, votes.annotator, permutations=permutations, seed=seed),
    )


def spread_p_value(
    agrees: Floats, item: Ints, annotator: Ints, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> float:
    """Whether annotators differ by more than whose votes fell on which comparison can explain.

    If they do not, the votes on a comparison could as well have been cast by the same people in another order. The
    statistic is sum_a (hits_a - expected_a)^2 / variance_a, an annotator's expected hits being what all voters on
    their comparisons came to: whoever was given hard comparisons is not taken for odd. Exact whatever the difficulty.

    Args:
        agrees: [V].
        item: [V], the comparison.
        annotator: [V].
        permutations: P.
        seed: of the draws.
    """
    mean_I = np.bincount(item, weights=agrees) / np.maximum(np.bincount(item), 1)
    mixed = (mean_I[item] > 0) & (mean_I[item] < 1)
    if not mixed.any():
        return float("nan")
    order = np.argsort(item[mixed], kind="stable")
    item_V, person_V, mean_V = item[mixed][order], annotator[mixed][order], mean_I[item[mixed]][order]
    residual_V = agrees[mixed][order] - mean_V
    variance_A = np.bincount(person_V, weights=mean_V * (1 - mean_V))
    known = variance_A > 0
    generator = np.random.default_rng(seed)

    def statistic(residual: Floats) -> float:
        surplus_A = np.bincount(person_V, weights=residual)
        return float((surplus_A[known] ** 2 / variance_A[known]).sum())

    observed = statistic(residual_V) * (1 - 1e-12)
    extreme = sum(
        statistic(residual_V[np.lexsort((generator.random(len(item_V)), item_V))]) >= observed
        for _ in range(permutations)
    )
    return (1 + extreme) / (1 + permutations)
