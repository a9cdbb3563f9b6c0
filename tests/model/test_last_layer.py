"""The last layer computed where it is read: the same rewards and gradients, and fewer rows."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from palate.model.backbone import decoder_layers
from palate.model.last_layer import install
from palate.model.pooling import POOLING_NAMES
from palate.model.reward_model import RewardModel
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_padded, collate_tree
from palate.testing.groups import branching_group, token_group
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_reward_model
from palate.training.optimizer import switch_off_dropout

GROUPS = (
    token_group(20, (7, 9)),
    token_group(13, (12, 1, 4), seed=1),
    token_group(6, (5, 8, 7), opening=3, seed=2),
    branching_group(6, [(5, (3, 1)), (2, (2, 6)), (0, (3,))], seed=3),
)
LLAMA_LIKE = {"mlp", "self_attn.q_proj", "self_attn.o_proj"}
PRUNED = {
    "llama": LLAMA_LIKE,
    "qwen2": LLAMA_LIKE,
    "qwen3": LLAMA_LIKE,
    "mistral": LLAMA_LIKE,
    "gemma2": LLAMA_LIKE,
    "gemma3_text": LLAMA_LIKE,
    "olmo2": LLAMA_LIKE,
    "smollm3": LLAMA_LIKE,
    "phi3": {"mlp", "self_attn.o_proj"},  # one projection for queries, keys and values
    "gpt_neox": {"mlp", "attention.dense"},
    "gpt2": {"mlp", "attn.c_proj"},
    "opt": {"fc1", "fc2", "self_attn.q_proj", "self_attn.out_proj"},
}


def last_layer_of(model: RewardModel) -> nn.Module:
    layers = decoder_layers(model.backbone)
    assert layers is not None
    return layers[-1]


def gradients(model: RewardModel, rewards: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    rewards.sin().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, atol=1e-5, rtol=1e-4, msg=name)


def rows_seen(model: RewardModel, batch: RewardBatch) -> dict[str, int]:
    """Rows that each module of the last layer computed."""
    seen: dict[str, int] = {}

    def note(name: str) -> Any:
        return lambda _module, args, _output: seen.update({name: args[0].shape[-2]})

    layer = last_layer_of(model)
    handles = [
        layer.get_submodule(name).register_forward_hook(note(name))
        for name in [*install(layer).modules, *(n for n, _ in layer.named_modules() if n.endswith("k_proj"))]
    ]
    model(batch)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("kind", PRUNED)
def test_rewards_and_gradients_are_those_of_the_whole_layer(kind: str) -> None:
    model = sharp_reward_model(kind)
    part, whole = model.collate(GROUPS), collate_tree(GROUPS)
    assert part.layout is not None
    assert part.layout.reading is not None
    rewards, expected = model(part), model(whole)
    torch.testing.assert_close(rewards, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(rewards, separate_rewards(model, GROUPS), atol=1e-5, rtol=0)
    assert_same_gradients(gradients(model, rewards), gradients(model, expected))


@pytest.mark.parametrize("kind", PRUNED)
def test_the_modules_of_the_last_layer_see_the_rows_that_are_read_and_no_others(kind: str) -> None:
    model = sharp_reward_model(kind)
    assert set(install(last_layer_of(model)).modules) == PRUNED[kind]
    part, whole = model.collate(GROUPS), collate_tree(GROUPS)
    seen = rows_seen(model, part)
    assert {name: rows for name, rows in seen.items() if "k_proj" not in name} == dict.fromkeys(PRUNED[kind], 13)
    assert all(rows == part.num_tokens for name, rows in seen.items() if "k_proj" in name)
    assert set(rows_seen(model, whole).values()) == {whole.num_tokens}


@pytest.mark.parametrize("pooling", POOLING_NAMES)
def test_every_pooling_names_all_the_rows_that_it_reads(pooling: Any) -> None:
    model = tiny_reward_model("llama", pooling=pooling, head_std=0.1)
    part, whole = model.collate(GROUPS), collate_tree(GROUPS)
    row_R = model.pooling.rows(whole)
    assert row_R is not None
    hidden = torch.randn(1, whole.num_tokens, 32)
    spoilt = torch.full_like(hidden, torch.nan)
    spoilt[:, row_R] = hidden[:, row_R]
    torch.testing.assert_close(model.pooling(spoilt, whole), model.pooling(hidden, whole), atol=0, rtol=0)
    rewards, expected = model(part), model(whole)
    torch.testing.assert_close(rewards, expected, atol=1e-5, rtol=0)
    assert_same_gradients(gradients(model, rewards), gradients(model, expected))


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "opt"])
def test_recomputed_activations_read_the_same_rows(kind: str) -> None:
    model = sharp_reward_model(kind).train()
    switch_off_dropout(model)
    plain = gradients(model, model(model.collate(GROUPS)))
    model.backbone.activation_checkpointing_enable({"use_reentrant": False})
    assert_same_gradients(gradients(model, model(model.collate(GROUPS))), plain)
    # A batch without reading, straight after: nothing of the last one is left behind.
    whole = collate_tree(GROUPS)
    assert set(rows_seen(model, whole).values()) == {whole.num_tokens}


def test_a_padded_batch_after_a_packed_one_is_computed_whole() -> None:
    model = sharp_reward_model("llama")
    expected = separate_rewards(model, GROUPS)
    for _ in range(2):
        torch.testing.assert_close(model(model.collate(GROUPS)), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(model(collate_padded(GROUPS, pad_token_id=0)), expected, atol=1e-5, rtol=0)


def test_a_second_reward_model_on_the_same_body_does_not_pick_rows_out_of_rows() -> None:
    model = sharp_reward_model("llama")
    other = RewardModel(model.backbone, model.tokenizer, head=model.head).eval()
    torch.testing.assert_close(other(other.collate(GROUPS)), separate_rewards(model, GROUPS), atol=1e-5, rtol=0)


def test_after_a_forward_pass_that_failed_the_next_is_right() -> None:
    model = sharp_reward_model("llama")
    expected = separate_rewards(model, GROUPS)
    down = last_layer_of(model).mlp.down_proj
    handle = down.register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    with pytest.raises(RuntimeError, match="out of memory"):
        model(model.collate(GROUPS))
    handle.remove()
    torch.testing.assert_close(model(collate_padded(GROUPS, pad_token_id=0)), expected, atol=1e-5, rtol=0)


class FeedForwardFirst(nn.Module):
    """A layer that calls its MLP before its attention."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp, self.attention = nn.Linear(4, 4), nn.Linear(4, 4)
        self.attention.layer_idx = 0
        self.attention.forward = lambda x, **_: x

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        return self.attention(self.mlp(x), **kwargs)


def test_a_layer_with_its_mlp_first_is_computed_whole_every_time() -> None:
    layer, layout = FeedForwardFirst(), tiny_reward_model().collate(GROUPS).layout
    assert layout is not None
    install(layer)
    x = torch.randn(1, len(layout.position_T), 4)
    for _ in range(2):
        expected = x @ layer.mlp.weight.T + layer.mlp.bias
        torch.testing.assert_close(layer(x, palate_layout=layout), expected)
