"""Rows into a file, one by one: JSONL, JSON, CSV or Parquet, as the file's ending says.

The file appears whole or not at all: it is written beside its place and renamed into it at the end.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from palate.data.writers.target import Column, Row

Write = Callable[[Row], None]

_ROW_GROUP = 1024  # rows held before they are written to Parquet


@contextmanager
def writing(path: Path, columns: Sequence[Column], *, plain: bool) -> Iterator[Write]:
    """A function that writes a row; the file has its name once the block ends without an error.

    Args:
        path: ends in .jsonl, .json, .csv or .parquet; folders above it are made, a file of that name is replaced.
        columns: which of a row's values are written, in order; none writes the row as it is, for JSON only.
        plain: whether turns are texts; else messages.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with _WRITERS[path.suffix](draft, columns, plain) as write:
            yield write
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _picked(row: Row, columns: Sequence[Column]) -> Row:
    return {column.name: row[column.name] for column in columns} if columns else row


@contextmanager
def _jsonl(path: Path, columns: Sequence[Column], plain: bool) -> Iterator[Write]:
    # half of an emoji in a name is no UTF-8; backslashreplace happens to be JSON's own escape for it
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        yield lambda row: _print(file.write, json.dumps(_picked(row, columns), ensure_ascii=False), "\n")


@contextmanager
def _json(path: Path, columns: Sequence[Column], plain: bool) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        before = iter(("[\n",))

        def write(row: Row) -> None:
            _print(file.write, next(before, ",\n"), json.dumps(_picked(row, columns), ensure_ascii=False))

        yield write
        _print(file.write, next(before, ""), "\n]\n")


@contextmanager
def _csv(path: Path, columns: Sequence[Column], plain: bool) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # Python 3.11 leaves a lone "\r" bare
        table.writerow(column.name for column in columns)

        def write(row: Row) -> None:
            cells = [_cell(row[column.name]) for column in columns]
            bare = any(isinstance(cell, str) and "\r" in cell for cell in cells)
            (quoting if bare else table).writerow(cells)

        yield write


@contextmanager
def _parquet(path: Path, columns: Sequence[Column], plain: bool) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    types = {
        "text": pyarrow.string(),
        "number": pyarrow.float64(),
        "integer": pyarrow.int64(),
        "turns": pyarrow.string() if plain else pyarrow.list_(message),
        "texts": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(column.name, types[column.kind]) for column in columns])
    held: list[Row] = []
    with parquet.ParquetWriter(path, schema) as file:

        def flush() -> None:
            file.write_table(pyarrow.Table.from_pylist(held, schema=schema))
            held.clear()

        def write(row: Row) -> None:
            held.append(_picked(row, columns))
            if len(held) == _ROW_GROUP:
                flush()

        yield write
        flush()


def _print(write: Callable[[str], object], *parts: str) -> None:
    for part in parts:
        write(part)


def _cell(value: Any) -> Any:
    """Lists of messages travel through a table as JSON, as palate's reader expects them."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


_WRITERS: dict[str, Callable[[Path, Sequence[Column], bool], AbstractContextManager[Write]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
