import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from palate.metrics.calibration import log_losses
from palate.metrics.temperature import cross_fitted, fit_temperature, temperature_scaling


def pairs(rng: np.random.Generator, count: int, temperature: float) -> np.ndarray:
    """Margins of a model that is right with probability sigmoid(|margin| / temperature)."""
    size = np.abs(rng.normal(0, 2, count))
    return np.where(rng.random(count) < 1 / (1 + np.exp(-size / temperature)), size, -size)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_fit_agrees_with_sklearns_logistic_regression_on_both_sides(temperature: float) -> None:
    margin = pairs(np.random.default_rng(0), 500, temperature)
    found = fit_temperature(margin, range(500))
    both, label = np.concatenate([margin, -margin]), np.repeat([1, 0], 500)
    peer = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(both[:, None], label)
    assert found.value.value == pytest.approx(1 / peer.coef_[0, 0], rel=1e-4)
    assert found.value.low < found.value.value < found.value.high
    assert found.status == "fitted"


def test_soft_labels_have_the_least_loss_there() -> None:
    rng = np.random.default_rng(1)
    margin, label = rng.normal(0.5, 3, 200), rng.choice([0.5, 0.7, 1.0], 200)
    found = fit_temperature(margin, range(200), probability=label)
    best = minimize_scalar(lambda a: log_losses(a * margin, label).sum(), bounds=(0, 10), method="bounded")
    assert found.value.value == pytest.approx(1 / best.x, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_temperature_has_the_unit_of_the_margins(scale: float) -> None:
    margin = pairs(np.random.default_rng(2), 300, 2.0)
    one, other = fit_temperature(margin, range(300)).value, fit_temperature(scale * margin, range(300)).value
    assert (other.value, other.low, other.high) == pytest.approx((scale * one.value, scale * one.low, scale * one.high))


def test_temperatures_at_the_edge_are_named_and_have_no_interval() -> None:
    right = fit_temperature([1.0, 0.1, 3.0], ["a", "b", "c"])
    wrong = fit_temperature([-1.0, 0.5], ["a", "b"])
    nothing = fit_temperature([0.0, 0.0], ["a", "b"])
    assert (right.status, right.value.value) == ("separable", 0.0)
    assert (wrong.status, wrong.value.value) == ("no-signal", math.inf)
    assert nothing.status == "no-signal"
    assert math.isnan(right.value.low)
    assert math.isnan(wrong.value.high)
    # one doubt is enough for a temperature
    assert fit_temperature([1.0, 0.1, 3.0], "abc", probability=[1, 1, 0.99]).status == "fitted"
    assert math.isnan(fit_temperature([2.0, 2.0, -2.0], "aaa").value.low)


def test_margins_that_say_next_to_nothing_fit_any_temperature() -> None:
    for margins in ([0.1, 0.2, -0.3], [-0.3, 0.1, 0.2], [1.0, -1.0 + 1e-9], [3e-9, 1.0, -1.0]):
        found = fit_temperature(margins, "abc"[: len(margins)])
        if found.status == "fitted":
            assert (found.value.low, found.value.high) == (0, math.inf)
        else:
            assert (found.status, found.value.value) == ("no-signal", math.inf)
    assert found.value.value > 1e8


def test_cross_fitting_uses_the_other_prompts_alone() -> None:
    rng = np.random.default_rng(3)
    margin, cluster = pairs(rng, 240, 3.0), np.repeat(np.arange(60), 4)
    scaled = cross_fitted(margin, cluster)
    assert scaled is not None
    used = margin / scaled
    assert all(len(np.unique(used[cluster == name].round(9))) == 1 for name in range(60))
    folds = np.unique(used.round(9))
    assert len(folds) == 5
    for one in folds:
        inside = used.round(9) == one
        assert one == pytest.approx(fit_temperature(margin[~inside], cluster[~inside]).value.value)
        assert 8 * 4 <= inside.sum() <= 16 * 4


def test_cross_fitting_says_when_it_cannot() -> None:
    assert cross_fitted([1.0, 2.0, -1.0], "aaa") is None
    # without prompt a, every pair is right
    assert cross_fitted([-1.0, 1.0, 2.0], "abc") is None
    assert temperature_scaling([-1.0, 1.0, 2.0], "abc", num_resamples=10).after is None


def test_a_model_that_is_too_sure_is_mended_and_a_calibrated_one_left_alone() -> None:
    rng = np.random.default_rng(4)
    sure = temperature_scaling(pairs(rng, 2000, 4.0), range(2000), num_resamples=300)
    assert sure.after is not None
    assert sure.temperature.value.low < 4 < sure.temperature.value.high
    assert sure.before.ece.low > 0.1 > sure.after.ece.high
    assert sure.after.log_loss.value < sure.before.log_loss.low
    well = temperature_scaling(pairs(rng, 2000, 1.0), range(2000), num_resamples=300)
    assert well.after is not None
    assert well.after.log_loss.value == pytest.approx(well.before.log_loss.value, abs=0.003)
    # fitted to noise, it does not pretend to help: out of fold nothing is won
    noise = temperature_scaling(rng.normal(0, 1, 400), range(400), num_resamples=100)
    assert noise.after is not None
    assert noise.after.log_loss.value > math.log(2) - 0.01


def test_the_interval_of_the_temperature_covers_it_with_shared_prompts() -> None:
    # 1,500 repetitions: a coverage of 95 % is seen as 93.9 to 96.1 % (two standard errors).
    rng = np.random.default_rng(5)

    def draw(prompts: int) -> tuple[np.ndarray, np.ndarray]:
        cluster = np.repeat(np.arange(prompts), 3)
        return 0.8 + rng.normal(0, 1, prompts)[cluster] + rng.normal(0, 1, len(cluster)), cluster

    truth = fit_temperature(*draw(300_000)).value.value
    found = [fit_temperature(*draw(120)).value for _ in range(1500)]
    assert 0.93 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.97
    # taking pairs for independent would not do
    alone = []
    for _ in range(300):
        margin, cluster = draw(120)
        one = fit_temperature(margin, range(len(cluster))).value
        alone.append(one.low <= truth <= one.high)
    assert np.mean(alone) < 0.93
