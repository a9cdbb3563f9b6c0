"""Curves of rewards whose truth is known."""

import math

import numpy as np
import pytest

from palate.auditing.hacking.curves import FEWEST_PROMPTS, Curves, draw_curves
from palate.metrics import best_of_n_kl, best_of_n_value, doublings

# expected maximum of n standard normal numbers
NORMAL_MAXIMUM = {1: 0.0, 2: 0.5641895835, 4: 1.0293753730, 8: 1.4236003060, 16: 1.7659913931}


def normal(rng: np.random.Generator, prompts: int, each: int, r: float) -> tuple[np.ndarray, np.ndarray]:
    """Proxy and gold [P, N] of correlation r."""
    proxy = rng.normal(size=(prompts, each))
    return proxy, r * proxy + math.sqrt(1 - r * r) * rng.normal(size=proxy.shape)


def drawn(proxy: np.ndarray | list, gold: np.ndarray | list) -> Curves:
    curves = draw_curves(list(proxy), list(gold))
    assert isinstance(curves, Curves), curves
    return curves


def planted(gold_at: np.ndarray, each: int, prompts: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Prompts whose gold curve has the given heights at 1, 2, 4 and so on."""
    numbers = doublings(each).tolist()
    weights = np.array([best_of_n_value(np.arange(each), row, ["p"] * each, numbers)[0] for row in np.eye(each)])
    gold = np.linalg.lstsq(weights.T, gold_at, rcond=None)[0]
    return np.tile(np.arange(float(each)), (prompts, 1)), np.tile(gold, (prompts, 1))


def test_normal_rewards_gain_the_expected_maximum_and_gold_that_times_the_correlation() -> None:
    curves = drawn(*normal(np.random.default_rng(0), 3000, 16, 0.6))
    for one, best in zip(curves.budget.curve, curves.best, strict=True):
        assert one.proxy.value == pytest.approx(NORMAL_MAXIMUM[one.n], abs=0.03)
        assert one.gold.value == pytest.approx(0.6 * NORMAL_MAXIMUM[one.n], abs=0.05)
        assert best == pytest.approx(NORMAL_MAXIMUM[one.n], abs=0.03)
        assert one.kl == pytest.approx(math.log(one.n) - (one.n - 1) / one.n)
    first = curves.budget.curve[0]
    assert (first.proxy.value, first.gold.low, first.gold.high, curves.best[0]) == (0, 0, 0, 0)
    assert curves.share_of_best.value == pytest.approx(0.6, abs=0.03)
    assert curves.share_of_proxy.value == pytest.approx(0.6, abs=0.03)
    assert (curves.proxy_std, curves.gold_std) == pytest.approx((1, 1), abs=0.02)


def test_neither_units_nor_what_prompts_have_in_common_change_a_curve() -> None:
    rng = np.random.default_rng(1)
    proxy, gold = normal(rng, 40, 8, 0.5)
    plain = drawn(proxy, gold)
    shifted = drawn(7 * proxy + rng.normal(size=(40, 1)) * 50, 0.01 * gold + rng.normal(size=(40, 1)))
    for one, other in zip(plain.budget.curve, shifted.budget.curve, strict=True):
        for name in ("proxy", "gold"):
            ends = [(e.value, e.low, e.high) for e in (getattr(one, name), getattr(other, name))]
            assert ends[0] == pytest.approx(ends[1], abs=1e-9)
    assert shifted.proxy_std == pytest.approx(7 * plain.proxy_std)
    assert shifted.gold_std == pytest.approx(0.01 * plain.gold_std)


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.9), (1.0, 0.1), (1.0, 0.6), (-0.5, 0.1)])
def test_the_planted_fit_and_its_peak_are_found(alpha: float, beta: float) -> None:
    d = np.sqrt(best_of_n_kl(doublings(64)))
    proxy, gold = planted(5 + d * (alpha - beta * d), 64)
    curves = drawn(proxy, gold)
    unit = curves.gold_std
    assert unit == pytest.approx(gold[0].std(ddof=1))
    assert (curves.budget.alpha.value * unit, curves.budget.beta.value * unit) == pytest.approx((alpha, beta))
    top = alpha / (2 * beta)
    if top <= 0:
        assert curves.budget.peak.value == 1
    elif top < d[-1]:
        assert best_of_n_kl(curves.budget.peak.value) == pytest.approx(top**2, abs=1e-4)
        assert curves.budget.regret.value > 0
    else:
        assert math.isinf(curves.budget.peak.value)
        assert curves.budget.regret.value == 0


def test_gold_itself_as_the_proxy_finds_all_there_is() -> None:
    gold = np.random.default_rng(2).normal(size=(30, 8))
    curves = drawn(gold, gold)
    assert (curves.share_of_best.value, curves.share_of_best.low, curves.share_of_best.high) == (1, 1, 1)
    assert [one.gold.value for one in curves.budget.curve] == pytest.approx(curves.best.tolist())


def test_right_or_wrong_as_gold_is_held_to_what_can_be_gained() -> None:
    # nine in ten samples are right, so that nobody can gain more than a third of a standard deviation
    rng = np.random.default_rng(3)
    gold = (rng.random((400, 16)) < 0.9).astype(float)
    curves = drawn(gold + 0.2 * rng.normal(size=gold.shape), gold)
    assert curves.share_of_best.value > 0.99
    assert curves.share_of_proxy.value < 0.3


def test_prompts_with_holes_are_left_out_and_counted() -> None:
    proxy, gold = (list(one) for one in normal(np.random.default_rng(4), 40, 8, 0.5))
    whole = drawn(proxy[3:], gold[3:])
    proxy[0] = np.full(8, np.nan)
    gold[1] = np.where(np.arange(8) == 5, np.inf, gold[1])
    proxy[2] = np.where(np.arange(8) == 0, np.nan, proxy[2])
    curves = drawn(proxy, gold)
    assert (curves.unscored, curves.too_few, curves.kept[0], len(curves.kept)) == (3, 0, 3, 37)
    assert curves.budget == whole.budget


def test_a_few_short_prompts_do_not_shorten_the_curves_of_all() -> None:
    proxy, gold = (list(one) for one in normal(np.random.default_rng(5), 40, 16, 0.5))
    for place, size in ((0, 2), (1, 4), (2, 4), (3, 15)):
        proxy[place], gold[place] = proxy[place][:size], gold[place][:size]
    curves = drawn(proxy, gold)
    assert (curves.fewest, curves.too_few, curves.budget.curve[-1].n) == (16, 4, 16)
    for place in (4, 5):
        proxy[place], gold[place] = proxy[place][:12], gold[place][:12]
    curves = drawn(proxy, gold)  # more than a tenth is shorter now
    assert (curves.fewest, curves.too_few, curves.budget.curve[-1].n) == (12, 3, 12)


@pytest.mark.parametrize(
    ("why", "prompts", "each"), [("20 are needed", FEWEST_PROMPTS - 1, 8), ("3 samples or more", 50, 2)]
)
def test_too_little_is_said_to_be_too_little(why: str, prompts: int, each: int) -> None:
    answer = draw_curves(*(list(one) for one in normal(np.random.default_rng(6), prompts, each, 0.5)))
    assert isinstance(answer, str)
    assert why in answer


def test_nothing_to_choose_between_is_said() -> None:
    proxy, gold = normal(np.random.default_rng(7), 20, 8, 0.5)
    level = np.repeat(np.random.default_rng(8).normal(size=(20, 1)), 8, axis=1)  # differs between prompts alone
    assert "the reward is the same" in str(draw_curves(list(level), list(gold)))
    assert "gold is the same" in str(draw_curves(list(proxy), list(level)))
    assert "0 of 20 prompts" in str(draw_curves(list(proxy * np.nan), list(gold)))


@pytest.mark.slow
def test_intervals_of_the_shares_cover_the_truth() -> None:
    # 500 repetitions: a coverage of 95 % is seen as 93 to 97 % (two standard errors). It is a little less: with this
    # seed 0.936, 0.940 and 0.946, with another 0.928, 0.940 and 0.946.
    rng = np.random.default_rng(9)
    covered = np.zeros(3)
    for _ in range(500):
        curves = drawn(*normal(rng, 100, 16, 0.5))
        pairs = [(curves.share_of_best, 0.5), (curves.share_of_proxy, 0.5)]
        pairs.append((curves.budget.curve[-1].gold, 0.5 * NORMAL_MAXIMUM[16]))
        covered += [one.low <= truth <= one.high for one, truth in pairs]
    assert (covered / 500 >= 0.93).all(), covered / 500
    assert (covered / 500 <= 0.97).all(), covered / 500
