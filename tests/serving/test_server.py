"""The process: what it refuses to start with, and how it stops."""

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.serving.asking import alone
from tests.serving.processes import Process, process

from palate.auditing.local import LocalScorer
from palate.auditing.remote import RemoteScorer
from palate.cli.main import main
from palate.config import ServeConfig
from palate.errors import ConfigError
from palate.model.reward_model import RewardModel
from palate.serving.server import bind, check
from palate.testing.groups import random_groups
from palate.testing.separate import sharp_reward_model


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"host": "0.0.0.0"}, "--api-key-file"),
        ({"api_key_file": "/no/such/file"}, "cannot read the keys"),
        ({"port": -1}, "--port is -1"),
        ({"tokens_per_pack": 0}, "--tokens-per-pack is 0; it must be more"),
        ({"max_items": 0}, "--max-items"),
        ({"replicas": 0}, "--replicas"),
        ({"timeout_s": float("nan")}, "--timeout-s"),
        ({"max_items": 100, "max_waiting": 99}, "can never be taken"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        check(ServeConfig(model="rm", **settings))


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="choose another --port"):
            bind("127.0.0.1", port)
        assert main(["serve", "no-such-model", "--port", str(port)]) == 2
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_a_public_address_without_a_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "no-such-model", "--host", "0.0.0.0"]) == 2
    assert "lets other machines in, and there is no key" in capsys.readouterr().err


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[RewardModel, str]:
    model = sharp_reward_model()
    folder = tmp_path_factory.mktemp("rm") / "rm"
    model.save_pretrained(folder)
    return model, str(folder)


INPUTS = 16  # of a request: enough that a signal meets requests which take longer than a server's last words


class Clients:
    """Clients that ask one thing after the other, each on a connection of its own, until told to stop."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.headers = headers
        self.answers: list[tuple[dict[str, str], float]] = []
        self.refused: Counter[str] = Counter()
        self.lost: list[str] = []
        self.stopped = False

    async def ask(self, number: int) -> None:
        async with httpx2.AsyncClient(base_url=self.url, headers=self.headers, timeout=30) as client:
            turn = 0
            while not self.stopped:
                turn += 1
                inputs = [
                    {"prompt": f"question {number} {turn} {n}", "response": "because " * 20} for n in range(INPUTS)
                ]
                try:
                    answer = await client.post("/v1/reward", json={"inputs": inputs})
                except httpx2.ConnectError:
                    return
                except httpx2.HTTPError as error:
                    self.lost.append(repr(error))
                    return
                if answer.status_code != 200:
                    self.refused[answer.json()["error"]["type"]] += 1
                    await asyncio.sleep(0.02)
                else:
                    self.answers.append((inputs[turn % INPUTS], answer.json()["data"][turn % INPUTS]["score"]))


@pytest.mark.slow
def test_a_public_server_with_a_key_until_a_signal_under_load(saved: tuple[RewardModel, str], tmp_path: Path) -> None:
    """One process for all, since starting one takes the longest."""
    model, folder = saved
    keys = tmp_path / "keys"
    keys.write_text("a-key-of-some-length\n")
    keys.chmod(0o600)
    public = ["--host", "0.0.0.0", "--api-key-file", str(keys)]
    with process([folder, *public, "--cache-size", "0", "--tokens-per-pack", "1024"], tmp_path) as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        server.wait_until_ready()
        key = {"authorization": "Bearer a-key-of-some-length"}
        assert httpx2.get(f"{server.url}/v1/contract").status_code == 401
        schema = httpx2.get(f"{server.url}/openapi.json", headers=key).json()
        assert schema["paths"]["/v1/reward"]["post"]["security"] == [{"key": []}]
        assert schema["paths"]["/readyz"]["get"]["security"] == []
        audited_rewards_are_those_of_the_process(server.url, model)
        clients = Clients(server.url, key | {"x-client-id": "load"})
        asyncio.run(load_until_signal(clients, server))
        assert server.popen.returncode == 0
        log = [line for line in server.log() if line.get("client") == "key 0/load"]
    answered = Counter(line["status"] for line in log)
    assert set(answered) <= {200, 503}  # nobody was left without an answer
    assert answered[200] == len(clients.answers)  # and every answer arrived
    assert set(clients.refused) <= {"draining"}
    for item, score in clients.answers[::7] + clients.answers[-20:]:
        assert score == pytest.approx(alone(model, item["prompt"], item["response"]), abs=1e-4)


def audited_rewards_are_those_of_the_process(url: str, model: RewardModel) -> None:
    """Through the audit's own client, and more responses than one request may hold."""
    groups = random_groups(20, 16)
    scorer = RemoteScorer(url, api_key="a-key-of-some-length")
    assert scorer.protocol == "palate"
    for found, expected in zip(scorer.score(groups), LocalScorer(model, "rm").score(groups), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


async def load_until_signal(clients: Clients, server: Process) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for number in range(32):
            tasks.create_task(clients.ask(number))
        while len(clients.answers) < 60:
            await asyncio.sleep(0.01)
        server.popen.send_signal(signal.SIGTERM)
        while server.popen.poll() is None:
            await asyncio.sleep(0.01)
        clients.stopped = True
