"""The top, the ratio and the test, against figures by hand, SciPy and exchange."""

import math

import numpy as np
import pytest
from scipy.stats import hypergeom
from scipy.stats.contingency import relative_risk

from palate.auditing.patterns.lift import Split, lift_of, split_top


def split(top: list[int], stratum: list[int]) -> Split:
    return Split(np.array(top, np.bool_), np.array(stratum), within=True)


def test_one_stratum_is_the_ordinary_relative_risk() -> None:
    top = np.arange(200) < 40
    has = np.concatenate([np.arange(40) < 24, np.arange(160) < 32])
    lift = lift_of(Split(top, np.zeros(200, np.int64), within=False), has)
    assert (lift.top, lift.rest, lift.count) == (0.6, 0.2, 56)
    assert lift.ratio.value == pytest.approx(3.0)
    # Katz's interval, which that of Greenland and Robins is for one stratum
    interval = relative_risk(24, 40, 32, 160).confidence_interval(0.95)
    assert (lift.ratio.low, lift.ratio.high) == pytest.approx((interval.low, interval.high))
    exact = hypergeom(200, 56, 40)
    z = (24 - exact.mean() - 0.5) / exact.std()
    assert lift.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_the_ratio_is_within_strata() -> None:
    """Prompts that have both the pattern and high rewards make a lift of 2 over all, and of 1 within prompts."""
    top = [1, 1, 1, 0, 1, 0, 0, 0]
    has = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.bool_)
    lift = lift_of(split(top, [0, 0, 0, 0, 1, 1, 1, 1]), has)
    assert (lift.top, lift.rest) == (0.75, 0.25)
    assert lift.ratio.value == pytest.approx(1.0)


def test_two_strata_by_hand() -> None:
    # pairs with one on top: above 1 * 1 / 2 twice, below 1 * 1 / 2 once
    lift = lift_of(split([1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2, 3, 3]), np.array([1, 0, 1, 0, 0, 1, 0, 0], bool))
    assert lift.ratio.value == pytest.approx(2.0)
    assert lift.p_value is None  # too few to tell


def test_without_a_case_on_one_side_there_is_no_interval() -> None:
    lift = lift_of(split([1, 0, 1, 0], [0, 0, 1, 1]), np.array([1, 0, 1, 0], np.bool_))
    assert lift.ratio.value == math.inf
    assert math.isnan(lift.ratio.low)


def test_p_values_are_uniform_where_nothing_is_preferred() -> None:
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(150, dtype=np.uint64), 4)
    small = 0
    for _ in range(300):
        # prompts differ in how often they have it, responses of one do not
        has = rng.random(600) < np.repeat(rng.random(150), 4)
        found = split_top(rng.normal(size=600) + np.repeat(rng.normal(size=150), 4), prompt)
        assert found is not None
        p_value = lift_of(found, has).p_value
        assert p_value is not None
        small += p_value < 0.05
    assert 4 <= small <= 22  # 15 in the mean, less what the correction for continuity takes


def test_the_top_is_a_tenth_that_stands_above_its_own_prompt() -> None:
    rng = np.random.default_rng(1)
    prompt = np.repeat(np.arange(100, dtype=np.uint64), 2)
    reward = rng.normal(size=200) + np.repeat(1000 * rng.normal(size=100), 2)
    found = split_top(reward, prompt)
    assert found is not None
    assert (found.top_N.sum(), found.within) == (20, True)
    gap = reward.reshape(100, 2) - reward.reshape(100, 2).mean(axis=1, keepdims=True)
    assert set(np.flatnonzero(found.top_N)) == set(np.argsort(-gap.ravel())[:20])


def test_single_responses_are_compared_with_all_others() -> None:
    reward = np.arange(50.0)
    found = split_top(reward, np.arange(50, dtype=np.uint64))
    assert found is not None
    assert (found.within, np.flatnonzero(found.top_N).tolist()) == (False, [45, 46, 47, 48, 49])


def test_equal_rewards_have_no_top() -> None:
    prompt = np.repeat(np.arange(50, dtype=np.uint64), 2)
    assert split_top(np.zeros(100), prompt) is None
    assert split_top(np.repeat(np.arange(50.0), 2), prompt) is None
