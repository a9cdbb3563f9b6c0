"""Shared and packed equals one by one: every reward to 1e-5 and every parameter's gradient to 1e-4, in float32."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModel, LlamaModel

from palate.errors import ModelError
from palate.model import backbone as body
from palate.model.loading import new_reward_model
from palate.model.pooling import POOLING_NAMES, PoolingName
from palate.model.reward_model import RewardModel
from palate.packing.attention import TREE, TREE_DENSE
from palate.packing.collate import collate_padded, collate_tree
from palate.records import TokenizedGroup
from palate.testing.groups import branching_group, token_group, with_system_turn
from palate.testing.separate import separate_rewards, separate_states, sharp_reward_model
from palate.testing.tiny import save_tiny_causal_lm, tiny_config, tiny_reward_model, tiny_tokenizer

SHARING = (
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3_text", "phi3", "olmo2", "smollm3", "gpt_neox", "gpt2",
    "opt", "deepseek_v3",
)  # fmt: skip
HYBRID = {
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    **{"linear_num_value_heads": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
}

# Every prompt and response but the shortest is longer than the windows of 8.
PACKS = {
    "K=2": (token_group(20, (7, 9)), token_group(11, (15, 3), seed=1)),
    "K=3": (token_group(13, (12, 1, 4), seed=2),),
    "K=5": (token_group(9, (3, 9, 2, 14, 5), seed=3),),
    "mixed K": (
        token_group(9, (3, 9, 2, 14, 5), seed=3),
        token_group(20, (7, 9)),
        token_group(2, (10,), seed=4),
        token_group(13, (12, 1, 4), seed=2),
    ),
    "branches": (branching_group(9, [(5, (3, 1, 4)), (4, (2, 6)), (0, (3,))], seed=6), token_group(20, (7, 9))),
    "system turn": with_system_turn(
        (token_group(20, (7, 9)), token_group(0, (6, 11), seed=5), token_group(13, (12, 1, 4), seed=2)), 21
    ),
    "nothing shared": (
        token_group(0, (6, 11), seed=5),
        token_group(13, (12, 1, 4), seed=2),
        token_group(0, (9, 1, 3), seed=6),
    ),
    "common opening": (token_group(12, (11, 16, 10), opening=9, seed=7), token_group(1, (4, 5), opening=3, seed=8)),
}


def loss_of(rewards: Tensor, groups: Sequence[TokenizedGroup]) -> Tensor:
    """Bradley-Terry over the groups' comparisons, read off the groups and not off the batch."""
    gaps, first = [], 0
    for group in groups:
        gaps += [rewards[first + c.winner] - rewards[first + c.loser] for c in group.comparisons]
        first += len(group.sequences)
    return -F.logsigmoid(torch.stack(gaps)).sum()


