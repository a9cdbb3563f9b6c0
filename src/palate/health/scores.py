"""Rewards of a model for the data that is being checked, as `palate score` writes them."""

from pathlib import Path

import numpy as np

from palate.data.sources import read_rows
from palate.errors import DataError
from palate.health.corpus import Corpus
from palate.health.tables import Floats


def read_margins(path: Path, corpus: Corpus) -> Floats:
    """[C], reward of the winner minus reward of the loser; NaN where the file has no reward.

    Lines and groups are brought together by id. Within a file every group has an id of its own; two files may both
    number their rows, and then nothing says which of them a line is about.

    Raises:
        DataError: the file cannot be read, a line is not one of `palate score`, it is of other data, or an id is there
            twice.
    """
    rewards = _read(path)
    flat = np.full(len(corpus.responses.key), np.nan)
    missing = 0
    seen: set[str] = set()
    for group in np.flatnonzero(~corpus.groups.against).tolist():
        start, end = corpus.groups.start[group : group + 2].tolist()
        id = corpus.id(group)
        if id in seen:
            raise _ambiguous(id, corpus.where(group))
        seen.add(id)
        found = rewards.get(id, ())
        if found is None:  # over-long, say: counted where it was scored
            continue
        if len(found) != end - start:
            missing += 1
            continue
        flat[start:end] = found
    if missing:
        message = f"{missing:,} groups of the data have no rewards in it, or another number; score this very data"
        raise DataError(message, reason="other-data", where=str(path))
    margins: Floats = flat[corpus.comparisons.winner] - flat[corpus.comparisons.loser]
    return margins


def _read(path: Path) -> dict[str, list[float] | None]:
    """Rewards by id, as `palate score` wrote them."""
    rewards: dict[str, list[float] | None] = {}
    for row in read_rows(str(path)):
        if isinstance(row, DataError):
            raise row
        if not {"id", "rewards"} <= row.values.keys():
            message = "no id and rewards; give the file that palate score wrote for this data"
            raise DataError(message, reason="no-rewards", where=row.where)
        found = row.values["rewards"]
        if found is not None and not (isinstance(found, list) and all(type(one) in (int, float) for one in found)):
            message = "rewards is no list of numbers; give the file that palate score wrote for this data"
            raise DataError(message, reason="no-rewards", where=row.where, field="rewards")
        id = str(row.values["id"])
        if id in rewards:
            raise _ambiguous(id, row.where)
        rewards[id] = row.values["rewards"]
    return rewards


def _ambiguous(id: str, where: str) -> DataError:
    message = f"the id {id!r} is there twice, so that its rewards may be another's; check the files one by one"
    return DataError(message, reason="repeated-id", where=where)
