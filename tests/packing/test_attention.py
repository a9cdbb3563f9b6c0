"""The fast path against the dense oracle, and both against attention written out one sequence at a time."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from palate.errors import ModelError
from palate.packing.attention import dense_tree_attention, no_mask, tree_attention, visibility
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_tree
from palate.testing.groups import branching_group, token_group

HEADS, KEY_HEADS, SIZE = 4, 2, 8
PACKS = {
    "pairs": (token_group(20, (7, 9)), token_group(3, (1, 1), seed=1), token_group(1, (1, 2), seed=2)),
    "mixed K": (token_group(20, (7, 9)), token_group(5, (12, 1, 4), seed=1), token_group(9, (2, 3, 4, 5, 6), seed=2)),
    "nothing shared": (token_group(0, (6, 11)), token_group(4, (2, 2), seed=1), token_group(0, (3, 1, 5), seed=2)),
    "common opening": (token_group(4, (9, 12, 10), opening=6),),
    "branches": (
        branching_group(6, [(5, (3, 1, 4)), (2, (2, 6)), (0, (3,))]),
        branching_group(0, [(4, (1, 2))], seed=1),
    ),
    "single responses": (token_group(6, (4,)), token_group(0, (1,), seed=1), token_group(2, (3,), seed=2)),
}
SETTINGS = {
    "plain": {},
    "scaled": {"scaling": 0.7},
    "window 1": {"sliding_window": 1},
    "window 5": {"sliding_window": 5},
    "window 500": {"sliding_window": 500},
    "softcap": {"softcap": 0.5},
    "softcap and window": {"softcap": 0.5, "sliding_window": 4, "scaling": 1.3},
}


def layer(index: int = 0) -> nn.Module:
    module = nn.Module()
    module.layer_idx = index
    return module


def states(batch: RewardBatch, heads: int, seed: int) -> Tensor:
    shape = (1, heads, batch.num_tokens, SIZE)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def inputs(batch: RewardBatch) -> tuple[Tensor, Tensor, Tensor]:
    return states(batch, HEADS, 1), states(batch, KEY_HEADS, 2), states(batch, KEY_HEADS, 3)


def one_by_one(
    batch: RewardBatch,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Attention of each sequence alone, token by token: [1, T, heads, size]."""
    output = torch.zeros(1, batch.num_tokens, HEADS, SIZE)
    for start, end in pairwise(batch.sequence_bounds_N1.tolist()):
        rows = batch.token_index_S[start:end]
        for at, row in enumerate(rows.tolist()):
            seen = rows[: at + 1] if sliding_window is None else rows[max(0, at + 1 - sliding_window) : at + 1]
            for head in range(HEADS):
                key_head = head * KEY_HEADS // HEADS
                scores = key[0, key_head, seen] @ query[0, head, row]
                scores = scores * (SIZE**-0.5 if scaling is None else scaling)
                if softcap is not None:
                    scores = softcap * torch.tanh(scores / softcap)
                output[0, row, head] = scores.softmax(0) @ value[0, key_head, seen]
    return output


@pytest.mark.parametrize("attention", [tree_attention, dense_tree_attention])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pack", PACKS)
def test_packed_attention_is_that_of_each_sequence_alone(attention, setting: str, pack: str) -> None:
    batch = collate_tree(PACKS[pack])
    with torch.no_grad():
        q, k, v = inputs(batch)
        found, weights = attention(layer(), q, k, v, None, palate_layout=batch.layout, **SETTINGS[setting])
        expected = one_by_one(batch, q, k, v, **SETTINGS[setting])
    assert weights is None
    assert found.shape == (1, batch.num_tokens, HEADS, SIZE)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pack", PACKS)
