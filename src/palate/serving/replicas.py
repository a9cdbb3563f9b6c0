"""Several processes behind one port, each with a model of its own, watched by one that has none.

All of them accept from the same listening socket, so a connection goes to a process that is free to take it, and one
that waits when a process dies is taken by another. A process listens only once its boot check has passed; one that dies
is started anew. Figures for Prometheus are kept in files that all of them share.
"""

import importlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Semaphore
from types import FrameType

import torch
from prometheus_client.multiprocess import mark_process_dead

from palate.config import ServeConfig
from palate.serving import logs

Keys = tuple[str, ...]

_PATIENCE = 3  # processes that may end one after the other without ever having listened
_LONGEST_PAUSE = 30.0
_LAST_WORDS = 15.0  # seconds on top of the grace period before a process that does not end is killed
_LOG = logging.getLogger("palate.serving")


def serve_replicas(serve: str, config: ServeConfig, listener: socket.socket, keys: Keys) -> int:
    """Keep `config.replicas` processes on a bound socket until a signal.

    Args:
        serve: what each of them runs, `module:function`: they import it when their logs are set up.
        config: of each of them.
        listener: bound; they inherit it.
        keys: of the server.

    Returns:
        0 when every accepted request was answered; 1 when some were not, or when no process could be started.
    """
    logs.configure()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(cores // config.replicas, 1)))
    with tempfile.TemporaryDirectory(prefix="palate-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return Supervisor(serve, config, listener, keys).run()


@dataclass(slots=True)
class _Replica:
    """One place: the process that fills it, and how often in a row it ended too soon."""

    process: SpawnProcess | None = None
    begins: float = 0.0
    failures: int = 0


class Supervisor:
    """Starts processes, and starts them anew.

    Args:
        serve: what each of them runs, `module:function`.
        config: of each of them.
        listener: bound; they inherit it.
        keys: of the server.
    """

    def __init__(self, serve: str, config: ServeConfig, listener: socket.socket, keys: Keys) -> None:
        self._serve = serve
        self._config = config
        self._listener = listener
        self._keys = keys
        self._spawn = multiprocessing.get_context("spawn")
        self._ready = self._spawn.Semaphore(0)
        self._replicas = [_Replica() for _ in range(config.replicas)]
        self._listened = False
        self._stopping = False

    def run(self) -> int:
        """Until a signal."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        while not self._stopping:
            for number, replica in enumerate(self._replicas):
                if replica.process is None and time.monotonic() >= replica.begins:
                    self._start(number, replica)
            wait([replica.process.sentinel for replica in self._replicas if replica.process is not None], timeout=0.2)
            self._listened = self._ready.acquire(block=False) or self._listened
            for number, replica in enumerate(self._replicas):
                if replica.process is not None and not replica.process.is_alive() and not self._stopping:
                    self._bury(number, replica)
            if not self._listened and max(replica.failures for replica in self._replicas) >= _PATIENCE:
                _LOG.error("no replica becomes ready; the lines above say why")
                self._end()
                return 1
        return self._end()

    def _start(self, number: int, replica: _Replica) -> None:
        arguments = (self._serve, self._config, self._listener, self._keys, number, self._ready)
        replica.process = self._spawn.Process(target=_serve_one, args=arguments, name=f"replica {number}")
        replica.begins = time.monotonic()
        replica.process.start()
        _LOG.info("replica started", extra={"fields": {"replica": number, "pid": replica.process.pid}})

    def _bury(self, number: int, replica: _Replica) -> None:
        """A process ended that should not have."""
        assert replica.process is not None
        lived = time.monotonic() - replica.begins
        fields = {"replica": number, "pid": replica.process.pid, "exit": replica.process.exitcode, "lived": lived}
        _LOG.error("replica ended", extra={"fields": fields})
        mark_process_dead(replica.process.pid)  # type: ignore[no-untyped-call]
        replica.process.close()
        replica.process = None
        replica.failures = 0 if lived > _LONGEST_PAUSE else replica.failures + 1
        replica.begins = time.monotonic() + min(2.0 ** (replica.failures - 1) - 1, _LONGEST_PAUSE)

    def _end(self) -> int:
        """Every process answers what it has accepted."""
        alive = [replica.process for replica in self._replicas if replica.process is not None]
        for process in alive:
            process.terminate()
        until = time.monotonic() + self._config.grace_s + _LAST_WORDS
        for process in alive:
            process.join(max(until - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()
        # One that had not come as far as to handle the signal had accepted nothing either.
        return int(any(process.exitcode not in (0, -signal.SIGTERM) for process in alive))

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True


def _serve_one(
    serve: str, config: ServeConfig, listener: socket.socket, keys: Keys, number: int, ready: Semaphore
) -> None:
    """In a process of its own. Ctrl-C reaches every process of a terminal, but only the first says when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if torch.cuda.device_count() > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = _device(number)
    logs.configure()
    module, _, name = serve.partition(":")
    run: Callable[..., int] = getattr(importlib.import_module(module), name)
    sys.exit(run(config, listener, keys, on_listening=ready.release))


def _device(number: int) -> str:
    """One of the devices that the user lets be seen, by turns, under the user's name for it: a number or a UUID."""
    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[:count]]
    names = given if all(given) else [str(place) for place in range(count)]
    return names[number % len(names)]
