"""Dawid-Skene and MACE against a plain EM of our own, and against what crowd-kit gets wrong if it is let."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from palate.curate.crowd import dawid_skene, mace
from palate.curate.labels import Labels, majority
from palate.curate.tally import HIGH, LOW, TIE, Tally
from palate.errors import PalateError
from palate.metrics import vote_counts

crowdkit = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is not installed")


def tallied(
    comparison: np.ndarray, annotator: np.ndarray, verdict: np.ndarray, first: np.ndarray | None = None
) -> Tally:
    num = int(comparison.max()) + 1
    _, place, code = np.unique(annotator, return_index=True, return_inverse=True)
    people = np.argsort(np.argsort(place))[code]  # in order of appearance, as the reading pass numbers them
    return Tally(
        comparison=comparison,
        annotator=people,
        verdict=verdict,
        first=np.full(len(verdict), -1) if first is None else first,
        counts=vote_counts(comparison, verdict, num, 3),
        low=2 * np.arange(num),
        high=2 * np.arange(num) + 1,
        annotators=int(people.max()) + 1,
    )


def crowd(accuracies: list[float], items: int = 400, votes: int = 5, seed: int = 0) -> tuple[Tally, np.ndarray]:
    """Votes by people who are right that often, a tenth of the truths being ties."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([LOW, HIGH, TIE], items, p=[0.45, 0.45, 0.1])
    rows = [(item, who) for item in range(items) for who in rng.choice(len(accuracies), votes, replace=False)]
    item, who = np.array(rows).T
    right = rng.random(len(item)) < np.array(accuracies)[who]
    verdict = np.where(right, truth[item], (truth[item] + rng.integers(1, 3, len(item))) % 3)
    return tallied(item, who, verdict), truth


