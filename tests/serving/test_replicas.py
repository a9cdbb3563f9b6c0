"""Several processes behind one port: one is killed under load, and the server goes on and is whole again."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx2
import psutil
import pytest
from tests.serving.asking import alone
from tests.serving.processes import Process, process

from palate.config import ServeConfig
from palate.serving import replicas as replicas_module
from palate.testing.separate import sharp_reward_model


def replicas(server: Process) -> set[int]:
    """Of the processes that have the socket, those that serve."""
    return {line["pid"] for line in server.log() if line["event"] == "replica started"} & {
        child.pid for child in psutil.Process(server.popen.pid).children() if child.status() != psutil.STATUS_ZOMBIE
    }


class Clients:
    """Ask one thing after the other, each on a connection of its own, so that the kernel chooses a process for each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[str, float]] = []
        self.broken = 0
        self.stop = asyncio.Event()

    async def run(self, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            turn += 1
            prompt = f"question {number} {turn}"
            try:
                self.answers.append((prompt, await asyncio.to_thread(self.ask, prompt)))
            except HTTPError:  # an answer that is not 200
                raise
            except (OSError, HTTPException):  # on a connection that the killed one had accepted
                self.broken += 1
            await asyncio.sleep(0.02)

    def ask(self, prompt: str) -> float:
        body = json.dumps({"inputs": [{"prompt": prompt, "response": "a"}]}).encode()
        request = Request(f"{self.url}/v1/reward", body, {"content-type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"][0]["score"]


async def until(happens: Callable[[], object], server: Process) -> None:
    while not happens():
        assert server.popen.poll() is None
        await asyncio.sleep(0.05)


async def kill_one(clients: Clients, server: Process) -> set[int]:
    """Under load; returns those that were there before, once another has taken the killed one's place and answers."""
    async with asyncio.timeout(240), asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(clients.run(number))
        await until(lambda: len(clients.answers) > 20 and len(replicas(server)) == 2, server)
        before = replicas(server)
        os.kill(min(before), signal.SIGKILL)
        await until(lambda: replicas(server) - before, server)
        new = replicas(server) - before
        await until(lambda: any(line.get("process") in new and "status" in line for line in server.log()), server)
        clients.stop.set()
    return before


@pytest.mark.slow
def test_a_killed_replica_is_replaced_under_load(tmp_path: Path) -> None:
    model = sharp_reward_model()
    model.save_pretrained(tmp_path / "rm")
    with process([str(tmp_path / "rm"), "--replicas", "2", "--cache-size", "0"], tmp_path) as server:
        server.wait_until_ready()
        clients = Clients(server.url)
        before = asyncio.run(kill_one(clients, server))
        assert len(before) == 2
        text = httpx2.get(f"{server.url}/metrics").text
        assert server.stop() == 0
        log = server.log()
    assert clients.broken <= 4  # no more than the four requests that were on their way
    served = Counter(line["process"] for line in log if line.get("path") == "/v1/reward" and line.get("status") == 200)
    assert len(served) >= 2
    series = 'palate_requests_total{code="200",route="/v1/reward"}'
    counted = next(line for line in text.splitlines() if line.startswith(series))
    assert float(counted.split()[-1]) >= len(clients.answers)  # of all processes, the killed one's included
    for prompt, score in clients.answers[::5]:
        assert score == pytest.approx(alone(model, prompt, "a"), abs=1e-4)


class Dies:
    """A process that ends at once."""

    exitcode, pid, sentinel = 3, 1, 0
    started = 0

    def __init__(self, **_: object) -> None:
        Dies.started += 1

    def start(self) -> None: ...

    def close(self) -> None: ...

    def terminate(self) -> None: ...

    def join(self, _seconds: float) -> None: ...

    def is_alive(self) -> bool:
        return False


def test_a_server_of_which_no_process_ever_listens_gives_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(replicas_module, "wait", lambda *_args, **_more: [])
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    supervisor = replicas_module.Supervisor("a:b", ServeConfig(model="rm", replicas=2), socket.socket(), ())
    monkeypatch.setattr(supervisor, "_spawn", SimpleNamespace(Process=Dies))
    try:
        assert supervisor.run() == 1
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    assert 3 <= Dies.started <= 6


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        (None, 2, ["0", "1", "0"]),
        ("2,3", 2, ["2", "3", "2"]),
        ("GPU-8f, MIG-2a ,GPU-11", 3, ["GPU-8f", "MIG-2a", "GPU-11"]),
        ("1,0,-1,2", 2, ["1", "0", "1"]),  # CUDA sees what stands before the first that is none
    ],
)
def test_replicas_take_turns_on_the_devices_that_the_user_names(
    monkeypatch: pytest.MonkeyPatch, given: str | None, count: int, expected: list[str]
) -> None:
    seen: list[str] = []
    served = SimpleNamespace(run=lambda *_, **__: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]) or 0)
    monkeypatch.setitem(sys.modules, "a_server", served)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setattr(replicas_module.signal, "signal", lambda *_: None)
    monkeypatch.setattr(replicas_module.logs, "configure", lambda: None)
    ready = SimpleNamespace(release=None)
    for number in range(3):
        with monkeypatch.context() as process:
            process.setenv("CUDA_VISIBLE_DEVICES", given or "")
            if given is None:
                process.delenv("CUDA_VISIBLE_DEVICES")
            with pytest.raises(SystemExit):
                replicas_module._serve_one("a_server:run", ServeConfig(model="rm"), None, (), number, ready)
    assert seen == expected
