r"""Text files as rows: JSONL, JSON, CSV and TSV, each plain or compressed with gzip.

Files are opened as bytes and decoded line by line, because that is the only way to say *where* a file stops
being UTF-8. Lines end at "\n" alone: Unicode's other line ends (U+2028 and its kin) are ordinary characters
inside a JSON string. JSONL and CSV are streamed; a JSON list has to be read whole, since its end decides
whether it is one.

There are two kinds of fault. What breaks the file (not UTF-8, a cut archive, an unclosed quote) is raised:
nothing after it can be trusted. What breaks one row is *yielded* as a `DataError` in the row's place, so that
the reader alone decides whether to stop or to drop it and carry on.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.errors import DataError

_LONGEST_CELL = 2**31 - 1  # csv's default of 131,072 characters is less than one long conversation
_LIST_COLUMNS = frozenset({"responses", "completions", "ranks", "scores", "votes", "comparisons"})
_ROW_COLUMNS = frozenset({"prompt", "chosen", "context", "instruction", "votes", "annotations", "fields", "questions"})


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in its source.

    Attributes:
        where: the source as the user gave it, and the 1-based line, or row where the format has no lines.
        values: cell by column name.
    """

    where: str
    values: dict[str, Any]


RowOrFault = RawRow | DataError


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text file, with its line end, and its 1-based number."""

    number: int
    text: str


def read_lines(path: Path, name: str) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file, plain or gzip, without a byte order mark.

    Raises:
        DataError: `not-utf8` (with line and byte offset), `truncated-gzip`, `broken-gzip`, `file-unreadable`.
    """
    offset, number = 0, 0
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                text = raw.decode("utf-8")
                yield Line(number, text.removeprefix("\ufeff") if number == 1 else text)
                offset += len(raw)
    except UnicodeDecodeError as error:
        # `number` is already the line at fault; `offset` counts the lines before it
        message = (
            f"byte {error.object[error.start]:#04x} at file offset {offset + error.start} is not UTF-8; "
            "save the file as UTF-8 (iconv -t UTF-8 converts it)"
        )
        raise DataError(message, reason="not-utf8", where=f"{name}:{number}") from error
    except EOFError as error:
        message = f"the gzip file is cut off after line {number}; copy or download it again"
        raise DataError(message, reason="truncated-gzip", where=name) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        message = f"not sound gzip after line {number} ({error}); compress it again, or take .gz off its name"
        raise DataError(message, reason="broken-gzip", where=name) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error})", reason="file-unreadable", where=name) from error


def jsonl_rows(path: Path, name: str) -> Iterator[RowOrFault]:
    """One JSON object a line; blank lines hold nothing and are passed over. A broken line yields a fault."""
    return (_json_row(line, name) for line in read_lines(path, name) if line.text.strip())


def json_rows(path: Path, name: str) -> Iterator[RowOrFault]:
    """A list of objects, an object that holds one such list, or JSONL under the wrong name.

    Raises:
        DataError: `broken-json` where the document does not parse, `no-row-list` where it holds no list of
            rows.
    """
    lines = list(read_lines(path, name))
    filled = [line for line in lines if line.text.strip()]
    if len(filled) > 1 and isinstance(_parsed(filled[0].text), dict):
        yield from (_json_row(line, name) for line in filled)
        return
    if not filled:
        return
    try:
        document = json.loads("".join(line.text for line in lines))
    except (ValueError, RecursionError) as error:
        raise _broken_json(error, f"{name}:{getattr(error, 'lineno', 1)}") from error
    for number, values in enumerate(_row_list(document, name), 1):
        yield _object_row(values, f"{name}:{number}")


def csv_rows(path: Path, name: str, delimiter: str = ",") -> Iterator[RowOrFault]:
    """Rows of a table with a header; `where` holds the line on which the record begins.

    Raises:
        DataError: `broken-csv` for broken quoting or a header with an empty or repeated name.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = (line.text for line in read_lines(path, name))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 1
    try:
        header = next(reader, [])
        repeated = sorted({column for column in header if not column.strip() or header.count(column) > 1})
        if repeated:
            message = f"empty or repeated column names in the header: {repeated}; give each its own"
            raise DataError(message, reason="broken-csv", where=f"{name}:1")
        start = reader.line_num + 1
        for cells in reader:
            if cells:
                yield _table_row(header, cells, f"{name}:{start}")
            start = reader.line_num + 1
    except csv.Error as error:
        message = f"the record that begins here is not sound CSV ({error}); mend its quotes"
        raise DataError(message, reason="broken-csv", where=f"{name}:{start}") from error


def _table_row(header: list[str], cells: list[str], where: str) -> RowOrFault:
    if len(cells) != len(header):
        message = f"{len(cells)} cells under a header of {len(header)}; quote cells that hold the separator"
        return DataError(message, reason="cell-count", where=where)
    return RawRow(where, {column: _decoded(column, cell) for column, cell in zip(header, cells, strict=True)})


def _decoded(column: str, cell: str) -> Any:
    """Lists travel through CSV as JSON; a response that merely looks like a list stays text."""
    if not cell.startswith("["):
        return cell
    items = _parsed(cell)
    if not isinstance(items, list):
        return cell
    messages = bool(items) and all(isinstance(item, dict) and "role" in item for item in items)
    return items if messages or column in _LIST_COLUMNS else cell


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_row(line: Line, name: str) -> RowOrFault:
    where = f"{name}:{line.number}"
    try:
        values = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        return _broken_json(error, where)
    return _object_row(values, where)


def _object_row(values: Any, where: str) -> RowOrFault:
    if isinstance(values, dict):
        return RawRow(where, values)
    message = (
        f"a row is a JSON object, this is a {type(values).__name__}; write one {{...}} a line (.jsonl), "
        "or one list of them (.json)"
    )
    return DataError(message, reason="not-an-object", where=where)


def _broken_json(error: Exception, where: str) -> DataError:
    place = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    return DataError(f"not JSON ({place}); mend or remove the line", reason="broken-json", where=where)


def _row_list(document: Any, name: str) -> list[Any]:
    """The rows of a parsed document: itself, its one list of objects, or itself as the only row."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        message = f"holds {json.dumps(document)[:40]}, not rows; write a list of objects"
        raise DataError(message, reason="no-row-list", where=name)
    if _ROW_COLUMNS & document.keys():
        return [document]
    lists = [key for key, value in document.items() if isinstance(value, list)]
    if len(lists) != 1:
        found = f"its keys {lists} hold lists" if lists else f"none of its keys {sorted(document)} holds a list"
        message = f"a JSON object must hold exactly one list of rows, but {found}; write the rows alone"
        raise DataError(message, reason="no-row-list", where=name)
    rows: list[Any] = document[lists[0]]
    return rows
