import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.losses import (
    bradley_terry,
    decorrelation,
    length_correlation,
    length_moments,
    plackett_luce,
    with_length_effect,
)

entry = st.integers(-5000, 5000).map(lambda value: value / 1000)
comparisons = st.lists(st.tuples(entry, entry, st.floats(0.1, 2)), min_size=1, max_size=12)
quick = settings(max_examples=60, deadline=None, derandomize=True)


def columns(rows: list[tuple[float, float, float]]) -> tuple[Tensor, Tensor, Tensor]:
    gap_C, length_C, weight_C = torch.tensor(rows, dtype=torch.float64).unbind(1)
    return gap_C, length_C, weight_C


def test_the_effect_shifts_gaps_by_beta_times_the_difference_in_length() -> None:
    reward_N, length_N = torch.tensor([0.4, -0.1, 2.0]), torch.tensor([3.0, 1.0, 0.5])
    seen_N = with_length_effect(reward_N, length_N, torch.tensor(0.7))
    assert float(seen_N[0] - seen_N[1]) == pytest.approx(0.5 + 0.7 * 2.0)
    assert torch.equal(with_length_effect(reward_N, length_N, torch.tensor(0.0)), reward_N)


def test_the_gradient_of_the_effect_is_the_errors_correlation_with_length() -> None:
    """dl/dbeta = (sigmoid(g + beta d) - q) d, summed; for a ranking, the expected length terms minus those observed."""
    reward_K, length_K = torch.tensor([0.4, -0.1, 2.0]).double(), torch.tensor([3.0, 1.0, 0.5]).double()
    effect = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    seen_K = with_length_effect(reward_K, length_K, effect)
    (found,) = torch.autograd.grad(bradley_terry(seen_K[:1], seen_K[1:2]).sum(), effect, retain_graph=True)
    gap, difference = 0.5 + 0.3 * 2.0, 2.0
    assert float(found) == pytest.approx((1 / (1 + math.exp(-gap)) - 1) * difference)
    (found,) = torch.autograd.grad(plackett_luce(seen_K), effect)
    share_3, share_2 = torch.softmax(seen_K.detach(), 0), torch.softmax(seen_K.detach()[1:], 0)
    expected = share_3 @ length_K - length_K[0] + share_2 @ length_K[1:] - length_K[1]
    assert float(found) == pytest.approx(float(expected))


@quick
@given(comparisons)
def test_the_correlation_is_the_cosine_of_gaps_and_lengths(rows: list[tuple[float, float, float]]) -> None:
    gap_C, length_C, weight_C = columns(rows)
    root_C = weight_C.sqrt()
    expected = float(torch.nn.functional.cosine_similarity(root_C * gap_C, root_C * length_C, dim=0, eps=1e-300))
    found = float(length_correlation(length_moments(gap_C, length_C, weight_C)))
    if math.isfinite(found):
        assert found == pytest.approx(expected, abs=1e-9)
    else:
        assert not gap_C.any() or not length_C.any()


@quick
@given(comparisons, st.integers(0, 11))
def test_naming_the_other_response_the_winner_changes_nothing(
    rows: list[tuple[float, float, float]], turned: int
) -> None:
    gap_C, length_C, weight_C = columns(rows)
    sign_C = torch.ones_like(gap_C)
    sign_C[turned % len(rows)] = -1
    first = length_moments(gap_C, length_C, weight_C)
    assert torch.equal(length_moments(sign_C * gap_C, sign_C * length_C, weight_C), first)


@quick
@given(comparisons)
def test_the_penalty_is_at_most_the_squared_correlation_and_nears_it_as_gaps_grow(
    rows: list[tuple[float, float, float]],
) -> None:
    gap_C, length_C, weight_C = columns(rows)
    if not gap_C.any() or not length_C.any():
        return
    squared = float(length_correlation(length_moments(gap_C, length_C, weight_C))) ** 2
    assert float(decorrelation(length_moments(gap_C, length_C, weight_C))) <= squared * (1 + 1e-12)
    large = float(decorrelation(length_moments(1e8 * gap_C, length_C, weight_C)))
    assert large == pytest.approx(squared, abs=1e-6)


