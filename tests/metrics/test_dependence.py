import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression

from palate.metrics.dependence import correlation, length_dependence, moment_sums, second_moments

quick = settings(max_examples=60, deadline=None, derandomize=True)


def responses(rng: np.random.Generator, prompts: int) -> tuple[np.ndarray, ...]:
    """Reward, length, label and prompt of 2 to 4 responses a prompt; prompts shift rewards and lengths."""
    prompt = np.repeat(np.arange(prompts), rng.integers(2, 5, prompts))
    label = rng.random(len(prompt)).round(1)
    length = np.exp(4 + rng.normal(0, 0.5, prompts)[prompt] + 0.5 * label + rng.normal(0, 0.4, len(prompt))).round()
    reward = 0.8 * np.log1p(length) + label + rng.normal(0, 1, prompts)[prompt] + rng.normal(0, 0.7, len(prompt))
    return reward, length, label, prompt


def demeaned(column: np.ndarray, prompt: np.ndarray) -> np.ndarray:
    return column - np.array([column[prompt == name].mean() for name in prompt])


def test_pooled_correlations_are_scipys_and_their_squares_sklearns() -> None:
    reward, length, _, prompt = responses(np.random.default_rng(0), 80)
    found = length_dependence(reward, length, prompt)
    assert found.pooled.r.value == pytest.approx(pearsonr(reward, length).statistic)
    assert found.pooled_log.r.value == pytest.approx(pearsonr(reward, np.log1p(length)).statistic)
    line = LinearRegression().fit(length[:, None], reward)
    assert found.pooled.r2.value == pytest.approx(line.score(length[:, None], reward))
    assert found.given_label is None


def test_within_prompts_the_means_of_prompts_do_not_count() -> None:
    rng = np.random.default_rng(1)
    reward, length, _, prompt = responses(rng, 80)
    expected = pearsonr(demeaned(reward, prompt), demeaned(length, prompt)).statistic
    assert length_dependence(reward, length, prompt).within.r.value == pytest.approx(expected)
    shifted = length_dependence(reward + rng.normal(0, 50, 80)[prompt], length, prompt)
    assert shifted.within.r.value == pytest.approx(expected)
    assert abs(shifted.pooled.r.value) < 0.5 * expected


def test_partial_correlation_is_that_of_residuals() -> None:
    reward, length, label, prompt = responses(np.random.default_rng(2), 80)
    x, y, z = (demeaned(column, prompt) for column in (reward, np.log1p(length), label))
    left = [column - LinearRegression().fit(z[:, None], column).predict(z[:, None]) for column in (x, y)]
    found = length_dependence(reward, length, prompt, label=label).given_label
    assert found is not None
    assert found.r.value == pytest.approx(pearsonr(*left).statistic)


def test_on_pairs_it_is_the_correlation_of_margins_with_differences_in_length() -> None:
    rng = np.random.default_rng(3)
    reward, length = rng.normal(size=(2, 50)), rng.normal(size=(2, 50))
    columns = (reward.ravel(), length.ravel(), np.tile(np.arange(50), 2))
    label = np.repeat([1, 0], 50)
    found = correlation(*columns, given=label, within=True)
    assert found.r.value == pytest.approx(pearsonr(reward[0] - reward[1], length[0] - length[1]).statistic)


def test_the_interval_agrees_with_resampling_prompts_in_a_loop() -> None:
    # few prompts, two of them far off: resamples have other means, and now and then none of the two
    rng = np.random.default_rng(4)
    prompt = np.repeat(np.arange(8), 3)
    x, y = (np.where(prompt < 2, 2.0, -2.0) + rng.normal(0, 1, 24) for _ in range(2))
    drawn = []
    for _ in range(4000):
        chosen = (3 * rng.integers(0, 8, 8)[:, None] + np.arange(3)).ravel()
        drawn.append(pearsonr(x[chosen], y[chosen]).statistic)
    found = correlation(x, y, prompt)
    width = found.r.high - found.r.low
    assert (found.r.low, found.r.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.06 * width)
    low, high = sorted((found.r.low**2, found.r.high**2))
    assert (found.r2.low, found.r2.high) == (0 if found.r.low < 0 else low, high)


