"""The identity of weights: every bit counts, the order of names does not."""

import torch

from palate.model.contract import weights_hash


def test_every_number_counts_and_no_order() -> None:
    weights = {"a": torch.zeros(100, 50), "b": torch.tensor(1.0), "c": torch.zeros(3, dtype=torch.bfloat16)}
    assert weights_hash(dict(reversed(weights.items()))) == weights_hash(weights)
    moved = {**weights, "a": weights["a"].clone()}
    moved["a"][86, 21] = 1e-30
    others = [moved, {**weights, "c": torch.zeros(3, dtype=torch.float16)}, {**weights, "a": weights["a"].T}]
    assert weights_hash(weights) not in {weights_hash(other) for other in others}