def gradients(model: RewardModel, loss: Tensor) -> dict[str, Tensor]:
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: grad for name, grad in zip(parameters, found, strict=True) if grad is not None}


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Each to 1e-4 of its own norm; what is zero but for rounding, as a bias on all keys, to 1e-6 of the largest."""
    assert found.keys() == expected.keys()
    largest = max(grad.norm() for grad in expected.values())
    assert largest > 0.01
    for name, grad in expected.items():
        difference = (found[name] - grad).norm()
        assert difference <= max(1e-4 * grad.norm(), 1e-6 * largest), f"{name}: {difference / grad.norm():.1e}"


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("kind", SHARING)
def test_shared_and_packed_equals_one_by_one(kind: str, pack: str) -> None:
    model, groups = sharp_reward_model(kind), PACKS[pack]
    assert model.layout == "tree"
    assert model.sharing_obstacle is None

    batch = model.collate(groups)
    rewards, alone = model(batch), separate_rewards(model, groups)
    assert alone.abs().max() > 0.05
    torch.testing.assert_close(rewards, alone, atol=1e-5, rtol=0)
    assert_same_gradients(gradients(model, loss_of(rewards, groups)), gradients(model, loss_of(alone, groups)))
    assert batch.layout is not None
    assert batch.layout.layers_seen == {0, 1, 2}


@pytest.mark.parametrize("kind", SHARING)
def test_the_tree_equals_the_dense_oracle_in_values_and_gradients(kind: str) -> None:
    model, groups = sharp_reward_model(kind), PACKS["mixed K"]
    batch = collate_tree(groups)
    rewards = [
        model.head(model.pooling(body.hidden_states(model.backbone, batch, attention=name), batch))
        for name in (TREE, TREE_DENSE)
    ]
    torch.testing.assert_close(*rewards, atol=1e-5, rtol=0)
    assert_same_gradients(*(gradients(model, loss_of(r, groups)) for r in rewards))


@pytest.mark.parametrize("kind", SHARING)
def test_on_these_bodies_wrong_positions_would_show(kind: str) -> None:
    # Guards the tests above: a body that hardly looks at positions would pass them with any.
    model, groups = sharp_reward_model(kind), PACKS["mixed K"]
    batch = model.collate(groups)
    assert batch.position_ids_BT is not None
    batch.position_ids_BT.copy_(torch.arange(batch.num_tokens))
    assert (model(batch) - separate_rewards(model, groups)).abs().max() > 1e-2


def test_soft_capped_scores_are_capped_when_shared_too() -> None:
    capped = sharp_reward_model("gemma2", attn_logit_softcapping=0.3)
    free = sharp_reward_model("gemma2", attn_logit_softcapping=None)
    groups = PACKS["mixed K"]
    alone = separate_rewards(capped, groups)
    torch.testing.assert_close(capped(capped.collate(groups)), alone, atol=1e-5, rtol=0)
    assert (free(free.collate(groups)) - alone).abs().max() > 1e-2


@pytest.mark.parametrize("kind", SHARING)
def test_a_reward_does_not_depend_on_what_it_is_batched_with(kind: str) -> None:
    model, groups = sharp_reward_model(kind), PACKS["mixed K"]
    together = model(model.collate(groups))
    apart = torch.cat([model(model.collate([group])) for group in groups])
    backwards = [model(model.collate(groups[::-1])), [len(group.sequences) for group in groups[::-1]]]
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    torch.testing.assert_close(together, torch.cat(backwards[0].split(backwards[1])[::-1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [*SHARING, "bert", "mamba"])
def test_padding_on_either_side_gives_the_same_rewards(kind: str) -> None:
    model, groups = sharp_reward_model(kind), PACKS["mixed K"]
    alone = separate_rewards(model, groups)
    for side in ("right", "left"):
        batch = collate_padded(groups, pad_token_id=2, padding_side=side)
        torch.testing.assert_close(model(batch), alone, atol=1e-5, rtol=0, msg=f"padding on the {side}")


@pytest.mark.parametrize("name", POOLING_NAMES)
@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_every_pooling_shares(kind: str, name: PoolingName) -> None:
    model, groups = tiny_reward_model(kind, pooling=name, head_std=0.1), PACKS["common opening"]
    rewards = model(model.collate(groups))
    padded = model(collate_padded(groups, pad_token_id=0))
    torch.testing.assert_close(rewards, padded, atol=1e-5, rtol=0)
    # Not the loss of pairs: the first token of a causal body has seen nothing to tell two responses apart by.
    assert_same_gradients(gradients(model, rewards.square().sum()), gradients(model, padded.square().sum()))


def test_in_mixed_precision_the_layouts_agree_as_far_as_bf16_goes_and_rewards_are_float32() -> None:
    model, groups = sharp_reward_model("llama"), PACKS["mixed K"]
    exact = separate_rewards(model, groups)
    model.compute_dtype = torch.bfloat16
    rewards = model(model.collate(groups))
    assert rewards.dtype is torch.float32
    torch.testing.assert_close(rewards, exact, atol=0.1, rtol=0)
    assert (rewards - exact).abs().max() > 1e-5  # it did run in bf16


def foreign(kind: str, **options: object) -> RewardModel:
    """A sharp model on a body type that `palate.testing.tiny` does not know."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = CONFIG_MAPPING[kind](**sizes, vocab_size=259, pad_token_id=0, initializer_range=0.2, **options)
    model = RewardModel(AutoModel.from_config(config), tiny_tokenizer()).eval()
    torch.nn.init.normal_(model.head.score.weight, std=0.1)
    return model


