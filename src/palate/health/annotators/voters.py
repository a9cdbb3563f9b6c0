"""Single annotators: how far each agrees with the others, which side each prefers, and how long each takes.

Many annotators are looked at, so some of them look odd by chance. Two things keep those out: an annotator is only odd
when they differ from the others by more than a stated amount, beyond what chance explains, and the tests of all
annotators together are held to a false discovery rate (Benjamini and Hochberg 1995).

Shape legend: V votes, I items, N some of those, A annotators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc
from scipy.stats import false_discovery_control

from palate.health.annotators.ballots import TIE, Ballots
from palate.health.tables import Floats, Ints
from palate.metrics import vote_counts

Bools = NDArray[np.bool_]

ENOUGH = 20
"""Votes that an annotator must have before anything is said about them."""
WORSE = 0.1
"""By how much less than usual a deviant annotator agrees with the others."""
ONE_SIDED = 0.1
"""By how much more or less than usual a one-sided annotator prefers what was shown first."""
HASTY = 3.0
"""How many times as fast as the typical annotator a hasty one votes."""
DISCOVERY_RATE = 0.05
"""Share of those called odd who are called so by chance."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far each annotator agrees with the others; columns [A].

    Attributes:
        judged: votes for which the others on the same item had a most frequent choice.
        agreed: those of them that were for it.
        shrunk: agreement drawn towards the usual one, the more the fewer votes there are; see `shrunk`.
        odd: whether they have at least `ENOUGH` votes and agree by more than `WORSE` less than usual.
        usual: agreement of all votes together.
    """

    judged: Ints
    agreed: Ints
    shrunk: Floats
    odd: Bools
    usual: float


def agreement_with_rest(ballots: Ballots) -> Agreement | None:
    """Each annotator against the most frequent choice of the others on each item, all votes of their own left out.

    None where no vote can be judged, as when every comparison was seen by one annotator.
    """
    rest_V3 = ballots.counts[ballots.item] - _own(ballots)
    best_V = rest_V3.max(axis=1)
    judged_V = (rest_V3 == best_V[:, None]).sum(axis=1) == 1
    agreed_V = judged_V & (rest_V3.argmax(axis=1) == ballots.choice)
    people = len(ballots.names)
    judged = np.bincount(ballots.annotator[judged_V], minlength=people)
    agreed = np.bincount(ballots.annotator[agreed_V], minlength=people)
    if not judged.sum():
        return None
    usual = float(agreed.sum() / judged.sum())
    chance = np.where(judged >= ENOUGH, bdtr(agreed, judged, max(0.0, usual - WORSE)), 1.0)
    return Agreement(judged, agreed, shrunk(agreed, judged), _discovered(chance, judged), usual)


def shrunk(successes: ArrayLike, trials: ArrayLike) -> Floats:
    """Shares drawn towards the common one, m: (successes + s m) / (trials + s), by empirical Bayes; [A].

    s = m (1 - m) / t - 1 is the weight of a beta prior whose variance t between annotators is found by moments, as
    what their shares vary by beyond binomial chance. Without any such variance all are the common share.
    Source: Kleinman (1973), Proportions with extraneous variance, JASA 68, 46-54.

    >>> shrunk([0, 90, 100], [2, 100, 110]).round(2).tolist()
    [0.67, 0.9, 0.91]
    """
    hit_A, trial_A = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    total = trial_A.sum()
    mean = hit_A.sum() / total
    noise = mean * (1 - mean)
    seen = trial_A > 0
    share_A = np.divide(hit_A, trial_A, out=np.full(len(trial_A), mean), where=seen)
    spread = (trial_A * (share_A - mean) ** 2).sum() - (seen.sum() - 1) * noise
    room = total - (trial_A**2).sum() / total
    variance = spread / room if room > 0 else 0.0
    if variance <= 0:
        return np.full(len(trial_A), mean)
    weight = max(0.0, noise / variance - 1)
    return np.asarray((hit_A + weight * mean) / np.maximum(trial_A + weight, 1e-12))


@dataclass(frozen=True, slots=True)
class FirstShown:
    """How often the response that was shown first is preferred, where it is known and a side was taken.

    Attributes:
        items: [N, 2], on each item that has such votes: those for the first, those for the second.
        seen: [A], such votes of each annotator.
        chosen: [A], those for the first.
        odd: [A], whether they have `ENOUGH` and differ from all together by more than `ONE_SIDED`.
    """

    items: Ints
    seen: Ints
    chosen: Ints
    odd: Bools


def preference_for_first(ballots: Ballots) -> FirstShown | None:
    """By item and by annotator; None where no vote says what was shown first."""
    known_V = (ballots.first >= 0) & (ballots.choice != TIE)
    if not known_V.any():
        return None
    item_V, person_V = ballots.item[known_V], ballots.annotator[known_V]
    chosen_V = ballots.choice[known_V] == ballots.first[known_V]
    people = len(ballots.names)
    items = vote_counts(item_V, ~chosen_V, len(ballots.comparison), 2)
    seen = np.bincount(person_V, minlength=people)
    chosen = np.bincount(person_V[chosen_V], minlength=people)
    usual = chosen.sum() / seen.sum()
    more = bdtrc(chosen - 1, seen, min(1.0, usual + ONE_SIDED))
    less = bdtr(chosen, seen, max(0.0, usual - ONE_SIDED))
    chance = np.where(seen >= ENOUGH, np.minimum(1.0, 2 * np.minimum(more, less)), 1.0)
    return FirstShown(items[items.any(axis=1)], seen, chosen, _discovered(chance, seen))


def first_share(items: ArrayLike, weight: ArrayLike) -> Floats:
    """Share of votes for what was shown first; [...] of `FirstShown.items` and of weights [..., N] of the items."""
    items_N2, weight_RN = np.asarray(items), np.asarray(weight)
    return np.asarray((weight_RN @ items_N2[:, 0]) / (weight_RN @ items_N2.sum(axis=1)))


@dataclass(frozen=True, slots=True)
class Pace:
    """How long votes take.

    Attributes:
        median: [A], seconds of each annotator's middle vote, NaN for those with fewer than `ENOUGH` timed votes.
        typical: the middle one of those.
        odd: [A], whether they are more than `HASTY` times as fast, and far outside of what the others vary by: more
            than 3.5 in units of the median absolute deviation of log seconds (Iglewicz and Hoaglin 1993).
    """

    median: Floats
    typical: float
    odd: Bools


def time_per_vote(ballots: Ballots) -> Pace | None:
    """None where fewer than three annotators have enough votes whose seconds are known."""
    timed_V = ballots.seconds > 0
    seconds_V, person_V = ballots.seconds[timed_V], ballots.annotator[timed_V]
    order_V = np.lexsort((seconds_V, person_V))
    ordered_V = seconds_V[order_V]
    timed = np.bincount(person_V, minlength=len(ballots.names))
    start = np.cumsum(timed) - timed
    enough = timed >= ENOUGH
    if enough.sum() < 3:
        return None
    median = np.full(len(timed), np.nan)
    lower, upper = start + (timed - 1) // 2, start + timed // 2
    median[enough] = (ordered_V[lower[enough]] + ordered_V[upper[enough]]) / 2
    log = np.log(median[enough])
    middle = float(np.median(log))
    deviation = 1.4826 * float(np.median(np.abs(log - middle)))  # of a normal distribution, its standard deviation
    odd = np.zeros(len(timed), dtype=np.bool_)
    odd[enough] = middle - log > max(np.log(HASTY), 3.5 * deviation)
    return Pace(median, float(np.exp(middle)), odd)


def _own(ballots: Ballots) -> Ints:
    """[V, 3], by choice, how often the vote's annotator voted on the vote's item: as a rule once."""
    key_V = ballots.item * len(ballots.names) + ballots.annotator
    mine, place_V = np.unique(key_V, return_inverse=True)
    counts = np.bincount(place_V * 3 + ballots.choice, minlength=3 * len(mine)).reshape(-1, 3)
    return np.asarray(counts[place_V])


def _discovered(chance: Floats, votes: Ints) -> Bools:
    """Those whose p-values hold under the false discovery rate, among annotators with enough votes."""
    tested = votes >= ENOUGH
    odd = np.zeros(len(chance), dtype=np.bool_)
    if tested.any():
        odd[tested] = false_discovery_control(np.clip(chance[tested], 0, 1)) <= DISCOVERY_RATE
    return odd
