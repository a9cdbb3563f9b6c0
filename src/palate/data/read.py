"""Preference data, from wherever it lies to comparison groups.

A `PreferenceStream` gives the groups one by one and holds none of them, so that data may be larger than memory;
`read_preferences` is the same in memory. Nothing vanishes on the way: every row ends up in a group or in `dropped`,
with its place, its reason and what to do; what was kept but is unusual is counted under a name in `notes`. By
default the first bad row stops the reading, because a file with one is usually a file with many, and a run
that has silently trained on half of its data looks healthy.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from palate.atomic import write_text
from palate.data.gather import Bundle, bundles
from palate.data.parse import UNUSED_COLUMN, ParsedRow, parse_rows
from palate.data.seen import SeenIds
from palate.data.sources import read_rows
from palate.data.textfiles import RowOrFault
from palate.errors import ConfigError, DataError
from palate.records import DroppedRow, PreferenceGroup

OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What reading had to say: everything but the groups.

    Attributes:
        groups, comparisons: how many came out.
        dropped: the rows that could not be used; always empty when bad rows are errors.
        formats: how many rows were recognised as each format, the bad ones among them included.
        notes: how many rows have each peculiarity that was kept: `parted-early`, `unused-column: NAME`, ...
        rows: how many rows were read.
    """

    groups: int
    comparisons: int
    dropped: tuple[DroppedRow, ...]
    formats: dict[str, int]
    notes: dict[str, int]
    rows: int

    def summary(self) -> str:
        """One line for people.

        >>> dropped = (DroppedRow("a.jsonl:2", "identical-pair", "rejected", "..."),)
        >>> ReadReport(0, 0, dropped, {"votes": 1}, {"repeated-role": 9}, 1).summary()
        '1 row of format votes -> 0 groups, 0 comparisons; dropped: identical-pair 1; notes: repeated-role 9'
        """
        formats = f" of format {next(iter(self.formats))}" if len(self.formats) == 1 else ""
        if len(self.formats) > 1:
            formats = f" of formats {_tally(self.formats)}"
        parts = [
            f"{_count(self.rows, 'row')}{formats} -> {_count(self.groups, 'group')}, "
            f"{_count(self.comparisons, 'comparison')}"
        ]
        if self.dropped:
            parts.append(f"dropped: {_tally(Counter(row.reason for row in self.dropped))}")
        unused = sorted(name for name in self.notes if name.startswith(UNUSED_COLUMN))
        notes = {name: count for name, count in self.notes.items() if name not in unused}
        if notes:
            parts.append(f"notes: {_tally(notes)}")
        if unused:
            parts.append(f"unused columns: {', '.join(name.removeprefix(UNUSED_COLUMN) for name in unused)}")
        return "; ".join(parts)


NOTHING_READ = ReadReport(0, 0, (), {}, {}, 0)


class GroupStream(Protocol):
    """Groups one by one, from the beginning at each iteration."""

    @property
    def report(self) -> ReadReport:
        """Of the last iteration that came to its end."""

    def __iter__(self) -> Iterator[PreferenceGroup]: ...


@dataclass(frozen=True, slots=True)
class PreferenceData:
    """All that was read, in memory; see `ReadReport` for the other attributes.

    Attributes:
        groups: in the order of the data.
    """

    groups: tuple[PreferenceGroup, ...]
    dropped: tuple[DroppedRow, ...]
    formats: dict[str, int]
    notes: dict[str, int]
    rows: int

    def summary(self) -> str:
        """One line for people."""
        comparisons = sum(len(group.comparisons) for group in self.groups)
        report = ReadReport(len(self.groups), comparisons, self.dropped, self.formats, self.notes, self.rows)
        return report.summary()


