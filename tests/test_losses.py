import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.losses import (
    LOSSES,
    PairLoss,
    bradley_terry,
    centering,
    group_mean_weights,
    hinge,
    plackett_luce,
    plackett_luce_groups,
)

reward = st.floats(-8, 8, allow_nan=False)
probability = st.floats(0.5, 1)
smoothing = st.floats(0, 0.49)
quick = settings(max_examples=60, deadline=None, derandomize=True)


def one(value: float, *, grad: bool = False) -> Tensor:
    return torch.tensor([value], dtype=torch.float64, requires_grad=grad)


def gradients(loss: PairLoss, winner: float, loser: float, **labels: Tensor) -> tuple[float, float]:
    winner_1, loser_1 = one(winner, grad=True), one(loser, grad=True)
    grads = torch.autograd.grad(loss(winner_1, loser_1, **labels).sum(), [winner_1, loser_1])
    return grads[0].item(), grads[1].item()


@pytest.mark.parametrize(("margin", "expected"), [(-3.0, 3.0486), (3.0, 0.0486), (0.0, 0.6931)])
def test_bradley_terry_gives_the_known_numbers(margin: float, expected: float) -> None:
    assert bradley_terry(torch.tensor([margin]), torch.zeros(1)).item() == pytest.approx(expected, abs=5e-5)


def test_bradley_terry_is_ln_2_to_the_last_bit_where_all_rewards_are_zero() -> None:
    loss_C = bradley_terry(torch.zeros(5), torch.zeros(5), probability_C=torch.linspace(0.5, 1, 5))
    assert loss_C.tolist() == pytest.approx([math.log(2)] * 5, abs=1e-7)


@quick
@given(winner=reward, loser=reward)
def test_the_gradient_is_one_minus_p_up_for_the_winner_and_down_for_the_loser(winner: float, loser: float) -> None:
    pull = 1 - 1 / (1 + math.exp(loser - winner))
    assert gradients(bradley_terry, winner, loser) == pytest.approx((-pull, pull), abs=1e-12)


def test_a_linear_head_moves_along_the_feature_difference_and_its_bias_not_at_all() -> None:
    torch.manual_seed(0)
    chosen_CD, rejected_CD = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    head = torch.nn.Linear(5, 1, dtype=torch.float64)
    winner_C, loser_C = head(chosen_CD).squeeze(-1), head(rejected_CD).squeeze(-1)
    bradley_terry(winner_C, loser_C).sum().backward()
    pull_C1 = (1 - torch.sigmoid(winner_C - loser_C)).detach()[:, None]
    torch.testing.assert_close(head.weight.grad, -(pull_C1 * (chosen_CD - rejected_CD)).sum(0, keepdim=True))
    torch.testing.assert_close(head.bias.grad, torch.zeros(1, dtype=torch.float64), atol=1e-15, rtol=0)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("gap", [1e4, -1e4])
def test_value_and_gradient_are_finite_and_right_at_huge_gaps_in_float32(loss: PairLoss, gap: float) -> None:
    winner_C, loser_C = torch.tensor([gap], requires_grad=True), torch.zeros(1, requires_grad=True)
    for labels in ({}, {"margin_C": torch.ones(1)}, {"probability_C": torch.tensor([0.7])}):
        value_C = loss(winner_C, loser_C, **labels)
        grads = torch.autograd.grad(value_C.sum(), [winner_C, loser_C])
        assert torch.isfinite(torch.cat([value_C, *grads])).all()
    assert loss(winner_C, loser_C).item() == pytest.approx(max(-gap, 0), rel=1e-3)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients_agree_with_finite_differences(loss: PairLoss) -> None:
    # Away from the hinge's kinks at +-1, where no finite difference can be right.
    winner_C = torch.tensor([0.3, -2.0, 4.0, 0.0], dtype=torch.float64, requires_grad=True)
    loser_C = torch.tensor([0.1, 2.5, -3.0, 0.0], dtype=torch.float64, requires_grad=True)
    margin_C = torch.tensor([0.0, 0.5, 1.0, 0.3], dtype=torch.float64, requires_grad=True)
    probability_C = torch.tensor([1.0, 0.5, 0.8, 0.6], dtype=torch.float64, requires_grad=True)

    def labelled(winner: Tensor, loser: Tensor, margin: Tensor, share: Tensor) -> Tensor:
        return loss(winner, loser, margin_C=margin, probability_C=share, label_smoothing=0.1)

    assert torch.autograd.gradcheck(labelled, (winner_C, loser_C, margin_C, probability_C))


