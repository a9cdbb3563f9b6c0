"""Votes as a table: a row for each vote, those of one task together a group.

    task,annotator,left,right,label,prompt
    t1,ann,Blue.,No.,left,Name a colour.
    t1,bob,No.,Blue.,tie,Name a colour.

What stood on the left was seen first, unless `first` says right or unknown; the sides may change from row to row. The
label is left, right or tie (also equal), or the text of one side once more, as crowd-kit has it. The texts of a task
may be more than two in all: a pair of them is compared where somebody judged it. Rows of a task may stand anywhere in
the file. A row without an annotator is a label, not a vote.

Optional columns: `prompt`, `first`, `seconds`, `left_model` and `right_model`, and those of `palate.data.origins`.
"""

from dataclasses import dataclass

from palate.data.cells import Cell, filled
from palate.data.draft import Draft, Reading
from palate.data.turns import read_optional_prompt, read_response
from palate.data.votes import NOBODY, SIDES, judge, read_seconds, read_side, shown_notes
from palate.records import Conversation, Vote

TABLE_COLUMNS = ("annotator", "worker", "prompt", "first", "seconds", "left_model", "right_model")
_LABELS = {"left": "left", "right": "right", "tie": None, "equal": None}


@dataclass(frozen=True, slots=True)
class _Ballot:
    """One row: the two texts, the preferred one or None for a tie, and who said so."""

    left: Conversation
    right: Conversation
    preferred: Conversation | None
    annotator: str
    first: Conversation | None
    seconds: float | None


def table_key(row: Cell) -> str:
    """The task of a row.

    Raises:
        DataError: `identical-pair`, `unknown-vote`, `bad-number`, `conflicting-columns` where both `annotator` and
            `worker` are filled, or a fault of a turn.
    """
    _ballot(row, read_optional_prompt(row, ("prompt",)))
    return row["task"].name()


def read_vote_table(*rows: Cell) -> Reading:
    """All votes on one task.

    Raises:
        DataError: `conflicting-columns` where rows of the task have different prompts.
    """
    prompt = read_optional_prompt(rows[0], ("prompt",))
    texts: dict[Conversation, int] = {}
    models: dict[int, str] = {}
    votes: dict[tuple[int, int], list[Vote]] = {}
    for row in rows:
        if row.value.get("prompt") != rows[0].value.get("prompt"):
            message = f"differs from the prompt of the same task at {rows[0].where}; give the tasks different names"
            raise Cell(row.where, None, "prompt").fault("conflicting-columns", message)
        ballot = _ballot(row, prompt)
        left, right = (texts.setdefault(text, len(texts)) for text in (ballot.left, ballot.right))
        for index, name in ((left, "left_model"), (right, "right_model")):
            if row.has(name):
                models.setdefault(index, row[name].text())
        preferred = None if ballot.preferred is None else texts[ballot.preferred]
        first = None if ballot.first is None else texts[ballot.first]
        vote = Vote(ballot.annotator, preferred, first, ballot.seconds)
        votes.setdefault((min(left, right), max(left, right)), []).append(vote)
    comparisons = tuple(judge(cast, i, j) for (i, j), cast in votes.items())
    known = tuple(models[index] for index in range(len(texts))) if len(models) == len(texts) else ()
    draft = Draft(prompt, tuple(texts), comparisons, rows[0]["task"].name(), models=known)
    return Reading((draft,), shown_notes(draft.responses))


def _ballot(row: Cell, prompt: Conversation) -> _Ballot:
    left, right = (read_response(row[side], prompt, as_shown=True) for side in ("left", "right"))
    if left == right:
        raise row["right"].fault("identical-pair", "is the same as left, which says nothing; remove the row")
    who = filled(row, ("annotator", "worker"))
    if len(who) > 1:
        raise who[1].fault(
            "conflicting-columns", "annotator and worker say the same thing in two ways; keep one of them"
        )
    annotator = who[0].name() if who else NOBODY
    first = (left, right, None)[SIDES.index(read_side(row))]
    return _Ballot(left, right, _preferred(row, left, right), annotator, first, read_seconds(row, "seconds"))


def _preferred(row: Cell, left: Conversation, right: Conversation) -> Conversation | None:
    label = row["label"].value
    word = label.strip().lower() if isinstance(label, str) else ""
    if word in _LABELS:
        return None if _LABELS[word] is None else {"left": left, "right": right}[word]
    for side, text in (("left", left), ("right", right)):
        if label == row[side].value:
            return text
    known = ", ".join(_LABELS)
    raise row["label"].fault("unknown-vote", f"unknown label {label!r}; known are {known}, or the text of one side")
