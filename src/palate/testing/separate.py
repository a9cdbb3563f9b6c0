"""Each sequence alone: the slow, obvious computation that every layout has to equal.

One forward pass a sequence, of the body as transformers ships it: no padding, no mask, no position ids, no
packing, nothing of palate's but the head. What a shared, packed or padded batch gives is right when it equals
this.

`sharp_reward_model` gives bodies on which being wrong shows. With the usual initial weights (0.02) a tiny body
attends to everything almost alike, and wrong position ids move a reward by 1e-3; at 0.2 they move it by 0.1 to 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModel

from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup
from palate.testing.tiny import tiny_config, tiny_tokenizer


def sharp_reward_model(kind: str = "llama", *, seed: int = 0, **overrides: Any) -> RewardModel:
    """A tiny reward model with weights of 0.2, so that order and masking matter; rewards are of size 1.

    Args:
        kind: transformers model type, one of `palate.testing.tiny`.
        seed: of all weights.
        overrides: of the body's configuration.
    """
    torch.manual_seed(seed)
    spread = "init_std" if kind == "opt" else "initializer_range"
    body = AutoModel.from_config(tiny_config(kind, **{spread: 0.2, **overrides}))
    model = RewardModel(body, tiny_tokenizer()).eval()
    nn.init.normal_(model.head.score.weight, std=0.1)
    return model


def separate_states(
    backbone: nn.Module, sequences: Sequence[NDArray[np.int64]], *, attention: str = "eager"
) -> list[Tensor]:
    """Last hidden states [T, D] of each sequence, run on its own.

    Args:
        backbone: a transformers body.
        sequences: token ids.
        attention: transformers' implementation; eager is written out, and does all that a body asks for.
    """
    config: Any = backbone.config
    before = config._attn_implementation
    config._attn_implementation = attention
    device = next(backbone.parameters()).device
    options = {"use_cache": False} if hasattr(config, "use_cache") else {}
    try:
        rows = [torch.from_numpy(sequence).to(device)[None] for sequence in sequences]
        return [backbone(input_ids=row, **options).last_hidden_state[0] for row in rows]
    finally:
        config._attn_implementation = before


def separate_rewards(model: RewardModel, groups: Sequence[TokenizedGroup], *, attention: str = "eager") -> Tensor:
    """Rewards [N] of a last-token model, one forward pass a sequence.

    Raises:
        ValueError: the model pools in another way.
    """
    if model.pooling_name != "last":
        raise ValueError(f"separate_rewards reads the last token; this model pools {model.pooling_name!r}")
    sequences = [sequence for group in groups for sequence in group.sequences]
    states = separate_states(model.backbone, sequences, attention=attention)
    rewards: Tensor = model.head(torch.stack([state_TD[-1] for state_TD in states]))
    return rewards
