"""Which format a row is in, by its columns alone; and from there to comparison groups.

Each row is recognised for itself, so that one file may mix formats. A format is a name, the columns that it
cannot do without, those it can, and a function of the row; the first whose columns are all there reads it.
Where none fits, the error says which columns the nearest one misses, or lists all of them: a guess would
train on the wrong text.

| format | columns (a star marks an optional one) |
|---|---|
| oasst-tree | prompt as a tree of messages with replies |
| palate-group | id, prompt, responses, comparisons |
| pair-standard, pair-conversational | prompt, chosen, rejected |
| pair-implicit-prompt, hh-transcript | chosen, rejected |
| ranked | prompt, responses, ranks* or scores* |
| ranked-nemo | context, completions |
| votes | prompt, response_a, response_b, votes |
| votes-ukpconvarg | debate, stance, a1, a2, votes |
| votes-pandalm | instruction, input*, response1, response2, annotator1, annotator2*, annotator3* |
| scoring | prompt, and responses or response; only where comparisons are not required |

All but the palate-group may add a `system` column, the text of a system message before the prompt, and an id:
`id`, `pair_id`, `prompt_id` or `idx`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from palate.data.cells import Cell, filled
from palate.data.draft import Draft, Reading
from palate.data.pairs import PAIR_COLUMNS, read_explicit_pair, read_implicit_pair, read_transcript_pair
from palate.data.rankings import ORDER_COLUMNS, has_order, read_candidates, read_nemo, read_ranked
from palate.data.rows import row_to_group
from palate.data.textfiles import RawRow
from palate.data.trees import read_tree
from palate.data.turns import turn_notes
from palate.data.votes import PANDALM_ANNOTATORS, read_pandalm, read_ukpconvarg, read_votes
from palate.errors import DataError
from palate.records import Message, PreferenceGroup

UNUSED_COLUMN = "unused-column: "
ID_COLUMNS = ("id", "pair_id", "prompt_id", "idx")


def _always(row: Cell) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Format:
    """One way to spell preferences.

    Attributes:
        name: the name under which its rows are counted.
        required: columns without which a row is not in this format.
        read: from a row to its groups.
        optional: other columns that it reads.
        fits: what else must hold.
        compares: False for rows that are only to be scored, which are read where comparisons are not
            required.
    """

    name: str
    required: tuple[str, ...]
    read: Callable[[Cell], Reading]
    optional: tuple[str, ...] = ()
    fits: Callable[[Cell], bool] = _always
    compares: bool = True


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """One row as comparison groups.

    Attributes:
        groups: in the order of the row; none where a tree ranks no replies.
        notes: names of what is unusual but kept, each once.
    """

    groups: tuple[PreferenceGroup, ...]
    notes: tuple[str, ...]


def _holds_tree(row: Cell) -> bool:
    return isinstance(row["prompt"].value, dict) and "replies" in row["prompt"].value


def _has_messages(row: Cell) -> bool:
    return any(isinstance(row.value.get(name), list) for name in ("prompt", "chosen", "rejected"))


def _is_unordered(row: Cell) -> bool:
    return "responses" not in row.value or not has_order(row, row["responses"])


def _read_group(row: Cell) -> Reading:
    group = row_to_group(row.value, row.where)
    return Reading((Draft(group.prompt, group.responses, group.comparisons, group.id),))


_PAIR = ("prompt", "chosen", "rejected")
_BARE_PAIR = ("chosen", "rejected")
_PANDALM = ("instruction", "response1", "response2", "annotator1")

FORMATS = (
    Format("oasst-tree", ("prompt",), read_tree, ("message_tree_id", "tree_state"), _holds_tree),
    Format("palate-group", ("prompt", "responses", "comparisons"), _read_group),
    Format("pair-conversational", _PAIR, read_explicit_pair, PAIR_COLUMNS, _has_messages),
    Format("pair-standard", _PAIR, read_explicit_pair, PAIR_COLUMNS),
    Format("pair-implicit-prompt", _BARE_PAIR, read_implicit_pair, PAIR_COLUMNS, _has_messages),
    Format("hh-transcript", _BARE_PAIR, read_transcript_pair, PAIR_COLUMNS),
    Format("votes", ("prompt", "response_a", "response_b", "votes"), read_votes),
    Format("votes-ukpconvarg", ("debate", "stance", "a1", "a2", "votes"), read_ukpconvarg),
    Format("votes-pandalm", _PANDALM, read_pandalm, ("input", *PANDALM_ANNOTATORS)),
    Format("scoring", ("prompt", "responses"), read_candidates, fits=_is_unordered, compares=False),
    Format("scoring", ("prompt", "response"), read_candidates, compares=False),
    Format("ranked", ("prompt", "responses"), read_ranked, ORDER_COLUMNS),
    Format("ranked-nemo", ("context", "completions"), read_nemo, ORDER_COLUMNS),
)
"""All formats, in the order in which they are tried."""


def recognise(row: RawRow, *, require_comparisons: bool = True) -> Format:
    """The first format whose required columns the row fills, or else merely has.

    Raises:
        DataError: `missing-column` where the row has columns of a format but not all, `too-few-responses` for
            a single response that is to be compared, `unknown-format` otherwise.
    """
    whole = Cell.of(row)
    every = row.values.keys()
    formats = [one for one in FORMATS if one.compares or not require_comparisons]
    # tables fill up absent columns with nulls, so columns that hold something decide first
    for columns in ({name for name in every if row.values[name] is not None}, every):
        for one in formats:
            if columns >= set(one.required) and one.fits(whole):
                return one
    raise _unrecognised(whole, formats)


def parse_row(row: RawRow, format: Format, *, require_comparisons: bool = True) -> ParsedRow:
    """Read one row in the format that it was recognised to be in.

    Raises:
        DataError: `no-comparisons`, `conflicting-columns`, or a fault of the format.
    """
    whole = Cell.of(row)
    reading = format.read(whole)
    groups, notes = [], set(reading.notes)
    for draft in reading.drafts:
        if require_comparisons and not draft.comparisons:
            raise whole.fault(
                "no-comparisons", "no response is compared with another; add comparisons or remove the row"
            )
        notes.update(turn_notes(draft.prompt, draft.responses))
        groups.append(_finished(draft, whole))
    used = {*format.required, *format.optional, *ID_COLUMNS, "system"}
    notes.update(
        f"{UNUSED_COLUMN}{name}" for name, value in row.values.items() if value is not None and name not in used
    )
    return ParsedRow(tuple(groups), tuple(sorted(notes)))


def _finished(draft: Draft, row: Cell) -> PreferenceGroup:
    prompt = draft.prompt
    if row.has("system"):
        if prompt and prompt[0].role == "system":
            message = "there is a system column, but the prompt begins with a system message too; keep one of them"
            raise row["system"].fault("conflicting-columns", message)
        prompt = (Message("system", row["system"].text()), *prompt)
    return PreferenceGroup(draft.id or _row_id(row), prompt, draft.responses, draft.comparisons, row.where)


def _row_id(row: Cell) -> str:
    for cell in filled(row, ID_COLUMNS):
        return str(cell.value) if isinstance(cell.value, int | float) else cell.text()
    return row.where


def _unrecognised(row: Cell, formats: list[Format]) -> DataError:
    columns = set(row.value)
    if {"prompt", "response"} <= columns:
        message = "there is one response, and nothing to compare it with; rows to be compared hold two or more"
        return row["response"].fault("too-few-responses", message)
    # `prompt` alone is a sign of no format in particular
    started = [one for one in formats if columns & set(one.required) - {"prompt"} and one.fits(row)]
    seen = ", ".join(map(str, row.value)) or "none"
    if started:
        nearest = min(started, key=lambda one: len(set(one.required) - columns))
        absent = [name for name in nearest.required if name not in columns]
        message = f"{', '.join(absent)} missing for a row of format {nearest.name} (columns: {seen}); add it"
        return Cell(row.where, None, absent[0]).fault("missing-column", message)
    known = "; ".join(f"{one.name} ({', '.join(one.required)})" for one in formats)
    message = f"no known format has the columns {seen}; rename them to those of a known one: {known}"
    return row.fault("unknown-format", message)
