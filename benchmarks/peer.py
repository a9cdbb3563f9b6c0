"""transformers' own sequence classifier on a body: what people train and score with, where they do not use palate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

Ids = NDArray[np.int64]


def classifier_on(body: nn.Module, weight_1D: Tensor | None = None) -> Any:
    """The body under transformers' classifier for it, with a head of these weights, or of zeros.

    Args:
        body: as `AutoModel` gives it, with a pad token set in its configuration.
        weight_1D: [1, hidden size].
    """
    config: Any = body.config
    config.num_labels = 1
    with torch.device("meta"):  # its own body is thrown away at once
        classifier: Any = AutoModelForSequenceClassification.from_config(config)
    setattr(classifier, classifier.base_model_prefix, body)
    classifier.config = config
    classifier.score = nn.Linear(config.hidden_size, 1, bias=False)
    with torch.no_grad():
        classifier.score.weight.copy_(torch.zeros(1, config.hidden_size) if weight_1D is None else weight_1D)
    return classifier


@torch.inference_mode()
def padded_scores(
    classifier: Any, sequences: Sequence[Ids], batch: int, dtype: torch.dtype, *, by_length: bool = True
) -> NDArray[np.float32]:
    """Rewards [N] in the order given, computed `batch` rows at a time, padded on the right.

    Sorting by length wastes the least on padding, and is what a careful user does; evaluation loops and pipelines take
    the data's own order.
    """
    rewards = np.empty(len(sequences), dtype=np.float32)
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i])) if by_length else range(len(sequences))
    device = classifier.score.weight.device
    for start in range(0, len(sequences), batch):
        rows = list(order[start : start + batch])
        width = max(len(sequences[row]) for row in rows)
        ids = np.full((len(rows), width), classifier.config.pad_token_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(rows):
            length = len(sequences[index])
            ids[row, :length], mask[row, :length] = sequences[index], 1
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
            output = classifier(
                input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)
            )
        rewards[rows] = output.logits.squeeze(-1).float().cpu().numpy()
    return rewards
