"""Files to parts: what is scored by one worker into one file."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

from palate.data.formats import recognise
from palate.data.load import stream_groups
from palate.data.read import GroupStream, OnBadRow, PreferenceStream
from palate.data.textfiles import RawRow
from palate.errors import ConfigError, DataError
from palate.score_parts.inputs import Input, Stamp

DROPPED = ".dropped.jsonl"  # after a part's name: the rows left out of it
_BATCH = 1024  # rows decoded at a time


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that one worker scores into one file.

    Attributes:
        name: of that file, below the output folder.
        input: path of the file that holds the rows.
        stamp: of that file.
        row_group: number of the row group in it, from 0; None for the whole file.
        first_row: rows of the file before the part.
        expected: rows, exactly for Parquet, lines for text; None where that is not known without parsing.
        size: bytes, or the row group's share of them.
    """

    name: str
    input: str
    stamp: Stamp
    row_group: int | None
    first_row: int
    expected: int | None
    size: int


def plan_parts(stamps: Mapping[Input, Stamp], ending: str) -> tuple[Part, ...]:
    """One part a file, or a row group of Parquet where there are several, in the order of the files.

    Args:
        stamps: the files, and how each is known again.
        ending: of the parts' names, with its dot.

    Raises:
        ConfigError: two parts would have the same name.
    """
    names = _names(list(stamps))
    parts = [part for file, stamp in stamps.items() for part in _parts_of(file, stamp, names[file], ending)]
    taken: dict[str, str] = {}
    for part in parts:
        for name in (part.name, part.name + DROPPED):
            if name in taken:
                raise ConfigError(
                    f"{taken[name]} and {part.input} would both be written to {name}; rename one, or name the folder "
                    "that holds them both"
                )
            taken[name] = part.input
    return tuple(parts)


def _names(files: Sequence[Input]) -> dict[Input, str]:
    """The stem of each, with its ending where `a.csv` lies beside `a.jsonl`."""
    stems = Counter(file.stem for file in files)
    return {
        file: file.stem if stems[file.stem] == 1 else str(Path(file.stem).with_name(Path(file.path).name))
        for file in files
    }


def _parts_of(file: Input, stamp: Stamp, name: str, ending: str) -> list[Part]:
    rows = _row_groups(Path(file.path)) if file.path.lower().endswith(".parquet") else None
    if rows is None or len(rows) < 2:
        expected = stamp.lines if rows is None else sum(rows)
        return [Part(name + ending, file.path, stamp, None, 0, expected, stamp.size)]
    total = max(1, sum(rows))
    return [
        Part(
            name=f"{name}-{number:05d}-of-{len(rows):05d}{ending}",
            input=file.path,
            stamp=stamp,
            row_group=number,
            first_row=end - expected,
            expected=expected,
            size=stamp.size * expected // total,
        )
        for number, (expected, end) in enumerate(zip(rows, accumulate(rows), strict=True))
    ]


def _row_groups(path: Path) -> list[int] | None:
    """Rows of each row group; None where the file is to be read whole.

    That is a broken file, which the reader complains of, and one whose rows make groups across row groups.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            rows = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
            first = next((values for batch in file.iter_batches(batch_size=1) for values in batch.to_pylist()), None)
    except (pyarrow.ArrowException, OSError):
        return None
    try:
        gathered = first is not None and recognise(RawRow(str(path), first), require_comparisons=False).key is not None
    except DataError:
        gathered = False
    return None if gathered else rows


def open_part(part: Part, on_bad_row: OnBadRow) -> GroupStream:
    """The part's groups, one by one."""
    if part.row_group is None:
        return stream_groups(part.input, on_bad_row=on_bad_row, require_comparisons=False)
    return PreferenceStream(partial(_row_group_rows, part), on_bad_row, require_comparisons=False)


def _row_group_rows(part: Part) -> Iterator[RawRow]:
    """Rows of one row group, numbered as in the whole file."""
    import pyarrow
    import pyarrow.parquet

    number = part.first_row
    try:
        with pyarrow.parquet.ParquetFile(part.input) as file:
            for batch in file.iter_batches(batch_size=_BATCH, row_groups=[part.row_group]):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(f"{part.input}:{number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        message = f"not a sound Parquet file after row {number} ({error}); export it again"
        raise DataError(message, reason="broken-parquet", where=part.input) from error
