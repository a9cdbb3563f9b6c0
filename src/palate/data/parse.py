"""From rows of a known format to comparison groups, with all that does not depend on the format."""

from dataclasses import dataclass

from palate.data.cells import Cell, filled
from palate.data.draft import Draft
from palate.data.formats import ID_COLUMNS, Format
from palate.data.origins import Origin, read_origin
from palate.data.textfiles import RawRow
from palate.data.turns import turn_notes
from palate.records import Message, PreferenceGroup

UNUSED_COLUMN = "unused-column: "


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A row, or several that belong together, as comparison groups.

    Attributes:
        groups: in the order of the row; none where a tree ranks no replies.
        notes: names of what is unusual but kept, each once.
    """

    groups: tuple[PreferenceGroup, ...]
    notes: tuple[str, ...]


def parse_rows(rows: tuple[RawRow, ...], format: Format, *, require_comparisons: bool = True) -> ParsedRow:
    """Read rows in the format that they were recognised to be in: one row, or as many as make a group of that format.

    Raises:
        DataError: `no-comparisons`, `conflicting-columns`, or a fault of the format.
    """
    cells = [Cell.of(row) for row in rows]
    whole = cells[0]
    reading = format.read(*cells)
    groups, notes = [], set(reading.notes)
    used = {*format.required, *format.optional, *reading.columns, *ID_COLUMNS, "system"}
    for draft in reading.drafts:
        if require_comparisons and not draft.comparisons:
            raise whole.fault(
                "no-comparisons", "no response is compared with another; add comparisons or remove the row"
            )
        notes.update(turn_notes(draft.prompt, draft.responses))
        origin = read_origin(whole, len(draft.responses))
        used.update(origin.columns)
        groups.append(_finished(draft, origin, whole))
    filled_columns = {name for row in rows for name, value in row.values.items() if value not in (None, "", [])}
    notes.update(f"{UNUSED_COLUMN}{name}" for name in filled_columns - used)
    return ParsedRow(tuple(groups), tuple(sorted(notes)))


def _finished(draft: Draft, origin: Origin, row: Cell) -> PreferenceGroup:
    prompt = draft.prompt
    if row.has("system"):
        if prompt and prompt[0].role == "system":
            message = "there is a system column, but the prompt begins with a system message too; keep one of them"
            raise row["system"].fault("conflicting-columns", message)
        prompt = (Message("system", row["system"].text()), *prompt)
    return PreferenceGroup(
        id=draft.id or _row_id(row),
        prompt=prompt,
        responses=draft.responses,
        comparisons=draft.comparisons,
        where=row.where,
        source=draft.source or origin.source,
        models=draft.models or origin.models,
        time=draft.time or origin.time,
        gold=draft.gold,
    )


def _row_id(row: Cell) -> str:
    for cell in filled(row, ID_COLUMNS):
        return str(cell.value) if isinstance(cell.value, int | float) else cell.text()
    return row.where
