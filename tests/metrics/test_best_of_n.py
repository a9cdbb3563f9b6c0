import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb

from palate.metrics.best_of_n import best_of_n_kl, best_of_n_value, doublings

quick = settings(max_examples=60, deadline=None, derandomize=True)


def slow(proxy: list[float], value: list[float], n: int) -> float:
    """The mean over all choices of n, and over all orders among equal rewards."""
    worths = []
    for chosen in combinations(range(len(proxy)), n):
        best = max(proxy[i] for i in chosen)
        worths.append(np.mean([value[i] for i in chosen if proxy[i] == best]))
    return float(np.mean(worths))


# few distinct rewards, so that equal ones come up often
prompts = st.lists(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 7.0]), st.floats(-9, 9)), min_size=3, max_size=7),
    min_size=1,
    max_size=4,
)


@quick
@given(prompts, st.integers(1, 3))
def test_the_estimator_is_the_mean_over_all_choices(samples: list[list[tuple[float, float]]], n: int) -> None:
    flat = [(p, v, name) for name, one in enumerate(samples) for p, v in one]
    proxy, value, names = (list(column) for column in zip(*flat, strict=True))
    found = best_of_n_value(proxy, value, names, [n])
    expected = [slow([p for p, _ in one], [v for _, v in one], n) for one in samples]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-9)


def test_equal_rewards_share_as_if_their_order_were_drawn() -> None:
    proxy, value = [1.0, 1.0, 1.0, 2.0], [3.0, 6.0, 12.0, 1.0]
    orders = []
    for order in permutations(range(3)):
        nudged = [1 + 0.001 * order.index(i) if i < 3 else 2.0 for i in range(4)]
        orders.append(best_of_n_value(nudged, value, "aaaa", [2])[0, 0])
    assert best_of_n_value(proxy, value, "aaaa", [2])[0, 0] == pytest.approx(np.mean(orders))


def test_weights_are_ratios_of_binomial_coefficients_and_sum_to_one() -> None:
    total, numbers = 300, [1, 2, 7, 64, 299, 300]
    identity = np.eye(total)
    weights = np.array(
        [best_of_n_value(np.arange(total), identity[i], ["p"] * total, numbers)[0] for i in range(total)]
    )
    expected = [[comb(i, n - 1) / comb(total, n) for n in numbers] for i in range(total)]
    np.testing.assert_allclose(weights, expected, rtol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=0), 1)


def test_prompts_come_in_order_of_appearance_with_their_own_numbers_of_samples() -> None:
    found = best_of_n_value([5, 1, 2, 9, 4], [50, 10, 20, 90, 40], ["b", "a", "b", "a", "a"], [1, 2])
    np.testing.assert_allclose(found, [[35, 50], [140 / 3, (90 + 90 + 40) / 3]])


def test_rewards_that_are_equal_in_two_prompts_are_no_tie() -> None:
    # the highest of one prompt and the lowest of the next lie side by side once sorted
    found = best_of_n_value([1.0, 5.0, 5.0, 6.0], [10.0, 50.0, 7.0, 8.0], "aabb", [2])
    np.testing.assert_allclose(found, [[50.0], [8.0]])


def test_it_is_unbiased_and_less_noisy_than_the_first_n() -> None:
    rng = np.random.default_rng(0)
    gold = rng.normal(size=(4000, 16))
    proxy = gold + rng.normal(size=gold.shape)
    found = best_of_n_value(proxy.ravel(), gold.ravel(), np.repeat(np.arange(4000), 16), [4])[:, 0]
    first = gold[np.arange(4000), proxy[:, :4].argmax(axis=1)]
    # half of the expected maximum of four, in units of the proxy's standard deviation
    truth = 0.5 * math.sqrt(2) * 1.0293753730
    assert found.mean() == pytest.approx(truth, abs=4 * found.std() / math.sqrt(4000))
    assert found.std() < 0.6 * first.std()


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_divergence_is_that_of_the_maximum_of_uniforms(n: int) -> None:
    # the best of n has density n u^(n-1), so KL = E[ln(n u^(n-1))] under it
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    density = n * u ** (n - 1)
    assert best_of_n_kl(n) == pytest.approx(np.mean(density * np.log(density)), abs=1e-5)


def test_numbers_double_up_to_the_last() -> None:
    assert doublings(1).tolist() == [1]
    assert doublings(8).tolist() == [1, 2, 4, 8]
    assert doublings(9).tolist() == [1, 2, 4, 8, 9]


def test_numbers_that_do_not_fit_are_refused() -> None:
    for numbers in ([0, 1], [1, 3]):
        with pytest.raises(ValueError, match=r"must lie in \[1, 2\]"):
            best_of_n_value([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], "aabbb", numbers)
    with pytest.raises(ValueError, match="not finite"):
        best_of_n_value([1, math.nan], [1, 2], "aa", [1])
    with pytest.raises(ValueError, match="value has 1 values where 2"):
        best_of_n_value([1, 2], [1], "aa", [1])
