import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.losses import LOSSES, PairLoss, bradley_terry, centering, hinge

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


def by_hand(name: str, gap: float, margin: float, share: float, flipped: float) -> tuple[float, float]:
    """A loss and its derivative by the winner's reward, from the definition, in Python's floats."""
    s, q = gap - (2 * share - 1) * margin, share * (1 - 2 * flipped) + flipped
    if name == "hinge":
        return q * max(0.0, 1 - s) + (1 - q) * max(0.0, 1 + s), -q * (s < 1) + (1 - q) * (s > -1)
    softplus = max(s, 0.0) + math.log1p(math.exp(-abs(s)))  # -log sigmoid(-s); the other one is softplus - s
    sigmoid = 1 / (1 + math.exp(-s)) if s >= 0 else math.exp(s) / (1 + math.exp(s))
    return q * (softplus - s) + (1 - q) * softplus, sigmoid - q


LABELS = [(0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.0, 0.7, 0.0), (2.0, 0.7, 0.1), (2.0, 0.5, 0.0), (0.0, 1.0, 0.2)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("margin", "share", "flipped"), LABELS)
@pytest.mark.parametrize("gap", [1e4, -1e4, 0.0, 0.3, -2.5])
def test_value_and_gradients_are_right_in_float32_at_huge_gaps_too(
    name: str, gap: float, margin: float, share: float, flipped: float
) -> None:
    winner_C, loser_C = torch.tensor([gap / 2], requires_grad=True), torch.tensor([-gap / 2], requires_grad=True)
    labels = {"margin_C": torch.tensor([margin]), "probability_C": torch.tensor([share])}
    loss_C = LOSSES[name](winner_C, loser_C, **labels, label_smoothing=flipped)
    up, down = torch.autograd.grad(loss_C.sum(), [winner_C, loser_C])
    value, slope = by_hand(name, gap, margin, share, flipped)
    assert loss_C.item() == pytest.approx(value, rel=1e-5, abs=1e-30)
    assert (up.item(), down.item()) == pytest.approx((slope, -slope), abs=1e-6)


@quick
@given(winner=reward, loser=reward, margin=st.floats(0, 3), share=st.floats(0, 1), flipped=smoothing)
def test_the_gradient_is_the_model_s_probability_minus_the_label_s(
    winner: float, loser: float, margin: float, share: float, flipped: float
) -> None:
    labels = {"probability_C": one(share), "margin_C": one(margin), "label_smoothing": flipped}
    _, slope = by_hand("bradley-terry", winner - loser, margin, share, flipped)
    assert gradients(bradley_terry, winner, loser, **labels) == pytest.approx((slope, -slope), abs=1e-12)


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
