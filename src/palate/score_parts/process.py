"""Parts one after another, in this process."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from palate.config import ScoreConfig
from palate.score_parts.plan import Part
from palate.score_parts.worker import Event, Loaded, Worker


class Engine(Protocol):
    """Workers whose model is loaded."""

    @property
    def loaded(self) -> Loaded:
        """What the first of them said of itself."""

    @property
    def workers(self) -> int:
        """How many there are."""

    def score(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Event]]:
        """What the workers report of each part, see `Worker.score`; the last of each part is its result.

        Raises:
            PalateError: what would stop any part.
        """


Start = Callable[[ScoreConfig, int, Callable[[str], object]], AbstractContextManager[Engine]]
"""Starts workers: for these settings, for that many parts, telling what they say."""


class _InProcess:
    workers = 1

    def __init__(self, worker: Worker, loaded: Loaded) -> None:
        self._worker = worker
        self.loaded = loaded

    def score(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Event]]:
        for part in parts:
            for event in self._worker.score(part):
                yield part, event


@contextmanager
def in_process(config: ScoreConfig, _parts: int, _say: Callable[[str], object]) -> Iterator[Engine]:
    """One worker in this process, which needs nothing said of how it is started."""
    worker = Worker(config)
    yield _InProcess(worker, worker.load())
