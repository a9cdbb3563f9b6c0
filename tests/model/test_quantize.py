"""Int8 layers: near their float32 originals, independent of their neighbours, and honest about the rewards."""

import numpy as np
import pytest
import torch
from torch import nn

from palate.data.render import tokenize
from palate.data.simulate import simulate
from palate.errors import ConfigError
from palate.model.backbone import decoder_layers
from palate.model.loading import new_reward_model, resolve_dtype
from palate.model.quantize import Int8Linear, measure_agreement, quantize_body
from palate.scoring import ScoringRun, compare_int8, score_groups
from palate.testing.groups import token_group
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model

GROUPS = (token_group(40, (7, 9, 12)), token_group(60, (12, 1, 4), seed=1), token_group(0, (5, 6), seed=2))


def error(linear: nn.Linear, states: torch.Tensor) -> float:
    exact = linear(states)
    return float((Int8Linear(linear)(states) - exact).square().mean().sqrt() / exact.square().mean().sqrt())


@pytest.mark.parametrize(
    ("channels", "outputs", "bias"), [(64, 32, True), (576, 192, False), (33, 7, True), (8, 1, False)]
)
@pytest.mark.parametrize("rows", [1, 5, 40])
@torch.no_grad()
def test_a_layer_is_near_its_original(channels: int, outputs: int, bias: bool, rows: int) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(channels, outputs, bias=bias)
    assert error(linear, torch.randn(rows, channels)) < 0.03
    assert Int8Linear(linear)(torch.randn(2, 3, channels)).shape == (2, 3, outputs)
    torch.testing.assert_close(Int8Linear(linear).weight, linear.weight, atol=0.01, rtol=0)


@torch.no_grad()
def test_one_huge_channel_does_not_drown_the_others() -> None:
    torch.manual_seed(0)
    linear, states = nn.Linear(256, 64, bias=False), torch.randn(20, 256)
    states[:, 17] *= 100
    linear.weight[:, 17] /= 100
    assert error(linear, states) < 0.1


@torch.no_grad()
def test_a_tokens_result_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    layer, states = Int8Linear(nn.Linear(64, 32)), torch.randn(6, 64)
    together = layer(torch.cat((states, 1000 * torch.randn(3, 64))))[:6]
    assert torch.equal(together, layer(states))


@torch.no_grad()
def test_a_row_of_zeros_stays_zero_and_broken_values_stay_broken() -> None:
    layer = Int8Linear(nn.Linear(16, 4, bias=False))
    states = torch.zeros(2, 16)
    states[1, 3] = torch.nan
    found = layer(states)
    assert torch.equal(found[0], torch.zeros(4))
    assert not found[1].isfinite().any()


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mamba", "lfm2", "bert"])
def test_a_body_in_int8_gives_nearly_the_same_rewards(kind: str) -> None:
    model, said = sharp_reward_model(kind), []
    run = ScoringRun(say=said.append)
    agreement = compare_int8(model, GROUPS, run=run)
    assert agreement.responses == 8
    assert agreement.spearman > 0.9
    assert 0 < agreement.largest_difference < 0.5
    assert 0.3 < run.int8_share < 1
    assert said[-1].startswith("int8 holds")
    assert (run.computed_tokens, run.agreement) == (0, agreement)
    assert not any(type(module) is nn.Linear for module in model.backbone.modules())
    assert model.head.score.weight.dtype is torch.float32


def test_packing_changes_no_reward_in_int8() -> None:
    model = sharp_reward_model("llama")
    compare_int8(model, GROUPS, run=ScoringRun())
    packed = np.concatenate(list(score_groups(model, GROUPS)))
    single = np.concatenate(list(score_groups(model, GROUPS, tokens_per_pack=1)))
    np.testing.assert_allclose(packed, single, atol=0.05)  # rounding at a border may go the other way


def test_a_cache_is_looked_for_in_float32_and_used_in_int8() -> None:
    model, run = sharp_reward_model("lfm2"), ScoringRun()
    groups = (token_group(80, (7, 9, 12)), token_group(90, (4, 6), seed=1))
    compare_int8(model, groups, run=run)
    assert run.cache.difference < 1e-5
    list(score_groups(model, groups, run=run))
    assert run.cached_groups == 2


def test_a_poor_agreement_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = sharp_reward_model("llama"), []
    monkeypatch.setattr("palate.model.quantize._LEVELS", 1)
    compare_int8(model, GROUPS, run=ScoringRun(say=said.append))
    assert said[-1].startswith("warning: int8 holds")


def test_int8_elsewhere_than_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="int8 is for CPUs"):
        resolve_dtype("int8", torch.device("cuda"))
    with pytest.raises(ConfigError, match="int8 is for CPUs"):
        quantize_body(nn.Linear(8, 8, device="meta"))
    assert resolve_dtype("int8", torch.device("cpu")) is torch.float32


def test_a_body_without_linear_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="no linear layers"):
        quantize_body(nn.Sequential(nn.Embedding(3, 4)))


def test_agreement_counts_what_moved() -> None:
    exact = [np.float32([1, 2, 3]), np.float32([5, 5]), np.float32([0])]
    found = [np.float32([1, 3, 2]), np.float32([4, 5]), np.float32([0])]
    agreement = measure_agreement(exact, found)
    assert (agreement.prompts, agreement.responses, agreement.pairs) == (3, 6, 3)
    assert agreement.flipped == pytest.approx(1 / 3)
    assert agreement.largest_difference == pytest.approx(1 / np.std([1, 2, 3, 5, 5, 0]))
    tied = measure_agreement([np.float32([1, 2])], [np.float32([1, 1])])
    assert (tied.flipped, tied.spearman) == (1.0, None)


@pytest.mark.parametrize("rewards", [[], [np.float32([1])], [np.float32([2, 2, 2])]])
def test_agreement_is_not_made_up(rewards: list[np.ndarray]) -> None:
    agreement = measure_agreement(rewards, rewards)
    assert (agreement.spearman, agreement.kendall, agreement.flipped, agreement.pairs) == (None, None, None, 0)
    assert "too few, or too alike" in agreement.describe()


@pytest.mark.slow
def test_a_real_body_keeps_the_order_of_its_rewards() -> None:
    model = new_reward_model("smollm2")
    torch.manual_seed(0)
    nn.init.normal_(model.head.score.weight, std=0.05)
    groups = tokenize(simulate(12, seed=0).groups, model.tokenizer, max_length=1024).groups
    agreement = compare_int8(model, groups, run=ScoringRun())
    assert agreement.spearman > 0.95
    assert agreement.flipped < 0.15


@pytest.mark.parametrize(("kind", "name"), [("llama", "self_attn.o_proj"), ("opt", "fc2")])
@torch.no_grad()
def test_in_int8_too_the_last_layer_is_computed_only_where_it_is_read(kind: str, name: str) -> None:
    model = tiny_reward_model(kind)
    quantize_body(model.backbone)
    layers = decoder_layers(model.backbone)
    assert layers is not None
    rows: list[int] = []
    layers[-1].get_submodule(name).register_forward_pre_hook(lambda _module, args: rows.append(args[0].shape[-2]))
    model(model.collate([token_group(20, (7, 9))]))
    assert rows == [2]
