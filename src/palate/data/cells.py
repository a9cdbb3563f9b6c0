"""Typed access to one row: every value knows its file, line and field, so every complaint can say them.

Rows arrive as dictionaries of anything. A `Cell` walks into them by name and by index and hands out text,
numbers and lists, or raises a `DataError` that names the place: `prefs.jsonl:7: prompt[2].content: ...`.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from palate.data.textfiles import RawRow
from palate.errors import DataError


@dataclass(frozen=True, slots=True)
class Cell:
    """A value inside a row.

    >>> row = Cell("a.jsonl:1", {"votes": [{"value": "a"}, {"value": 3}]})
    >>> [vote["value"].value for vote in row["votes"].items()]
    ['a', 3]
    >>> row["votes"].items()[1]["value"].text()
    Traceback (most recent call last):
    palate.errors.DataError: a.jsonl:1: votes[1].value: expected text, found a number (3); write it as text

    Attributes:
        where: the row's `file:line`.
        value: what the row holds here.
        field: the way from the row to here, empty for the row itself.
    """

    where: str
    value: Any
    field: str = ""

    @classmethod
    def of(cls, row: RawRow) -> "Cell":
        """The whole row as a cell."""
        return cls(row.where, row.values)

    def fault(self, reason: str, message: str) -> DataError:
        """The error to raise about this cell."""
        text = f"{self.field}: {message}" if self.field else message
        return DataError(text, reason=reason, where=self.where, field=self.field or None)

    def has(self, key: str) -> bool:
        """Whether something stands under this key; null and empty text (unfilled cells) do not count."""
        return isinstance(self.value, dict) and self.value.get(key) not in (None, "")

    def __getitem__(self, key: str) -> "Cell":
        if not isinstance(self.value, dict):
            raise self.fault("not-an-object", f"expected an object, found {_kind(self.value)}")
        field = f"{self.field}.{key}" if self.field else key
        if key not in self.value:
            seen = ", ".join(map(str, self.value)) or "nothing"
            raise Cell(self.where, None, field).fault("missing-column", f"not there (found: {seen}); add it")
        return Cell(self.where, self.value[key], field)

    def items(self) -> "tuple[Cell, ...]":
        """The elements of a list."""
        if not isinstance(self.value, list | tuple):
            raise self.fault("not-a-list", f"expected a list, found {_kind(self.value)}")
        return tuple(Cell(self.where, item, f"{self.field}[{i}]") for i, item in enumerate(self.value))

    def text(self) -> str:
        """The text, which may be empty, exactly as it stands."""
        if not isinstance(self.value, str):
            raise self.fault("not-text", f"expected text, found {_kind(self.value)}; write it as text")
        if not self.value.isascii():
            self._check_encodable(self.value)
        return self.value

    def name(self) -> str:
        """The name of somebody or something: text, or a whole number as text."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        if isinstance(self.value, float) and self.value.is_integer():
            return str(int(self.value))  # a table with empty cells makes its whole numbers floats
        return self.text()

    def number(self) -> float:
        """The number, finite or not; text that spells one counts, since tables hold nothing else."""
        if isinstance(self.value, int | float | str) and not isinstance(self.value, bool):
            with suppress(ValueError, OverflowError):
                return float(self.value)
        message = f"expected a number, found {_kind(self.value)}; write a number or leave it out"
        raise self.fault("bad-number", message)

    def finite(self) -> float:
        """The number, which must be finite."""
        value = self.number()
        if not math.isfinite(value):
            raise self.fault("bad-number", f"is {value}; write a finite number or leave it out")
        return value

    def _check_encodable(self, text: str) -> None:
        # JSON can spell half of a surrogate pair; no tokenizer or file takes it, so it would only fail later
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            message = f"character {error.start} is half of an emoji (a lone surrogate); mend or remove it"
            raise self.fault("not-text", message) from error


def filled(row: Cell, names: tuple[str, ...]) -> tuple[Cell, ...]:
    """The columns among `names` that hold something, in that order."""
    return tuple(row[name] for name in names if row.has(name))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return f"a truth value ({str(value).lower()})"
        case int() | float():
            return f"a number ({value})"
        case str():
            return f"text ({value[:40]!r})"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {', '.join(map(str, value)) or 'nothing'}"
        case _:
            return f"a {type(value).__name__}"
