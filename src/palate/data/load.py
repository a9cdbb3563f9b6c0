"""Preference data by name: a file, a folder, a hub id, or the built-in set."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from palate.data.read import (
    NOTHING_READ,
    GroupStream,
    OnBadRow,
    PreferenceData,
    PreferenceStream,
    ReadReport,
    collect,
)
from palate.data.simulate import simulate
from palate.data.sources import read_rows
from palate.errors import DataError
from palate.records import PreferenceGroup

SIMULATED = "simulated"


def stream_groups(
    source: str,
    *,
    split: str = "train",
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    require_comparisons: bool = True,
) -> GroupStream:
    """Groups one by one from any source: `simulated` or `simulated:NUM_PROMPTS`, or what `read_rows` reads.

    Raises:
        DataError: the number of prompts is not one.
        ConfigError: `max_groups` is less than 1.
    """
    name, _, number = source.partition(":")
    if name != SIMULATED:
        return PreferenceStream(partial(read_rows, source, split=split), on_bad_row, max_groups, require_comparisons)
    if number and not number.isdigit():
        raise DataError(f"{source!r}: give the number of prompts, such as simulated:600", reason="bad-number")
    return _Simulated(int(number) if number else None, max_groups)


def read_groups(
    source: str,
    *,
    split: str = "train",
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    require_comparisons: bool = True,
) -> PreferenceData:
    """The whole of `stream_groups` in memory.

    Raises:
        DataError: see `stream_groups` and `palate.data.read.read_preferences`.
    """
    return collect(
        stream_groups(
            source,
            split=split,
            on_bad_row=on_bad_row,
            max_groups=max_groups,
            require_comparisons=require_comparisons,
        )
    )


@dataclass(slots=True)
class _Simulated:
    """The built-in set, made anew for each iteration."""

    number: int | None
    max_groups: int | None
    report: ReadReport = field(init=False, default=NOTHING_READ)

    def __iter__(self) -> Iterator[PreferenceGroup]:
        made = simulate() if self.number is None else simulate(self.number)
        groups = made.groups[: self.max_groups]
        comparisons = sum(len(group.comparisons) for group in groups)
        yield from groups
        self.report = ReadReport(len(groups), comparisons, (), {SIMULATED: len(groups)}, {}, len(groups))
