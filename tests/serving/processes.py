"""`palate serve` as users run it: a process, its address, its log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2


class Process:
    """A running server; `log` reads what it has said so far."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._log = folder / "serve.log"
        with self._log.open("w") as log:
            command = [sys.executable, "-m", "palate", "serve", *arguments, "--port", "0"]
            self.popen = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert " at http" in line, self._log.read_text()
        self.url = next(word for word in line.split() if word.startswith("http")).rstrip(";")

    def wait_until_ready(self, headers: dict[str, str] | None = None) -> None:
        with httpx2.Client(base_url=self.url, headers=headers, timeout=30) as client:
            for _ in range(600):
                try:
                    if client.get("/readyz").status_code == 200:
                        return
                except httpx2.HTTPError:
                    pass
                assert self.popen.poll() is None, self._log.read_text()
                time.sleep(0.2)
        raise AssertionError(self._log.read_text())

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(30)


@contextmanager
def process(arguments: list[str], folder: Path) -> Iterator[Process]:
    server = Process(arguments, folder)
    try:
        yield server
    finally:
        if server.popen.poll() is None:
            server.popen.kill()
        server.popen.wait()
        assert server.popen.stdout is not None
        server.popen.stdout.close()
