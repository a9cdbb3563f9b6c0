import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from palate.metrics.comparison import accuracy_difference, gate, paired_gains, tango_interval

quick = settings(max_examples=60, deadline=None, derandomize=True)


def two_models(rng: np.random.Generator, prompts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins of a candidate and an incumbent that find the same prompts hard, 1 to 4 pairs a prompt."""
    cluster = np.repeat(np.arange(prompts), rng.integers(1, 5, prompts))
    ease = rng.normal(0.6, 1, prompts)[cluster]
    candidate, incumbent = (ease + shift + rng.normal(0, 1, len(cluster)) for shift in (0.25, 0.0))
    return candidate, incumbent, cluster


def test_gains_count_equal_rewards_half() -> None:
    gain, accuracies = paired_gains([1.0, 0.0, -1.0, 2.0], [1.0, 1.0, 0.0, -5.0])
    assert gain.tolist() == [0.0, -0.5, -0.5, 1.0]
    assert accuracies == (0.625, 0.625)


def test_the_paired_bootstrap_agrees_with_a_loop_over_prompts() -> None:
    rng = np.random.default_rng(0)
    candidate, incumbent, cluster = two_models(rng, 80)
    found = accuracy_difference(candidate, incumbent, cluster)
    gain = (candidate > 0).astype(float) - (incumbent > 0)
    drawn = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(cluster == name) for name in rng.integers(0, 80, 80)])
        drawn.append(gain[rows].mean())
    width = found.difference.high - found.difference.low
    assert found.difference.value == pytest.approx(found.candidate - found.incumbent) == pytest.approx(gain.mean())
    assert (found.difference.low, found.difference.high) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.06 * width
    )
    assert (found.method, found.pairs) == ("prompt-bootstrap", len(gain))


def test_swapping_the_models_mirrors_the_difference() -> None:
    candidate, incumbent, cluster = two_models(np.random.default_rng(1), 60)
    one = accuracy_difference(candidate, incumbent, cluster).difference
    other = accuracy_difference(incumbent, candidate, cluster).difference
    width = one.high - one.low
    assert one.value == pytest.approx(-other.value)
    # the draws differ, since clusters are drawn in another order
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.06 * width)


def test_equal_models_have_tangos_interval_and_not_none() -> None:
    margin = np.array([1.0, -1.0, 2.0, 0.0])
    found = accuracy_difference(margin, 3 * margin, "aabc")
    assert (found.method, found.difference.value) == ("tango", 0.0)
    assert found.difference.high == pytest.approx(1.959964**2 / (4 + 1.959964**2))
    single = accuracy_difference([1.0, 1.0], [1.0, -1.0], "aa")
    assert single.method == "tango"


def likeliest_worse(difference: float, better: float, worse: float, n: int) -> float:
    """The constrained maximum by search: P(worse) = q, P(better) = q + difference."""

    def loss(q: float) -> float:
        shares = ((better, q + difference), (worse, q), (n - better - worse, 1 - 2 * q - difference))
        return -sum(count * math.log(share) for count, share in shares if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    return float(
        minimize_scalar(loss, bounds=(low + 1e-12, high - 1e-12), method="bounded", options={"xatol": 1e-10}).x
    )


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("counts", [(12, 2, 50), (1, 0, 30), (5, 5, 10), (0, 7, 9), (30, 28, 400), (2.5, 1, 12)])
def test_tangos_ends_solve_its_equation(counts: tuple[float, float, int], confidence: float) -> None:
    better, worse, n = counts
    found = tango_interval(better, worse, n, confidence)
    z = {0.9: 1.6448536, 0.95: 1.9599640}[confidence]
    assert found.low < found.value < found.high
    for end, sign in ((found.low, 1), (found.high, -1)):
        q = likeliest_worse(end, better, worse, n)
        score = (better - worse - n * end) / math.sqrt(n * (2 * q + end - end**2))
        assert score == pytest.approx(sign * z, abs=2e-3)


@quick
@given(better=st.integers(0, 20), worse=st.integers(0, 20), same=st.integers(0, 200))
def test_tangos_interval_holds_the_value_and_mirrors(better: int, worse: int, same: int) -> None:
    n = max(1, better + worse + same)
    found, mirror = tango_interval(better, worse, n), tango_interval(worse, better, n)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low
    assert found.low == pytest.approx(-mirror.high, abs=1e-7)


@pytest.mark.parametrize("bad", [(0, 0, 0), (-1, 0, 5), (3, 3, 5), (math.nan, 0, 5)])
def test_tango_refuses_impossible_counts(bad: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="impossible"):
        tango_interval(*bad)


def test_the_gate_passes_what_is_surely_no_worse() -> None:
    rng = np.random.default_rng(2)
    incumbent = rng.normal(0.5, 1, 2000)
    same = gate(incumbent, incumbent, range(2000), delta=0.01)
    assert same.passed
    assert same.bound == pytest.approx(-(1.6448536**2) / (2000 + 1.6448536**2))
    worse = incumbent.copy()
    worse[:100] = -np.abs(worse[:100])
    assert not gate(worse, incumbent, range(2000), delta=0.01).passed
    assert gate(worse, incumbent, range(2000), delta=0.1).passed
    # too few pairs to tell
    assert not gate(incumbent[:50], incumbent[:50], range(50), delta=0.01).passed
    with pytest.raises(ValueError, match="delta"):
        gate(incumbent, incumbent, range(2000), delta=-0.01)


def test_the_gates_bound_heeds_both_prompts_and_what_did_not_happen() -> None:
    gain = np.repeat([1.0, -1.0, -1.0], [20, 10, 10])
    one = gate(gain, np.ones(40), range(40), delta=0.1)
    shared = gate(gain, np.ones(40), np.repeat(np.arange(4), 10), delta=0.1)
    assert shared.bound < one.bound
    # a single discordant pair among 200: two resamples of five do without it
    rare = np.ones(200)
    rare[0] = -1
    found = accuracy_difference(rare, np.ones(200), range(200), confidence=0.9).difference
    assert gate(rare, np.ones(200), range(200), delta=0.1).bound < found.low


@pytest.mark.slow
def test_the_interval_covers_the_difference_with_shared_prompts() -> None:
    # 1,000 repetitions: a coverage of 95 % is seen as 93.6 to 96.4 % (two standard errors).
    from scipy.stats import norm

    truth = norm.cdf((0.6 + 0.25) / math.sqrt(2)) - norm.cdf(0.6 / math.sqrt(2))
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(1000):
        found = accuracy_difference(*two_models(rng, 150)).difference
        covered.append(found.low <= truth <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.slow
def test_the_gate_rarely_lets_a_worse_model_pass() -> None:
    # The candidate is worse by just what is allowed: at most 5 % may pass; 800 repetitions see that as at most 6.5 %.
    rng, passed = np.random.default_rng(4), 0
    for _ in range(800):
        right = rng.random((2, 300)) < np.array([[0.70], [0.75]])
        candidate, incumbent = np.where(right, 1.0, -1.0)
        passed += gate(candidate, incumbent, range(300), delta=0.05).passed
    assert 0.02 <= passed / 800 <= 0.065