def test_gradients_of_the_fast_path_are_those_of_the_oracle(setting: str, pack: str) -> None:
    batch = collate_tree(PACKS[pack])
    upstream = torch.randn(1, batch.num_tokens, HEADS, SIZE, generator=torch.Generator().manual_seed(9))
    grads = []
    for attention in (tree_attention, dense_tree_attention):
        q, k, v = inputs(batch)
        output, _ = attention(layer(), q, k, v, None, palate_layout=batch.layout, **SETTINGS[setting])
        grads.append(torch.autograd.grad((output * upstream).sum(), (q, k, v)))
    for fast, dense in zip(*grads, strict=True):
        torch.testing.assert_close(fast, dense, atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("window", [None, 1, 4])
def test_visibility_is_same_sequence_not_later_and_within_the_window(window: int | None) -> None:
    batch = collate_tree(PACKS["mixed K"])
    expected = torch.zeros(batch.num_tokens, batch.num_tokens, dtype=torch.bool)
    for start, end in pairwise(batch.sequence_bounds_N1.tolist()):
        rows = batch.token_index_S[start:end].tolist()
        for at, row in enumerate(rows):
            expected[row, rows[max(0, at + 1 - (window or at + 1)) : at + 1]] = True
    assert batch.layout is not None
    assert torch.equal(visibility(batch.layout, window), expected)


@pytest.mark.parametrize("attention", [tree_attention, dense_tree_attention])
class TestRefusals:
    """What a path does not do, it refuses; nothing that changes a number is ignored."""

    def test_without_a_layout(self, attention) -> None:
        batch = collate_tree(PACKS["pairs"])
        with pytest.raises(ModelError, match="did not hand the tree layout"):
            attention(layer(), *inputs(batch), None)

    def test_with_a_mask_beside_the_layout(self, attention) -> None:
        batch = collate_tree(PACKS["pairs"])
        mask = torch.ones(1, 1, batch.num_tokens, batch.num_tokens, dtype=torch.bool)
        with pytest.raises(ModelError, match="mask of its own"):
            attention(layer(), *inputs(batch), mask, palate_layout=batch.layout)

    @pytest.mark.parametrize("name", ["s_aux", "position_bias", "head_mask"])
    def test_with_an_argument_that_changes_the_scores(self, attention, name: str) -> None:
        batch = collate_tree(PACKS["pairs"])
        with pytest.raises(ModelError, match=name):
            attention(layer(), *inputs(batch), None, palate_layout=batch.layout, **{name: torch.zeros(HEADS)})

    def test_of_a_layer_that_is_not_causal(self, attention) -> None:
        batch = collate_tree(PACKS["pairs"])
        both_ways = layer()
        both_ways.is_causal = False
        with pytest.raises(ModelError, match="not causal"):
            attention(both_ways, *inputs(batch), None, palate_layout=batch.layout)
        with pytest.raises(ModelError, match="not causal"):
            attention(layer(), *inputs(batch), None, palate_layout=batch.layout, is_causal=False)


@pytest.mark.parametrize("attention", [tree_attention, dense_tree_attention])
def test_every_calling_layer_is_noted_in_the_layout(attention) -> None:
    batch = collate_tree(PACKS["pairs"])
    assert batch.layout is not None
    for index in (0, 2, 2):
        attention(layer(index), *inputs(batch), None, palate_layout=batch.layout)
    assert batch.layout.layers_seen == {0, 2}


@pytest.mark.parametrize("attention", [tree_attention, dense_tree_attention])
@pytest.mark.parametrize("setting", ["plain", "window 5", "softcap"])
def test_attention_dropout_is_applied_in_every_segment(attention, setting: str) -> None:
    batch = collate_tree(PACKS["mixed K"])
    options = {**SETTINGS[setting], "palate_layout": batch.layout}
    kept, _ = attention(layer(), *inputs(batch), None, dropout=0.0, **options)
    dropped, _ = attention(layer(), *inputs(batch), None, dropout=0.5, **options)
    assert batch.layout is not None
    for segment in batch.layout.segments:
        rows = slice(segment.start, segment.start + segment.length)
        assert not torch.allclose(kept[:, rows], dropped[:, rows])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("prompt", [20, 400])
def test_half_precision_stays_half_precision_and_near_the_exact_result(setting: str, prompt: int) -> None:
    batch = collate_tree([token_group(prompt, (7, 9, 300))])
    half = [tensor.detach().bfloat16() for tensor in inputs(batch)]
    exact = [tensor.float() for tensor in half]
    output, _ = tree_attention(layer(), *half, None, palate_layout=batch.layout, **SETTINGS[setting])
    expected, _ = dense_tree_attention(layer(), *exact, None, palate_layout=batch.layout, **SETTINGS[setting])
    assert output.dtype is torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.03, rtol=0)


def test_there_is_no_mask_to_build() -> None:
    assert no_mask(batch_size=1, q_length=5) is None
