"""Rates, schedule and clipping, in numbers."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from palate.config import TrainConfig
from palate.model.reward_model import RewardModel
from palate.testing.runs import tiny_run
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model
from palate.training import loop
from palate.training.optimizer import make_optimizer, make_schedule, switch_off_dropout
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")


def settings(**values: Any) -> TrainConfig:
    return TrainConfig(model="", data="", out="", **values)


def rates(total: int, **values: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make_schedule(optimizer, settings(**values), total)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_linear_schedule_rises_over_the_warm_up_and_falls_to_zero_after_the_last_step() -> None:
    found = rates(10, warmup_fraction=0.2, schedule="linear")
    assert found == pytest.approx([1 / 3, 2 / 3, *(1 - k / 8 for k in range(8))])


def test_cosine_schedule() -> None:
    found = rates(10, warmup_fraction=0.2, schedule="cosine")
    assert found == pytest.approx([1 / 3, 2 / 3, *(0.5 + 0.5 * math.cos(math.pi * k / 8) for k in range(8))])


def test_constant_schedule_without_warm_up() -> None:
    assert rates(4, warmup_fraction=0, schedule="constant") == [1, 1, 1, 1]


def test_each_parameter_has_the_rate_and_the_decay_of_its_kind() -> None:
    model = tiny_reward_model(pooling="attention")
    optimizer = make_optimizer(model, settings(lr=2e-5, head_lr_scale=10, weight_decay=0.1))
    found = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert len(found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        if name.startswith("backbone."):
            assert found[id(parameter)] == (2e-5, 0.1 if parameter.ndim > 1 else 0.0), name
        else:
            assert found[id(parameter)] == (pytest.approx(2e-4), 0.0), name


def test_head_rate_in_the_log_is_ten_times_the_bodys(tmp_path: Path) -> None:
    for record in log_of(train(tiny_run(tmp_path, epochs=2)).out):
        assert record["head_lr"] == pytest.approx(10 * record["lr"])
        assert record["lr"] > 0


def test_the_gradient_is_clipped_and_its_norm_before_that_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = []

    def clip(trainer: loop.Trainer) -> float:
        before = original(trainer)
        grads = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        applied.append(float(torch.nn.utils.get_total_norm(grads)))
        return before

    original = loop._clip
    monkeypatch.setattr(loop, "_clip", clip)
    model = tiny_reward_model(head_std=10.0)
    model.save_pretrained(tmp_path / "model")
    logged = [record["grad_norm"] for record in log_of(train(tiny_run(tmp_path)).out)]
    assert max(logged) > 1
    assert applied == pytest.approx([min(norm, 1.0) for norm in logged], rel=1e-4)


def test_clip_norm_zero_switches_clipping_off(tmp_path: Path) -> None:
    tiny_reward_model(head_std=10.0).save_pretrained(tmp_path / "model")
    free = train(tiny_run(tmp_path, clip_norm=0, out=str(tmp_path / "free"))).model
    loose = train(tiny_run(tmp_path, clip_norm=1e9, out=str(tmp_path / "loose"))).model
    tight = train(tiny_run(tmp_path, clip_norm=1e-9, out=str(tmp_path / "tight"))).model
    assert torch.equal(free.head.score.weight, loose.head.score.weight)
    assert not torch.equal(free.head.score.weight, tight.head.score.weight)


def dropouts(model: RewardModel) -> list[float]:
    return [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]


def test_dropout_is_off_by_default_and_kept_on_request(tmp_path: Path) -> None:
    assert set(dropouts(train(tiny_run(tmp_path, kind="gpt2")).model)) == {0.0}
    kept = train(tiny_run(tmp_path, kind="gpt2", dropout=True, overwrite=True))
    assert max(dropouts(kept.model)) == 0.1


def test_without_dropout_a_body_in_training_mode_computes_what_it_computes_in_evaluation() -> None:
    model = tiny_reward_model("gpt2")
    tokens = torch.arange(3, 40)[None]
    expected = model.backbone(input_ids=tokens).last_hidden_state
    model.train()
    assert not torch.equal(model.backbone(input_ids=tokens).last_hidden_state, expected)
    assert switch_off_dropout(model.backbone) > 0
    assert torch.equal(model.backbone(input_ids=tokens).last_hidden_state, expected)


def test_dropout_that_a_body_keeps_as_a_number_is_switched_off_whatever_its_name() -> None:
    rates = {"residual_dropout": 0.5, "embedding_dropout": 0.5, "attention_dropout": 0.5}
    model = sharp_reward_model("starcoder2", **rates)
    tokens = torch.arange(3, 40)[None]
    expected = model.backbone(input_ids=tokens).last_hidden_state
    model.train()
    assert not torch.equal(model.backbone(input_ids=tokens).last_hidden_state, expected)
    switch_off_dropout(model.backbone)
    assert torch.equal(model.backbone(input_ids=tokens).last_hidden_state, expected)
