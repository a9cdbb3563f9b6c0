"""Pairwise judgements out of Label Studio, as its JSON or its JSON_MIN export.

The labelling configuration is taken to be `<Pairwise>` over two texts, with a tie offered by a `<Choices>` beside it:

    {"id": 1, "data": {"prompt": "...", "answer1": "...", "answer2": "..."},
     "annotations": [{"completed_by": 3, "lead_time": 12.4, "was_cancelled": false,
                      "result": [{"type": "pairwise", "value": {"selected": "left"}}]}]}

The first text stands on the left, so it was seen first, unless `data` has a `first` of right or unknown. What people
judged is kept as it is, even an empty answer. Cancelled annotations do not count, nor do those in which nothing was
chosen; their rows are noted. A verdict that nobody signed is a label, not a vote. Predictions of models are not
judgements and are not read. The prompt, the texts and their origin stand in `data`, under any of the names below.
JSON_MIN keeps only the names of the controls, so there `<Pairwise>` has to be called comparison, and `<Choices>` tie.
"""

from collections.abc import Iterable

from palate.data.cells import Cell, filled
from palate.data.draft import Draft, Reading
from palate.data.origins import read_origin
from palate.data.turns import read_optional_prompt, read_response
from palate.data.votes import NOBODY, SIDES, judge, read_seconds, read_side, shown_notes
from palate.records import Conversation, Vote

PROMPTS = ("prompt", "question", "instruction")
PAIRS = (
    ("answer1", "answer2"),
    ("response1", "response2"),
    ("response_a", "response_b"),
    ("left", "right"),
    ("text1", "text2"),
)
CONTROL, TIE_CONTROL = "comparison", "tie"
TIES = ("tie", "equal", "same", "both")
_CANCELLED, _EMPTY = "cancelled-annotation", "empty-annotation"


def holds_task(row: Cell) -> bool:
    """Whether `data` is an object, as in Label Studio's tasks."""
    return isinstance(row.value.get("data"), dict)


def read_label_studio(row: Cell) -> Reading:
    """A task with its annotations; without any, a group that is only to be scored.

    Raises:
        DataError: `missing-column` where `data` holds no two texts, `unknown-vote`, `bad-number`, or a fault of a turn.
    """
    notes: set[str] = set()
    votes = []
    for annotation in row["annotations"].items() if row.has("annotations") else ():
        if any(annotation.has(name) and annotation[name].value for name in ("was_cancelled", "skipped")):
            notes.add(_CANCELLED)
            continue
        chosen = [side for result in annotation["result"].items() for side in _sides(result, notes)]
        if not chosen:
            notes.add(_EMPTY)
            continue
        votes.append(_vote(chosen, _annotator(annotation, "completed_by"), annotation, row["data"]))
    return _reading(row["data"], votes, notes, row)


def min_key(row: Cell) -> str:
    """What the rows of one task have in common in JSON_MIN: its id.

    Raises:
        DataError: `missing-column`, or a fault as in `read_label_studio`.
    """
    _min_vote(row)
    _texts(row, _columns(row))
    return row["id"].name()


def read_label_studio_min(*rows: Cell) -> Reading:
    """One task in JSON_MIN, which writes a row for each annotation: the data, and the verdict under its control."""
    return _reading(rows[0], [_min_vote(row) for row in rows], set(), rows[0])


def _reading(data: Cell, votes: list[Vote], notes: set[str], row: Cell) -> Reading:
    columns = _columns(data)
    prompt, responses = _texts(data, columns)
    origin = read_origin(data, len(responses))
    identity = data["id"].name() if data.has("id") else row["id"].name() if row.has("id") else ""
    comparisons = (judge(votes),) if votes else ()
    draft = Draft(prompt, responses, comparisons, identity, origin.source, origin.models, origin.time)
    return Reading((draft,), (*notes, *shown_notes(responses)), columns)


def _columns(data: Cell) -> tuple[str, str]:
    for pair in PAIRS:
        if all(name in data.value for name in pair):
            return pair
    found = ", ".join(map(str, data.value))
    message = f"there are no two texts; name them {PAIRS[0][0]} and {PAIRS[0][1]} (found: {found})"
    raise data.fault("missing-column", message)


def _texts(data: Cell, columns: tuple[str, str]) -> tuple[Conversation, tuple[Conversation, ...]]:
    prompt = read_optional_prompt(data, PROMPTS)
    return prompt, tuple(read_response(data[name], prompt, as_shown=True) for name in columns)


def _sides(result: Cell, notes: set[str]) -> Iterable[int | None]:
    """What one result of an annotation says: a side, None for a tie, or nothing."""
    kind, value = result["type"].value, result["value"]
    if kind == "pairwise":
        yield _side(value["selected"])
    elif kind == "choices" and any(_is_tie(choice) for choice in value["choices"].items()):
        yield None
    else:  # a rating, a comment, a choice about something else
        notes.add(f"unread-result: {kind}")


def _min_vote(row: Cell) -> Vote:
    chosen: list[int | None] = []
    for cell in filled(row, (CONTROL, TIE_CONTROL)):
        verdict = _unwrapped(cell)
        chosen.append(None if _is_tie(verdict) else _side(verdict))
    if not chosen:
        message = f"no verdict; call the controls {CONTROL} (Pairwise) and {TIE_CONTROL} (Choices), or remove the row"
        raise Cell(row.where, None, CONTROL).fault("missing-column", message)
    return _vote(chosen, _annotator(row, "annotator"), row, row)


def _unwrapped(cell: Cell) -> Cell:
    """The verdict inside `"left"`, `{"selected": "left"}` or `[{"selected": "left"}]`."""
    if isinstance(cell.value, list) and len(cell.value) == 1:
        (cell,) = cell.items()
    return cell["selected"] if isinstance(cell.value, dict) else cell


def _vote(chosen: list[int | None], annotator: str, row: Cell, data: Cell) -> Vote:
    # <Pairwise> cannot say "tie": whoever ticks that too means it
    preferred = None if None in chosen else chosen[0]
    first = (0, 1, None)[SIDES.index(read_side(data))]
    return Vote(annotator, preferred, first, read_seconds(row, "lead_time"))


def _annotator(row: Cell, name: str) -> str:
    """An id, or an object with an e-mail address or an id, as text; nobody where nothing stands there."""
    if not row.has(name):
        return NOBODY
    cell = row[name]
    if isinstance(cell.value, dict):
        for key in ("email", "username", "id"):
            if cell.has(key):
                return cell[key].name()
        raise cell.fault("missing-column", "names nobody; give it an id or an email, or leave it out")
    return NOBODY if cell.value == "None" else cell.name()


def _side(cell: Cell) -> int:
    name = cell.text().strip().lower()
    if name not in SIDES[:2]:
        raise cell.fault("unknown-vote", f"unknown verdict {cell.value!r}; known are {', '.join(SIDES[:2])}, tie")
    return SIDES.index(name)


def _is_tie(cell: Cell) -> bool:
    return isinstance(cell.value, str) and cell.value.strip().lower() in TIES