NOT_SHARING = {
    "mamba": (lambda: sharp_reward_model("mamba"), "attention interface"),
    "qwen3_next": (lambda: sharp_reward_model("qwen3_next", **HYBRID), "attention interface"),
    "bert": (lambda: sharp_reward_model("bert"), "not causal"),
    "roberta": (lambda: foreign("roberta", max_position_embeddings=130, type_vocab_size=1), "not causal"),
    "modernbert": (
        lambda: foreign("modernbert", cls_token_id=1, sep_token_id=2, local_attention=8, global_attn_every_n_layers=2),
        "not causal",
    ),
}


@pytest.mark.parametrize("name", NOT_SHARING)
def test_bodies_that_cannot_share_say_so_are_padded_and_equal_one_by_one(name: str) -> None:
    make, reason = NOT_SHARING[name]
    model, groups = make(), (token_group(9, (3, 6)), token_group(4, (2, 5, 1), seed=1))
    assert reason in (model.sharing_obstacle or "")
    assert model.layout == "padded"
    assert [model.cost(group) for group in groups] == [group.unshared_tokens for group in groups]
    batch = model.collate(groups)
    assert batch.layout is None

    rewards, alone = model(batch), separate_rewards(model, groups, attention=model.own_attention)
    torch.testing.assert_close(rewards, alone, atol=1e-5, rtol=0)
    assert_same_gradients(gradients(model, loss_of(rewards, groups)), gradients(model, loss_of(alone, groups)))


@pytest.mark.parametrize("kind", ["mamba", "qwen3_next"])
def test_the_fallback_is_announced_and_the_tree_refused_by_name(kind: str, tmp_path) -> None:
    path = str(save_tiny_causal_lm(tmp_path, kind))
    model = new_reward_model(path)
    assert any("prompts are not shared" in remark for remark in model.remarks)
    with pytest.raises(ModelError, match="cannot share prompts: use --layout padded"):
        new_reward_model(path, layout="tree")


def test_a_body_that_shares_can_be_padded_on_request() -> None:
    model = tiny_reward_model("llama", layout="padded")
    assert model.collate(PACKS["K=2"]).layout is None


def test_two_models_on_one_configuration_object_do_not_disturb_each_other() -> None:
    config = tiny_config("llama", initializer_range=0.2)
    torch.manual_seed(0)
    first, second = (RewardModel(LlamaModel(config), tiny_tokenizer()).eval() for _ in range(2))
    assert first.backbone.config is second.backbone.config
    groups = PACKS["mixed K"]
    expected = [separate_states(model.backbone, groups[0].sequences)[0][-1] for model in (first, second)]
    for _ in range(2):
        for model, state_D in zip((first, second), expected, strict=True):
            torch.testing.assert_close(model.pool(collate_tree(groups))[0], state_D, atol=1e-5, rtol=0)
            torch.testing.assert_close(
                model.pool(collate_padded(groups, pad_token_id=0))[0], state_D, atol=1e-5, rtol=0
            )


def test_training_on_the_tree_leaves_the_bodys_own_attention_as_it_was() -> None:
    model, groups = sharp_reward_model("llama"), PACKS["K=2"]
    before = separate_states(model.backbone, groups[0].sequences, attention=model.own_attention)
    model(model.collate(groups))
    model(collate_padded(groups, pad_token_id=0))
    assert model.backbone.config._attn_implementation == model.own_attention == "sdpa"
    after = separate_states(model.backbone, groups[0].sequences, attention=model.own_attention)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
