"""Distances against their definition, thresholds against order statistics, shares against simulation."""

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.covariance import LedoitWolf

from palate.auditing.drift.distance import conformal_threshold, fit_metric, outlier_share, weighed


def test_distance_is_mahalanobis_with_the_shrunk_covariance() -> None:
    rng = np.random.default_rng(0)
    fitted = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 7
    new = rng.normal(size=(40, 5)).astype(np.float32)
    metric = fit_metric(fitted.astype(np.float32), 300)
    centred = new - fitted.mean(axis=0)
    # all directions are kept, and the shrinkage does not depend on how they are turned
    expected = np.sqrt(np.einsum("rd,de,re->r", centred, np.linalg.inv(LedoitWolf().fit(fitted).covariance_), centred))
    np.testing.assert_allclose(metric.distance(new), expected, rtol=1e-3)


def test_directions_are_few_where_prompts_are_few_and_constant_ones_do_not_count() -> None:
    rng = np.random.default_rng(1)
    state = rng.normal(size=(200, 100)).astype(np.float32)
    assert fit_metric(state, 60).whitening.shape == (100, 20)
    assert fit_metric(state, 1000).whitening.shape == (100, 64)
    state[:, 3:] = 1.0
    distance = fit_metric(state, 1000).distance(state)
    assert np.isfinite(distance).all()
    assert distance.mean() == pytest.approx(np.sqrt(3), rel=0.1)


def test_the_threshold_is_an_order_statistic() -> None:
    rng = np.random.default_rng(2)
    for prompts, place in ((19, 19), (100, 96), (399, 380)):
        values = rng.normal(size=prompts)
        found = conformal_threshold(weighed(values, np.arange(prompts, dtype=np.uint64)), np.ones((1, prompts)))
        assert found[0] == np.sort(values)[place - 1]
    few = conformal_threshold(weighed(rng.normal(size=18), np.arange(18, dtype=np.uint64)), np.ones((1, 18)))
    assert np.isinf(few[0])


def test_a_prompt_counts_once_whatever_its_responses() -> None:
    values = np.concatenate([np.arange(100.0), np.full(500, 99.5)])
    prompt = np.concatenate([np.arange(100), np.full(500, 99)]).astype(np.uint64)
    found = conformal_threshold(weighed(values, prompt), np.ones((1, 100)))
    assert found[0] == 95.0
    doubled = np.ones((1, 100))
    doubled[0, 99] = 10  # a resample in which the far prompt came up ten times
    assert conformal_threshold(weighed(values, prompt), doubled)[0] == 99.5


def heavy(rng: np.random.Generator, prompts: int, each: int, size: int) -> np.ndarray:
    """States with a prompt's own place and heavy tails, [prompts * each, size]."""
    return (rng.standard_t(5, size=(prompts, 1, size)) + rng.standard_t(5, size=(prompts, each, size))).reshape(
        -1, size
    )


def test_the_same_distribution_comes_to_the_nominal_share_where_chi_square_does_not() -> None:
    rng = np.random.default_rng(3)
    ours, by_chi_square = [], []
    for _ in range(60):
        fitted, reference, policy = (heavy(rng, 60, 2, 24).astype(np.float32) for _ in range(3))
        metric = fit_metric(fitted, 60)
        key = np.repeat(np.arange(60), 2).astype(np.uint64)
        threshold = conformal_threshold(weighed(metric.distance(reference), key), np.ones((1, 60)))
        ours.append((metric.distance(policy) > threshold).mean())
        centred = policy - fitted.mean(axis=0)
        plain = np.einsum("rd,de,re->r", centred, np.linalg.inv(np.cov(fitted.T)), centred)
        by_chi_square.append((plain > chi2.ppf(0.95, fitted.shape[1])).mean())
    assert 0.025 < np.mean(ours) < 0.055
    assert np.mean(by_chi_square) > 0.25


def test_the_interval_covers_the_true_share() -> None:
    """Distances known beforehand: exponential for the reference, longer by a quarter for the policy."""
    rng = np.random.default_rng(4)
    truth = 0.05 ** (1 / 1.25)
    covered = []
    for _ in range(200):
        halves = []
        for _half in range(2):
            sides = []
            for prompts, each, scale in ((100, 2, 1.0), (60, 3, 1.25)):
                # half of the prompts' responses repeat each other: a prompt is what is independent
                values = scale * rng.exponential(size=(prompts, each))
                values[: prompts // 2] = values[: prompts // 2, :1]
                sides.append(weighed(values.ravel(), np.repeat(np.arange(prompts), each).astype(np.uint64)))
            halves.append((sides[0], sides[1]))
        found = outlier_share(halves, num_resamples=200)
        covered.append(found.low <= truth <= found.high)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_the_share_is_of_prompts_in_both_halves() -> None:
    key = np.arange(40, dtype=np.uint64)
    reference = weighed(np.arange(40.0), key)
    near, far = weighed(np.zeros(30), key[:30]), weighed(np.full(10, 99.0), key[:10])
    found = outlier_share([(reference, near), (reference, far)])
    assert found.value == pytest.approx(0.25)
    assert found.low < 0.25 < found.high
    alone = outlier_share([(reference, weighed(np.empty(0), key[:0])), (reference, far)])
    assert alone.value == 1.0
    every = outlier_share([(reference, weighed(np.full(30, 99.0), key[:30])), (reference, far)])
    assert (every.value, every.low, every.high) == (1.0, 1.0, 1.0)
