"""Votes: two responses and what each annotator said about them.

The majority wins, and `probability` is its share of the votes, a tie counting as half a vote for each side.
An even split is a comparison without a right answer (probability 0.5), not a coin flip. The responses stay in
the order of the data, since which one stood first is worth knowing. The single votes are kept: agreement,
dominant annotators and Dawid-Skene all need them.

Beside palate's own shape, two published sets are read as they are: UKPConvArg1 and PandaLM. In the latter,
people judged empty answers and answers that begin with the question again; these are kept, the empty ones
counted.
"""

from collections.abc import Sequence

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.turns import read_prompt, read_response
from palate.records import Comparison, Conversation, Message, Vote

PANDALM_ANNOTATORS = ("annotator1", "annotator2", "annotator3")
_GENERIC = {"a": 0, "b": 1, "tie": None}
_UKP = {"a1": 0, "a2": 1, "equal": None}
_PANDALM = {"0": None, "1": 0, "2": 1}


def read_votes(row: Cell) -> Reading:
    """`prompt`, `response_a`, `response_b` and `votes`: "a", "b" or "tie", or `{"annotator", "value"}`.

    Raises:
        DataError: `no-votes`, `unknown-vote`, or a fault of the prompt or of a response.
    """
    prompt = read_prompt(row["prompt"])
    responses = tuple(read_response(row[name], prompt) for name in ("response_a", "response_b"))
    return _judged(prompt, responses, _listed_votes(row["votes"], _GENERIC))


def read_ukpconvarg(row: Cell) -> Reading:
    """UKPConvArg1 (Habernal and Gurevych, ACL 2016): which of two arguments for one side convinces more.

    The data has no prompt; one is written that names the debate and the side.
    """
    debate, side = row["debate"].text(), row["stance"].text()
    ask = f'Write a convincing argument in the debate "{debate}" for this side: "{side}".'
    prompt = (Message("user", ask),)
    responses = tuple(read_response(row[name], prompt) for name in ("a1", "a2"))
    return _judged(prompt, responses, _listed_votes(row["votes"], _UKP))


def read_pandalm(row: Cell) -> Reading:
    """PandaLM's test set (Wang et al. 2023): `annotator1` to `annotator3` say 0 (tie), 1 or 2.

    Its conversion to JSON turned the answers "True" and "False" into truth values; they become text again.
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
    judged = _judged(prompt, responses, votes)
    return Reading(judged.drafts, judged.notes + _oddities(shown, responses))


def _oddities(shown: list[Cell], responses: tuple[Conversation, ...]) -> tuple[str, ...]:
    notes = []
    if not all(response[-1].content.strip() for response in responses):
        notes.append("empty-response-kept")
    if not all(isinstance(cell.value, str) for cell in shown):
        notes.append("truth-value-as-text")
    return tuple(notes)


def _judged(prompt: Conversation, responses: tuple[Conversation, ...], votes: Sequence[Vote]) -> Reading:
    share = sum(0.5 if vote.preferred is None else 1.0 - vote.preferred for vote in votes) / len(votes)
    winner = 0 if share >= 0.5 else 1
    comparison = Comparison(winner, 1 - winner, probability=max(share, 1 - share), votes=tuple(votes))
    notes = ("identical-responses",) if responses[0] == responses[1] else ()
    return Reading((Draft(prompt, responses, (comparison,)),), notes)


def _listed_votes(listed: Cell, meanings: dict[str, int | None]) -> list[Vote]:
    cells = listed.items()
    if not cells:
        raise listed.fault("no-votes", "the list is empty; add votes or remove the row")
    votes = []
    for number, cell in enumerate(cells, 1):
        # people without a name must not be taken for one person across rows: the row is part of their name
        annotator = f"{cell.where}#{number}"
        if isinstance(cell.value, dict):
            if cell.has("annotator"):
                annotator = str(cell["annotator"].value)
            cell = cell["value"]
        votes.append(Vote(annotator, _verdict(cell, cell.text(), meanings)))
    return votes


def _verdict(cell: Cell, value: str, meanings: dict[str, int | None]) -> int | None:
    if value not in meanings:
        raise cell.fault("unknown-vote", f"unknown verdict {value!r}; known are {', '.join(meanings)}")
    return meanings[value]
