"""Whole bodies on a GPU: shared and packed against one sequence at a time, in float32 and as training runs them."""

import pytest
import torch
from torch import Tensor

from palate.model.reward_model import RewardModel
from palate.packing.attention import path_of_body
from palate.packing.batch import RewardBatch
from palate.testing.attention import pack_zoo
from palate.testing.groups import token_group
from palate.testing.separate import separate_rewards, sharp_reward_model

pytestmark = pytest.mark.gpu

# Sizes of heads that every kernel takes; windows of 8 are in mistral and gemma2, soft caps in gemma2.
BODIES = {
    "llama": ({"head_dim": 16}, "varlen"),
    "mistral": ({"head_dim": 16}, "varlen"),
    "qwen3": ({"head_dim": 64}, "varlen"),
    "gpt_neox": ({}, "varlen"),
    "gemma2": ({"head_dim": 16, "attn_logit_softcapping": 5.0}, "flex"),
}
PACKS = {name: pack_zoo()[name] for name in ("mixed K", "tree", "system turn", "K=64")} | {
    "long": (token_group(150, (90, 40)), token_group(60, (130, 20, 77), seed=1))
}


def model_of(kind: str, device: torch.device) -> RewardModel:
    return sharp_reward_model(kind, **BODIES[kind][0]).to(device)


def gradients(model: RewardModel, loss: Tensor) -> dict[str, Tensor]:
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


def paths_taken(batch: RewardBatch) -> set[str]:
    assert batch.layout is not None
    return {value for key, value in batch.layout.cache.items() if isinstance(key, tuple) and key[0] == "path"}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("kind", BODIES)
def test_in_float32_shared_equals_one_by_one(kind: str, pack: str, device: torch.device) -> None:
    model, groups = model_of(kind, device), PACKS[pack]
    batch = model.collate(groups)
    rewards, alone = model(batch), separate_rewards(model, groups)
    torch.testing.assert_close(rewards, alone, atol=1e-4, rtol=0)
    assert paths_taken(batch) == {"segments"}
    weight = torch.randn(len(rewards), generator=torch.Generator().manual_seed(3)).to(device)
    found, expected = (gradients(model, (each * weight).sum()) for each in (rewards, alone))
    largest = max(grad.norm() for grad in expected.values())
    for name, grad in expected.items():
        assert (found[name] - grad).norm() <= 1e-3 * grad.norm() + 1e-5 * largest, name


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("kind", BODIES)
def test_in_mixed_precision_the_fast_path_runs_and_is_as_near_as_padded_batches_are(
    kind: str, pack: str, device: torch.device
) -> None:
    model, groups = model_of(kind, device), PACKS[pack]
    exact = separate_rewards(model, groups)
    weight = torch.randn(len(exact), generator=torch.Generator().manual_seed(3)).to(device)
    expected = gradients(model, (exact * weight).sum())
    exact = exact.detach()
    model.compute_dtype = torch.bfloat16
    shared, padded = model.collate(groups), model.collate(groups, layout="padded")
    off = {}
    for name, batch in (("shared", shared), ("padded", padded)):
        rewards = model(batch)
        found = gradients(model, (rewards * weight).sum())
        distance = sum((found[key].float() - grad).square().sum() for key, grad in expected.items()).sqrt()
        size = sum(grad.square().sum() for grad in expected.values()).sqrt()
        off[name] = (float((rewards.detach() - exact).norm() / exact.norm()), float(distance / size))
    name = BODIES[kind][1]
    assert paths_taken(shared) == {name}
    assert path_of_body(model.backbone.config, device, torch.bfloat16).name == name
    for ours, theirs in zip(off["shared"], off["padded"], strict=True):
        assert ours < 3 * theirs + 0.02, off
