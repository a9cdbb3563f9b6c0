"""Lists of responses: ranked, so that the order gives the comparisons, or bare, only to be scored.

A ranking of K responses stands for its K (K - 1) / 2 comparisons (Ouyang et al. 2022, InstructGPT, section
3.5); equal places are kept as ties, comparisons with probability 0.5. Whether a number means a place or a
score cannot be told from the number, so the name decides: in `ranks` the lower is the better, in `scores` the
higher.

Two responses with the same text cannot differ in quality: their comparison is left out and noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from palate.data.cells import Cell, filled
from palate.data.draft import Draft, Reading
from palate.data.turns import read_prompt, read_response
from palate.records import Comparison, Conversation

ORDER_COLUMNS = ("ranks", "scores")
_ITEM_ORDERS = ("rank", "score")
_ITEM_TEXTS = ("content", "text", "response", "completion")


@dataclass(frozen=True, slots=True)
class _Order:
    """Numbers that order the responses, and the place to name when they do not."""

    place: Cell
    numbers: tuple[Cell, ...]
    lower_is_better: bool


def read_ranked(row: Cell) -> Reading:
    """`prompt` and `responses`, with `ranks` or `scores` as columns or inside the responses.

    Raises:
        DataError: `too-few-responses`, `missing-column` where there is no order, `conflicting-columns` where
            there are two, `rank-count`, `bad-number`, `identical-pair` where all responses are the same text,
            or a fault of the prompt or of a response.
    """
    prompt = read_prompt(row["prompt"])
    return _ranked(row, prompt, row["responses"])


def read_nemo(row: Cell) -> Reading:
    """NeMo's `context` and `completions`, each `{"rank", "completion"}`; faults as in `read_ranked`."""
    prompt = read_prompt(row["context"])
    return _ranked(row, prompt, row["completions"])


def read_candidates(row: Cell) -> Reading:
    """`prompt` and `responses` (one or more) or `response`, to be scored without comparisons, and perhaps `gold`.

    Raises:
        DataError: `too-few-responses` for an empty list, `rank-count` or `bad-number` for gold that is not one finite
            number a response, or a fault of the prompt or of a response.
    """
    prompt = read_prompt(row["prompt"])
    cells = row["responses"].items() if row.has("responses") else (row["response"],)
    if not cells:
        raise row["responses"].fault("too-few-responses", "the list is empty; there is nothing to score")
    return Reading((Draft(prompt, tuple(_response(cell, prompt) for cell in cells), gold=_gold(row, len(cells))),))


def has_order(row: Cell, responses: Cell) -> bool:
    """Whether the row says which response is better."""
    return bool(filled(row, ORDER_COLUMNS)) or any(filled(cell, _ITEM_ORDERS) for cell in responses.items())


def compare_all(
    responses: Sequence[Conversation], goodness: Sequence[float], *, margin_per_point: float = 0.0
) -> tuple[Comparison, ...]:
    """Every comparison that K numbers imply, higher is better, except between responses of the same text.

    Args:
        responses: K of them.
        goodness: K numbers.
        margin_per_point: margin for a difference of 1; 0 where the numbers say which is better and not by how much.

    >>> from palate.records import Message
    >>> a, b, c = ((Message("assistant", text),) for text in "abc")
    >>> [(one.winner, one.loser, one.probability) for one in compare_all((a, b, c), (1, 3, 3))]
    [(1, 0, 1.0), (2, 0, 1.0), (1, 2, 0.5)]
    """
    return tuple(
        _comparison(i, j, goodness[i] - goodness[j], margin_per_point)
        for i, j in combinations(range(len(responses)), 2)
        if responses[i] != responses[j]
    )


def _gold(row: Cell, number: int) -> tuple[float, ...]:
    if not row.has("gold"):
        return ()
    cells = row["gold"].items() if row.has("responses") else (row["gold"],)
    if len(cells) != number:
        message = f"{len(cells)} numbers for {number} responses; give one for each"
        raise row["gold"].fault("rank-count", message)
    return tuple(cell.finite() for cell in cells)


def _ranked(row: Cell, prompt: Conversation, listed: Cell) -> Reading:
    cells = listed.items()
    if len(cells) < 2:
        message = f"{len(cells)} given, but a comparison needs two; add responses or remove the row"
        raise listed.fault("too-few-responses", message)
    goodness = _goodness(row, listed)
    responses = tuple(_response(cell, prompt) for cell in cells)
    comparisons = compare_all(responses, goodness)
    if not comparisons:
        raise listed.fault("identical-pair", "all responses are the same text, which says nothing; remove the row")
    complete = len(comparisons) == len(cells) * (len(cells) - 1) // 2
    return Reading((Draft(prompt, responses, comparisons),), () if complete else ("identical-responses",))


def _comparison(i: int, j: int, lead: float, margin_per_point: float) -> Comparison:
    if lead == 0:
        return Comparison(i, j, probability=0.5)
    winner, loser = (i, j) if lead > 0 else (j, i)
    return Comparison(winner, loser, margin=margin_per_point * abs(lead))


def _goodness(row: Cell, listed: Cell) -> list[float]:
    """One number a response, higher is better."""
    orders = [_Order(column, column.items(), column.field == "ranks") for column in filled(row, ORDER_COLUMNS)]
    for key in _ITEM_ORDERS:
        inside = tuple(item[key] for item in listed.items() if item.has(key))
        if inside:
            orders.append(_Order(inside[0], inside, key == "rank"))
    if not orders:
        message = "the responses have no order; add ranks (lower is better) or scores (higher is better)"
        raise listed.fault("missing-column", message)
    if len(orders) > 1:
        message = f"an order besides that in {orders[0].place.field}, which may contradict it; keep one of them"
        raise orders[1].place.fault("conflicting-columns", message)
    (order,) = orders
    if len(order.numbers) != len(listed.items()):
        message = f"{len(order.numbers)} numbers for {len(listed.items())} responses; give one for each"
        raise order.place.fault("rank-count", message)
    sign = -1 if order.lower_is_better else 1
    return [sign * number.finite() for number in order.numbers]


def _response(cell: Cell, prompt: Conversation) -> Conversation:
    if isinstance(cell.value, dict):
        texts = [key for key in _ITEM_TEXTS if key in cell.value]
        cell = cell[texts[0] if texts else _ITEM_TEXTS[0]]
    return read_response(cell, prompt)
