"""Rows as they make groups: one by one, or several that belong together wherever they stand in the source.

Rows of most formats are groups by themselves and pass straight through. Where a format spreads a group over several
rows (a table of votes, a response a row), its rows are put aside in a temporary database on disk and come out after
the last row of the source, group by group in the order of their first rows. Memory stays flat; what is given up is
that such a source is read to its end before its first group is there.
"""

import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from palate.data.cells import Cell
from palate.data.formats import FORMATS, Format, recognise
from palate.data.textfiles import RawRow, RowOrFault
from palate.errors import DataError

_NUMBERS = {format.name: number for number, format in enumerate(FORMATS) if format.key is not None}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Rows that are read together.

    Attributes:
        rows: in the order of the source; none where the row could not even be parsed.
        format: what they are in; None where that is not known.
        fault: why they cannot be read, or None.
    """

    rows: tuple[RawRow, ...]
    format: Format | None = None
    fault: DataError | None = None


def bundles(rows: Iterable[RowOrFault], *, require_comparisons: bool = True) -> Iterator[Bundle]:
    """Recognise rows and gather those that make one group; a faulty row is a bundle of its own."""
    with closing(_Aside()) as aside:
        for row in rows:
            if isinstance(row, DataError):
                yield Bundle((), fault=row)
                continue
            found = None
            try:
                found = recognise(row, require_comparisons=require_comparisons)
                key = None if found.key is None else found.key(Cell.of(row))
            except DataError as fault:
                yield Bundle((row,), found, fault)
                continue
            if key is None:
                yield Bundle((row,), found)
            else:
                aside.put(found, key, row)
        yield from aside.bundles()


class _Aside:
    """Rows on disk, in a file that SQLite deletes when it is closed; nothing is made before the first row."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def put(self, format: Format, key: str, row: RawRow) -> None:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)  # the empty name is a private file, not memory
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("CREATE TABLE part (format INTEGER, source TEXT, key TEXT, row BLOB)")
            self._database.execute("BEGIN")
        # names such as task 1 return in every file of a folder
        source = row.where.rpartition(":")[0]
        values = (_NUMBERS[format.name], source, key, pickle.dumps((row.where, row.values)))
        self._database.execute("INSERT INTO part VALUES (?, ?, ?, ?)", values)

    def bundles(self) -> Iterator[Bundle]:
        if self._database is None:
            return
        parts = self._database.execute(
            "SELECT min(rowid) OVER (PARTITION BY format, source, key) AS first, format, row FROM part "
            "ORDER BY first, rowid"
        )
        for (_, number), rows in groupby(parts, key=itemgetter(0, 1)):
            yield Bundle(tuple(RawRow(*pickle.loads(row)) for _, _, row in rows), FORMATS[number])

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
