"""A server without a socket: the application, its engine, and a client that speaks to it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from palate.data.render import tokenize
from palate.model.reward_model import RewardModel
from palate.records import Message, PreferenceGroup
from palate.serving.app import create_app
from palate.serving.engine import Engine
from palate.serving.service import Service
from palate.serving.settings import Settings
from palate.testing.separate import separate_rewards


@dataclass
class Served:
    client: httpx2.AsyncClient
    service: Service
    engine: Engine

    async def reward(self, inputs: Sequence[Any], **more: Any) -> httpx2.Response:
        headers = more.pop("headers", {})
        return await self.client.post("/v1/reward", json={"inputs": list(inputs), **more}, headers=headers)

    async def scores(self, inputs: Sequence[Any], **more: Any) -> list[float]:
        answer = await self.reward(inputs, **more)
        assert answer.status_code == 200, answer.text
        return [item["score"] for item in answer.json()["data"]]


@asynccontextmanager
async def served(model: RewardModel, settings: Settings | None = None, **options: Any) -> AsyncIterator[Served]:
    """Without the boot check, whose own tests have it."""
    engine = Engine(model, **options)
    app = create_app(engine, settings or Settings())
    service: Service = app.state.service
    engine.start()
    service.state = "ready"
    try:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
            yield Served(client, service, engine)
    finally:
        engine.stop()


def run(main: Coroutine[Any, Any, None]) -> None:
    """With a limit: a server that never answers is a failure, no stop."""
    asyncio.run(asyncio.wait_for(main, 60))


def alone(model: RewardModel, prompt: str, response: str) -> float:
    """The reward by a forward pass of its own, of the body as transformers ships it."""
    group = PreferenceGroup("x", (Message("user", prompt),), ((Message("assistant", response),),))
    return float(separate_rewards(model, tokenize([group], model.tokenizer, max_length=10**6).groups)[0].detach())
