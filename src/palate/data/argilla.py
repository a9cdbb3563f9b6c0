"""Rankings out of Argilla, as `dataset.records.to_list` gives them, nested or flat, for the template `for_ranking`.

    {"id": "q-1", "fields": {"instruction": "...", "response1": "...", "response2": "..."},
     "responses": {"ranking": [{"value": ["response2", "response1"], "user_id": "...", "status": "submitted"}]}}

or, with `flatten=True`, the fields as columns and "ranking.responses", "ranking.responses.users" and
"ranking.responses.status" as lists. A value is a list of names, the best first, or of `{"value", "rank"}` objects, in
which equal ranks are ties. Every pair of responses that a person ranked is their vote. Drafts and discarded answers do
not count; their rows are noted. An answer that nobody signed is a label, not a vote. Fields can be shown in any order,
so which response was seen first is not known. Suggestions of models are not judgements and are not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.origins import read_origin
from palate.data.turns import read_optional_prompt, read_response
from palate.data.votes import NOBODY, judge, shown_notes
from palate.records import Vote

QUESTION = "ranking"
PROMPTS = ("instruction", "prompt", "question")
_RESPONSE = re.compile(r"(?:response|answer|completion|generation)[_-]?(\d+)")
_FLAT = f"{QUESTION}.responses"
FLAT_COLUMNS = (_FLAT, f"{_FLAT}.users", f"{_FLAT}.status")


@dataclass(frozen=True, slots=True)
class _Listed:
    """An answer as it stands in the record."""

    value: Cell
    user: Cell
    status: Cell


@dataclass(frozen=True, slots=True)
class _Answer:
    """One person's ranking: the rank of each response that they ranked, by its index."""

    user: str
    ranks: Mapping[int, float]


def holds_record(row: Cell) -> bool:
    """Whether `fields` is an object, as in Argilla's records."""
    return isinstance(row.value.get("fields"), dict)


def read_argilla(row: Cell) -> Reading:
    """A record; without answers, a group that is only to be scored.

    Raises:
        DataError: `missing-column` where the fields hold no two responses or the answers no ranking, `unknown-vote`,
            `bad-number`, or a fault of a turn.
    """
    answers: tuple[Cell, ...] = ()
    if row.has("responses") and row["responses"].value:
        answers = row["responses"][QUESTION].items()
    origin = row["metadata"] if row.has("metadata") else Cell(row.where, {})
    listed = [_Listed(one["value"], _part(one, "user_id"), _part(one, "status")) for one in answers]
    return _reading(row["fields"], origin, listed)


def read_argilla_flat(row: Cell) -> Reading:
    """A flattened record.

    Raises:
        DataError: `rank-count` where the lists differ in length; others as in `read_argilla`.
    """
    values, users, states = (row[name].items() if row.has(name) else () for name in FLAT_COLUMNS)
    if not len(values) == len(users) == (len(states) or len(values)):
        message = f"{len(values)} answers by {len(users)} users with {len(states)} states; export the records again"
        raise row[_FLAT].fault("rank-count", message)
    statuses = states or tuple(Cell(row.where, None) for _ in values)
    listed = [_Listed(*answer) for answer in zip(values, users, statuses, strict=True)]
    return _reading(row, row, listed)


def response_names(fields: Cell) -> tuple[str, ...]:
    """The names of the fields that hold responses, by their numbers."""
    numbered = {name: found for name in fields.value if (found := _RESPONSE.fullmatch(str(name)))}
    return tuple(sorted(numbered, key=lambda name: int(numbered[name][1])))


def _reading(fields: Cell, origin_cell: Cell, listed: list[_Listed]) -> Reading:
    names = response_names(fields)
    if len(names) < 2:
        message = f"no two responses; name them response1, response2, ... (found: {', '.join(map(str, fields.value))})"
        raise fields.fault("missing-column", message)
    prompt = read_optional_prompt(fields, PROMPTS)
    responses = tuple(read_response(fields[name], prompt, as_shown=True) for name in names)
    counted = [one for one in listed if one.status.value in (None, "submitted")]
    answers = [_Answer(_user(one.user), _ranks(one.value, names)) for one in counted]
    notes = () if len(counted) == len(listed) else ("unsubmitted-answer",)
    comparisons = []
    for i, j in combinations(range(len(names)), 2):
        if votes := [_vote(one, i, j) for one in answers if i in one.ranks and j in one.ranks]:
            comparisons.append(judge(votes, i, j))
    origin = read_origin(origin_cell, len(names))
    draft = Draft(prompt, responses, tuple(comparisons), "", origin.source, origin.models, origin.time)
    return Reading((draft,), notes + shown_notes(responses), names)


def _ranks(value: Cell, names: tuple[str, ...]) -> dict[int, float]:
    ranks: dict[int, float] = {}
    for place, item in enumerate(value.items(), 1):
        name, rank = item, float(place)
        if isinstance(item.value, dict):
            name, rank = item["value"], item["rank"].finite() if item.has("rank") else rank
        if name.value not in names or names.index(name.value) in ranks:
            known = ", ".join(names)
            raise name.fault("unknown-vote", f"ranks {name.value!r}; rank each of {known} once, or remove the answer")
        ranks[names.index(name.value)] = rank
    return ranks


def _vote(answer: _Answer, i: int, j: int) -> Vote:
    lead = answer.ranks[j] - answer.ranks[i]  # a lower rank is better
    return Vote(answer.user, None if lead == 0 else i if lead > 0 else j)


def _part(answer: Cell, name: str) -> Cell:
    return answer[name] if name in answer.value else Cell(answer.where, None)


def _user(cell: Cell) -> str:
    return NOBODY if cell.value in (None, "", "None") else cell.name()
