"""Losses of single comparisons: Bradley-Terry, the hinge, and the penalty that ties the level of the rewards.

Margins, shared labels and ties meet in one place, and the rule is short. Let p be the share of annotators who
prefer the winner, m the margin and e the label smoothing. Then

    gap   s = r_w - r_l - (2p - 1) m        the margin counts by how far the annotators agree
    share q = p (1 - 2e) + e                the label, with a share e of all labels taken to be flipped
    loss    = q f(s) + (1 - q) f(-s)        f(s) = -logsigmoid(s) for Bradley-Terry, relu(1 - s) for the hinge

Consequences that tests hold: p = 1, e = 0 is Llama 2's -logsigmoid(r_w - r_l - m). A tie (p = 1/2) ignores
its margin and pulls the two rewards together, with no pull where they are equal. Renaming the winner (swap
the rewards, p -> 1 - p) changes nothing, which would fail if the margin kept its full size as the label
softens. The Bradley-Terry loss is smallest at r_w - r_l = (2p - 1) m + logit(q).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from palate.losses.admission import check


class PairLoss(Protocol):
    """How a loss over comparisons is called; `palate.testing.contracts.check_loss` tests one against it."""

    def __call__(
        self,
        reward_winner_C: Tensor,
        reward_loser_C: Tensor,
        *,
        margin_C: Tensor | None = None,
        probability_C: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Loss of each comparison, neither weighted nor reduced.

        Args:
            reward_winner_C: float32 (or float64) [C], in reward units.
            reward_loser_C: the same of the other response.
            margin_C: [C], by how much the rewards should differ at least; None stands for 0.
            probability_C: [C], share of annotators who prefer the winner; 0.5 is a tie, None stands for 1.
            label_smoothing: share of labels taken to be flipped, 0 <= e < 0.5.

        Returns:
            [C], in nats for a likelihood.
        """
        ...


def bradley_terry(
    reward_winner_C: Tensor,
    reward_loser_C: Tensor,
    *,
    margin_C: Tensor | None = None,
    probability_C: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """-[q logsigmoid(s) + (1 - q) logsigmoid(-s)], with the gap s and the share q of the module docstring.

    Gradients: dl/dr_w = sigmoid(s) - q and dl/dr_l = q - sigmoid(s), which is -(1 - P) and +(1 - P) for a
    certain label; both lie in [-1, 1] however large the rewards are.

    Sources: Bradley and Terry (1952); the margin is Llama 2 (2307.09288), section 3.2.2; ours is the scaling
    of the margin by 2p - 1, which that paper does not need since its labels are certain.

    Args:
        reward_winner_C: see `PairLoss`, as for all arguments.
        reward_loser_C: [C].
        margin_C: [C] or None.
        probability_C: [C] or None.
        label_smoothing: 0 <= e < 0.5.

    Returns:
        [C], in nats.

    Raises:
        ValueError: shapes differ, or `label_smoothing` is out of range.
        TypeError: the rewards are in 16 bits.

    >>> import torch
    >>> bradley_terry(torch.tensor([-3.0, 0.0, 3.0]), torch.zeros(3))
    tensor([3.0486, 0.6931, 0.0486])
    """
    gap_C = _gap(reward_winner_C, reward_loser_C, margin_C, probability_C)
    share_C = _share(probability_C, label_smoothing)
    return -(share_C * F.logsigmoid(gap_C) + (1 - share_C) * F.logsigmoid(-gap_C))


def hinge(
    reward_winner_C: Tensor,
    reward_loser_C: Tensor,
    *,
    margin_C: Tensor | None = None,
    probability_C: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The hinge, q relu(1 - s) + (1 - q) relu(1 + s): no pull once the winner leads by 1 plus the margin.

    A given margin adds to the unit margin and does not replace it: data without margins carries zeros, and
    relu(0 - s) has no gradient at s = 0, so a head that starts at zero would never move.

    Source: Herbrich, Graepel and Obermayer (2000), ranking with a margin.

    Args:
        reward_winner_C: see `PairLoss`, as for all arguments.
        reward_loser_C: [C].
        margin_C: [C] or None.
        probability_C: [C] or None.
        label_smoothing: 0 <= e < 0.5.

    Returns:
        [C], in reward units.

    Raises:
        ValueError: shapes differ, or `label_smoothing` is out of range.
        TypeError: the rewards are in 16 bits.

    >>> import torch
    >>> hinge(torch.tensor([0.0, 0.25, 2.0]), torch.zeros(3))
    tensor([1.0000, 0.7500, 0.0000])
    """
    gap_C = _gap(reward_winner_C, reward_loser_C, margin_C, probability_C)
    share_C = _share(probability_C, label_smoothing)
    return share_C * F.relu(1 - gap_C) + (1 - share_C) * F.relu(1 + gap_C)


LOSSES: Mapping[str, PairLoss] = MappingProxyType({"bradley-terry": bradley_terry, "hinge": hinge})
"""The losses that a configuration can name."""


def centering(reward_winner_C: Tensor, reward_loser_C: Tensor) -> Tensor:
    """(r_w + r_l)^2, [C]: a penalty to add with a small coefficient, not a loss of its own.

    Differences leave the level of the rewards free; this ties it to 0, so that rewards of different prompts
    and runs can be compared. Source: Eisenstein et al. (2312.09244).

    Raises:
        ValueError: the shapes differ.
        TypeError: the rewards are in 16 bits.
    """
    check(reward_winner_C, reward_loser_C)
    return (reward_winner_C + reward_loser_C).square()


def _gap(winner_C: Tensor, loser_C: Tensor, margin_C: Tensor | None, probability_C: Tensor | None) -> Tensor:
    """The gap s of the module docstring."""
    check(winner_C, loser_C, margin_C, probability_C)
    gap_C = winner_C - loser_C
    if margin_C is None:
        return gap_C
    return gap_C - (margin_C if probability_C is None else (2 * probability_C - 1) * margin_C)


def _share(probability_C: Tensor | None, label_smoothing: float) -> Tensor | float:
    """The share q of the module docstring."""
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing is {label_smoothing}: it must be at least 0 and less than 0.5")
    certain = 1.0 if probability_C is None else probability_C
    return certain * (1 - 2 * label_smoothing) + label_smoothing
