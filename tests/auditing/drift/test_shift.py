"""Columns: what is sure of a difference, p-values that allow for how many are looked at, and their order."""

import numpy as np
import pytest
from scipy.stats import norm

from palate.auditing.drift.exchange import exchange, kolmogorov_smirnov, p_value
from palate.auditing.drift.shift import band, features_of
from palate.metrics import holm


def keys(rng: np.random.Generator, prompts: int) -> np.ndarray:
    return rng.integers(0, 2**63, prompts).astype(np.uint64)


def test_what_differs_stands_first_with_its_figures() -> None:
    rng = np.random.default_rng(0)
    draw = exchange(keys(rng, 300), keys(rng, 200), permutations=199)
    columns = {f"noise {number}": rng.normal(size=500) for number in range(8)}
    columns["planted"] = np.concatenate([rng.normal(size=300), rng.normal(1.5, size=200)])
    columns["constant"] = np.ones(500)
    found = features_of(columns, draw)
    assert "constant" not in {one.name for one in found}
    first = found[0]
    assert first.name == "planted"
    assert first.difference == pytest.approx(2 * norm.cdf(0.75) - 1, abs=0.08)
    assert first.low == pytest.approx(first.difference - band(300, 200, columns=9))
    assert (first.reference, first.policy) == (pytest.approx(0, abs=0.2), pytest.approx(1.5, abs=0.2))
    assert first.psi > 1 > 0.2 > first.psi_by_chance > 0.02
    assert all(one.low == 0 and one.p_value > 0.05 for one in found[1:])
    single = [p_value(kolmogorov_smirnov(columns[one.name][draw.row], draw.weight)) for one in found]
    np.testing.assert_allclose([one.p_value for one in found], holm(single))


def test_the_band_holds_under_a_difference() -> None:
    """The true difference is below `low` hardly ever, and `low` is not far below it."""
    rng = np.random.default_rng(1)
    truth, above, slack = 2 * norm.cdf(0.5) - 1, 0, []
    for _ in range(300):
        draw = exchange(keys(rng, 80), keys(rng, 50), permutations=1)
        values = np.concatenate([rng.normal(size=80), rng.normal(1, size=50)])
        found = features_of({"x": values}, draw)[0]
        above += found.low > truth
        slack.append(truth - found.low)
    assert above <= 0.05 * 300
    assert np.mean(slack) < 0.25


def test_prompts_are_what_is_counted() -> None:
    rng = np.random.default_rng(2)
    reference, policy = np.repeat(keys(rng, 60), 3), np.repeat(keys(rng, 40), 3)
    draw = exchange(reference, policy, permutations=9)
    values = np.concatenate([np.zeros(180), np.ones(120)])
    assert features_of({"x": values}, draw)[0].low == pytest.approx(1 - band(60, 40))
    values[:90] = np.nan
    assert features_of({"x": values}, draw)[0].low == pytest.approx(1 - band(30, 40))


def test_a_side_without_values_says_nothing() -> None:
    rng = np.random.default_rng(3)
    draw = exchange(keys(rng, 30), keys(rng, 30), permutations=9)
    values = np.concatenate([rng.normal(size=30), np.full(30, np.nan)])
    assert features_of({"x": values}, draw)[0].low == 0
    assert features_of({}, draw) == ()
