"""Where a row says it comes from: its source, the time, and the models that wrote the responses.

    source   the first that is filled of source, data_source, dataset, subset, domain
    time     the first of time, timestamp, created_at
    models   `models`, one name a response; or model_a and model_b; or chosen_model and rejected_model; or
             response_model, which wrote all of them

A column of such a name that holds something else (an object, names for other responses) is left alone, and named
among the unused ones.
"""

from dataclasses import dataclass
from datetime import date

from palate.data.cells import Cell

SOURCE_COLUMNS = ("source", "data_source", "dataset", "subset", "domain")
TIME_COLUMNS = ("time", "timestamp", "created_at")
_MODEL_PAIRS = (("model_a", "model_b"), ("chosen_model", "rejected_model"))
_COLUMNS = {
    *SOURCE_COLUMNS,
    *TIME_COLUMNS,
    "models",
    "response_model",
    *(name for pair in _MODEL_PAIRS for name in pair),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """What the columns say.

    Attributes:
        source: as in `PreferenceGroup`.
        models: as in `PreferenceGroup`.
        time: as in `PreferenceGroup`.
        columns: those that were read.
    """

    source: str
    models: tuple[str, ...]
    time: str
    columns: tuple[str, ...]


_NOTHING = Origin("", (), "", ())


def read_origin(row: Cell, responses: int) -> Origin:
    """Source, time and models of a row with that many responses.

    >>> read_origin(Cell("a.jsonl:1", {"subset": "math", "model_a": "x", "model_b": "y", "time": 3}), 2)
    Origin(source='math', models=('x', 'y'), time='3', columns=('subset', 'time', 'model_a', 'model_b'))
    """
    if not isinstance(row.value, dict) or _COLUMNS.isdisjoint(row.value):
        return _NOTHING
    source_column, source = _first(row, SOURCE_COLUMNS)
    time_column, time = _first(row, TIME_COLUMNS)
    model_columns, models = _models(row, responses)
    return Origin(source, models, time, (*source_column, *time_column, *model_columns))


def _first(row: Cell, names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    for name in names:
        if row.has(name) and (text := _plain(row[name])):
            return (name,), text
    return (), ""


def _models(row: Cell, responses: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    listed = row["models"].value if row.has("models") else None
    if isinstance(listed, list | tuple) and len(listed) == responses and all(isinstance(one, str) for one in listed):
        return ("models",), tuple(cell.text() for cell in row["models"].items())
    for pair in _MODEL_PAIRS:
        names = tuple(_plain(row[name]) if row.has(name) else "" for name in pair)
        if responses == 2 and all(names):
            return pair, names
    if row.has("response_model") and (name := _plain(row["response_model"])):
        return ("response_model",), (name,) * responses
    return (), ()


def _plain(cell: Cell) -> str:
    """Text, a number or a date as text; of anything else nothing."""
    if isinstance(cell.value, str):
        return cell.text()
    if isinstance(cell.value, date):  # Parquet keeps times as such; a datetime is a date too
        return cell.value.isoformat()
    return str(cell.value) if isinstance(cell.value, int | float) and not isinstance(cell.value, bool) else ""
