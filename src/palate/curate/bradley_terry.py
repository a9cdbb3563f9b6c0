"""Noisy Bradley-Terry: scores of responses and reliabilities of annotators, found together.

Bradley-Terry sees what single comparisons cannot: that a response which beats good ones is good. Here annotators may
also answer without looking, each from a leaning to one side, and what they say then says nothing of the responses.
crowd-kit has this model as well, but descends along a gradient that keeps only each annotator's last vote (its values
are the oracle of the tests).

Shape legend: V votes, C comparisons, R responses, A annotators.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from palate.curate.labels import Labels, certain
from palate.curate.tally import HIGH, LOW, TIE, Floats, Ints, Tally

HALF_WINS = 0.5
"""Won and lost by each response against one of score 0, so that a response which wins always has a finite score."""
TYPICAL_SKILL = 1.0
"""Log odds that an annotator looks before answering, a priori, with variance 1: 73 %."""


def noisy_bradley_terry(tally: Tally) -> Labels:
    """The response of higher score; never a tie unless the scores are equal. Its weight is P(it wins) by the scores.

    Responses with the same text to the same prompt are one, in whatever rows they stand. Tie votes count as half a vote
    for each side.
    """
    data = _data(tally)
    start = np.concatenate([np.zeros(data.responses + data.annotators), np.full(data.annotators, TYPICAL_SKILL)])
    found = minimize(loss, start, args=(data,), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "maxfun": 2000})
    score_R = found.x[: data.responses]
    gap_C = score_R[tally.low] - score_R[tally.high]
    verdict = np.where(np.abs(gap_C) < 1e-9, TIE, np.where(gap_C > 0, LOW, HIGH))
    return Labels(verdict, certain(verdict), expit(np.abs(gap_C)))


@dataclass(frozen=True, slots=True)
class Decisions:
    """Votes for a side, tie votes as two of half the weight.

    Attributes:
        chosen, other: [V], responses.
        annotator: [V].
        side: [V], 1 where the chosen response was shown first, -1 where the other was, 0 where that is not known.
        weight: [V], 1 or 1/2.
        responses, annotators: how many there are.
    """

    chosen: Ints
    other: Ints
    annotator: Ints
    side: Ints
    weight: Floats
    responses: int
    annotators: int


def loss(parameters: Floats, data: Decisions, half_wins: float = HALF_WINS, prior: float = 1.0) -> tuple[float, Floats]:
    """Negative log posterior and its gradient.

    With scores s, leanings q and skills g, a vote has the probability

        sigma(g) sigma(s_chosen - s_other) + (1 - sigma(g)) sigma(side q),

    and to the sum of their logarithms are added half_wins (log sigma(s) + log sigma(-s)) over responses and
    -prior ((g - TYPICAL_SKILL)^2 + q^2) / 2 over annotators.
    Source: Chen, Bennett, Collins-Thompson and Horvitz (2013), Pairwise ranking aggregation in a crowdsourced setting;
    the leaning as in crowd-kit.

    Args:
        parameters: [R + A + A], scores, leanings and skills.
        data: the votes.
        half_wins: weight of the scores' prior.
        prior: weight of the annotators' priors.
    """
    R, A = data.responses, data.annotators
    score_R, leaning_A, skill_A = np.split(parameters, [R, R + A])
    looked_V = expit(score_R[data.chosen] - score_R[data.other])
    blind_V = expit(data.side * leaning_A[data.annotator])
    skill_V = expit(skill_A[data.annotator])
    vote_V = skill_V * looked_V + (1 - skill_V) * blind_V
    priors = half_wins * (log_expit(score_R) + log_expit(-score_R)).sum()
    priors -= prior * (((skill_A - TYPICAL_SKILL) ** 2).sum() + (leaning_A**2).sum()) / 2
    value = -float(data.weight @ np.log(vote_V) + priors)

    slope_V = data.weight / vote_V
    pull_V = slope_V * skill_V * looked_V * (1 - looked_V)
    scores = np.bincount(data.chosen, pull_V, R) - np.bincount(data.other, pull_V, R) - half_wins * np.tanh(score_R / 2)
    tilt_V = slope_V * (1 - skill_V) * blind_V * (1 - blind_V) * data.side
    leanings = np.bincount(data.annotator, tilt_V, A) - prior * leaning_A
    trust_V = slope_V * (looked_V - blind_V) * skill_V * (1 - skill_V)
    skills = np.bincount(data.annotator, trust_V, A) - prior * (skill_A - TYPICAL_SKILL)
    return value, -np.concatenate([scores, leanings, skills])


def _data(tally: Tally) -> Decisions:
    """Each vote for a side once, each tie vote for both sides at half the weight."""
    vote = np.concatenate([np.flatnonzero(tally.verdict != HIGH), np.flatnonzero(tally.verdict != LOW)])
    for_low = np.arange(len(vote)) < np.count_nonzero(tally.verdict != HIGH)
    low, high = tally.low[tally.comparison[vote]], tally.high[tally.comparison[vote]]
    first = tally.first[vote]
    return Decisions(
        chosen=np.where(for_low, low, high),
        other=np.where(for_low, high, low),
        annotator=tally.annotator[vote],
        side=np.where(first < 0, 0, np.where((first == LOW) == for_low, 1, -1)),
        weight=np.where(tally.verdict[vote] == TIE, 0.5, 1.0),
        responses=tally.responses,
        annotators=tally.annotators,
    )
