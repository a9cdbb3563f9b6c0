"""One pack's share of an optimiser step's loss, and the exact sums behind the step's figures.

Packs hold different numbers of comparisons, so a pack contributes its summed loss divided by the number of terms
of the whole step, on all ranks; the gradient is then that of one big batch, however the step was packed. The
decorrelation penalty is no sum over comparisons: it comes from the length moments of the whole step, and a pack adds
what has its share of the gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.config import TrainConfig
from palate.losses import LOSSES, centering, decorrelation, group_mean_weights, plackett_luce_groups
from palate.packing.batch import RewardBatch
from palate.records import TokenizedGroup
from palate.training.length import LengthEffect, batch_moments, by_group

NUM_FIGURES = 7
NUM_SUMS = NUM_FIGURES + 4


@dataclass(frozen=True, slots=True)
class PackLoss:
    """A pack's loss and its figures, all on the device.

    Attributes:
        total: summed loss, to be divided by the step's number of terms.
        penalty: to be added after that: has the pack's share of the decorrelation penalty's gradient, and as a
            value means nothing; None without that penalty.
        sums: float64 [11]: loss, correct (ties half), comparisons with a right answer, summed margin, comparisons,
            reward ties, tokens computed, and the four length moments.
    """

    total: Tensor
    penalty: Tensor | None
    sums: Tensor

    def share(self, terms: int) -> Tensor:
        """What to run backward on; over all packs the gradients add up to that of the step's loss."""
        mean = self.total / terms
        return mean if self.penalty is None else mean + self.penalty


def num_terms(groups: Sequence[TokenizedGroup], config: TrainConfig) -> int:
    """What the step's summed loss is divided by: comparisons, or groups where each prompt counts once."""
    if by_group(config):
        return sum(1 for group in groups if group.comparisons)
    return sum(len(group.comparisons) for group in groups)


def pack_loss(
    reward_N: Tensor,
    batch: RewardBatch,
    config: TrainConfig,
    *,
    effect: LengthEffect | None = None,
    step_moments: Tensor | None = None,
) -> PackLoss:
    """The loss of a pack; see `PackLoss`.

    Args:
        reward_N: of the batch's sequences.
        batch: one pack.
        config: the settings.
        effect: the length covariate, None for an effect of 0. The likelihood sees it; figures and centring do not.
        step_moments: length moments of the whole step for the decorrelation penalty, None where this pack is all.
    """
    likelihood_N = reward_N if effect is None else effect(reward_N, batch)
    total = _likelihood(likelihood_N, batch, config).sum()
    winner_C, loser_C = reward_N[batch.winner_C], reward_N[batch.loser_C]
    if config.centering:
        penalty_C = centering(winner_C, loser_C)
        if by_group(config):
            penalty_C = penalty_C * group_mean_weights(batch.group_C, len(batch.groups))
        total = total + config.centering * penalty_C.sum()
    moments_M = batch_moments(reward_N, batch, config)
    penalty = None
    if config.length_control == "decorrelation":
        slope_M = _slope(moments_M if step_moments is None else step_moments)
        penalty = config.length_coefficient * (slope_M * moments_M).sum()
    return PackLoss(total, penalty, _sums(total, winner_C, loser_C, batch, moments_M))


def step_loss(summed: float, terms: int, moments_M: Tensor, config: TrainConfig) -> float:
    """The loss of a whole step from its exact sums."""
    penalty = config.length_coefficient * float(decorrelation(moments_M))
    return summed / terms + (penalty if config.length_control == "decorrelation" else 0.0)


def _slope(moments_M: Tensor) -> Tensor:
    """Derivative of the decorrelation penalty by each of the length moments, as a constant."""
    with torch.enable_grad():
        at_M = moments_M.detach().requires_grad_()
        return torch.autograd.grad(decorrelation(at_M), at_M)[0]


def _likelihood(reward_N: Tensor, batch: RewardBatch, config: TrainConfig) -> Tensor:
    """Weighted losses of the comparisons, [C]; of the groups, [G], for rankings."""
    if config.loss == "plackett-luce":
        return _ranking_loss(reward_N, batch)
    loss_C = LOSSES[config.loss](
        reward_N[batch.winner_C],
        reward_N[batch.loser_C],
        margin_C=batch.margin_C,
        probability_C=batch.probability_C,
        label_smoothing=config.label_smoothing,
    )
    loss_C = loss_C * batch.weight_C
    if config.balance_groups:
        loss_C = loss_C * group_mean_weights(batch.group_C, len(batch.groups))
    return loss_C


def _sums(total: Tensor, winner_C: Tensor, loser_C: Tensor, batch: RewardBatch, moments_M: Tensor) -> Tensor:
    """See `PackLoss`; nothing here waits for a GPU."""
    with torch.no_grad():
        gap_C = (winner_C - loser_C).double()
        judged_C = batch.probability_C != 0.5
        correct_C = (gap_C > 0).double() + 0.5 * (gap_C == 0).double()
        figures = torch.stack(
            (
                total.detach().double(),
                torch.where(judged_C, correct_C, 0.0).sum(),
                judged_C.sum().double(),
                torch.where(judged_C, gap_C, 0.0).sum(),
                gap_C.new_full((), len(gap_C)),
                (gap_C == 0).sum().double(),
                _tokens(batch),
            )
        )
        return torch.cat((figures, moments_M))


def _tokens(batch: RewardBatch) -> Tensor:
    """Real tokens, float64, where the batch lies."""
    if batch.attention_mask_BT is None:
        return torch.full((), batch.input_ids_BT.numel(), dtype=torch.float64, device=batch.input_ids_BT.device)
    return batch.attention_mask_BT.sum().double()


def _ranking_loss(reward_N: Tensor, batch: RewardBatch) -> Tensor:
    """Plackett-Luce over each group's order, which the number of wins gives; one term a group."""
    wins_N = torch.bincount(batch.winner_C, minlength=batch.num_sequences)
    sizes = torch.tensor([group.num_sequences for group in batch.groups], device=reward_N.device)
    groups_G = torch.arange(len(sizes), device=reward_N.device)
    group_N = groups_G.repeat_interleave(sizes, output_size=batch.num_sequences)
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
