"""A prompt run once through a cache gives what each sequence gives alone, or is not used."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from palate.config import PoolingName
from palate.model import prompt_cache
from palate.model.prompt_cache import (
    PromptCache,
    cached_tokens,
    check_prompt_cache,
    pays,
    pool_cached,
    take,
)
from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup
from palate.scoring import ScoringRun, score_groups
from palate.testing.groups import token_group
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_reward_model

HYBRID = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
# Chunked delta rules round more than attention does, on weights of 0.2.
BODIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "mamba": ("mamba", {}, "token by token"),
    "jamba": ("jamba", {}, "token by token"),
    "falcon_h1": ("falcon_h1", {}, "at once"),
    "lfm2": ("lfm2", {}, "at once"),
    "bloom": ("bloom", {}, "at once"),
    "qwen3_next": ("qwen3_next", HYBRID, "at once"),
}
GROUPS = (
    token_group(60, (7, 9)),
    token_group(40, (12, 1, 4), seed=1),
    token_group(90, (5,), seed=2),
    token_group(0, (6, 3), seed=3),
    token_group(30, (2, 14, 1, 1, 8, 3), seed=4),
    token_group(25, (1, 1, 1, 1, 1), seed=5),
)


def body(name: str) -> RewardModel:
    kind, overrides, _ = BODIES[name]
    return sharp_reward_model(kind, **overrides)


def expected(model: RewardModel, group: TokenizedGroup) -> np.ndarray:
    with torch.no_grad():
        return separate_rewards(model, [group]).numpy()


def found_advance(model: RewardModel, groups: tuple[TokenizedGroup, ...] = GROUPS) -> PromptCache:
    found = check_prompt_cache(model, groups)
    assert found is not None
    return found


SLOW = "qwen3_next"  # its chunks of 64 are a loop in Python
CASES = [(name, budget) for name in BODIES for budget in (1, 100, 4096) if name != SLOW or budget == 100]


@pytest.mark.parametrize(("name", "budget"), CASES)
def test_rewards_are_those_of_each_sequence_alone(name: str, budget: int) -> None:
    model = body(name)
    check = found_advance(model)
    assert check.advance == BODIES[name][2]
    assert check.difference < 1e-4
    for group in GROUPS:
        if group.shared == 0:
            continue
        with torch.no_grad():
            pooled = pool_cached(model, group, advance=check.advance, tokens_per_pack=budget)
            rewards = model.head(pooled).numpy()
        np.testing.assert_allclose(rewards, expected(model, group), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in BODIES if name != SLOW])
def test_many_groups_in_one_call(name: str) -> None:
    model, said, run = body(name), [], ScoringRun()
    run.say = said.append
    found = list(score_groups(model, GROUPS, run=run))
    for group, rewards in zip(GROUPS, found, strict=True):
        np.testing.assert_allclose(rewards, expected(model, group), atol=1e-5, rtol=1e-5)
    advance = run.cache.advance
    gaining = [group for group in GROUPS if pays(group, advance)]
    assert run.cached_groups == len(gaining) > 0
    padded = ScoringRun(use_cache=False)
    list(score_groups(model, GROUPS, run=padded))
    assert run.computed_tokens < padded.computed_tokens
    assert run.unshared_tokens == padded.unshared_tokens == sum(group.unshared_tokens for group in GROUPS)
    assert len(said) == 1
    assert advance in said[0]


def test_what_is_computed_is_what_is_counted() -> None:
    model, seen = body("lfm2"), []
    model.backbone.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    run = ScoringRun(cache=PromptCache("at once", 0.0, ""))
    list(score_groups(model, GROUPS, run=run))
    assert sum(seen) == run.computed_tokens
    assert cached_tokens(GROUPS[0]) == 60 + 2 * 9


@pytest.mark.parametrize("pooling", ["last", "mean", "mean-response", "attention", "cls"])
@pytest.mark.parametrize("kind", ["mamba", "lfm2"])
def test_every_pooling_reads_the_prompts_states_too(pooling: PoolingName, kind: str) -> None:
    model = tiny_reward_model(kind, pooling=pooling)
    padded = list(score_groups(model, GROUPS, run=ScoringRun(use_cache=False)))
    run = ScoringRun()
    cached = list(score_groups(model, GROUPS, run=run))
    assert run.cached_groups
    for found, wanted in zip(cached, padded, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)


def test_rows_in_several_parts_start_from_the_same_state() -> None:
    model = body("lfm2")
    group = token_group(30, (9,) * 6)
    whole = pool_cached(model, group, advance="at once", tokens_per_pack=10_000)
    single = pool_cached(model, group, advance="at once", tokens_per_pack=1)
    torch.testing.assert_close(whole, single, atol=1e-5, rtol=1e-5)


def test_a_body_that_forgets_its_prompt_falls_back_and_says_so() -> None:
    model, said, run = sharp_reward_model("bamba"), [], ScoringRun()
    run.say = said.append
    found = list(score_groups(model, GROUPS, run=run))
    assert run.cache.advance is None
    assert run.cached_groups == 0
    assert "BambaModel does not go on from a cached prompt, so batches are padded (at once differs by" in said[0]
    padded = list(score_groups(model, GROUPS, run=ScoringRun(use_cache=False)))
    for ours, wanted in zip(found, padded, strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_a_body_whose_cache_raises_falls_back_and_says_so() -> None:
    check = found_advance(sharp_reward_model("qwen3_next"))  # no attention layer to tell the cache's length
    assert check.advance is None
    assert "ValueError" in check.remark


def test_single_tokens_prove_nothing_about_several() -> None:
    singles = (token_group(60, (1, 1, 1)), token_group(50, (1,) * 5, seed=1))
    assert found_advance(sharp_reward_model("mamba"), singles).advance == "token by token"


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_nothing_is_looked_for_without_a_use_or_a_cache(kind: str) -> None:
    assert check_prompt_cache(sharp_reward_model(kind), GROUPS) is None


def test_short_prompts_are_not_worth_a_pass() -> None:
    assert check_prompt_cache(body("lfm2"), (token_group(20, (5, 5)), token_group(500, (5,), seed=1))) is None
    assert pays(token_group(64, (5, 5)))
    assert not pays(token_group(63, (5, 5)))
    assert not pays(token_group(64, (5, 5)), "token by token")


def test_a_forced_padded_layout_stays_padded() -> None:
    run = ScoringRun(use_cache=False)
    list(score_groups(body("lfm2"), GROUPS, run=run))
    assert run.cache is None
    assert run.cached_groups == 0


def note_autocast(module: nn.Module) -> list[bool]:
    seen: list[bool] = []
    module.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    return seen


def test_the_check_is_in_float32_and_leaves_the_model_as_it_was() -> None:
    model = body("lfm2").train()
    model.compute_dtype = torch.bfloat16
    seen = note_autocast(model.backbone)
    found_advance(model)
    assert len(seen) > 2
    assert not any(seen)
    assert model.training
    assert model.compute_dtype is torch.bfloat16


def test_mixed_precision_goes_on_from_a_cache_too() -> None:
    model = body("lfm2")
    exact = list(score_groups(model, GROUPS))
    model.compute_dtype = torch.bfloat16
    run = ScoringRun()
    run.check(model, GROUPS)
    seen, in_pooling = note_autocast(model.backbone), note_autocast(model.pooling)
    for rounded, wanted in zip(score_groups(model, GROUPS, run=run), exact, strict=True):
        np.testing.assert_allclose(rounded, wanted, atol=0.3)
    assert run.cached_groups
    assert all(seen)
    assert in_pooling  # is float32, whatever the body
    assert not any(in_pooling)


def test_the_sample_is_bounded() -> None:
    enormous = [token_group(1000, (300,) * 40, seed=seed) for seed in range(3)]
    sample = prompt_cache._sample(enormous)
    assert [len(group.sequences) for group in sample] == [4]
    sample = prompt_cache._sample([token_group(100 + seed, (30,) * 10, seed=seed) for seed in range(30)])
    assert [group.shared for group in sample] == [100, 115, 129]


def test_a_part_is_the_group_of_its_responses() -> None:
    part = take(GROUPS[4], (3, 1))
    assert [len(sequence) for sequence in part.sequences] == [31, 44]
    assert part.response_starts == (30, 30)
    assert part.where == GROUPS[4].where
