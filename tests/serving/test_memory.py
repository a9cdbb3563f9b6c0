"""A server that has answered many requests holds no more than one that has answered a few."""

import asyncio
import gc

from tests.serving.asking import Served, run, served

from palate.model.reward_model import RewardModel


async def ask(server: Served, first: int, number: int) -> None:
    """Good requests, wrong ones, late ones, ones of ever new clients."""
    for start in range(first, first + number, 40):
        kinds = (
            {"json": {"inputs": [{"prompt": str(n), "response": "a"}]}, "headers": {"x-client-id": str(n)}}
            if n % 4
            else {"json": {"inputs": [{"prompt": n}]}}
            if n % 8
            else {"json": {"inputs": [{"prompt": str(n), "response": "late"}], "deadline_ms": 1}}
            for n in range(start, start + 40)
        )
        await asyncio.gather(*(server.client.post("/v1/reward", **kind) for kind in kinds))


def test_memory_is_flat(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model, cache_size=50) as server:
            await ask(server, 0, 240)
            gc.collect()
            before = len(gc.get_objects())
            await ask(server, 1000, 480)
            gc.collect()
            grown = len(gc.get_objects()) - before
            assert grown < 240, grown  # less than one object for every second request
            assert server.engine.waiting == len(server.engine._worker.backlog) == 0
            assert len(server.engine._cache) == 50

    run(main())