@dataclass(slots=True)
class PreferenceStream:
    """Groups one by one, from rows one by one: nothing is kept but the counts, the dropped rows and hashes of ids.

    Each iteration reads the source from its beginning and counts anew; `report` is complete when one has come to its
    end.

    Args:
        read: begins to read the rows.
        on_bad_row: whether a bad row stops the reading or is listed in the report. Faults of a whole file
            (missing, not UTF-8, a cut archive) stop it always.
        max_groups: stop after that many groups; no row beyond them is read, unless groups are gathered from rows that
            stand apart, see `palate.data.gather`.
        require_comparisons: False also takes rows that are only to be scored.

    Raises:
        DataError: while iterating: a fault of a file, or of a row unless those are skipped.
        ConfigError: `max_groups` is less than 1.
    """

    read: Callable[[], Iterable[RowOrFault]]
    on_bad_row: OnBadRow = "error"
    max_groups: int | None = None
    require_comparisons: bool = True
    report: ReadReport = field(init=False, default=NOTHING_READ)

    def __post_init__(self) -> None:
        if self.max_groups is not None and self.max_groups < 1:
            raise ConfigError(f"max-groups is {self.max_groups}; it must be at least 1")

    def __iter__(self) -> Iterator[PreferenceGroup]:
        ids = SeenIds()
        dropped: list[DroppedRow] = []
        formats: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        rows = groups = comparisons = 0
        for bundle in bundles(self.read(), require_comparisons=self.require_comparisons):
            rows += max(1, len(bundle.rows))
            if bundle.format is not None:
                formats[bundle.format.name] += len(bundle.rows)
            try:
                parsed = self._parse(bundle)
            except DataError as error:
                if self.on_bad_row == "error":
                    error.args = (f"{error} (--on-bad-row skip leaves such rows out)",)
                    raise
                together = f" (with all {len(bundle.rows)} rows of its group)" if len(bundle.rows) > 1 else ""
                dropped.append(DroppedRow(error.where, error.reason, error.field, f"{error}{together}"))
                continue
            notes.update(parsed.notes)
            for group in parsed.groups[: None if self.max_groups is None else self.max_groups - groups]:
                unique = group if ids.add(group.id) else _with_new_id(group, ids)
                notes.update(["duplicate-id"] if unique is not group else [])
                groups += 1
                comparisons += len(group.comparisons)
                yield unique
            if groups == self.max_groups:
                break
        self.report = ReadReport(groups, comparisons, tuple(dropped), dict(formats), dict(notes), rows)

    def _parse(self, bundle: Bundle) -> ParsedRow:
        if bundle.fault is not None:
            raise bundle.fault
        assert bundle.format is not None
        return parse_rows(bundle.rows, bundle.format, require_comparisons=self.require_comparisons)


def read_preferences(
    source: str,
    *,
    split: str = "train",
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    require_comparisons: bool = True,
) -> PreferenceData:
    """Read preference data from a file, a folder or a Hugging Face dataset into memory.

    Args:
        source: a path, or a dataset id, optionally `id:config`; see `palate.data.sources`.
        split: which split of a hub dataset.
        on_bad_row: see `PreferenceStream`.
        max_groups: see `PreferenceStream`.
        require_comparisons: see `PreferenceStream`.

    Raises:
        DataError: a fault of a file, or of a row unless those are skipped.
        ConfigError: `max_groups` is less than 1.
    """
    read = partial(read_rows, source, split=split)
    return collect(PreferenceStream(read, on_bad_row, max_groups, require_comparisons))


def collect(stream: GroupStream) -> PreferenceData:
    """The whole stream in memory."""
    groups = tuple(stream)
    report = stream.report
    return PreferenceData(groups, report.dropped, report.formats, report.notes, report.rows)


def write_dropped(path: str | Path, dropped: Iterable[DroppedRow]) -> None:
    """Write dropped rows as JSONL, whole or not at all: a reader never sees half a file."""
    write_text(Path(path), "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in dropped))


def _with_new_id(group: PreferenceGroup, ids: SeenIds) -> PreferenceGroup:
    number = 1
    new = f"{group.id}@{group.where}"
    while not ids.add(new):  # several groups of one row, or a file that is read twice
        number += 1
        new = f"{group.id}@{group.where}#{number}"
    return replace(group, id=new)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _tally(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number:,}" for name, number in ordered)
