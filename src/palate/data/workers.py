"""Groups to token batches, by several processes, in order: rendering and tokenizing are most of what reading costs.

Processes are forked: the tokenizer then needs no copying, and a script that calls palate needs no main guard. Where
forking is not safe (Windows, macOS), one process does it all.
"""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

from palate.data.render import CHUNK, OverLong, Tokenizer, tokenize_each
from palate.data.store import RecordBatch, to_batch
from palate.errors import ConfigError, DataError, PalateError
from palate.records import DroppedRow, PreferenceGroup, TokenizedGroup

# One process tokenizes with threads already; rendering and sorting out, half of its work, is left to one core. On two
# cores, two workers took 4.9 s for 7,381 pairs of HH-RLHF where one took 6.4, and 1.35 for 2,000 where one took 1.6;
# for 1,000 there was no difference. The reader needs 0.2 ms a pair, the workers 1.3: beyond eight it is the slowest.
_WORTH_IT, _MOST_WORKERS = 2000, 8
_AHEAD = 2  # chunks a worker has waiting: enough that none idles, few enough to hold in memory


@dataclass(frozen=True, slots=True)
class Job:
    """How to tokenize; see `palate.data.render.tokenize`."""

    tokenizer: Tokenizer
    max_length: int
    over_long: OverLong


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """What became of one chunk of groups: a record batch of those that fit, the others, and how many there were."""

    batch: RecordBatch
    dropped: tuple[DroppedRow, ...]
    groups: int


def num_workers(wanted: int, groups: int) -> int:
    """How many processes: as many as wanted, or for 0 one a core, up to eight, where there are enough groups.

    Raises:
        ConfigError: several are wanted where processes cannot be forked safely.
    """
    can_fork = sys.platform == "linux"
    if wanted > 1 and not can_fork:
        raise ConfigError(f"workers is {wanted}, but {sys.platform} cannot fork safely; leave it at 0 or 1")
    if wanted:
        return wanted
    cores = len(os.sched_getaffinity(0)) if can_fork else 1
    return min(cores, _MOST_WORKERS) if groups >= _WORTH_IT else 1


def tokenize_chunks(groups: Iterable[PreferenceGroup], job: Job, *, workers: int = 1) -> Iterator[TokenBatch]:
    """Batches in the order of the groups; their contents do not depend on the number of workers.

    Raises:
        DataError: see `palate.data.render.tokenize`.
        PalateError: a worker died.
    """
    stream = iter(groups)
    chunks = iter(lambda: list(islice(stream, CHUNK)), [])
    if workers == 1:
        yield from (tokenize_chunk(chunk, job) for chunk in chunks)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(job,)) as pool:
        waiting: deque[Future[TokenBatch | _Fault]] = deque()
        try:
            while True:
                waiting.extend(pool.submit(_work, chunk) for chunk in islice(chunks, workers * _AHEAD - len(waiting)))
                if not waiting:
                    return
                result = waiting.popleft().result()
                if isinstance(result, _Fault):
                    raise result.error()
                yield result
        except BrokenProcessPool as error:
            raise PalateError(
                "a tokenizing process died, perhaps for want of memory; try again with fewer (--workers 1)"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def tokenize_chunk(groups: list[PreferenceGroup], job: Job) -> TokenBatch:
    """One chunk, here."""
    results = list(tokenize_each(groups, job.tokenizer, max_length=job.max_length, over_long=job.over_long))
    kept = [result for result in results if isinstance(result, TokenizedGroup)]
    dropped = tuple(result for result in results if isinstance(result, DroppedRow))
    return TokenBatch(to_batch(kept), dropped, len(groups))


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


_job: Job


def _start(job: Job) -> None:
    global _job
    _job = job
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism


def _work(groups: list[PreferenceGroup]) -> TokenBatch | _Fault:
    try:
        return tokenize_chunk(groups, _job)
    except DataError as error:
        return _Fault(str(error), error.reason, error.where, error.field)
