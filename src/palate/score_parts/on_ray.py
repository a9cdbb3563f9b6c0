"""Parts on a pool of Ray actors: each loads the model once, and takes the next part when it has finished one.

Plain actors, not Ray Data: a part is written and resumed by its worker, under a name that is known beforehand, so that
nothing has to pass through the object store and no block that Ray computes twice can appear twice. What Ray adds is
the machines, and the news that one of them is gone.
"""

import logging
import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palate import __version__
from palate.config import ScoreConfig
from palate.errors import ConfigError, ModelError, PalateError
from palate.score_parts.manifest import PartResult
from palate.score_parts.plan import Part
from palate.score_parts.process import Engine
from palate.score_parts.worker import Event, Loaded, Worker

_DEATHS = 3  # of workers over the same part, or while loading: then it is not chance
_STORE = 128 << 20  # bytes of object memory: nothing but counts goes through it


class RayWorker:
    """A worker in a process of its own, in the folder that paths of the settings are meant from."""

    def __init__(self, config: ScoreConfig, folder: str) -> None:
        self._worker = Worker(config)
        self._folder = folder

    def load(self) -> tuple[Loaded, str]:
        """Load the model; returns what `Worker.load` does, and which process this is.

        Raises:
            PalateError: the model cannot be used, or the folder is not there.
        """
        place = f"process {os.getpid()} on {socket.gethostname()}"
        try:
            os.chdir(self._folder)
        except OSError as error:
            message = f"{place}: no folder {self._folder}; every machine has to see the same files at the same paths"
            raise ConfigError(message) from error
        return self._worker.load(), place

    def score(self, part: Part) -> Iterator[Event]:
        """See `Worker.score`."""
        yield from self._worker.score(part)


