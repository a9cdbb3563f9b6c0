"""The scalar head: r = w . h, one linear layer without bias, always in float32.

No bias, because the Bradley-Terry likelihood only sees differences, so a bias never gets a gradient and only adds
a constant to every reward. Float32, because bf16 keeps 8 significant bits: near 8 it cannot tell rewards closer
than 1/32 apart, and what should be a margin becomes a tie.
"""

from typing import Literal

import torch
from torch import Tensor, nn

HeadInit = Literal["zero", "normal"]


class RewardHead(nn.Module):
    """[N, D] in any dtype -> [N] float32.

    Args:
        hidden_size: D.
        init: `zero` gives reward 0 everywhere and a first loss of exactly ln 2; `normal` draws N(0, 1/D).
        bias: only for foreign checkpoints that carry one.
    """

    def __init__(self, hidden_size: int, *, init: HeadInit = "zero", bias: bool = False) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1, bias=bias, dtype=torch.float32)
        if init == "zero":
            nn.init.zeros_(self.score.weight)
        else:
            nn.init.normal_(self.score.weight, std=hidden_size**-0.5)
        if bias:
            nn.init.zeros_(self.score.bias)

    def forward(self, pooled_ND: Tensor) -> Tensor:
        """Rewards; mixed precision is switched off around the product."""
        with torch.autocast(pooled_ND.device.type, enabled=False):
            rewards_N: Tensor = self.score(pooled_ND.float()).squeeze(-1)
        return rewards_N
