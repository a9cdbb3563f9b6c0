"""Votes: two responses and what each annotator said about them.

The majority wins, and `probability` is its share of the votes, a tie counting as half a vote for each side.
An even split is a comparison without a right answer (probability 0.5), not a coin flip. The responses stay in
the order of the data, since which one stood first is worth knowing. The single votes are kept: agreement,
dominant annotators and Dawid-Skene all need them.

Beside palate's own shape, two published sets are read as they are: UKPConvArg1 and PandaLM. In the latter,
people judged empty answers and answers that begin with the question again; these are kept, the empty ones
counted. In palate's own, `response_a` stood first, unless a vote says otherwise in `first`.
"""

from collections.abc import Mapping, Sequence

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.turns import read_prompt, read_response
from palate.records import Comparison, Conversation, Message, Vote

PANDALM_ANNOTATORS = ("annotator1", "annotator2", "annotator3")
NOBODY = ""
"""The annotator of a verdict that nobody signed: a label, not a vote."""

SIDES = ("left", "right", "unknown")
_GENERIC = {"a": 0, "b": 1, "tie": None}
_UKP = {"a1": 0, "a2": 1, "equal": None}
_PANDALM = {"0": None, "1": 0, "2": 1}


def judge(votes: Sequence[Vote], i: int = 0, j: int = 1) -> Comparison:
    """What the votes, one at least, on responses i and j come to; verdicts of nobody count where there are no others.

    >>> one = judge([Vote("ann", 1), Vote("bob", 1), Vote("eve", None)])
    >>> one.winner, one.loser, round(one.probability, 3), len(one.votes)
    (1, 0, 0.833, 3)
    >>> judge([Vote(NOBODY, 1)])
    Comparison(winner=1, loser=0, margin=0.0, probability=1.0, weight=1.0, votes=())
    """
    signed = tuple(vote for vote in votes if vote.annotator != NOBODY)
    counted = signed or votes
    share = sum(0.5 if vote.preferred is None else float(vote.preferred == i) for vote in counted) / len(counted)
    winner, loser = (i, j) if share >= 0.5 else (j, i)
    return Comparison(winner, loser, probability=max(share, 1 - share), votes=signed)


def read_seconds(row: Cell, name: str) -> float | None:
    """How long a vote took, where the row says it.

    Raises:
        DataError: `bad-number` for what is no duration.
    """
    if not row.has(name):
        return None
    seconds = row[name].finite()
    if seconds < 0:
        raise row[name].fault("bad-number", f"is {seconds:g}; a duration is not negative: correct it or leave it out")
    return seconds


def read_side(row: Cell) -> str:
    """Which side was seen first, in a column `first`: left, which it is without one, right, or unknown.

    Raises:
        DataError: `unknown-vote` for anything else.
    """
    side = row["first"].text().strip().lower() if row.has("first") else SIDES[0]
    if side not in SIDES:
        raise row["first"].fault("unknown-vote", f"unknown side {side!r}; known are {', '.join(SIDES)}")
    return side


def read_votes(row: Cell) -> Reading:
    """`prompt`, `response_a`, `response_b` and `votes`: "a", "b" or "tie", or `{"annotator", "value"}`.

    Such an object may also hold `first`, "a" (which it is without that field), "b", or null where nobody knows which
    response stood first, and `seconds`.

    Raises:
        DataError: `no-votes`, `unknown-vote`, `bad-number`, or a fault of the prompt or of a response.
    """
    prompt = read_prompt(row["prompt"])
    responses = tuple(read_response(row[name], prompt) for name in ("response_a", "response_b"))
    return _judged(prompt, responses, _listed_votes(row["votes"], _GENERIC, first=0))


