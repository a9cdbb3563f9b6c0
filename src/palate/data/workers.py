"""Groups to token batches, by several processes, in order: rendering and tokenizing are most of what reading costs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from palate.data.render import CHUNK, OverLong, Tokenizer, tokenize_each
from palate.data.store import RecordBatch, to_batch
from palate.forked import ordered_map, refuse_unsafe, usable_cores
from palate.records import DroppedRow, PreferenceGroup, TokenizedGroup

# One process tokenizes with threads already; rendering and sorting out, half of its work, is left to one core. On two
# cores, two workers took 4.9 s for 7,381 pairs of HH-RLHF where one took 6.4, and 1.35 for 2,000 where one took 1.6;
# for 1,000 there was no difference. The reader needs 0.2 ms a pair, the workers 1.3: beyond eight it is the slowest.
_WORTH_IT, _MOST_WORKERS = 2000, 8


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
    refuse_unsafe(wanted)
    if wanted:
        return wanted
    return usable_cores(_MOST_WORKERS) if groups >= _WORTH_IT else 1


def tokenize_chunks(groups: Iterable[PreferenceGroup], job: Job, *, workers: int = 1) -> Iterator[TokenBatch]:
    """Batches in the order of the groups; their contents do not depend on the number of workers.

    Raises:
        DataError: see `palate.data.render.tokenize`.
        PalateError: a worker died.
    """
    stream = iter(groups)
    chunks = iter(lambda: list(islice(stream, CHUNK)), [])
    return ordered_map(partial(tokenize_chunk, job=job), chunks, workers=workers)


def tokenize_chunk(groups: list[PreferenceGroup], job: Job) -> TokenBatch:
    """One chunk, here."""
    results = list(tokenize_each(groups, job.tokenizer, max_length=job.max_length, over_long=job.over_long))
    kept = [result for result in results if isinstance(result, TokenizedGroup)]
    dropped = tuple(result for result in results if isinstance(result, DroppedRow))
    return TokenBatch(to_batch(kept), dropped, len(groups))
