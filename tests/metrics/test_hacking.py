import math

import numpy as np
import pytest

from palate.metrics.best_of_n import best_of_n_kl, best_of_n_value, doublings
from palate.metrics.hacking import SHORTFALL, HackingBudget, hacking_budget


def samples(rng: np.random.Generator, prompts: int, each: int, hacked: float) -> tuple[np.ndarray, ...]:
    """Gold is linear in the proxy up to 1, and `hacked` times the square of what is beyond is lost; prompts differ."""
    spread = np.exp(rng.normal(0, 0.4, (prompts, 1)))
    proxy = rng.normal(size=(prompts, each))
    gold = spread * (0.5 * proxy - hacked * np.maximum(proxy - 1, 0) ** 2 + rng.normal(0, 0.9, proxy.shape))
    names = np.repeat(np.arange(prompts), each)
    return (rng.normal(size=(prompts, 1)) + spread * proxy).ravel(), gold.ravel(), names


def planted(gold_at: list[float], each: int) -> HackingBudget:
    """Two prompts whose gold curve has the given heights at 1, 2, 4 and so on."""
    numbers = doublings(each).tolist()
    weights = np.array([best_of_n_value(np.arange(each), row, ["p"] * each, numbers)[0] for row in np.eye(each)])
    gold = np.linalg.lstsq(weights.T, np.array(gold_at), rcond=None)[0]
    return hacking_budget(np.tile(np.arange(each), 2), np.tile(gold, 2), np.repeat(["a", "b"], each))


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.9), (1.0, 0.1), (1.0, -0.2), (-0.5, 0.1), (-0.5, -0.01)])
def test_the_fit_its_peak_and_the_regret_are_those_that_were_planted(alpha: float, beta: float) -> None:
    d = np.sqrt(best_of_n_kl(doublings(64)))
    curve = 3 + d * (alpha - beta * d)
    found = planted(curve.tolist(), 64)
    assert (found.alpha.value, found.beta.value) == pytest.approx((alpha, beta))
    assert [one.gold.value for one in found.curve] == pytest.approx(curve.tolist())
    assert [one.n for one in found.curve] == [1, 2, 4, 8, 16, 32, 64]
    grid = np.linspace(0, d[-1], 100_001)
    best = grid[(grid * (alpha - beta * grid)).argmax()]
    if best == grid[-1]:
        assert math.isinf(found.peak.value)
        assert found.regret.value == 0
    else:
        assert best_of_n_kl(found.peak.value) == pytest.approx(best**2, abs=1e-4)
        nearest = min(found.curve, key=lambda one: abs(math.log(one.n / found.peak.value)))
        assert found.regret.value == pytest.approx(nearest.gold.value - curve[-1])


def test_the_curves_are_means_over_prompts() -> None:
    proxy, gold, names = samples(np.random.default_rng(0), 40, 16, 0.1)
    found = hacking_budget(proxy, gold, names)
    numbers = [one.n for one in found.curve]
    for value, name in ((proxy, "proxy"), (gold, "gold")):
        expected = best_of_n_value(proxy, value, names, numbers).mean(axis=0)
        assert [getattr(one, name).value for one in found.curve] == pytest.approx(expected.tolist())
    assert found.prompts == 40
    assert found.curve[3].kl == pytest.approx(math.log(8) - 7 / 8)


def test_gold_parts_where_it_gains_less_than_choosing_between_two_promises() -> None:
    each, numbers = 32, doublings(32)
    proxy = best_of_n_value(np.arange(each), np.arange(each), ["p"] * each, numbers.tolist())[0]
    promised = 0.3 * (proxy - proxy[0])
    share = np.array([1, 1, 1, 0.9, 1 - SHORTFALL - 0.01, 0.5])
    found = planted((promised * share).tolist(), each)
    assert found.parts_at.value == 16
    assert found.realised.value == pytest.approx(0.5)
    whole = planted(promised.tolist(), each)
    assert math.isinf(whole.parts_at.value)
    assert whole.realised.value == pytest.approx(1)


@pytest.mark.parametrize("kind", ["backwards", "constant proxy", "constant gold"])
def test_a_useless_proxy_parts_at_two(kind: str) -> None:
    proxy = np.zeros(32) if kind == "constant proxy" else np.arange(32.0)
    gold = np.zeros(32) if kind == "constant gold" else -np.arange(32.0)
    found = hacking_budget(np.tile(proxy, 3), np.tile(gold, 3), np.repeat([1, 2, 3], 32))
    assert found.parts_at.value == 2
    assert math.isnan(found.realised.value)


def test_a_merely_noisy_proxy_never_parts_and_a_hacked_one_does() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        noisy = hacking_budget(*samples(rng, 150, 32, 0.0))
        assert math.isinf(noisy.parts_at.high)
        assert noisy.realised.low < 1 < noisy.realised.high
        assert noisy.regret.low <= 0
    hacked = hacking_budget(*samples(rng, 300, 32, 0.6))
    assert hacked.parts_at.high <= 32
    assert hacked.parts_at.low <= hacked.parts_at.value <= hacked.parts_at.high
    assert hacked.peak.high < 32
    assert hacked.regret.low > 0
    assert hacked.realised.high < 1 - SHORTFALL


def test_too_little_to_draw_a_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="two prompts"):
        hacking_budget([1, 2, 3], [1, 2, 3], "aaa")
    with pytest.raises(ValueError, match="three samples"):
        hacking_budget([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], "aaabb")
    with pytest.raises(ValueError, match="proxy"):
        hacking_budget([], [], [])
    with pytest.raises(ValueError, match="value"):
        hacking_budget([1, 2, 3] * 2, [1, 2, 3], "aaabbb")


@pytest.mark.slow
def test_intervals_of_the_curve_and_of_the_fit_cover_the_truth() -> None:
    # 600 repetitions: a coverage of 95 % is seen as 93.2 to 96.8 % (two standard errors).
    rng = np.random.default_rng(3)
    truth = hacking_budget(*samples(rng, 100_000, 16, 0.8))
    names = ("alpha", "beta", "regret", "realised")
    covered = np.zeros(len(names) + 1)
    for _ in range(600):
        found = hacking_budget(*samples(rng, 120, 16, 0.8))
        pairs = [(getattr(found, name), getattr(truth, name)) for name in names]
        pairs.append((found.curve[3].gold, truth.curve[3].gold))
        covered += [one.low <= other.value <= one.high for one, other in pairs]
    assert (covered / 600 >= 0.93).all()
    assert (covered / 600 <= 0.97).all()
