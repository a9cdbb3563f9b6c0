from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control, permutation_test, ttest_1samp

from palate.metrics.significance import benjamini_hochberg, holm, mcnemar, sign_flip_p_value

quick = settings(max_examples=60, deadline=None, derandomize=True)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@quick
@given(better=st.integers(0, 40), worse=st.integers(0, 40), same=st.integers(0, 40))
def test_mcnemar_agrees_with_the_binomial_test(better: int, worse: int, same: int) -> None:
    if not better + worse + same:
        return
    candidate = np.repeat([1.0, -1.0, 2.0], [better, worse, same])
    incumbent = np.repeat([-1.0, 1.0, 3.0], [better, worse, same])
    found = mcnemar(candidate, incumbent)
    assert (found.better, found.worse) == (better, worse)
    assert found.discordance == (better + worse) / len(candidate)
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_mcnemar_counts_a_tie_against_a_hit() -> None:
    found = mcnemar([1.0, 0.0, 0.0, -1.0], [0.0, 1.0, 0.0, 0.0])
    assert (found.better, found.worse, found.discordance) == (1, 2, 0.75)


def test_few_prompts_are_flipped_in_every_way() -> None:
    rng = np.random.default_rng(0)
    difference, cluster = rng.normal(0.3, 1, 30), np.repeat(np.arange(10), 3)
    sums = difference.reshape(10, 3).sum(axis=1)
    flips = [abs(np.dot(signs, sums)) for signs in product([-1, 1], repeat=10)]
    expected = np.mean(np.array(flips) >= abs(sums.sum()) - 1e-9)
    assert sign_flip_p_value(difference, cluster) == expected
    # scipy's, over the same sums
    peer = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p_value(difference, cluster) == pytest.approx(peer.pvalue)


def test_many_prompts_are_drawn_and_agree_with_the_t_test(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    difference = rng.normal(0.12, 1, 400)
    found = sign_flip_p_value(difference, range(400))
    assert found == pytest.approx(ttest_1samp(difference, 0).pvalue, abs=0.006)
    assert found == sign_flip_p_value(difference[::-1], range(400))
    monkeypatch.setattr("palate.metrics.significance._BLOCK", 400 * 333)
    # other blocks, other draws, the same distribution
    assert sign_flip_p_value(difference, range(400)) == pytest.approx(found, abs=0.006)


def test_no_difference_is_no_evidence_and_rounding_parts_no_ties() -> None:
    assert sign_flip_p_value(np.zeros(50), range(50)) == 1.0
    # 0.1 + 0.2 is not 0.3: all flips that swap them are as extreme as the one seen
    assert sign_flip_p_value([0.1, 0.2, -0.3], "abc") == 1.0
    assert sign_flip_p_value(np.r_[np.zeros(500), 1.0, 1.0], range(502)) == 0.5


def test_the_test_keeps_its_level_with_shared_prompts() -> None:
    # 600 repetitions at level 5 %: seen as 3.2 to 6.8 % (two standard errors).
    rng, by_prompt, by_pair = np.random.default_rng(2), 0, 0
    for _ in range(600):
        cluster = np.repeat(np.arange(40), 4)
        difference = rng.standard_t(3, 40)[cluster] + rng.normal(0, 1, 160)
        by_prompt += sign_flip_p_value(difference, cluster, num_permutations=400) <= 0.05
        by_pair += sign_flip_p_value(difference, range(160), num_permutations=400) <= 0.05
    assert 0.03 <= by_prompt / 600 <= 0.07
    assert by_pair / 600 > 0.15


@quick
@given(p_values)
def test_benjamini_hochberg_agrees_with_scipy(values: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(values), false_discovery_control(values))


@quick
@given(p_values, st.floats(0.001, 0.999))
def test_holm_rejects_what_stepping_down_rejects(values: list[float], level: float) -> None:
    rejected = [False] * len(values)
    for step, number in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        if values[number] * (len(values) - step) > level:
            break
        rejected[number] = True
    assert (holm(values) <= level).tolist() == rejected


def test_adjusted_values_refuse_what_is_no_probability() -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match=r"1 of 2 p-values lie outside \[0, 1\]: at 1"):
            adjust([0.5, 1.5])
        with pytest.raises(ValueError, match="p_values has shape"):
            adjust([])
