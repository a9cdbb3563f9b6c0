"""Shrinkage against its closed form, intervals against simulation, and the test of spread with and without a spread."""

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from palate.auditing.people.ability import BetaPrior, ability_of, fit_prior, spread_p_value
from palate.auditing.people.votes import SidedVotes
from palate.health.annotators.voters import shrunk


def votes(agrees: np.ndarray, comparison: np.ndarray, annotator: np.ndarray) -> SidedVotes:
    zero = np.zeros(len(agrees), np.int64)
    names = tuple(f"ann-{number}" for number in range(annotator.max() + 1))
    return SidedVotes(comparison, comparison.astype(np.uint64), annotator, zero, zero, agrees.astype(float), names, 0)


def test_the_posterior_is_that_of_a_beta_prior() -> None:
    prior = BetaPrior(0.75, 40)
    hits, trials = np.array([0.0, 8.0, 90.0]), np.array([1.0, 10.0, 100.0])
    np.testing.assert_allclose(prior.shrunk(hits, trials), [30 / 41, 38 / 50, 120 / 140])
    np.testing.assert_allclose(prior.quantile(hits, trials, 0.975), beta.ppf(0.975, [30, 38, 120], [11, 12, 20]))


def test_the_prior_is_found_again() -> None:
    rng = np.random.default_rng(0)
    trials = rng.integers(5, 200, 3000).astype(float)
    hits = rng.binomial(trials.astype(int), rng.beta(30, 10, 3000)).astype(float)
    prior = fit_prior(hits, trials)
    assert prior.mean == pytest.approx(0.75, abs=0.01)
    assert prior.weight == pytest.approx(40, rel=0.15)
    # another implementation, for checks of data
    np.testing.assert_allclose(prior.shrunk(hits, trials), shrunk(hits, trials))


def test_without_a_spread_the_common_share_is_known_no_better_than_all_votes_tell() -> None:
    trials = np.full(50, 20.0)
    prior = fit_prior(np.full(50, 15.0), trials)
    assert (prior.mean, prior.weight) == (0.75, 1000)
    # a spread that is next to none
    little = np.sqrt(49 * 0.1875 / 2.5 * 1.0001) * np.tile([1, -1], 25)
    assert fit_prior(15 + little, trials).weight == 1000
    low, high = (float(prior.quantile(np.array([15.0]), np.array([20.0]), one)[0]) for one in (0.025, 0.975))
    assert low == pytest.approx(0.75 - 1.96 * np.sqrt(0.75 * 0.25 / 1020), abs=0.003)
    assert high > 0.75
    assert np.isfinite(fit_prior(np.array([3.0]), np.array([3.0])).shrunk(np.array([3.0]), np.array([3.0]))).all()


def test_the_intervals_cover_what_annotators_are() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(40):
        ability, trials = rng.beta(15, 5, 100), rng.integers(3, 80, 100)
        hits = rng.binomial(trials, ability).astype(float)
        prior = fit_prior(hits, trials.astype(float))
        low, high = (prior.quantile(hits, trials.astype(float), one) for one in (0.025, 0.975))
        inside.append(((low <= ability) & (ability <= high)).mean())
    assert 0.93 <= np.mean(inside) <= 0.97


def panel(rng: np.random.Generator, items: int = 300, people: int = 12, each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Comparison and annotator of each vote; the first annotators are given the first, hard comparisons."""
    who = [np.sort(rng.permutation(people // 2)[:each]) + (people // 2) * (item >= items // 2) for item in range(items)]
    return np.repeat(np.arange(items), each), np.concatenate(who)


def test_hard_comparisons_make_no_odd_annotators() -> None:
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(150):
        item, person = panel(rng, 100)
        agrees = (rng.random(len(item)) < np.where(item < 50, 0.55, 0.9)).astype(float)
        p_values.append(spread_p_value(agrees, item, person, permutations=39, seed=int(rng.integers(1 << 30))))
    assert np.mean(np.array(p_values) <= 0.05) <= 0.1
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.12)


def test_two_annotators_of_the_same_pairs_come_to_the_sign_test() -> None:
    """Fifteen pairs on which the reward agrees with the one alone, five with the other alone, sixty with both."""
    agrees = np.concatenate([np.tile([1, 0], 15), np.tile([0, 1], 5), np.ones(120)]).astype(float)
    p = spread_p_value(agrees, np.repeat(np.arange(80), 2), np.tile([0, 1], 80), permutations=4999)
    assert p == pytest.approx(binomtest(15, 20).pvalue, abs=0.01)


def test_a_quirky_annotator_shows_and_others_on_the_same_pairs_do_not() -> None:
    rng = np.random.default_rng(3)
    item, person = panel(rng)
    right = np.where(item < 150, 0.55, 0.9)
    agrees = (rng.random(len(item)) < np.where(person == 8, 0.4, right)).astype(float)
    found = ability_of(votes(agrees, item, person))
    assert found.p_value <= 0.01
    assert found.others[8] == pytest.approx(0.9, abs=0.05)
    assert found.others[2] == pytest.approx(0.55, abs=0.08)
    assert found.share[8] == agrees[person == 8].mean()
    assert found.high[8] < found.others[8] - 0.2
    assert abs(found.shrunk[8] - found.prior.mean) < abs(found.share[8] - found.prior.mean)


def test_others_are_counted_by_hand() -> None:
    item = np.array([0, 0, 0, 1, 1, 2])
    person = np.array([0, 1, 2, 0, 1, 0])
    agrees = np.array([1, 0, 0.5, 1, 1, 0])
    found = ability_of(votes(agrees, item, person), permutations=19)
    np.testing.assert_allclose(found.others, [(0.25 + 1) / 2, (0.75 + 1) / 2, 0.5])
    np.testing.assert_allclose(found.share, [2 / 3, 0.5, 0.5])
    alone = ability_of(votes(agrees[[0, 3, 5]], item[[0, 3, 5]], person[[0, 3, 5]]))
    assert np.isnan(alone.others).all()
    assert np.isnan(alone.p_value)
