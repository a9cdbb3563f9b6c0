"""Pairs: a chosen and a rejected response, the commonest preference data.

Five shapes, told apart by what stands in the columns `prompt`, `chosen` and `rejected`:

| name | prompt | chosen, rejected |
|---|---|---|
| pair-standard | text | text |
| pair-conversational | messages or text | messages or text, at least one of the three as messages |
| openrlhf | messages, in `context_messages` | messages or text |
| pair-implicit-prompt | no such column | messages; the prompt is what they share |
| hh-transcript | no such column | transcripts; the prompt is what they share |

Optional columns say more about the preference: `margin` or `strength`, `weight`, and `probability` (also
called `soft_label`), the share of people who prefer the chosen response; below one half it makes the rejected
one the winner.
"""

import math
from collections.abc import Callable

from palate.data.cells import Cell, filled
from palate.data.draft import Draft, Reading
from palate.data.strengths import STRENGTH_MARGINS
from palate.data.transcripts import part_transcripts
from palate.data.turns import SharedPrompt, part, read_messages, read_prompt, read_response
from palate.records import Comparison, Conversation

PROBABILITY_COLUMNS = ("probability", "soft_label")
PAIR_COLUMNS = ("margin", "strength", "weight", *PROBABILITY_COLUMNS)


def read_explicit_pair(row: Cell) -> Reading:
    """`prompt`, `chosen`, `rejected`, as text or as messages.

    Raises:
        DataError: `identical-pair`, or a fault of the prompt, of a response or of an optional column.
    """
    return _explicit(row, read_prompt(row["prompt"]))


def read_openrlhf_pair(row: Cell) -> Reading:
    """`context_messages`, `chosen`, `rejected`, the keys of OpenRLHF's data sets; faults as in `read_explicit_pair`."""
    return _explicit(row, read_prompt(row["context_messages"]))


def _explicit(row: Cell, prompt: Conversation) -> Reading:
    chosen = read_response(row["chosen"], prompt)
    rejected = read_response(row["rejected"], prompt)
    if chosen == rejected:
        raise row["rejected"].fault("identical-pair", "is the same as chosen, which says nothing; remove the row")
    return Reading((Draft(prompt, (chosen, rejected), (read_comparison(row),)),))


def read_implicit_pair(row: Cell) -> Reading:
    """`chosen` and `rejected` as whole lists of messages.

    Raises:
        DataError: `empty-response`, or a fault of `palate.data.turns.part` or of an optional column.
    """

    def divide(chosen: Cell, rejected: Cell) -> SharedPrompt:
        parted = part(read_messages(chosen), read_messages(rejected), (chosen, rejected))
        for response, cell in ((parted.first, chosen), (parted.second, rejected)):
            if not response[-1].content.strip():
                raise cell.fault("empty-response", "the last turn holds no text; fill it or remove the row")
        return parted

    return _divided(row, divide)


def read_transcript_pair(row: Cell) -> Reading:
    """`chosen` and `rejected` as transcripts.

    Raises:
        DataError: a fault of `palate.data.transcripts.part_transcripts` or of an optional column.
    """
    return _divided(row, part_transcripts)


def _divided(row: Cell, divide: Callable[[Cell, Cell], SharedPrompt]) -> Reading:
    parted = divide(row["chosen"], row["rejected"])
    draft = Draft(parted.prompt, (parted.first, parted.second), (read_comparison(row),))
    return Reading((draft,), parted.notes)


def read_comparison(row: Cell) -> Comparison:
    """That response 0 is preferred to response 1, as far as the optional columns say so.

    Raises:
        DataError: `nan-margin` (infinite ones too), `bad-number`, `unknown-strength`, or
            `conflicting-columns` where two columns say the same thing.
    """
    probability = _probability(row)
    margin = _margin(row)
    weight = row["weight"].finite() if row.has("weight") else 1.0
    if weight <= 0:
        raise row["weight"].fault("bad-number", f"is {weight:g}; a weight is above 0: remove rows that must not count")
    if probability < 0.5:
        return Comparison(1, 0, margin, 1 - probability, weight)
    return Comparison(0, 1, margin, probability, weight)


def _probability(row: Cell) -> float:
    cell = _only_one(row, PROBABILITY_COLUMNS)
    if cell is None:
        return 1.0
    probability = cell.finite()
    if not 0 <= probability <= 1:
        raise cell.fault("bad-number", f"is {probability:g}; a probability lies in [0, 1]")
    return probability


def _margin(row: Cell) -> float:
    cell = _only_one(row, ("margin", "strength"))
    if cell is None:
        return 0.0
    if cell.field == "strength" and isinstance(cell.value, str):
        label = " ".join(cell.value.lower().replace("-", " ").replace("_", " ").split())
        if label in STRENGTH_MARGINS:
            return STRENGTH_MARGINS[label]
        if not _spells_number(label):
            known = ", ".join(STRENGTH_MARGINS)
            message = f"unknown label {cell.value!r}; known are {known}, or give a number in margin"
            raise cell.fault("unknown-strength", message)
    margin = cell.number()
    if not math.isfinite(margin):
        raise cell.fault("nan-margin", f"is {margin}; a margin is a finite number: write one or leave it out")
    if margin < 0:
        message = f"is {margin:g}; a margin is at least 0: exchange chosen and rejected, or leave it out"
        raise cell.fault("bad-number", message)
    return margin


def _only_one(row: Cell, names: tuple[str, ...]) -> Cell | None:
    cells = filled(row, names)
    if len(cells) > 1:
        fields = " and ".join(cell.field for cell in cells)
        raise cells[1].fault("conflicting-columns", f"{fields} say the same thing in two ways; keep one of them")
    return cells[0] if cells else None


def _spells_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