def test_a_margin_shifts_the_gap_as_in_llama_2() -> None:
    shifted = bradley_terry(one(1.5), one(0.2), margin_C=one(1.0))
    assert shifted.item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.3))))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@quick
@given(winner=reward, loser=reward, margin=st.floats(0, 3))
def test_a_tie_ignores_its_margin_and_pulls_the_rewards_together(
    loss: PairLoss, winner: float, loser: float, margin: float
) -> None:
    tie = one(0.5)
    grads = gradients(loss, winner, loser, probability_C=tie, margin_C=one(margin))
    assert grads == gradients(loss, winner, loser, probability_C=tie)
    assert grads[0] * (winner - loser) >= 0
    assert gradients(loss, winner, winner, probability_C=tie, margin_C=one(margin)) == (0, 0)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@quick
@given(winner=reward, loser=reward, margin=st.floats(0, 3), share=st.floats(0, 1), flipped=smoothing)
def test_naming_the_other_response_the_winner_changes_nothing(
    loss: PairLoss, winner: float, loser: float, margin: float, share: float, flipped: float
) -> None:
    labels = {"margin_C": one(margin), "label_smoothing": flipped}
    named = loss(one(winner), one(loser), probability_C=one(share), **labels)
    renamed = loss(one(loser), one(winner), probability_C=one(1 - share), **labels)
    torch.testing.assert_close(named, renamed)


@quick
@given(winner=reward, loser=reward, share=probability)
def test_without_a_margin_a_soft_label_is_the_mean_over_its_annotators(
    winner: float, loser: float, share: float
) -> None:
    soft = bradley_terry(one(winner), one(loser), probability_C=one(share))
    for_winner, for_loser = bradley_terry(one(winner), one(loser)), bradley_terry(one(loser), one(winner))
    torch.testing.assert_close(soft, share * for_winner + (1 - share) * for_loser)


@pytest.mark.parametrize(("share", "margin", "flipped"), [(0.8, 0.0, 0.0), (0.8, 1.5, 0.0), (0.9, 1.0, 0.1)])
def test_the_loss_is_smallest_where_the_docstring_says(share: float, margin: float, flipped: float) -> None:
    q = share * (1 - 2 * flipped) + flipped
    gap_C = (2 * share - 1) * margin + math.log(q / (1 - q)) + torch.linspace(-1, 1, 2001, dtype=torch.float64)
    full_C = torch.ones_like(gap_C)
    loss_C = bradley_terry(
        gap_C, 0 * gap_C, margin_C=margin * full_C, probability_C=share * full_C, label_smoothing=flipped
    )
    assert loss_C.argmin().item() == 1000


@quick
@given(winner=reward, loser=reward, share=probability, flipped=smoothing)
def test_label_smoothing_is_the_loss_expected_under_flipped_labels(
    winner: float, loser: float, share: float, flipped: float
) -> None:
    smooth = bradley_terry(one(winner), one(loser), probability_C=one(share), label_smoothing=flipped)
    kept = bradley_terry(one(winner), one(loser), probability_C=one(share))
    swapped = bradley_terry(one(winner), one(loser), probability_C=one(1 - share))
    torch.testing.assert_close(smooth, (1 - flipped) * kept + flipped * swapped)


