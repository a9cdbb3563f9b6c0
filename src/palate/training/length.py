"""Length control during training: the length term of a response, the learned covariate, and a step's length moments."""

import math
from collections.abc import Iterable, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from palate.config import TrainConfig
from palate.losses import group_mean_weights, length_moments, with_length_effect
from palate.model.reward_model import RewardModel
from palate.packing.batch import RewardBatch
from palate.records import TokenizedGroup

# At 1.0 no better, and the effect overshoots where the reward learns slowly: 2.9 was found for a planted 2.
_CLAIM = 0.3
_SAMPLE = 4096  # groups that the typical difference is measured on


class LengthEffect(nn.Module):
    """The covariate: one number beside the model, what length alone is worth to the annotators.

    It belongs to training: it is learned by the run's optimiser, lies in its checkpoints, and the saved reward
    knows nothing of it.

    Args:
        typical_difference: of the length term between two compared responses, see `typical_difference`. The number
            that is learned is per so much length, and thus of the size of a reward gap on any data.
    """

    typical_difference: Tensor

    def __init__(self, typical_difference: float) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.zeros(()))
        self.register_buffer("typical_difference", torch.tensor(typical_difference))

    def forward(self, reward_N: Tensor, batch: RewardBatch) -> Tensor:
        """What the likelihood sees in place of the rewards, [N]."""
        return with_length_effect(reward_N, log_length(batch) / self.typical_difference, self.coefficient)

    @property
    def per_doubling(self) -> float:
        """Reward units (log-odds for a likelihood) that a response twice as long gains by its length alone."""
        return float(self.coefficient.detach() / self.typical_difference) * math.log(2)

    def settle(self, accelerator: Accelerator, moments_M: Tensor) -> None:
        """Complete the gradient of a step: average it over ranks, and claim what length the rewards still carry.

        A body can express length too, and then the likelihood knows only the sum of its share and the covariate's.
        The second term settles it: the covariate grows as long as reward gaps go with differences in length, and
        the likelihood makes the rewards give up as much. On a linear reward of mixed features the correlation stayed
        at 0.40 without it and went to -0.04 with it, and the planted effect of 2 was found as 1.1 and 2.2.

        Args:
            accelerator: of the run; data parallelism knows the model's parameters alone.
            moments_M: `length_moments` of the whole step, on all ranks.
        """
        gradient = accelerator.reduce(self.coefficient.grad, reduction="mean")
        product, _, _, weights = moments_M.unbind()
        tiny = torch.finfo(weights.dtype).tiny  # of comparisons that weigh nothing, nothing is carried
        carried = product / (weights * self.typical_difference).clamp_min(tiny)
        self.coefficient.grad = (gradient - _CLAIM * carried).to(gradient.dtype)


def make_effect(groups: Sequence[TokenizedGroup], config: TrainConfig, device: torch.device) -> LengthEffect | None:
    """The covariate where the configuration asks for it, of the training data's scale."""
    if config.length_control != "covariate":
        return None
    return LengthEffect(typical_difference(groups)).to(device)


def log_length(batch: RewardBatch) -> Tensor:
    """The length term of each response: the logarithm of its tokens, float32 [N].

    Differences are then ratios, which mean the same for short and for long responses and under any tokenizer.
    """
    return (batch.lengths_N - batch.response_start_N).clamp_min(1).float().log()


def typical_difference(groups: Sequence[TokenizedGroup]) -> float:
    """Root mean square of the difference in length term over comparisons, on evenly spaced groups of the data.

    1 where all compared responses are equally long, and nothing can be learned of length.

    >>> from palate.testing.groups import token_group
    >>> round(typical_difference([token_group(4, (2, 8))]), 4), round(math.log(4), 4)
    (1.3863, 1.3863)
    """
    squares: list[float] = []
    for index in range(0, len(groups), math.ceil(len(groups) / _SAMPLE)):
        group = groups[index]
        lengths = [len(tokens) - start for tokens, start in zip(group.sequences, group.response_starts, strict=True)]
        terms = [math.log(max(length, 1)) for length in lengths]
        squares += [(terms[c.winner] - terms[c.loser]) ** 2 for c in group.comparisons]
    return math.sqrt(sum(squares) / max(len(squares), 1)) or 1.0


def by_group(config: TrainConfig) -> bool:
    """Whether each prompt counts once, however many comparisons it has."""
    return config.balance_groups or config.loss == "plackett-luce"


def batch_moments(reward_N: Tensor, batch: RewardBatch, config: TrainConfig) -> Tensor:
    """`length_moments` of a batch's comparisons, each with the weight that it has in the loss: float64 [4]."""
    length_N = log_length(batch)
    weight_C = torch.ones_like(batch.weight_C) if config.loss == "plackett-luce" else batch.weight_C
    if by_group(config):
        weight_C = weight_C * group_mean_weights(batch.group_C, len(batch.groups))
    winner_C, loser_C = batch.winner_C, batch.loser_C
    return length_moments(reward_N[winner_C] - reward_N[loser_C], length_N[winner_C] - length_N[loser_C], weight_C)


@torch.no_grad()
def step_moments(
    accelerator: Accelerator, model: RewardModel, packs: Iterable[Sequence[TokenizedGroup]], config: TrainConfig
) -> Tensor:
    """`batch_moments` over all packs of a step on all ranks, from a forward pass of each without gradients.

    The random state is put back, so that dropout draws the same masks when the packs are run again.

    Args:
        accelerator: of the run.
        model: the reward model itself, without the wrapper whose forward passes ranks have to enter together.
        packs: this rank's groups, pack by pack; empty ones are skipped.
        config: the settings.
    """
    moments_M = torch.zeros(4, dtype=torch.float64, device=model.device)
    cuda = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        for groups in packs:
            if groups:
                batch = model.collate(groups)
                moments_M += batch_moments(model(batch), batch, config)
    total: Tensor = accelerator.reduce(moments_M, reduction="sum")
    return total
