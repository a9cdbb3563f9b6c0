"""Intervals and p-values of effects, against closed forms and simulations."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from palate.auditing.probes.effects import FEWEST, STANDARDS, Effect, effects_of, independent_count, quantile_interval
from palate.auditing.probes.probe import Expectation, Probe, of_response
from palate.auditing.probes.run import ProbeResult, Source

SINGLE = np.arange(200)


def result_of(
    gains: dict[Expectation, np.ndarray], prompts: np.ndarray = SINGLE, *, not_applied: int = 0
) -> ProbeResult:
    """One probe an expectation, whose edits change the rewards of as many texts by the numbers given."""
    probes = tuple(Probe(one, one, one, of_response(str.upper)) for one in gains)
    size = len(next(iter(gains.values())))
    reward = np.zeros(size)  # so that no sum is rounded
    return ProbeResult(
        probes=probes,
        sources=tuple(Source("f:1", f"p{prompts[row]}", "p", f"r{row}") for row in range(size)),
        reward_S=reward,
        probe_E=np.repeat(np.arange(len(probes)), size),
        source_E=np.tile(np.arange(size), len(probes)),
        text_E=("text",) * (size * len(probes)),
        reward_E=np.concatenate([reward + gain for gain in gains.values()]),
        not_applied_P=np.full(len(probes), not_applied),
        looked_at=size,
        left_out={},
        scored_alone=0,
    )


def effect_of(expectation: Expectation, gain: np.ndarray, prompts: np.ndarray = SINGLE, scale: float = 1.0) -> Effect:
    (effect,) = effects_of(result_of({expectation: gain}, prompts), scale)
    return effect


@pytest.mark.parametrize("level", [1 / 2, 2 / 3])
@pytest.mark.parametrize("number", [20, 57, 200])
def test_interval_of_independent_values_is_the_shortest_that_holds(level: float, number: int) -> None:
    values = np.sort(np.random.default_rng(0).normal(size=number))
    low, high = quantile_interval(values, np.arange(number), level, 0.95)
    below, above = int(np.searchsorted(values, low)), int(np.searchsorted(values, high))
    # the quantile is under the value at place `below`, counted from 0, if at most so many values are under the quantile
    assert binom.cdf(below, number, level) <= 0.025 < binom.cdf(below + 1, number, level)
    assert binom.sf(above, number, level) <= 0.025 < binom.sf(above - 1, number, level)


@pytest.mark.parametrize(("prompts", "texts"), [(200, 1), (40, 5)])
def test_interval_covers_the_quantile(prompts: int, texts: int) -> None:
    """1,000 repetitions: the standard error of the coverage is 0.7 %, so 3 of them are left on the lower side."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(prompts), texts)
    truth, covered = norm.ppf(2 / 3) * np.sqrt(2), 0
    for _ in range(1000):
        values = rng.normal(size=prompts)[cluster] + rng.normal(size=len(cluster))
        low, high = quantile_interval(values, cluster, 2 / 3, 0.95)
        covered += low <= truth <= high
    assert 0.93 <= covered / 1000 <= 0.99


def test_copies_count_once() -> None:
    holds = np.random.default_rng(2).random(100) < 0.4
    assert independent_count(holds, np.arange(100)) == 100
    assert independent_count(np.repeat(holds, 5), np.repeat(np.arange(100), 5)) == pytest.approx(100, abs=1)
    assert (
        independent_count(np.ones(60, dtype=bool), np.repeat(np.arange(20), 3)) == 60
    )  # no variance, no design effect
    spread = independent_count(np.tile([True, False], 100), np.repeat(np.arange(100), 2))
    assert spread == 200  # never more than there are