@pytest.mark.parametrize("flipped", [-0.1, 0.5, float("nan")])
def test_label_smoothing_out_of_range_is_refused(flipped: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        bradley_terry(one(0.0), one(0.0), label_smoothing=flipped)


def test_the_hinge_stops_pulling_at_one_plus_the_margin_and_pulls_at_zero() -> None:
    assert gradients(hinge, 0.0, 0.0, margin_C=one(0.0)) == (-1, 1)
    assert gradients(hinge, 1.4, 0.0, margin_C=one(0.5)) == (-1, 1)
    assert gradients(hinge, 1.6, 0.0, margin_C=one(0.5)) == (0, 0)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_shapes_that_would_broadcast_and_rewards_in_16_bits_are_refused(loss: PairLoss) -> None:
    with pytest.raises(ValueError, match="shape"):
        loss(torch.zeros(4), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="shape"):
        loss(torch.zeros(4), torch.zeros(4), margin_C=torch.zeros(1))
    with pytest.raises(TypeError, match="bfloat16"):
        loss(torch.zeros(4, dtype=torch.bfloat16), torch.zeros(4, dtype=torch.bfloat16))


def test_a_nan_label_stays_in_its_own_comparison() -> None:
    loss_C = bradley_terry(torch.zeros(3), torch.zeros(3), margin_C=torch.tensor([0.0, math.nan, 0.0]))
    assert loss_C.isnan().tolist() == [False, True, False]


def test_centering_is_the_squared_sum_and_sees_the_level_of_the_rewards() -> None:
    assert centering(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 1.0])).tolist() == [0.0, 9.0]


def brute_force_plackett_luce(rewards: list[float]) -> float:
    return -sum(math.log(math.exp(r) / sum(map(math.exp, rewards[k:]))) for k, r in enumerate(rewards))


@quick
@given(st.lists(reward, min_size=1, max_size=6))
def test_plackett_luce_agrees_with_brute_force(rewards: list[float]) -> None:
    found = plackett_luce(torch.tensor(rewards, dtype=torch.float64))
    assert found.shape == ()
    assert found.item() == pytest.approx(brute_force_plackett_luce(rewards), abs=1e-9)


def test_plackett_luce_is_a_distribution_over_the_orders() -> None:
    orders = permutations([0.3, -1.2, 2.0, 0.9])
    assert sum(math.exp(-plackett_luce(torch.tensor(o, dtype=torch.float64))) for o in orders) == pytest.approx(1)


@quick
@given(winner=reward, loser=reward)
def test_plackett_luce_of_two_is_bradley_terry(winner: float, loser: float) -> None:
    pair = torch.cat([one(winner), one(loser)])
    torch.testing.assert_close(plackett_luce(pair)[None], bradley_terry(one(winner), one(loser)))


@quick
@given(st.lists(st.lists(reward, max_size=5), min_size=1, max_size=6))
def test_plackett_luce_in_a_batch_equals_one_ranking_at_a_time(groups: list[list[float]]) -> None:
    reward_N = torch.tensor([r for group in groups for r in group], dtype=torch.float64, requires_grad=True)
    bounds_G1 = torch.tensor([0, *map(len, groups)]).cumsum(0)
    loss_G = plackett_luce_groups(reward_N, bounds_G1)
    expected = [brute_force_plackett_luce(group) for group in groups]
    assert loss_G.tolist() == pytest.approx(expected, abs=1e-9)
    assert torch.autograd.gradcheck(lambda r: plackett_luce_groups(r, bounds_G1), reward_N) or not len(reward_N)


@pytest.mark.parametrize("rewards", [[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4], [1e4, 1e4, 1e4]])
def test_plackett_luce_is_finite_at_huge_rewards_in_float32(rewards: list[float]) -> None:
    reward_K = torch.tensor(rewards, requires_grad=True)
    loss = plackett_luce(reward_K)
    (grad_K,) = torch.autograd.grad(loss, reward_K)
    assert torch.isfinite(loss)
    assert torch.isfinite(grad_K).all()
    assert grad_K.sum().item() == pytest.approx(0, abs=1e-6)


def test_a_level_common_to_all_rewards_costs_plackett_luce_no_digits_in_float32() -> None:
    reward_K = torch.tensor([0.5, 0.25, -0.75])
    torch.testing.assert_close(plackett_luce(reward_K + 1024), plackett_luce(reward_K), atol=1e-7, rtol=0)


def test_the_group_weights_give_the_mean_over_each_prompts_comparisons() -> None:
    group_C = torch.tensor([2, 0, 2, 2, 0, 3])
    loss_C = torch.tensor([1.0, 2.0, 3.0, 5.0, 4.0, 7.0])
    weighted_G = torch.zeros(4).index_add(0, group_C, group_mean_weights(group_C, num_groups=4) * loss_C)
    torch.testing.assert_close(weighted_G, torch.tensor([3.0, 0.0, 3.0, 7.0]))