def em(tally: Tally, steps: int) -> np.ndarray:
    """Dawid and Skene (1979), equations 2.3 to 2.5, as loops over probabilities [C, K]."""
    counts = tally.counts.astype(float)
    posterior = counts / counts.sum(axis=1, keepdims=True)
    votes = list(zip(tally.comparison, tally.annotator, tally.verdict, strict=True))
    for _ in range(steps):
        prior = posterior.mean(axis=0)
        errors = np.full((tally.annotators, 3, 3), 1e-10)
        for item, who, said in votes:
            errors[who, :, said] += posterior[item]
        errors /= errors.sum(axis=2, keepdims=True)
        log = np.tile(np.log(prior), (len(counts), 1))
        for item, who, said in votes:
            log[item] += np.log(errors[who, :, said])
        posterior = np.exp(log - log.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior


def mace_em(tally: Tally, seed: int, steps: int = 50) -> np.ndarray:
    """Hovy et al. (2013), section 2: an annotator knows the verdict, or answers from a habit."""
    rng = np.random.default_rng(seed)
    knows = rng.uniform(0.4, 0.6, tally.annotators)
    habit = rng.uniform(1, 1.5, (tally.annotators, 3))
    habit /= habit.sum(axis=1, keepdims=True)
    said = np.eye(3)[tally.verdict]
    for _ in range(steps + 1):
        guess = (1 - knows[tally.annotator]) * habit[tally.annotator, tally.verdict]
        likely = guess[:, None] + knows[tally.annotator, None] * said
        log = np.stack([np.bincount(tally.comparison, np.log(likely[:, k])) for k in range(3)], axis=1)
        posterior = np.exp(log - log.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        guessed = (posterior[tally.comparison] * guess[:, None] / likely).sum(axis=1)
        total = np.bincount(tally.annotator, minlength=tally.annotators)
        knows = (np.bincount(tally.annotator, 1 - guessed) + 0.003) / (total + 0.006)
        habit = np.stack([np.bincount(tally.annotator, guessed * said[:, k]) for k in range(3)], axis=1) + 0.003
        habit /= habit.sum(axis=1, keepdims=True)
    return posterior


def right(labels: Labels, truth: np.ndarray) -> float:
    return float((labels.verdict == truth).mean())


@pytest.mark.parametrize("seed", range(3))
def test_dawid_skene_is_its_own_em(seed: int) -> None:
    tally, _ = crowd([0.95, 0.9, 0.8, 0.7, 0.6, 0.5], seed=seed)
    expected = em(tally, 60)
    found = dawid_skene(tally)
    sure = expected.max(axis=1) > 0.9  # crowd-kit may stop some steps earlier
    assert sure.mean() > 0.8
    assert (found.verdict == expected.argmax(axis=1))[sure].mean() > 0.995
    assert np.abs(found.weight - expected.max(axis=1))[sure].mean() < 0.01


@pytest.mark.parametrize("order", [(LOW, HIGH, TIE), (TIE, HIGH, LOW), (HIGH, TIE, LOW)])
def test_mace_is_its_own_em(order: tuple[int, int, int]) -> None:
    """Whatever label comes first: crowd-kit takes one for another unless they are numbered as they appear."""
    tally, _ = crowd([0.9, 0.8, 0.8], items=200, votes=3)
    people = np.concatenate([tally.annotator, np.tile([3, 4], 200)])  # and two who always say the same
    verdicts = np.concatenate([tally.verdict, np.tile([HIGH, HIGH], 200)])
    rows = np.concatenate([tally.comparison, np.repeat(np.arange(200), 2)])
    place = np.argsort(np.array(order)[verdicts], kind="stable")
    habits = tallied(rows[place], people[place], verdicts[place], first=np.full(len(rows), LOW))
    expected = mace_em(habits, 0)
    found = mace(habits)
    assert (found.verdict == expected.argmax(axis=1)).mean() > 0.99
    assert np.abs(found.weight - expected.max(axis=1)).mean() < 0.01


@pytest.mark.parametrize("method", [dawid_skene, mace])
def test_the_reliable_are_believed(method: Callable[[Tally], Labels]) -> None:
    """Two experts and five who guess: better than counting, by far."""
    tally, truth = crowd([0.97, 0.97, 0.4, 0.4, 0.4, 0.4, 0.4], items=500, votes=6)
    assert right(method(tally), truth) > right(majority(tally), truth) + 0.1


@pytest.mark.parametrize("method", [dawid_skene, mace])
def test_the_same_seed_gives_the_same_labels(method: Callable[[Tally, int], Labels]) -> None:
    tally, _ = crowd([0.9, 0.8, 0.6, 0.6], items=100, votes=3)
    state = np.random.get_state()[1].tolist()  # type: ignore[index]
    one, other = method(tally, 3), method(tally, 3)
    assert one.verdict.tolist() == other.verdict.tolist()
    assert one.weight.tolist() == other.weight.tolist()
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]


@pytest.mark.parametrize("method", [dawid_skene, mace])
def test_without_any_tie_there_is_no_third_class(method: Callable[[Tally], Labels]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    item = np.repeat(np.arange(200), 4)
    verdict = np.where(rng.random(800) < 0.9, truth[item], 1 - truth[item])
    found = method(tallied(item, np.tile(np.arange(4), 200), verdict))
    assert (found.verdict == truth).mean() > 0.97


def lazy(seed: int) -> tuple[Tally, np.ndarray]:
    """Of five annotators two always take what they saw first; which response that is was drawn for each comparison."""
    rng = np.random.default_rng(seed)
    truth, first = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    item, who = np.repeat(np.arange(400), 5), np.tile(np.arange(5), 400)
    judged = np.where(rng.random(2000) < 0.8, truth[item], 1 - truth[item])
    verdict = np.where(who < 2, first[item], judged)
    return tallied(item, who, verdict, first[item]), truth


def test_sides_are_what_people_saw() -> None:
    """Knowing what was shown first tells a habit from a judgement."""
    tally, truth = lazy(0)
    blind = replace(tally, first=np.full(len(tally.first), -1))
    assert right(dawid_skene(tally), truth) > right(dawid_skene(blind), truth) + 0.02
    assert dawid_skene(tally).coins == 0


def test_a_file_with_winners_first_is_put_in_order_by_coins() -> None:
    """Else whoever agrees with the majority seems to have a habit: 0.73 right instead of 0.81."""
    tally, truth = crowd(np.linspace(0.45, 0.95, 10).tolist(), items=300, votes=3, seed=1)
    turn = tally.counts[:, HIGH] > tally.counts[:, LOW]
    winners_first = np.where(turn[tally.comparison], exchanged(tally.verdict), tally.verdict)
    drawn, found = mace(tally), mace(tallied(tally.comparison, tally.annotator, winners_first))
    assert (drawn.coins, found.coins) == (0, 300)
    back = np.where(turn, exchanged(found.verdict), found.verdict)
    assert (back == truth).mean() > right(drawn, truth) - 0.04


def exchanged(verdict: np.ndarray) -> np.ndarray:
    return np.where(verdict == TIE, TIE, 1 - verdict)


def test_without_crowd_kit_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, _ = crowd([0.9, 0.8, 0.7, 0.6, 0.6], items=10)
    monkeypatch.setitem(sys.modules, "crowdkit.aggregation", None)
    with pytest.raises(PalateError, match=r"pip install 'palate\[data\]'"):
        dawid_skene(tally)