@pytest.mark.parametrize("expectation", STANDARDS)
def test_wrong_is_counted_from_the_tolerance_and_tested_against_the_share(expectation: Expectation) -> None:
    rng = np.random.default_rng(3)
    standard = STANDARDS[expectation]
    gain = rng.normal(0.05, 0.3, size=200)
    gain[:3] = standard.tolerance  # exactly at it is not beyond it
    effect = effect_of(expectation, gain)
    bad = np.abs(gain) if expectation == "must not move" else gain
    wrong = int((bad > standard.tolerance).sum())
    assert effect.wrong.value == wrong / 200
    greater = binomtest(wrong, 200, standard.share, alternative="greater").pvalue
    assert effect.p_value == pytest.approx(min(1, 2 * greater))
    assert effect.judged_by == pytest.approx(np.quantile(bad, 1 - standard.share))
    assert effect.low <= effect.judged_by <= effect.high
    assert (effect.mean, effect.median) == pytest.approx((gain.mean(), np.median(gain)))


def test_a_coin_toss_is_wrong_only_where_the_reward_must_fall() -> None:
    gain = np.random.default_rng(4).normal(size=200)
    assert not effect_of("must not gain", gain).is_wrong
    assert effect_of("must lose", gain).is_wrong
    assert effect_of("must not move", gain).is_wrong
    assert effect_of("must lose", np.zeros(200)).is_wrong
    assert not effect_of("must lose", gain - 1.0).is_wrong
    assert effect_of("must not gain", gain + 1.0).is_wrong


def test_effects_are_in_margins() -> None:
    gain = np.full(200, 0.3)
    assert effect_of("must not gain", gain, scale=2.0).is_wrong
    assert not effect_of("must not gain", gain, scale=4.0).is_wrong
    assert effect_of("must not gain", gain, scale=2.0).judged_by == pytest.approx(0.15)


def test_the_interval_widens_and_p_grows_with_the_probes_judged() -> None:
    gains = {
        one: np.where(np.arange(200) < wrong, 1.0, -1.0) + np.linspace(0, 0.5, 200)
        for one, wrong in (("must not gain", 119), ("must lose", 82))
    }
    alone = effect_of("must not gain", gains["must not gain"])
    together = {effect.probe.name: effect for effect in effects_of(result_of(gains), 1.0)}["must not gain"]
    assert together.low < alone.low
    assert together.high > alone.high
    raw = [effect_of(one, gain).p_value or 0.0 for one, gain in gains.items()]
    assert 0.001 < min(raw) < max(raw) / 2 < 0.05
    adjusted = [effect.p_value for effect in effects_of(result_of(gains), 1.0)]
    first, last = np.argsort(raw)
    assert adjusted[first] == pytest.approx(2 * raw[first])
    assert adjusted[last] == pytest.approx(raw[last])


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_rarely_called_wrong_even_where_prompts_agree(seed: int) -> None:
    """300 repetitions at exactly half wrong, five texts a prompt that mostly agree: at most 2.5 % are expected."""
    rng = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(40), 5)
    called = 0
    for _ in range(300):
        side = np.where(rng.random(200) < 0.8, rng.choice([-1.0, 1.0], size=40)[prompts], rng.choice([-1.0, 1.0], 200))
        called += effect_of("must not gain", side, prompts).is_wrong
    assert called <= 18  # 2.5 % of 300 is 7.5, with a standard deviation of 2.7; texts taken as independent give 90


def test_few_prompts_are_shown_and_not_judged() -> None:
    few = effect_of("must not gain", np.ones(FEWEST - 1))
    assert (few.p_value, few.is_wrong, few.count) == (None, False, FEWEST - 1)
    assert effect_of("must not gain", np.ones(FEWEST)).is_wrong
    same_prompt = np.repeat(np.arange(FEWEST - 1), 10)
    assert effect_of("must not gain", np.ones(len(same_prompt)), same_prompt).p_value is None


def test_what_has_no_reward_is_counted_and_left_out() -> None:
    gain = np.full(200, 0.5)
    gain[:30] = np.nan
    gain[30] = np.inf
    (effect,) = effects_of(result_of({"must not gain": gain}, not_applied=7), 1.0)
    assert (effect.count, effect.unscored, effect.not_applied, effect.mean) == (169, 31, 7, pytest.approx(0.5))
    assert effects_of(result_of({"must lose": np.full(200, np.nan)}), 1.0) == ()
