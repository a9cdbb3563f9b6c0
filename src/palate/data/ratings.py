"""Ratings: a number for each response, or one for how much the one is better than the other.

Here the numbers lie on a scale that is known, so a difference says how strong the preference is: the margin is its
share of the whole scale, from 0 to 1 as in `palate.data.strengths`. Equal ratings are ties.

| set | rows | scale |
|---|---|---|
| HelpSteer, HelpSteer2 (Wang et al. 2023, 2024) | one a response, a group a prompt | helpfulness, 0 to 4 |
| HelpSteer2-Preference, HelpSteer3 (Wang et al. 2024, 2025) | one a pair | strength, -3 (the first) to 3 |
| UltraFeedback (Cui et al. 2023) | one a prompt | mean of the aspects, 1 to 5, or overall_score, 1 to 10 |
"""

import re
from collections.abc import Callable

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.rankings import compare_all
from palate.data.turns import read_prompt, read_response
from palate.records import Comparison, Conversation, Message

_HELPSTEER_TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")
_STRONGEST = 3


def helpsteer_key(row: Cell) -> str:
    """What rows of one HelpSteer group have in common: the prompt.

    Raises:
        DataError: `bad-number` for a rating outside the scale, or a fault of the prompt or of the response.
    """
    read_response(row["response"], _helpsteer_prompt(row["prompt"]))
    _rating(row["helpfulness"], 0, 4)
    return row["prompt"].text()


def read_helpsteer(*rows: Cell) -> Reading:
    """The responses to one prompt, each in a row of its own with its helpfulness."""
    prompt = _helpsteer_prompt(rows[0]["prompt"])
    responses = tuple(read_response(row["response"], prompt) for row in rows)
    return _rated(prompt, responses, [_rating(row["helpfulness"], 0, 4) for row in rows], span=4)


def read_helpsteer_pair(row: Cell) -> Reading:
    """HelpSteer2-Preference: `prompt`, two responses and `preference_strength`.

    Raises:
        DataError: `bad-number` for a strength outside -3 to 3, `identical-pair`, or a fault of a turn.
    """
    prompt = _helpsteer_prompt(row["prompt"])
    return _stronger(row, prompt, ("response_1", "response_2"), row["preference_strength"])


def read_helpsteer3(row: Cell) -> Reading:
    """HelpSteer3: `context` as messages, two responses and `overall_preference`; faults as in `read_helpsteer_pair`."""
    return _stronger(row, read_prompt(row["context"]), ("response1", "response2"), row["overall_preference"])


def read_ultrafeedback(row: Cell) -> Reading:
    """UltraFeedback: `instruction`, and `completions` with their responses, models and ratings.

    The mean of the aspects' ratings decides where every completion has them, else `fine-grained_score`, which is the
    same mean, else `overall_score`, which a critic gave apart.

    Raises:
        DataError: `too-few-responses`, `missing-column` where there is no rating that all completions have,
            `bad-number`, `identical-pair`, or a fault of a turn.
    """
    prompt = read_prompt(row["instruction"])
    listed = row["completions"].items()
    if len(listed) < 2:
        message = f"{len(listed)} given, but a comparison needs two; add responses or remove the row"
        raise row["completions"].fault("too-few-responses", message)
    responses = tuple(read_response(one["response"], prompt) for one in listed)
    ratings, span = _ultrafeedback_ratings(row["completions"], listed)
    models = tuple(one["model"].text() if one.has("model") else "" for one in listed)
    return _rated(prompt, responses, ratings, span, models if all(models) else ())


def _ultrafeedback_ratings(column: Cell, listed: tuple[Cell, ...]) -> tuple[list[float], int]:
    ways: tuple[tuple[Callable[[Cell], float | None], int], ...] = (
        (_aspect_mean, 4),
        (lambda one: _rating(one["fine-grained_score"], 1, 5) if one.has("fine-grained_score") else None, 4),
        (lambda one: _rating(one["overall_score"], 1, 10) if one.has("overall_score") else None, 9),
    )
    for read, span in ways:
        ratings = [rating for one in listed if (rating := read(one)) is not None]
        if len(ratings) == len(listed):
            return ratings, span
    message = "no rating that all of them have; give each annotations with a Rating, or an overall_score"
    raise column.fault("missing-column", message)


def _aspect_mean(one: Cell) -> float | None:
    if not one.has("annotations"):
        return None
    aspects = one["annotations"]
    cells = [aspects[name]["Rating"] for name in aspects.value if aspects[name].has("Rating")]
    ratings = [_rating(cell, 1, 5) for cell in cells if cell.value != "N/A"]
    return sum(ratings) / len(ratings) if ratings else None


def _rated(
    prompt: Conversation,
    responses: tuple[Conversation, ...],
    ratings: list[float],
    span: int,
    models: tuple[str, ...] = (),
) -> Reading:
    comparisons = compare_all(responses, ratings, margin_per_point=1 / span)
    complete = len(set(responses)) == len(responses)
    return Reading(
        (Draft(prompt, responses, comparisons, models=models),), () if complete else ("identical-responses",)
    )


def _stronger(row: Cell, prompt: Conversation, columns: tuple[str, str], strength: Cell) -> Reading:
    first, second = (read_response(row[name], prompt) for name in columns)
    if first == second:
        raise row[columns[1]].fault(
            "identical-pair", f"is the same as {columns[0]}, which says nothing; remove the row"
        )
    lead = _rating(strength, -_STRONGEST, _STRONGEST)
    if lead == 0:
        return Reading((Draft(prompt, (first, second), (Comparison(0, 1, probability=0.5),)),))
    winner = 0 if lead < 0 else 1
    comparison = Comparison(winner, 1 - winner, margin=abs(lead) / _STRONGEST)
    return Reading((Draft(prompt, (first, second), (comparison,)),))


def _rating(cell: Cell, low: int, high: int) -> float:
    rating = cell.finite()
    if not low <= rating <= high:
        raise cell.fault(
            "bad-number", f"is {rating:g}; the scale runs from {low} to {high}: correct it or remove the row"
        )
    return rating


def _helpsteer_prompt(cell: Cell) -> Conversation:
    """The turns of a HelpSteer prompt, which writes several as `<extra_id_1>Assistant` and `<extra_id_1>User`."""
    first, *rest = _HELPSTEER_TURN.split(cell.text())
    turns = [Message("user", first)]
    for speaker, content in zip(rest[::2], rest[1::2], strict=True):
        turns.append(Message("user" if speaker == "User" else "assistant", content))
    if len(turns) == 1:
        return read_prompt(cell)
    listed = [{"role": turn.role, "content": turn.content} for turn in turns]
    return read_prompt(Cell(cell.where, listed, cell.field))