def read_ukpconvarg(row: Cell) -> Reading:
    """UKPConvArg1 (Habernal and Gurevych, ACL 2016): which of two arguments for one side convinces more.

    The data has no prompt; one is written that names the debate and the side. The topic, which is both, is the source.
    Nothing says which argument stood first. Workers took their time over an assignment of about three pairs, of
    which a row knows one, so that the seconds of a vote are not known either.
    """
    debate, side = row["debate"].text(), row["stance"].text()
    ask = f'Write a convincing argument in the debate "{debate}" for this side: "{side}".'
    prompt = (Message("user", ask),)
    responses = tuple(read_response(row[name], prompt) for name in ("a1", "a2"))
    votes = _listed_votes(row["votes"], _UKP, first=None)
    return _judged(prompt, responses, votes, row["topic"].text() if row.has("topic") else "")


def read_pandalm(row: Cell) -> Reading:
    """PandaLM's test set (Wang et al. 2023): `annotator1` to `annotator3` say 0 (tie), 1 or 2.

    Its conversion to JSON turned the answers "True" and "False" into truth values; they become text again. Nothing
    says which response stood first. The application that an instruction was written for is its source, and
    `cmp_key` names both models.
    """
    instruction, extra = row["instruction"].text(), row["input"].text() if row.has("input") else ""
    question = f"{instruction}\n\n{extra}" if extra.strip() else instruction
    prompt = read_prompt(Cell(row.where, question, "instruction"))
    shown = [row["response1"], row["response2"]]
    spelled = [
        Cell(cell.where, str(cell.value), cell.field) if isinstance(cell.value, bool) else cell for cell in shown
    ]
    responses = tuple(read_response(cell, prompt, as_shown=True) for cell in spelled)
    votes = [
        Vote(name, _verdict(row[name], f"{row[name].number():g}", _PANDALM))
        for name in PANDALM_ANNOTATORS
        if row.has(name)
    ]
    source = row["motivation_app"].text() if row.has("motivation_app") else ""
    models = tuple(row["cmp_key"].text().split("_")) if row.has("cmp_key") else ()
    draft = Draft(prompt, responses, (judge(votes),), source=source, models=models if len(models) == 2 else ())
    strange = () if all(isinstance(cell.value, str) for cell in shown) else ("truth-value-as-text",)
    return Reading((draft,), shown_notes(responses) + strange)


def shown_notes(responses: Sequence[Conversation]) -> tuple[str, ...]:
    """What is odd about responses that are kept because people judged exactly them."""
    empty = () if all(response[-1].content.strip() for response in responses) else ("empty-response-kept",)
    same = () if len(set(responses)) == len(responses) else ("identical-responses",)
    return empty + same


def _judged(
    prompt: Conversation, responses: tuple[Conversation, ...], votes: Sequence[Vote], source: str = ""
) -> Reading:
    return Reading((Draft(prompt, responses, (judge(votes),), source=source),), shown_notes(responses))


def _listed_votes(listed: Cell, meanings: dict[str, int | None], first: int | None) -> list[Vote]:
    cells = listed.items()
    if not cells:
        raise listed.fault("no-votes", "the list is empty; add votes or remove the row")
    return [_vote(cell, meanings, first, number) for number, cell in enumerate(cells, 1)]


def _vote(cell: Cell, meanings: dict[str, int | None], first: int | None, number: int) -> Vote:
    # people without a name must not be taken for one person across rows: the row is part of their name
    annotator = f"{cell.where}#{number}"
    if not isinstance(cell.value, dict):
        return Vote(annotator, _verdict(cell, cell.text(), meanings), first)
    if cell.has("annotator"):
        annotator = cell["annotator"].name()
    if "first" in cell.value:
        sides = {name: side for name, side in meanings.items() if side is not None}
        first = None if cell.value["first"] is None else _verdict(cell["first"], cell["first"].text(), sides)
    verdict = cell["value"]
    return Vote(annotator, _verdict(verdict, verdict.text(), meanings), first, read_seconds(cell, "seconds"))


def _verdict(cell: Cell, value: str, meanings: Mapping[str, int | None]) -> int | None:
    if value not in meanings:
        raise cell.fault("unknown-vote", f"unknown verdict {value!r}; known are {', '.join(meanings)}")
    return meanings[value]
