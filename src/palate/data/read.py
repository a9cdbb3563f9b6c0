"""Preference data, from wherever it lies to comparison groups.

One function does it all, and nothing vanishes on the way: every row ends up in a group or in `dropped`, with
its place, its reason and what to do; what was kept but is unusual is counted under a name in `notes`. By
default the first bad row stops the reading, because a file with one is usually a file with many, and a run
that has silently trained on half of its data looks healthy.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from palate.atomic import write_text
from palate.data.formats import UNUSED_COLUMN, parse_row, recognise
from palate.data.sources import read_rows
from palate.errors import ConfigError, DataError
from palate.records import DroppedRow, PreferenceGroup

OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True, slots=True)
class PreferenceData:
    """What was read.

    Attributes:
        groups: in the order of the data.
        dropped: the rows that could not be used; always empty when bad rows are errors.
        formats: how many rows were recognised as each format, the bad ones among them included.
        notes: how many rows have each peculiarity that was kept: `parted-early`, `unused-column: NAME`, ...
        rows: how many rows were read.
    """

    groups: tuple[PreferenceGroup, ...]
    dropped: tuple[DroppedRow, ...]
    formats: dict[str, int]
    notes: dict[str, int]
    rows: int

    def summary(self) -> str:
        """One line for people.

        >>> dropped = (DroppedRow("a.jsonl:2", "identical-pair", "rejected", "..."),)
        >>> PreferenceData((), dropped, {"votes": 1}, {"repeated-role": 9}, 1).summary()
        '1 row of format votes -> 0 groups, 0 comparisons; dropped: identical-pair 1; notes: repeated-role 9'
        """
        formats = f" of format {next(iter(self.formats))}" if len(self.formats) == 1 else ""
        if len(self.formats) > 1:
            formats = f" of formats {_tally(self.formats)}"
        comparisons = sum(len(group.comparisons) for group in self.groups)
        parts = [
            f"{_count(self.rows, 'row')}{formats} -> {_count(len(self.groups), 'group')}, "
            f"{_count(comparisons, 'comparison')}"
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


def read_preferences(
    source: str,
    *,
    split: str = "train",
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    require_comparisons: bool = True,
) -> PreferenceData:
    """Read preference data from a file, a folder or a Hugging Face dataset.

    Args:
        source: a path, or a dataset id, optionally `id:config`; see `palate.data.sources`.
        split: which split of a hub dataset.
        on_bad_row: whether a bad row stops the reading or is listed in `dropped`. Faults of a whole file
            (missing, not UTF-8, a cut archive) stop it always.
        max_groups: stop after that many groups; no row beyond them is read.
        require_comparisons: False also takes rows that are only to be scored.

    Raises:
        DataError: a fault of a file, or of a row unless those are skipped.
        ConfigError: `max_groups` is less than 1.
    """
    if max_groups is not None and max_groups < 1:
        raise ConfigError(f"max-groups is {max_groups}; it must be at least 1")
    groups: list[PreferenceGroup] = []
    ids: set[str] = set()
    dropped: list[DroppedRow] = []
    formats: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    rows = 0
    for row in read_rows(source, split=split):
        rows += 1
        try:
            if isinstance(row, DataError):
                raise row
            found = recognise(row, require_comparisons=require_comparisons)
            formats[found.name] += 1
            parsed = parse_row(row, found, require_comparisons=require_comparisons)
        except DataError as error:
            if on_bad_row == "error":
                error.args = (f"{error} (--on-bad-row skip leaves such rows out)",)
                raise
            dropped.append(DroppedRow(error.where, error.reason, error.field, str(error)))
            continue
        notes.update(parsed.notes)
        for group in parsed.groups:
            if group.id in ids:
                notes["duplicate-id"] += 1
                group = _with_new_id(group, ids)
            ids.add(group.id)
            groups.append(group)
        if max_groups is not None and len(groups) >= max_groups:
            break
    return PreferenceData(tuple(groups[:max_groups]), tuple(dropped), dict(formats), dict(notes), rows)


def write_dropped(path: str | Path, dropped: Iterable[DroppedRow]) -> None:
    """Write dropped rows as JSONL, whole or not at all: a reader never sees half a file."""
    write_text(Path(path), "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in dropped))


def _with_new_id(group: PreferenceGroup, ids: set[str]) -> PreferenceGroup:
    number = 1
    new = f"{group.id}@{group.where}"
    while new in ids:  # several groups of one row, or a file that is read twice
        number += 1
        new = f"{group.id}@{group.where}#{number}"
    return replace(group, id=new)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _tally(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number:,}" for name, number in ordered)
