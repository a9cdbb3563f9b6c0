"""Every loss in float64 against autograd's own check and against a central difference written out here.

`gradcheck` compares an analytic Jacobian with its own numeric one; the central difference shares no code with it, and
also goes through `torch.no_grad`, so that nothing that autograd records can help.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from palate.losses import (
    bradley_terry,
    centering,
    decorrelation,
    group_mean_weights,
    hinge,
    length_correlation,
    length_moments,
    plackett_luce,
    plackett_luce_groups,
    with_length_effect,
)
from palate.losses.pairs import PairLoss

# Away from the hinge's kinks at +-1, where no difference can be right.
WINNER = [0.3, -2.0, 4.0, 0.0]
LOSER = [0.1, 2.5, -3.0, 0.0]
MARGIN = [0.0, 0.5, 1.0, 0.3]
SHARE = [1.0, 0.5, 0.8, 0.6]
LENGTH = [0.7, -1.1, 0.0, 2.0]
WEIGHT = [1.0, 0.25, 2.0, 1.0]


def labelled(loss: PairLoss, winner: Tensor, loser: Tensor, margin: Tensor, share: Tensor) -> Tensor:
    return loss(winner, loser, margin_C=margin, probability_C=share, label_smoothing=0.1)


def plain(loss: PairLoss, winner: Tensor, loser: Tensor) -> Tensor:
    return loss(winner, loser)


def rankings(reward: Tensor) -> Tensor:
    return plackett_luce_groups(reward, torch.tensor([0, 3, 3, 4, 8]))


def balanced(winner: Tensor, loser: Tensor) -> Tensor:
    return group_mean_weights(torch.tensor([1, 0, 1, 1]), 2).double() * bradley_terry(winner, loser)


def with_covariate(winner: Tensor, loser: Tensor, length: Tensor, effect: Tensor) -> Tensor:
    return bradley_terry(with_length_effect(winner, length, effect), with_length_effect(loser, -length, effect))


def ranking_with_covariate(reward: Tensor, length: Tensor, effect: Tensor) -> Tensor:
    return plackett_luce(with_length_effect(reward, length, effect))


def penalty(gap: Tensor, length: Tensor, weight: Tensor) -> Tensor:
    return decorrelation(length_moments(gap, length, weight))


def correlation(gap: Tensor, length: Tensor, weight: Tensor) -> Tensor:
    return length_correlation(length_moments(gap, length, weight))


CASES: dict[str, tuple[Callable[..., Tensor], tuple[list[float] | float, ...]]] = {
    "bradley-terry": (partial(plain, bradley_terry), (WINNER, LOSER)),
    "bradley-terry with labels": (partial(labelled, bradley_terry), (WINNER, LOSER, MARGIN, SHARE)),
    "hinge": (partial(plain, hinge), (WINNER, LOSER)),
    "hinge with labels": (partial(labelled, hinge), (WINNER, LOSER, MARGIN, SHARE)),
    "centering": (centering, (WINNER, LOSER)),
    "plackett-luce": (plackett_luce, ([*WINNER, 0.7],)),
    "plackett-luce of groups": (rankings, ([*WINNER, *LOSER],)),
    "instruct-gpt mean": (balanced, (WINNER, LOSER)),
    "covariate": (with_covariate, (WINNER, LOSER, LENGTH, 0.4)),
    "covariate of a ranking": (ranking_with_covariate, (WINNER, LENGTH, 0.4)),
    "decorrelation": (penalty, (WINNER, LENGTH, WEIGHT)),
    "decorrelation at zero": (penalty, ([0.0] * 4, LENGTH, WEIGHT)),
    "correlation": (correlation, (WINNER, LENGTH, WEIGHT)),
}


def central_difference(function: Callable[..., Tensor], inputs: list[Tensor], which: int) -> Tensor:
    """d sum(weights * outputs) / d inputs[which], one entry at a time; the weights tell outputs apart."""
    found = torch.zeros_like(inputs[which])
    step = 1e-5

    def value(entry: int, shift: float) -> float:
        moved = [tensor.detach().clone() for tensor in inputs]
        moved[which].view(-1)[entry] += shift
        with torch.no_grad():
            return float(weighted(function(*moved)))

    for entry in range(found.numel()):
        found.view(-1)[entry] = (value(entry, step) - value(entry, -step)) / (2 * step)
    return found


def weighted(output: Tensor) -> Tensor:
    return (output.reshape(-1) * torch.linspace(1, 2, output.numel(), dtype=output.dtype)).sum()


@pytest.mark.parametrize("case", CASES)
def test_gradients_agree_with_gradcheck_and_with_central_differences(case: str) -> None:
    function, values = CASES[case]
    inputs = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    assert torch.autograd.gradcheck(function, inputs)
    grads = torch.autograd.grad(weighted(function(*inputs)), inputs)
    for which, grad in enumerate(grads):
        torch.testing.assert_close(grad, central_difference(function, inputs, which), atol=1e-8, rtol=1e-7)