def test_a_square_has_the_interval_of_its_root() -> None:
    rng = np.random.default_rng(5)
    down = correlation(-np.arange(90.0) + rng.normal(0, 9, 90), np.arange(90.0), range(90))
    assert down.r.high < 0
    assert (down.r2.low, down.r2.high) == (down.r.high**2, down.r.low**2)
    none = correlation(rng.normal(size=90), rng.normal(size=90), range(90))
    assert none.r.low < 0 < none.r.high
    assert none.r2.low == 0
    assert none.r2.high == max(none.r.low**2, none.r.high**2)


@pytest.mark.parametrize("constant", [0.0, 1e6 + 0.1, -3.3])
def test_what_does_not_vary_correlates_with_nothing(constant: float) -> None:
    other = np.arange(30.0)
    assert math.isnan(correlation(np.full(30, constant), other, range(30)).r.value)
    # the mean of 37 times 0.1 is not 0.1
    assert math.isnan(correlation(np.full(37, 0.1), np.arange(37), range(37)).r.value)
    assert math.isnan(
        correlation(np.full(37, 0.1) + np.arange(37) // 20, np.arange(37), [0] * 20 + [1] * 17, within=True).r.value
    )
    # one response a prompt: no differences within
    found = correlation(other, other**2, range(30), within=True)
    assert math.isnan(found.r.value)
    assert math.isnan(found.r2.low)
    # known from the label altogether
    assert math.isnan(correlation(other, other**2, range(30), given=2 * other + 1).r.value)
    # a label that is the same throughout changes nothing
    same = correlation(other, other**2, range(30), given=np.full(30, constant))
    assert same.r.value == pytest.approx(pearsonr(other, other**2).statistic)


@quick
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_units_and_zero_points_do_not_matter(shift: float, scale: float) -> None:
    reward, length, label, prompt = responses(np.random.default_rng(6), 20)
    one = correlation(reward, length, prompt, given=label, within=True)
    other = correlation(shift + scale * reward, length, prompt, given=label, within=True)
    assert other.r.value == pytest.approx(one.r.value, abs=1e-5)


def test_a_single_prompt_has_no_interval() -> None:
    found = correlation([1.0, 2.0, 4.0], [1.0, 3.0, 2.0], "aaa")
    assert found.r.value == pytest.approx(0.3273268354)
    assert math.isnan(found.r.low)
    assert math.isnan(found.r2.high)


def test_moments_agree_with_a_product() -> None:
    columns = np.random.default_rng(7).normal(size=(20, 4))
    sums = moment_sums(columns, np.repeat(np.arange(5), 4))
    assert sums.shape == (5, 1 + 4 + 10)
    np.testing.assert_allclose(second_moments(sums.sum(axis=0), 4), columns.T @ columns / 20)
    np.testing.assert_allclose(second_moments(sums, 4)[2], columns[8:12].T @ columns[8:12] / 4)


def test_lengths_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 values of length are negative: at 1"):
        length_dependence([1, 2], [3, -1], "ab")
    with pytest.raises(ValueError, match="y has 2 values where 3"):
        length_dependence([1, 2, 3], [3, 1], "abc")


@pytest.mark.slow
def test_intervals_cover_the_truth_pooled_within_and_given_the_label() -> None:
    # 500 repetitions: a coverage of 95 % is seen as 93 to 97 % (two standard errors).
    rng = np.random.default_rng(8)

    def figures(prompts: int) -> list:
        reward, length, label, prompt = responses(rng, prompts)
        columns = (reward, np.log1p(length), prompt)
        pooled, within = correlation(*columns), correlation(*columns, within=True)
        return [pooled.r2, within.r2, correlation(*columns, given=label, within=True).r]

    truth = [one.value for one in figures(30_000)]
    covered = np.zeros(3)
    for _ in range(500):
        covered += [one.low <= value <= one.high for one, value in zip(figures(150), truth, strict=True)]
    assert (covered / 500 >= 0.93).all()
    assert (covered / 500 <= 0.97).all()
