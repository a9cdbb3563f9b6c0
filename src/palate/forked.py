"""Work on chunks in several processes, results in order.

Processes are forked: what they need is there without copying, and a script that calls palate needs no main guard.
Where forking is not safe (Windows, macOS), one process does it all.
"""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from palate.errors import ConfigError, DataError, PalateError

In = TypeVar("In")
Out = TypeVar("Out")

_AHEAD = 2  # items a worker has waiting: enough that none idles, few enough to hold in memory


def usable_cores(most: int) -> int:
    """How many processes are worth starting on this machine: one a core, 1 where forking is not safe."""
    return min(len(os.sched_getaffinity(0)), most) if sys.platform == "linux" else 1


def refuse_unsafe(workers: int) -> None:
    """Complain where a number of processes is asked for that cannot be had.

    Raises:
        ConfigError: `workers` is negative, or above 1 where processes cannot be forked safely.
    """
    if workers < 0:
        raise ConfigError(f"workers is {workers}; give a number of processes, or 0 for one a core")
    if workers > 1 and sys.platform != "linux":
        raise ConfigError(f"workers is {workers}, but {sys.platform} cannot fork safely; leave it at 0 or 1")


def ordered_map(function: Callable[[In], Out], items: Iterable[In], *, workers: int) -> Iterator[Out]:
    """`map(function, items)` by several processes; items are taken as they are needed.

    Raises:
        DataError: `function` raised it.
        PalateError: a process died.
    """
    if workers == 1:
        yield from map(function, items)
        return
    stream = iter(items)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(function,)) as pool:
        waiting: deque[Future[Any]] = deque()
        try:
            while True:
                waiting.extend(pool.submit(_work, item) for item in islice(stream, workers * _AHEAD - len(waiting)))
                if not waiting:
                    return
                result = waiting.popleft().result()
                if isinstance(result, _Fault):
                    raise result.error()
                yield result
        except BrokenProcessPool as error:
            raise PalateError(
                "a worker process died, perhaps for want of memory; try again with fewer (--workers 1)"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Fault:
    """A `DataError` on its way between processes, which pickle exceptions by their positional arguments alone."""

    message: str
    reason: str
    where: str
    field: str | None

    def error(self) -> DataError:
        error = DataError(self.message, reason=self.reason, field=self.field)
        error.where = self.where  # already part of the message
        return error


_function: Callable[[Any], Any]


def _start(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism


def _work(item: Any) -> Any:
    try:
        return _function(item)
    except DataError as error:
        return _Fault(str(error), error.reason, error.where, error.field)
