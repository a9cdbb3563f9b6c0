"""Before the first answer: agreement with the process makes a server ready, anything else keeps it from being."""

import asyncio
from typing import Any

import httpx2
import pytest
import torch
from tests.serving.asking import run

from palate.errors import ModelError
from palate.golden import NUM_TEXTS, golden_texts
from palate.model.quantize import quantize_body
from palate.model.reward_model import RewardModel
from palate.serving import boot
from palate.serving.app import create_app
from palate.serving.boot import check
from palate.serving.engine import Engine
from palate.serving.settings import Settings
from palate.serving.worker import Worker
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model


async def readiness(model: RewardModel, **options: Any) -> tuple[int, dict[str, Any]]:
    app = create_app(Engine(model, **options), Settings())
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")
    async with app.router.lifespan_context(app), client:
        first = await client.get("/readyz")
        assert (first.status_code, first.json()["state"]) == (503, "checking")
        while app.state.service.state == "checking":
            await asyncio.sleep(0.01)
        answer = await client.get("/readyz")
        asked = await client.post("/v1/reward", json={"inputs": []})
        assert asked.status_code == answer.status_code
        return answer.status_code, answer.json()


def test_a_sound_model_becomes_ready() -> None:
    async def main() -> None:
        code, told = await readiness(sharp_reward_model())
        assert (code, told["state"]) == (200, "ready")
        assert told["why"].startswith(f"served rewards are those of the process ({NUM_TEXTS} texts")

    run(main())


@pytest.mark.parametrize("max_waiting", [1, 8, NUM_TEXTS - 1])
def test_a_server_of_few_at_a_time_becomes_ready_too(max_waiting: int) -> None:
    async def main() -> None:
        code, told = await readiness(sharp_reward_model(), max_waiting=max_waiting)
        assert (code, told["state"]) == (200, "ready"), told["why"]
        assert told["why"].startswith(f"served rewards are those of the process ({NUM_TEXTS} texts")

    run(main())


def test_served_rewards_that_differ_keep_it_from_being_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Worker._forward
    monkeypatch.setattr(Worker, "_forward", lambda self, inputs: [r + 1e-3 for r in real(self, inputs)])

    async def main() -> None:
        code, told = await readiness(sharp_reward_model())
        assert (code, told["state"]) == (503, "failed")
        assert "served rewards differ from those of the process" in told["why"]
        assert "largest difference 0.001, allowed 0.0001" in told["why"]

    run(main())


def test_mixed_up_answers_keep_it_from_being_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Worker._forward
    monkeypatch.setattr(Worker, "_forward", lambda self, inputs: real(self, inputs)[::-1])

    async def main() -> None:
        code, told = await readiness(sharp_reward_model())
        assert (code, told["state"]) == (503, "failed")

    run(main())


def test_damaged_weights_keep_it_from_being_ready() -> None:
    model = sharp_reward_model()
    with torch.no_grad():
        next(model.backbone.parameters()).fill_(float("nan"))

    async def main() -> None:
        code, told = await readiness(model)
        assert (code, told["state"]) == (503, "failed")
        assert "largest difference inf" in told["why"]

    run(main())


def test_whatever_breaks_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ModelError("no device")

    monkeypatch.setattr(boot, "rewards_alone", broken)

    async def main() -> None:
        code, told = await readiness(sharp_reward_model())
        assert (code, told["why"]) == (503, "the boot check failed: ModelError: no device")

    run(main())


@pytest.mark.parametrize("pooling", ["mean-response", "cls"])
def test_every_pooling_and_short_limits(pooling: str) -> None:
    async def main() -> None:
        model = tiny_reward_model(pooling=pooling)
        model.max_length = 180
        assert any(tokens.truncated_tokens for _, tokens in golden_texts(model))
        engine = Engine(model)
        engine.start()
        result = await check(engine)
        engine.stop()
        assert result.passed
        assert result.texts > NUM_TEXTS // 2

    run(main())


def test_a_limit_that_no_golden_text_fits_is_told() -> None:
    model = sharp_reward_model()
    model.max_length = 8

    async def main() -> None:
        code, told = await readiness(model)
        assert code == 503
        assert "none of the golden texts fits into 8 tokens" in told["why"]

    run(main())


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_what_rounds_has_more_room(dtype: str) -> None:
    model = sharp_reward_model()
    if dtype == "bf16":
        model.compute_dtype = torch.bfloat16
    if dtype == "int8":
        quantize_body(model.backbone)

    async def main() -> None:
        engine = Engine(model)
        engine.start()
        result = await check(engine)
        engine.stop()
        assert result.passed
        assert result.tolerance == pytest.approx(1e-4 if dtype == "fp32" else 0.05, rel=0.2)

    run(main())
