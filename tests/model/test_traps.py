"""Fourteen ways to get wrong numbers without an error when prompts are shared: each one a test.

The number is that of the trap. Where the design makes one impossible, the test holds what makes it impossible. Several
show first that the trap is real, by walking into it without palate's attention.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModel, LlamaForSequenceClassification

from palate.config import TrainConfig
from palate.data.render import tokenize
from palate.model import backbone as body
from palate.model.reward_model import RewardModel
from palate.packing.attention import visibility
from palate.packing.collate import collate_padded, collate_tree
from palate.records import Message, PreferenceGroup, TokenizedGroup
from palate.testing.groups import full_ranking, token_group
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_config, tiny_tokenizer
from palate.training.objective import num_terms, pack_loss
from palate.training.optimizer import switch_off_dropout

GROUPS = (token_group(20, (7, 9)), token_group(13, (12, 1, 4), seed=1), token_group(0, (5, 3), seed=2))
PLAIN = ("llama", "qwen3", "gemma3_text", "mistral", "gpt_neox", "gpt2")


def rewards_of(model: RewardModel, groups: tuple[TokenizedGroup, ...] = GROUPS) -> Tensor:
    with torch.no_grad():
        return model(model.collate(groups))


def alone(model: RewardModel, groups: tuple[TokenizedGroup, ...] = GROUPS) -> Tensor:
    with torch.no_grad():
        return separate_rewards(model, groups)


def with_token(group: TokenizedGroup, response: int | None, at: int) -> TokenizedGroup:
    """The group with another token at place `at`: of one response, or of all when it is in the prompt."""
    sequences = [sequence.copy() for sequence in group.sequences]
    for index, sequence in enumerate(sequences):
        if response in (None, index):
            sequence[at] = 3 + (sequence[at] - 2) % 256
    return dataclasses.replace(group, sequences=tuple(sequences))


def plain_forward(model: RewardModel, groups: tuple[TokenizedGroup, ...], attention: str, mask: Any) -> Tensor:
    """Rewards from the tree's tokens and positions through an attention of transformers' own."""
    batch = collate_tree(groups)
    model.backbone.config._attn_implementation = attention
    with torch.no_grad():
        output = model.backbone(
            input_ids=batch.input_ids_BT, position_ids=batch.position_ids_BT, attention_mask=mask, use_cache=False
        )
        return model.head(output.last_hidden_state[0, batch.last_index_N])


def foreign(kind: str, **options: Any) -> RewardModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = CONFIG_MAPPING[kind](**{**sizes, "vocab_size": 259, "pad_token_id": 0, **options})
    model = RewardModel(AutoModel.from_config(config), tiny_tokenizer()).eval()
    torch.nn.init.normal_(model.head.score.weight, std=0.1)
    return model


@pytest.mark.parametrize("kind", PLAIN)
def test_01_the_second_response_sees_the_prompt(kind: str) -> None:
    """Positions that step back look like a new document to transformers: the second response loses its prompt."""
    model, group = sharp_reward_model(kind), GROUPS[1]
    moved = (rewards_of(model, (with_token(group, None, 12),)) - rewards_of(model, (group,))).abs()
    assert (moved > 1e-4).all()
    trapped = plain_forward(model, (group,), "sdpa", None)
    assert (trapped - alone(model, (group,))).abs()[1:].max() > 1e-2


@pytest.mark.parametrize("kind", PLAIN)
def test_02_no_response_sees_another(kind: str) -> None:
    """Cut where positions restart at 0, [P | R1 | R2] is one causal sequence: the second response reads the first."""
    model, group = sharp_reward_model(kind), GROUPS[1]
    before = rewards_of(model, (*GROUPS[:1], group, *GROUPS[2:]))
    for response, length in enumerate((12, 1, 4)):
        after = rewards_of(model, (*GROUPS[:1], with_token(group, response, 13 + length - 1), *GROUPS[2:]))
        changed = (after - before).abs() > 1e-6
        assert changed.nonzero().flatten().tolist() == [2 + response]


def test_03_a_mask_is_a_float_or_none_at_all() -> None:
    """A boolean mask is added to eager's scores as 1 and 0: every token is seen. The tree hands over no mask."""
    model = sharp_reward_model("llama")
    batch = collate_tree(GROUPS)
    assert batch.layout is not None
    assert batch.attention_mask_BT is None
    visible = visibility(batch.layout)[None, None]
    additive = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    torch.testing.assert_close(plain_forward(model, GROUPS, "eager", additive), alone(model), atol=1e-5, rtol=0)
    assert (plain_forward(model, GROUPS, "eager", visible) - alone(model)).abs().max() > 1e-2
    torch.testing.assert_close(rewards_of(model), alone(model), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["gemma3_text", "gemma2", "mistral"])
