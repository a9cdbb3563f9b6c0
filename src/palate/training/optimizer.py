"""AdamW with the head at its own rate, and the schedule of the rate."""

import math
from collections.abc import Iterator

import torch
from torch import nn

from palate.config import TrainConfig
from palate.model.reward_model import RewardModel
from palate.training.eight_bit import adamw_8bit
from palate.training.length import LengthEffect

LENGTH = "length"
"""Name of the parameter group that holds the length covariate."""
# Of a number of size 1 that must get there before the body learns length: 0.01 left a linear reward with a correlation
# of 0.54 where 0.05 left 0.40 (without the claim of `LengthEffect.settle`); a tiny body did worse again at 0.1.
_LENGTH_RATE = 0.05


def make_optimizer(
    model: RewardModel, config: TrainConfig, effect: LengthEffect | None = None
) -> torch.optim.Optimizer:
    """AdamW: matrices of the body (decayed), its vectors (not decayed), head and pooling (at head-lr-scale).

    A zero head moves first and the body cannot move before it, which is why it gets a higher rate.
    """
    body = [p for p in model.backbone.parameters() if p.requires_grad]
    head = [*model.head.parameters(), *model.pooling.parameters()]
    groups = [
        {"params": [p for p in body if p.ndim > 1], "lr": config.lr, "weight_decay": config.weight_decay},
        {"params": [p for p in body if p.ndim <= 1], "lr": config.lr, "weight_decay": 0.0},
        {"params": head, "lr": config.lr * config.head_lr_scale, "weight_decay": 0.0},
    ]
    if effect is not None:
        groups.append({"params": [effect.coefficient], "lr": _LENGTH_RATE, "weight_decay": 0.0, "name": LENGTH})
    groups = [group for group in groups if group["params"]]
    return adamw_8bit(groups) if config.optimizer == "adamw-8bit" else torch.optim.AdamW(groups, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up from 1 / warm-up steps, then as `config.schedule` says."""
    warmup = round(config.warmup_fraction * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(total_steps - warmup, 1)
        match config.schedule:
            case "linear":
                return 1 - progress
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * progress))
        return 1.0

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def switch_off_dropout(model: nn.Module) -> int:
    """Set every dropout probability to 0; returns how many modules or settings that changed."""
    changed = 0
    for owner, name, value in tuple(_dropouts(model)):
        if value > 0:
            setattr(owner, name, 0.0)
            changed += 1
    return changed


def _dropouts(model: nn.Module) -> Iterator[tuple[object, str, float]]:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            yield module, "p", module.p
        # Others keep it as a number that they hand to a function: attention_dropout, residual_dropout, layerdrop.
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                yield module, name, value