@quick
@given(comparisons, st.sampled_from([0.0, 1e-8, 1e-3, 1.0, 1e4]))
def test_the_gradient_is_bounded_at_any_size_of_the_gaps(rows: list[tuple[float, float, float]], scale: float) -> None:
    gap_C, length_C, _ = columns(rows)
    gap_C = (scale * gap_C).requires_grad_()
    moments_M = length_moments(gap_C, length_C, torch.ones_like(length_C))
    (grad_C,) = torch.autograd.grad(decorrelation(moments_M), gap_C)
    assert float(grad_C.norm()) <= 1 / math.sqrt(len(rows)) + 1e-12


@pytest.mark.parametrize("sign", [1, -1])
def test_at_gaps_of_1e4_in_float32_the_penalty_and_its_gradient_are_right(sign: int) -> None:
    length_C = torch.tensor([1.0, -2.0, 0.5])
    gap_C = (sign * 1e4 * torch.tensor([1.0, -1.0, 1.0])).requires_grad_()
    value = decorrelation(length_moments(gap_C, length_C, torch.ones(3)))
    (grad_C,) = torch.autograd.grad(value, gap_C)
    g, d = gap_C.detach().double() / 1e4, length_C.double()
    rho = g @ d / (g.norm() * d.norm())
    assert value.item() == pytest.approx(float(rho**2), rel=1e-7)
    expected = 2 * rho * (d / d.norm() - rho * g / g.norm()) / (1e4 * g.norm())
    torch.testing.assert_close(grad_C.double(), expected, rtol=1e-5, atol=1e-12)


def test_zero_gaps_equal_lengths_and_no_weight_at_all_give_zero_and_no_gradient() -> None:
    some_C, none_C = torch.tensor([1.0, -2.0]), torch.zeros(2)
    for gap_C, length_C, weight_C in (
        (none_C, some_C, some_C.abs()),
        (some_C, none_C, some_C.abs()),
        (some_C, some_C, none_C),
        (none_C, none_C, none_C),
    ):
        leaf_C = gap_C.clone().requires_grad_()
        value = decorrelation(length_moments(leaf_C, length_C, weight_C))
        assert value.item() == 0
        assert torch.autograd.grad(value, leaf_C)[0].tolist() == [0, 0]


@quick
@given(comparisons, st.integers(0, 12))
def test_the_slope_of_the_total_gives_each_part_its_exact_share_of_the_gradient(
    rows: list[tuple[float, float, float]], cut: int
) -> None:
    gap_C, length_C, weight_C = columns(rows)
    gap_C.requires_grad_()
    total_M = length_moments(gap_C, length_C, weight_C)
    (whole_C,) = torch.autograd.grad(decorrelation(total_M), gap_C)
    at_M = total_M.detach().requires_grad_()
    (slope_M,) = torch.autograd.grad(decorrelation(at_M), at_M)
    for part in (slice(0, cut), slice(cut, None)):
        moments_M = length_moments(gap_C[part], length_C[part], weight_C[part])
        (share_C,) = torch.autograd.grad(slope_M @ moments_M, gap_C)
        torch.testing.assert_close(share_C[part], whole_C[part], atol=1e-10, rtol=1e-9)


def test_shapes_that_would_broadcast_and_rewards_in_16_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        with_length_effect(torch.zeros(3), torch.zeros(3, 1), torch.zeros(()))
    with pytest.raises(ValueError, match="shape"):
        length_moments(torch.zeros(3), torch.zeros(1), torch.ones(3))
    with pytest.raises(TypeError, match="bfloat16"):
        length_moments(torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3), torch.ones(3))
