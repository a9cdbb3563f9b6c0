from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from palate.losses import LOSSES, PairLoss, bradley_terry, centering
from palate.testing.contracts import check_loss


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_palates_own_losses_keep_the_contract(loss: PairLoss) -> None:
    check_loss(loss)


def swapped(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(loser_C, winner_C, **labels)


def labelled(surprise: Callable[[Tensor], Tensor]) -> PairLoss:
    def loss(winner_C: Tensor, loser_C: Tensor, *, margin_C=None, probability_C=None, label_smoothing=0.0) -> Tensor:
        share = torch.ones_like(winner_C) if probability_C is None else probability_C
        gap_C = winner_C - loser_C - (2 * share - 1) * (0 if margin_C is None else margin_C)
        share = share * (1 - 2 * label_smoothing) + label_smoothing
        return share * surprise(gap_C) + (1 - share) * surprise(-gap_C)

    loss.__name__ = surprise.__name__
    return loss


@labelled
def naive_logarithm(gap_C: Tensor) -> Tensor:
    return -gap_C.sigmoid().log()


@labelled
def naive_logarithm_with_epsilon(gap_C: Tensor) -> Tensor:
    return -(gap_C.sigmoid() + 1e-8).log()


@labelled
def naive_exponential(gap_C: Tensor) -> Tensor:
    return (-gap_C).exp().log1p()


def mean(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels).mean().expand_as(winner_C)


def summed(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels).sum()


def column(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels)[:, None]


def half_precision(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels).bfloat16()


def infinite_at_zero(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels) / (winner_C - loser_C).abs()


def dead_at_zero(winner_C: Tensor, loser_C: Tensor, *, margin_C: Tensor | None = None, **labels: Tensor) -> Tensor:
    return F.relu((0 if margin_C is None else margin_C) - (winner_C - loser_C))


def loser_left_alone(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C.detach(), **labels) + 0 * loser_C


def margin_forgotten(winner_C: Tensor, loser_C: Tensor, *, margin_C: Tensor | None = None, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels)


def smoothing_forgotten(winner_C: Tensor, loser_C: Tensor, *, label_smoothing: float = 0, **labels: Tensor) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels)


def share_forgotten(
    winner_C: Tensor, loser_C: Tensor, *, probability_C: Tensor | None = None, **labels: Tensor
) -> Tensor:
    return bradley_terry(winner_C, loser_C, **labels)


def margin_kept_on_ties(
    winner_C: Tensor, loser_C: Tensor, *, margin_C: Tensor | None = None, **labels: Tensor
) -> Tensor:
    return bradley_terry(winner_C - (0 if margin_C is None else margin_C), loser_C, **labels)


def centred(winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
    # So small a coefficient that the gradient signs still hold.
    return bradley_terry(winner_C, loser_C, **labels) + 1e-4 * centering(winner_C, loser_C)


BROKEN = [
    (summed, "one value for each comparison"),
    (column, "one value for each comparison"),
    (half_precision, "float32 loss"),
    (infinite_at_zero, "finite at ordinary rewards"),
    (mean, "that comparison alone"),
    (swapped, "raises the winner"),
    (dead_at_zero, "raises the winner"),
    (loser_left_alone, "lowers the loser"),
    (share_forgotten, "tied label"),
    (margin_kept_on_ties, "tied label"),
    (margin_forgotten, "margin not yet reached"),
    (smoothing_forgotten, "label smoothing"),
    (naive_logarithm, "the value is finite at gaps"),
    (naive_logarithm_with_epsilon, "still raised"),
    (naive_exponential, "the value is finite at gaps"),
    (centred, "constant added to both rewards"),
]


@pytest.mark.parametrize(("loss", "clause"), BROKEN, ids=[loss.__name__ for loss, _ in BROKEN])
def test_a_broken_loss_is_caught_by_the_clause_it_breaks(loss: PairLoss, clause: str) -> None:
    with pytest.raises(AssertionError, match=clause):
        check_loss(loss)


def test_a_loss_that_means_to_see_the_level_passes_when_that_is_said() -> None:
    check_loss(centred, translation_invariant=False)


def test_a_loss_of_ones_own_passes() -> None:
    def temperature(tau: float, winner_C: Tensor, loser_C: Tensor, **labels: Tensor) -> Tensor:
        return bradley_terry(winner_C / tau, loser_C / tau, **labels)

    check_loss(partial(temperature, 2.0))
