"""Golden texts: the conversations by which rewards of one model, computed in two places, are compared."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from palate.data.render import tokenize
from palate.data.simulate import simulate
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup, TokenizedGroup

NUM_TEXTS = 64
_SEED = 64


def conversations(num_prompts: int = NUM_TEXTS) -> Iterator[PreferenceGroup]:
    """The built-in set as groups of one response each; responses to one prompt follow each other."""
    for group in simulate(num_prompts, seed=_SEED).groups:
        for number, response in enumerate(group.responses):
            yield PreferenceGroup(f"{group.id}.{number}", group.prompt, (response,))


def golden_texts(model: RewardModel) -> list[tuple[PreferenceGroup, TokenizedGroup]]:
    """The first of them as the model reads them, prompts cut from the left where its length asks for it."""
    chosen = list(islice(conversations(), NUM_TEXTS))
    rows = tokenize(chosen, model.tokenizer, max_length=model.max_length, over_long="truncate-prompt")
    by_id = {row.id: row for row in rows.groups}
    return [(group, by_id[group.id]) for group in chosen if group.id in by_id]


@torch.no_grad()
def rewards_alone(
    model: RewardModel, groups: Sequence[TokenizedGroup], dtype: torch.dtype = torch.float32
) -> NDArray[np.float64]:
    """Rewards [N] of one-response groups, in `dtype`, each by a forward pass of its own that shares nothing."""
    before, model.compute_dtype = model.compute_dtype, dtype
    try:
        return np.array([float(model(model.collate([group], layout="padded"))[0]) for group in groups])
    finally:
        model.compute_dtype = before
