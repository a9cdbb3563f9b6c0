"""Several processes behind one port: one is killed under load, and the server goes on and is whole again."""

import asyncio
import os
import signal
import socket
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.slow
def test_a_killed_replica_is_replaced_under_load(tmp_path: Path) -> None:
    model = sharp_reward_model()
    model.save_pretrained(tmp_path / "rm")
    answers: list[tuple[str, float]] = []
    broken: list[int] = []

    async def client(url: str, number: int, stop: asyncio.Event) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            prompt = f"question {number} {turn}"
            try:
                answer = await asyncio.to_thread(
                    httpx2.post, f"{url}/v1/reward", json={"inputs": [{"prompt": prompt, "response": "a"}]}, timeout=30
                )
            except httpx2.HTTPError:  # on a connection that the killed one had accepted
                broken.append(number)
                continue
            assert answer.status_code == 200, answer.text
            answers.append((prompt, answer.json()["data"][0]["score"]))

    async def until(happens: object, server: Process) -> None:
        while not happens():
            assert server.popen.poll() is None
            await asyncio.sleep(0.05)

    async def load(server: Process) -> set[int]:
        stop = asyncio.Event()
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(client(server.url, number, stop))
            await until(lambda: len(answers) > 20, server)
            before = replicas(server)
            victim = min(before)
            os.kill(victim, signal.SIGKILL)
            await until(lambda: len(replicas(server)) == 2 and victim not in replicas(server), server)
            (new,) = replicas(server) - before
            await until(lambda: any(line.get("process") == new and "status" in line for line in server.log()), server)
            stop.set()
        return before

    with process([str(tmp_path / "rm"), "--replicas", "2", "--cache-size", "0"], tmp_path) as server:
        server.wait_until_ready()
        before = asyncio.run(load(server))
        assert len(before) == 2
        text = httpx2.get(f"{server.url}/metrics").text
        assert server.stop() == 0
        log = server.log()
    assert len(broken) <= 4  # no more than the four requests that were on their way
    served = Counter(line["process"] for line in log if line.get("path") == "/v1/reward" and line.get("status") == 200)
    assert len(served) >= 2
    counted = next(
        line for line in text.splitlines() if line.startswith('palate_requests_total{code="200",route="/v1/r')
    )
    assert float(counted.split()[-1]) >= len(answers)  # of all processes, the killed one's included
    for prompt, score in answers[::5]:
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
