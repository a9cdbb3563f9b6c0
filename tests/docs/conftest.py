"""The files that the pages speak of, with tiny models in them, and a server where they expect one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from palate.data.simulate import simulate, write_jsonl
from palate.model.reward_model import RewardModel
from palate.serving.app import create_app
from palate.serving.engine import Engine
from palate.serving.settings import Settings
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import save_tiny_causal_lm


@pytest.fixture(scope="session")
def model() -> RewardModel:
    made = sharp_reward_model(max_position_embeddings=2048)
    made.max_length = 1024
    return made


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, model: RewardModel) -> Path:
    """A folder with what a reader of the how-to pages has: data, a small model, two reward models."""
    folder = tmp_path_factory.mktemp("world")
    save_tiny_causal_lm(folder / "tiny", max_position_embeddings=2048)
    for seed, name in enumerate(("prefs", "train", "held-out")):
        write_jsonl(simulate(24, seed=seed), folder / f"{name}.jsonl")
    for name in ("rm", "old"):
        model.save_pretrained(folder / "runs" / name)
    return folder


@pytest.fixture(scope="session")
def address(model: RewardModel) -> Iterator[str]:
    """Of a palate server that asks for no key."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(Engine(model), Settings(check_first=True)), port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
