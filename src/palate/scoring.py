"""Rewards of many groups, in the order given: packed within a window, one forward pass a pack.

Both evaluation and `palate score` come through here, and the training loop's own forward is the same call on the
same batches: what is scored is what was trained.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from palate.errors import NonFiniteError
from palate.model.reward_model import RewardModel
from palate.packing.plan import pack
from palate.records import TokenizedGroup

Rewards = NDArray[np.float32]

_WINDOW = 512  # groups packed together: enough to fill packs, few enough that results stream


def score_groups(
    model: RewardModel,
    groups: Iterable[TokenizedGroup],
    *,
    tokens_per_pack: int = 4096,
    on_progress: Callable[[int], None] | None = None,
    require_finite: bool = True,
) -> Iterator[Rewards]:
    """One float32 array [K] a group, in order.

    Args:
        model: in any mode; it is scored in evaluation mode and put back.
        groups: with or without comparisons.
        tokens_per_pack: budget of one forward pass.
        on_progress: called with the number of groups just done.
        require_finite: False lets NaN and infinite rewards through.

    Raises:
        NonFiniteError: a reward is NaN or infinite and that is not allowed; the message names the row.
    """
    stream = iter(groups)
    while window := list(islice(stream, _WINDOW)):
        results: list[Rewards | None] = [None] * len(window)
        for items in pack([model.cost(group) for group in window], tokens_per_pack):
            chosen = [window[i] for i in items]
            for i, rewards in zip(items, _score_pack(model, chosen), strict=True):
                results[i] = rewards
            if on_progress is not None:
                on_progress(len(items))
        for group, rewards_K in zip(window, results, strict=True):
            assert rewards_K is not None
            if require_finite and not np.isfinite(rewards_K).all():
                raise NonFiniteError(f"{group.where or group.id}: the reward is not finite ({rewards_K.tolist()})")
            yield rewards_K


@torch.no_grad()
def _score_pack(model: RewardModel, groups: list[TokenizedGroup]) -> list[Rewards]:
    training = model.training
    model.eval()
    rewards = model(model.collate(groups)).float().cpu().numpy()
    model.train(training)
    bounds = np.cumsum([len(group.sequences) for group in groups])[:-1]
    return list(np.split(rewards, bounds))
