"""Noisy Bradley-Terry against finite differences, against crowd-kit's likelihood, and against planted scores."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit

from palate.curate.bradley_terry import Decisions, _data, loss, noisy_bradley_terry
from palate.curate.labels import majority
from palate.curate.tally import HIGH, LOW, TIE, Tally
from palate.metrics import vote_counts


def tallied(low: np.ndarray, high: np.ndarray, votes: list[tuple[int, int, int]], first: int = -1) -> Tally:
    """Votes as (comparison, annotator, verdict)."""
    comparison, annotator, verdict = (np.array(column) for column in zip(*votes, strict=True))
    return Tally(
        comparison=comparison,
        annotator=annotator,
        verdict=verdict,
        first=np.full(len(verdict), first),
        counts=vote_counts(comparison, verdict, len(low), 3),
        low=low,
        high=high,
        annotators=int(annotator.max()) + 1,
    )


def decisions(seed: int, votes: int = 60, responses: int = 7, annotators: int = 5) -> Decisions:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, responses, votes)
    return Decisions(
        chosen=chosen,
        other=(chosen + rng.integers(1, responses, votes)) % responses,
        annotator=rng.integers(0, annotators, votes),
        side=rng.integers(-1, 2, votes),
        weight=rng.choice([0.5, 1.0], votes),
        responses=responses,
        annotators=annotators,
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_value(seed: int) -> None:
    data = decisions(seed)
    point = np.random.default_rng(seed).normal(0, 0.7, 7 + 5 + 5)
    numeric = approx_fprime(point, lambda x: loss(x, data)[0], 1e-7)
    assert loss(point, data)[1] == pytest.approx(numeric, abs=1e-5)


def test_the_value_by_hand() -> None:
    """One vote: 0.7 sigma(2) + 0.3 sigma(-1), whose annotator leans to the first and chose the second."""
    data = Decisions(np.array([0]), np.array([1]), np.array([0]), np.array([-1]), np.array([1.0]), 2, 1)
    point = np.array([1.5, -0.5, 1.0, np.log(0.7 / 0.3)])
    expected = -np.log(0.7 * expit(2.0) + 0.3 * expit(-1.0))
    assert loss(point, data, half_wins=0, prior=0)[0] == pytest.approx(expected)


def test_the_value_is_crowd_kits() -> None:
    """Without priors, and with the left response shown first."""
    theirs = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is not installed").NoisyBradleyTerry
    data = decisions(0)
    left = np.where(data.side >= 0, data.chosen, data.other)
    right = np.where(data.side >= 0, data.other, data.chosen)
    ours = replace(data, side=np.where(data.side >= 0, 1, -1), weight=np.ones(60))
    point = np.random.default_rng(0).normal(0, 0.7, 7 + 5 + 5)
    table = np.stack([left, right, data.chosen], axis=1) + 1  # theirs has a base score in front
    value = theirs._compute_log_likelihood(np.append(0.0, point), table, data.annotator, 7, 5, 0.0)
    assert loss(point, ours, half_wins=0, prior=0)[0] == pytest.approx(value)


def planted(
    accuracies: list[float], seed: int, responses: int = 30, comparisons: int = 400
) -> tuple[Tally, np.ndarray]:
    """Votes by Bradley-Terry on scores, by people who look that often and else toss a coin; and who is truly better."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 2, responses)
    low = rng.integers(0, responses, comparisons)
    high = (low + rng.integers(1, responses, comparisons)) % responses
    votes = []
    for row in range(comparisons):
        for who in rng.choice(len(accuracies), 3, replace=False).tolist():
            chance = expit(score[low[row]] - score[high[row]]) if rng.random() < accuracies[who] else 0.5
            votes.append((row, who, LOW if rng.random() < chance else HIGH))
    return tallied(low, high, votes), np.where(score[low] > score[high], LOW, HIGH)


@pytest.mark.parametrize("seed", range(3))
def test_what_beats_good_ones_is_good(seed: int) -> None:
    """Scores over all comparisons are right more often than the votes of each."""
    tally, better = planted([0.95, 0.95, 0.9, 0.2, 0.2, 0.2], seed)
    found = noisy_bradley_terry(tally)
    assert (found.verdict == better).mean() > (majority(tally).verdict == better).mean() + 0.05


def test_the_weight_is_the_chance_to_win() -> None:
    tally, better = planted([0.9] * 5, 0)
    found = noisy_bradley_terry(tally)
    assert (found.weight >= 0.5).all()
    sure = found.weight > 0.9
    assert (found.verdict == better)[sure].mean() > (found.verdict == better)[~sure].mean() + 0.1


def test_somebody_who_only_takes_the_first_says_nothing() -> None:
    """Nine comparisons of one pair: four honest votes for the second, five for the first by one who never looks."""
    rng = np.random.default_rng(0)
    low, high = np.arange(0, 80, 2), np.arange(1, 80, 2)
    truth = rng.integers(0, 2, 40)
    votes = [(row, who, int(truth[row])) for row in range(40) for who in (0, 1)]
    votes += [(row, who, LOW) for row in range(40) for who in (2, 3, 4)]
    found = noisy_bradley_terry(tallied(low, high, votes, first=LOW))
    assert (majority(tallied(low, high, votes)).verdict == LOW).all()
    assert (found.verdict == truth).all()


def test_ties_are_half_a_vote_for_each() -> None:
    data = _data(tallied(np.array([0]), np.array([1]), [(0, 0, LOW), (0, 1, TIE), (0, 2, HIGH)]))
    rows = sorted(
        zip(data.chosen.tolist(), data.other.tolist(), data.annotator.tolist(), data.weight.tolist(), strict=True)
    )
    assert rows == [(0, 1, 0, 1.0), (0, 1, 1, 0.5), (1, 0, 1, 0.5), (1, 0, 2, 1.0)]
    even = noisy_bradley_terry(tallied(np.array([0]), np.array([1]), [(0, 0, TIE), (0, 1, TIE)]))
    assert (even.verdict.tolist(), even.probability.tolist()) == ([TIE], [0.5])


def test_sides_follow_what_was_shown_first() -> None:
    data = _data(tallied(np.array([0]), np.array([1]), [(0, 0, LOW), (0, 1, HIGH)], first=HIGH))
    assert dict(zip(data.annotator.tolist(), data.side.tolist(), strict=True)) == {0: -1, 1: 1}


def test_who_always_wins_has_a_finite_score() -> None:
    found = noisy_bradley_terry(tallied(np.array([0]), np.array([1]), [(0, who, LOW) for who in range(50)]))
    assert found.verdict.tolist() == [LOW]
    assert 0.8 < found.weight[0] < 1
