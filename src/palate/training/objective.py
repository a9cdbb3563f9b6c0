"""One pack's share of an optimiser step's loss, and the exact sums behind the step's figures.

Packs hold different numbers of comparisons, so a pack contributes its summed loss divided by the number of terms
of the whole step, on all ranks; the gradient is then that of one big batch, however the step was packed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.config import TrainConfig
from palate.losses import LOSSES, centering, group_mean_weights, plackett_luce_groups
from palate.packing.batch import RewardBatch
from palate.records import TokenizedGroup


@dataclass(frozen=True, slots=True)
class PackLoss:
    """A pack's loss and its figures, all on the device.

    Attributes:
        total: summed loss, to be divided by the step's number of terms.
        sums: float64 [6]: loss, correct (ties half), comparisons with a right answer, summed margin,
            comparisons, reward ties.
    """

    total: Tensor
    sums: Tensor


def num_terms(groups: Sequence[TokenizedGroup], config: TrainConfig) -> int:
    """What the step's summed loss is divided by: comparisons, or groups where each prompt counts once."""
    if config.loss == "plackett-luce" or config.balance_groups:
        return sum(1 for group in groups if group.comparisons)
    return sum(len(group.comparisons) for group in groups)


def pack_loss(reward_N: Tensor, batch: RewardBatch, config: TrainConfig) -> PackLoss:
    """The loss of a pack; see `PackLoss`."""
    winner_C, loser_C = reward_N[batch.winner_C], reward_N[batch.loser_C]
    if config.loss == "plackett-luce":
        loss_C = _ranking_loss(reward_N, batch)
    else:
        loss_C = LOSSES[config.loss](
            winner_C,
            loser_C,
            margin_C=batch.margin_C,
            probability_C=batch.probability_C,
            label_smoothing=config.label_smoothing,
        )
        loss_C = loss_C * batch.weight_C
        if config.balance_groups:
            loss_C = loss_C * group_mean_weights(batch.group_C, len(batch.groups))
    total = loss_C.sum()
    if config.centering:
        total = total + config.centering * centering(winner_C, loser_C).sum()
    return PackLoss(total, _sums(total, winner_C, loser_C, batch))


def _sums(total: Tensor, winner_C: Tensor, loser_C: Tensor, batch: RewardBatch) -> Tensor:
    with torch.no_grad():
        gap_C = (winner_C - loser_C).double()
        judged_C = batch.probability_C != 0.5
        correct_C = (gap_C > 0).double() + 0.5 * (gap_C == 0).double()
        return torch.stack(
            (
                total.detach().double(),
                correct_C[judged_C].sum(),
                judged_C.sum().double(),
                gap_C[judged_C].sum(),
                torch.tensor(float(len(gap_C)), dtype=torch.float64, device=gap_C.device),
                (gap_C == 0).sum().double(),
            )
        )


def _ranking_loss(reward_N: Tensor, batch: RewardBatch) -> Tensor:
    """Plackett-Luce over each group's order, which the number of wins gives; one term a group."""
    wins_N = torch.bincount(batch.winner_C, minlength=batch.num_sequences)
    sizes = torch.tensor([group.num_sequences for group in batch.groups], device=reward_N.device)
    group_N = torch.arange(len(sizes), device=reward_N.device).repeat_interleave(sizes)
    best_first = torch.argsort(group_N * (batch.num_sequences + 1) - wins_N, stable=True)
    bounds_G1 = torch.cat((sizes.new_zeros(1), sizes.cumsum(0)))
    return plackett_luce_groups(reward_N[best_first], bounds_G1)


def is_full_ranking(group: TokenizedGroup) -> bool:
    """Whether the comparisons order all responses strictly: K (K - 1) / 2 of them, no ties, all consistent."""
    size = len(group.sequences)
    if any(c.is_tie for c in group.comparisons) or len(group.comparisons) != size * (size - 1) // 2:
        return False
    wins = [0] * size
    for comparison in group.comparisons:
        wins[comparison.winner] += 1
    return sorted(wins) == list(range(size))