def test_04_windows_survive_sharing(kind: str) -> None:
    """One mask for all layers drops the window of those that have one."""
    model, wide = sharp_reward_model(kind), sharp_reward_model(kind, sliding_window=4096)
    assert max(len(sequence) for group in GROUPS for sequence in group.sequences) > 2 * 8
    torch.testing.assert_close(rewards_of(model), alone(model), atol=1e-5, rtol=0)
    assert (rewards_of(wide) - alone(model)).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mamba", {}),
        ("qwen3_next", {"num_key_value_heads": 2, "head_dim": 8, "num_experts": 0, "mlp_only_layers": [0, 1, 2]}),
        ("lfm2", {"num_key_value_heads": 2, "layer_types": ["conv", "full_attention", "conv"]}),
        ("llama4_text", {"num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 2, "attention_chunk_size": 8}),
    ],
)
def test_05_layers_that_are_not_plain_attention_are_refused(kind: str, options: dict[str, Any]) -> None:
    """A recurrent, convolutional or chunked layer carries state from the first response into the second."""
    model = foreign(kind, **options)
    assert model.sharing_obstacle
    assert model.layout == "padded"


@pytest.mark.parametrize("kind", PLAIN)
def test_06_activation_checkpointing_changes_nothing_and_no_cache_is_kept(kind: str) -> None:
    """Prompts shared through a key-value cache are lost under activation checkpointing, with one warning."""
    grads = []
    for checkpointing in (False, True):
        model = sharp_reward_model(kind)
        switch_off_dropout(model)
        model.train()
        seen: list[dict[str, Any]] = []
        model.backbone.register_forward_pre_hook(
            lambda _m, _a, kwargs, seen=seen: seen.append(kwargs), with_kwargs=True
        )
        if checkpointing:
            model.backbone.activation_checkpointing_enable({"use_reentrant": False})
        model(model.collate(GROUPS)).square().sum().backward()
        assert seen[0]["use_cache"] is False
        assert "past_key_values" not in seen[0]
        grads.append({name: p.grad for name, p in model.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("kind", ["gpt2", "opt", "llama"])
def test_07_dropout_is_off_so_that_training_computes_what_scoring_does(kind: str) -> None:
    """With dropout, the two responses of a prompt see different prompts when separate, and the same when shared."""
    options: dict[str, Any] = {
        "gpt2": {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5},
        "opt": {"dropout": 0.5, "attention_dropout": 0.5},
        "llama": {"attention_dropout": 0.5},
    }[kind]
    model = sharp_reward_model(kind, **options)
    expected = alone(model)
    model.train()
    assert (rewards_of(model) - expected).abs().max() > 1e-2
    assert switch_off_dropout(model) > 0
    torch.testing.assert_close(rewards_of(model), expected, atol=1e-5, rtol=0)
    assert TrainConfig(model="m", data="d", out="o").dropout is False


def test_08_the_loss_of_a_mixture_of_experts_is_the_rewards_alone() -> None:
    """A load-balancing loss would count a shared prompt once, not once a response. The body has none to add."""
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
    model = foreign("qwen3_moe", num_key_value_heads=2, head_dim=8, **experts, output_router_logits=True)
    grads = []
    for rewards in (model(model.collate(GROUPS)), separate_rewards(model, GROUPS)):
        assert rewards.shape == (7,)
        grads.append(torch.autograd.grad(rewards.square().sum(), list(model.parameters()), allow_unused=True))
    assert model.layout == "tree"
    for shared, separate in zip(*grads, strict=True):
        if separate is not None or shared is not None:
            assert (shared - separate).norm() <= 1e-4 * separate.norm() + 1e-7


def test_09_the_last_token_is_found_where_pad_equals_eos() -> None:
    """transformers' classifiers pool the rightmost token that is not the pad id: not the EOS, where pad equals EOS."""
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(tiny_config("llama", num_labels=1, pad_token_id=2, initializer_range=0.2))
    ours = RewardModel(model.model.eval(), tiny_tokenizer())
    with torch.no_grad():
        ours.head.score.weight.copy_(model.score.weight)
    group = token_group(6, (4, 9))
    ended = tuple(np.concatenate((sequence, [2])) for sequence in group.sequences)  # both end with EOS
    groups = (dataclasses.replace(group, sequences=ended),)
    padded = collate_padded(groups, pad_token_id=2)
    with torch.no_grad():
        trapped = model(input_ids=padded.input_ids_BT, attention_mask=padded.attention_mask_BT).logits[:, 0]
        found = ours(padded)
    assert (trapped - alone(ours, groups)).abs().max() > 1e-2
    torch.testing.assert_close(found, alone(ours, groups), atol=1e-5, rtol=0)
    torch.testing.assert_close(rewards_of(ours, groups), alone(ours, groups), atol=1e-5, rtol=0)


@pytest.mark.parametrize("loss", ["bradley-terry", "plackett-luce"])
@pytest.mark.parametrize("balance", [False, True])
def test_10_packs_of_unequal_size_add_up_to_the_step(loss: Any, balance: bool) -> None:
    """A mean over packs of means weighs a comparison by the company it keeps; sums over the step's count do not."""
    config = TrainConfig(model="m", data="d", out="o", loss=loss, balance_groups=balance and loss == "bradley-terry")
    model = sharp_reward_model("llama")
    groups = (*GROUPS, token_group(4, (3, 3, 4, 5, 6), seed=3))
    grads = []
    for packs in ((groups,), (groups[:1], groups[1:3], groups[3:])):
        model.zero_grad()
        for pack in packs:
            batch = model.collate(pack)
            (pack_loss(model(batch), batch, config).total / num_terms(groups, config)).backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for whole, split in zip(*grads, strict=True):
        torch.testing.assert_close(split, whole, atol=1e-6, rtol=1e-4)


def test_11_truncation_cuts_one_prompt_for_all_responses() -> None:
    """Cut one by one, sequences of different lengths lose different parts of the prompt and share nothing."""
    tokenizer, model = tiny_tokenizer(), sharp_reward_model("llama")
    prompt = (Message("user", "abcdefghijklmnopqrstuvwxyz" * 4),)
    responses = tuple((Message("assistant", text),) for text in ("short", "quite a bit longer than that", "mid size"))
    group = PreferenceGroup("g", prompt, responses, full_ranking(3))
    whole = tokenize([group], tokenizer, max_length=500).groups[0]
    cut = tokenize([group], tokenizer, max_length=100, over_long="truncate-prompt").groups[0]
    assert max(len(sequence) for sequence in cut.sequences) == 100
    assert cut.truncated_tokens > 0
    assert cut.shared == whole.shared - cut.truncated_tokens
    torch.testing.assert_close(rewards_of(model, (cut,)), alone(model, (cut,)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["qwen2_5_vl_text", "qwen3_vl_text"])
def test_12_positions_are_one_row_of_integers_also_where_a_body_has_three(kind: str) -> None:
    """The text bodies of vision models rotate by three position rows, which packing detection misreads."""
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    model = foreign(kind, num_key_value_heads=2, head_dim=8, rope_parameters=rope, initializer_range=0.2)
    batch = model.collate(GROUPS)
    assert batch.position_ids_BT is not None
    assert batch.position_ids_BT.shape == batch.input_ids_BT.shape
    assert model.layout == "tree"
    torch.testing.assert_close(rewards_of(model), alone(model), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "gpt2", "bert"])
def test_13_no_row_is_without_anything_to_see(kind: str) -> None:
    """A row that may see nothing has a softmax over nothing: NaN, which a gradient spreads everywhere."""
    layout = collate_tree(GROUPS).layout
    assert layout is not None
    assert visibility(layout).diagonal().all()
    model = sharp_reward_model(kind)
    for side in ("right", "left"):
        for attention in ("sdpa", "eager"):
            model.own_attention = attention
            rewards = model(collate_padded(GROUPS, pad_token_id=0, padding_side=side))
            grads = torch.autograd.grad(rewards.square().sum(), list(model.parameters()), allow_unused=True)
            assert rewards.isfinite().all()
            assert all(grad.isfinite().all() for grad in grads if grad is not None)


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_14_learned_positions_are_honoured(kind: str) -> None:
    """A body with a table of positions counts rows unless it is told where each response continues."""
    model = sharp_reward_model(kind)
    torch.testing.assert_close(rewards_of(model), alone(model), atol=1e-5, rtol=0)
    batch = dataclasses.replace(model.collate(GROUPS), position_ids_BT=None)
    assert (model(batch) - alone(model)).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bloom", {"n_layer": 3, "n_head": 4}),
        ("mpt", {"d_model": 32, "n_layers": 3, "n_heads": 4}),
        ("falcon", {"alibi": True, "new_decoder_architecture": False}),
    ],
)
def test_14_positions_by_distance_between_rows_are_refused(kind: str, options: dict[str, Any]) -> None:
    """ALiBi reads distances off the row, where a response does not lie next to its prompt."""
    model = foreign(kind, **options)
    assert model.sharing_obstacle
    assert body.sharing_obstacle(model.backbone) == model.sharing_obstacle
    assert model.layout == "padded"
