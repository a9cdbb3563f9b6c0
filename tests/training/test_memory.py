"""Activations that are computed again or wait elsewhere: the same gradients, in less memory."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

from palate.config import TrainConfig
from palate.errors import ConfigError
from palate.model.reward_model import RewardModel
from palate.testing.groups import token_group
from palate.testing.separate import sharp_reward_model
from palate.training import memory
from palate.training.live import LiveBytes
from palate.training.memory import checkpoint_activations, offload_activations, save_memory

GROUPS = (token_group(60, (20, 30, 10)), token_group(40, (15, 25), opening=5, seed=1))
LAYERS = 6


def model_with(*, every: int = 0, offload: bool = False, kind: str = "llama") -> RewardModel:
    model = sharp_reward_model(kind, num_hidden_layers=LAYERS)
    if every:
        checkpoint_activations(model.backbone, every=every)
    if offload:
        offload_activations(model.backbone)
    return model.train()


def rewards_and_gradients(model: RewardModel) -> tuple[Tensor, dict[str, Tensor]]:
    rewards = model(model.collate(GROUPS))
    (rewards * torch.arange(1.0, 1 + len(rewards))).sum().backward()
    return rewards.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def saved_bytes(model: RewardModel) -> int:
    """Bytes of the storages that the forward pass leaves for the backward pass, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        model(model.collate(GROUPS))
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def peak(model: RewardModel) -> int:
    with LiveBytes() as live:
        model(model.collate(GROUPS)).sum().backward()
    return live.peak


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize("options", [{"every": 1}, {"every": 2}, {"offload": True}, {"every": 1, "offload": True}])
def test_rewards_and_gradients_are_the_same(kind: str, options: dict[str, Any]) -> None:
    rewards, gradients = rewards_and_gradients(model_with(kind=kind))
    found, others = rewards_and_gradients(model_with(kind=kind, **options))
    assert torch.equal(found, rewards)
    assert others.keys() == gradients.keys()
    # A transposed tensor comes back from the CPU with its rows in order, and a product may round otherwise.
    rounding = {"atol": 1e-5, "rtol": 1e-5} if "offload" in options else {"atol": 0, "rtol": 0}
    torch.testing.assert_close(others, gradients, **rounding)


def test_every_layer_checkpointed_saves_more_than_every_second() -> None:
    nothing, second, all_of_them = (saved_bytes(model_with(every=every)) for every in (0, 2, 1))
    # Half of the layers keep what they kept; of the rest, and of all, little more than their inputs is left.
    assert 0.4 < second / nothing < 0.65
    assert all_of_them / nothing < 0.25


def test_the_peak_of_the_whole_pass_falls_too() -> None:
    nothing, second, all_of_them = (peak(model_with(every=every)) for every in (0, 2, 1))
    assert all_of_them < second < nothing


def travelled(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What was handed to the copying hooks."""
    sent: list[Tensor] = []

    class Counting(save_on_cpu):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            copy = self.pack_hook
            self.pack_hook = lambda tensor: sent.append(tensor) or copy(tensor)

    with monkeypatch.context() as patch:
        patch.setattr(memory, "save_on_cpu", Counting)
        rewards_and_gradients(model)
    return sent


def test_weights_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(offload=True)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sent = travelled(model, monkeypatch)
    assert sent
    assert not [tensor for tensor in sent if tensor.untyped_storage().data_ptr() in weights]


def test_all_that_the_body_saves_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = travelled(model_with(offload=True), monkeypatch)
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in sent}
    assert sum(storages.values()) > 0.95 * saved_bytes(model_with())


def test_of_checkpointed_layers_only_the_inputs_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, together = (travelled(model_with(offload=True, every=every), monkeypatch) for every in (0, 1))
    assert 0 < sum(t.nbytes for t in together) < 0.15 * sum(t.nbytes for t in alone)


def test_hooks_are_gone_after_a_pass_that_failed() -> None:
    model = model_with(offload=True)
    batch = model.collate(GROUPS)
    with pytest.raises(IndexError):
        model(replace(batch, input_ids_BT=batch.input_ids_BT + 10_000))
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    assert y.grad_fn is not None
    assert y.grad_fn._saved_result.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()


def test_offloading_from_the_cpu_is_refused() -> None:
    config = TrainConfig(model="", data="", out="", activation_offload=True)
    with pytest.raises(ConfigError, match="where those of this run are already"):
        save_memory(model_with().backbone, config, torch.device("cpu"))


def test_a_body_that_cannot_checkpoint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with()
    monkeypatch.setattr(type(model.backbone), "supports_gradient_checkpointing", False)
    with pytest.raises(ConfigError, match="activation-checkpointing: LlamaModel does not support"):
        save_memory(
            model.backbone, TrainConfig(model="", data="", out="", activation_checkpointing=1), torch.device("cpu")
        )