def largest_share(cpus: Sequence[float], workers: int) -> int:
    """The most processors that each of `workers` can have on machines with so many; 0 where there are not enough.

    >>> largest_share([8, 8], 2), largest_share([8, 8], 3), largest_share([8, 2], 4), largest_share([2], 3)
    (8, 4, 2, 0)
    """
    return max((n for n in range(1, int(max(cpus, default=0)) + 1) if sum(c // n for c in cpus) >= workers), default=0)


@contextmanager
def on_ray(config: ScoreConfig, parts: int, say: Callable[[str], object]) -> Iterator[Engine]:
    """A pool of workers on the cluster at `ray_address`, or on a Ray of this run's own; gone when the run is.

    Raises:
        ConfigError: Ray is not installed, not there, or too small for so many workers.
        PalateError: the model cannot be used.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--engine ray needs Ray; install it with: pip install 'palate[ray]'") from error
    mine = not ray.is_initialized()
    if mine:
        _connect(ray, config.ray_address)
    pool = None
    try:
        pool = _Pool(ray, config, _resources(ray, config.ray_workers, parts, say), say)
        yield pool
    finally:
        if pool is not None:
            pool.stop()
        if mine:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of a run unless the user says so
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else None  # None: as Ray counts
        ray.init("local", num_cpus=cores, object_store_memory=_STORE, include_dashboard=False, **quiet)
        return
    try:
        ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"no Ray at {address} ({error}); check --ray-address") from error


@dataclass(frozen=True, slots=True)
class _Resources:
    """Of the pool: workers, and the processors and GPUs of each."""

    workers: int
    cpus: int
    gpus: int


def _resources(ray: Any, wanted: int | None, parts: int, say: Callable[[str], object]) -> _Resources:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus = ([int(machine.get(kind, 0)) for machine in machines] for kind in ("CPU", "GPU"))
    workers = wanted or max(1, sum(gpus))
    if gpus and 0 < sum(gpus) < workers:
        raise ConfigError(f"ray-workers is {workers}, and there are {sum(gpus)} GPUs; each worker needs one")
    share = largest_share(cpus, workers)
    if share == 0:
        raise ConfigError(f"ray-workers is {workers}, and there are {sum(cpus)} processors; each worker needs one")
    useful = max(1, min(workers, parts))
    if useful < workers:
        say(f"{useful} of {workers} workers are started: there are no more parts to score")
    return _Resources(useful, 1 if sum(gpus) else share, 1 if sum(gpus) else 0)


@dataclass(slots=True)
class _Pool:
    """Actors, and what each is doing.

    `starting` are those whose model is being loaded, by the answer that is awaited; `busy` those with a part, by the
    stream of its events; `idle` the others. A dead one is replaced.
    """

    ray: Any
    config: ScoreConfig
    resources: _Resources
    say: Callable[[str], object]
    loaded: Loaded = field(init=False)
    starting: dict[Any, Any] = field(init=False, default_factory=dict)
    busy: dict[Any, tuple[Part, Any]] = field(init=False, default_factory=dict)
    idle: deque[Any] = field(init=False, default_factory=deque)
    deaths: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        for _ in range(self.resources.workers):
            self._start()
        while not self.idle:  # the model's identity has to be known before anything is written
            ready, _ = self.ray.wait(list(self.starting), num_returns=1)
            self._welcome(ready[0])

    @property
    def workers(self) -> int:
        return self.resources.workers

    def stop(self) -> None:
        """End all workers."""
        for actor in [*self.starting.values(), *(actor for _, actor in self.busy.values()), *self.idle]:
            self.ray.kill(actor)

    def _start(self) -> None:
        options = {"num_cpus": self.resources.cpus, "num_gpus": self.resources.gpus, "max_restarts": 0}
        actor = self.ray.remote(RayWorker).options(**options).remote(self.config, str(Path.cwd()))
        self.starting[actor.load.remote()] = actor

    def _welcome(self, answer: Any) -> None:
        """A worker has loaded its model, or failed to."""
        actor = self.starting.pop(answer)
        try:
            loaded, place = self.ray.get(answer)
        except self.ray.exceptions.RayActorError:
            self.deaths["loading"] += 1
            if self.deaths["loading"] == _DEATHS:
                message = f"{_DEATHS} workers died while they loaded the model, perhaps for want of memory"
                raise PalateError(f"{message}; try fewer (--ray-workers 1)") from None
            self._start()
            return
        except self.ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        if loaded.version != __version__:
            raise ConfigError(f"{place} has palate {loaded.version}, this machine {__version__}; install the same")
        if not hasattr(self, "loaded"):
            self.loaded = loaded
        elif loaded.model_hash != self.loaded.model_hash:
            message = f"{place} found another model at {self.config.model} than the workers before it"
            raise ModelError(f"{message}; every machine has to see the same files at the same paths")
        self.say(f"worker: {place}")
        self.idle.append(actor)

    def score(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Event]]:
        """See `Engine.score`. A part whose worker dies goes to the next one, which goes on where it stopped."""
        waiting = deque(parts)
        while waiting or self.busy:
            while waiting and self.idle:
                actor, part = self.idle.popleft(), waiting.popleft()
                self.busy[actor.score.options(num_returns="streaming").remote(part)] = (part, actor)
            ready, _ = self.ray.wait([*self.busy, *self.starting], num_returns=1)
            for what in ready:
                if what in self.starting:
                    self._welcome(what)
                    continue
                part, actor = self.busy[what]
                event = self._next(what, part)
                if event is None:
                    waiting.append(part)
                    continue
                yield part, event
                if isinstance(event, PartResult) and self.busy.pop(what, None) is not None:
                    self.idle.append(actor)

    def _next(self, stream: Any, part: Part) -> Event | None:
        """What the worker says next; None where it has died and the part is to be tried again."""
        try:
            event: Event = self.ray.get(next(stream))
        except self.ray.exceptions.RayActorError:
            del self.busy[stream]
            self._start()
            self.deaths[part.name] += 1
            if self.deaths[part.name] == _DEATHS:
                message = f"{_DEATHS} workers died over it, perhaps for want of memory; try a smaller --tokens-per-pack"
                return PartResult(error=f"{part.input}: {message}")
            self.say(f"warning: the worker of {part.name} died; another goes on with it")
            return None
        except self.ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        return event


def _cause(error: Any) -> Exception:
    """What a worker raised, as itself."""
    cause = error.cause
    return cause if isinstance(cause, PalateError) else error
