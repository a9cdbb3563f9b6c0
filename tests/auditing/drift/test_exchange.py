"""Statistics against other implementations, and exchanges that keep together what belongs together."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp

from palate.auditing.drift.exchange import (
    energy_distance,
    exchange,
    half_of,
    kolmogorov_smirnov,
    p_value,
    population_stability,
)


def keys(rng: np.random.Generator, prompts: int, each: int = 1) -> np.ndarray:
    return np.repeat(rng.integers(0, 2**63, prompts).astype(np.uint64), each)


def test_ks_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    draw = exchange(keys(rng, 90), keys(rng, 50), permutations=20)
    for values in (rng.normal(size=140), rng.integers(0, 4, 140).astype(float)):
        ours, theirs = values[:90], values[90:]
        found = kolmogorov_smirnov(values[draw.row], draw.weight)
        assert found[0] == pytest.approx(ks_2samp(ours, theirs).statistic)
        side = draw.weight[7] > 0
        assert found[7] == pytest.approx(ks_2samp(values[draw.row][side], values[draw.row][~side]).statistic)


def test_values_that_are_missing_are_left_out() -> None:
    rng = np.random.default_rng(1)
    draw = exchange(keys(rng, 90), keys(rng, 50), permutations=20)
    values = rng.normal(size=140)
    values[::3] = np.nan
    ours, theirs = (side[np.isfinite(side)] for side in (values[:90], values[90:]))
    assert kolmogorov_smirnov(values[draw.row], draw.weight)[0] == pytest.approx(ks_2samp(ours, theirs).statistic)
    values[90:] = np.nan
    assert not kolmogorov_smirnov(values[draw.row], draw.weight).any()


def test_energy_distance_is_its_definition() -> None:
    rng = np.random.default_rng(2)
    draw = exchange(keys(rng, 30), keys(rng, 20), permutations=5)
    points = rng.normal(size=(50, 3))
    points[30:] += 1
    found = energy_distance(points[draw.row], draw.weight)
    for permutation in (0, 3):
        side = draw.weight[permutation] > 0
        ours, theirs = points[draw.row][side], points[draw.row][~side]
        across = 2 * cdist(ours, theirs).mean()
        expected = (across - cdist(ours, ours).mean() - cdist(theirs, theirs).mean()) / across
        assert found[permutation] == pytest.approx(expected, abs=1e-5)


def test_psi_by_hand() -> None:
    values = np.concatenate([np.arange(10.0), np.array([0.0] * 3 + [9.0] * 2)])
    weight = np.concatenate([np.full(10, 0.1), np.full(5, -0.2)])[None]
    p = (np.array([0.5, 0.5]) + 0.05) / 1.1  # one edge, at 4.5; half a response more in each bin
    q = (np.array([0.6, 0.4]) + 0.1) / 1.2
    found = population_stability(values, weight, bins=2)
    assert found[0] == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert population_stability(np.ones(15), weight)[0] == 0


def test_prompts_change_sides_whole() -> None:
    rng = np.random.default_rng(3)
    shared = keys(rng, 20)
    reference = np.concatenate([keys(rng, 40, 3), np.repeat(shared, 3)])
    policy = np.concatenate([keys(rng, 30, 4), np.repeat(shared, 4)])
    draw = exchange(reference, policy, permutations=50)
    assert draw.responses_a_prompt == 3
    prompt = np.concatenate([reference, policy])[draw.row]
    is_policy = draw.row >= len(reference)
    assert len(draw.row) == 3 * (40 + 20 + 30 + 20)
    for weights in draw.weight:
        np.testing.assert_allclose([weights[weights > 0].sum(), weights[weights < 0].sum()], [1, -1])
        for key in np.unique(prompt):
            sides = [np.sign(weights[(prompt == key) & (is_policy == side)]) for side in (False, True)]
            assert all(len(np.unique(side)) <= 1 for side in sides)
            if key in shared:  # one set on each side, always
                assert sides[0][0] == -sides[1][0]
        for half in (0, 1):
            member = half_of(prompt) == half
            assert (weights[member] > 0).sum() == (draw.weight[0][member] > 0).sum()
    changed = (np.sign(draw.weight[1:]) != np.sign(draw.weight[0])).mean(axis=0)
    assert (changed > 0.1).all()


def test_so_many_responses_are_looked_at_and_no_more() -> None:
    rng = np.random.default_rng(4)
    reference, policy = keys(rng, 3000, 2), keys(rng, 100, 2)
    draw = exchange(reference, policy, permutations=3, most=600)
    assert (draw.row >= len(reference)).sum() == 200
    assert (draw.row < len(reference)).sum() == 300


def test_responses_that_go_together_raise_no_false_alarm() -> None:
    """Two responses of a prompt are nearly the same; tests that take them for independent cry wolf."""
    rng = np.random.default_rng(0)
    ours, naive = [], []
    for _ in range(300):
        reference, policy = keys(rng, 40, 4), keys(rng, 25, 4)
        values = np.repeat(rng.normal(size=65), 4) + 0.1 * rng.normal(size=260)
        draw = exchange(reference, policy, permutations=99, seed=int(rng.integers(1 << 30)))
        ours.append(p_value(kolmogorov_smirnov(values[draw.row], draw.weight)))
        naive.append(ks_2samp(values[:160], values[160:]).pvalue)
    assert np.mean(np.array(ours) <= 0.05) <= 0.085
    assert np.mean(np.array(ours) <= 0.5) == pytest.approx(0.5, abs=0.09)
    assert np.mean(np.array(naive) <= 0.05) > 0.25
