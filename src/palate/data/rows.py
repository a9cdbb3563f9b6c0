"""palate's own row: one comparison group, as JSON.

    {"id": "q-7",
     "prompt": "What is 2 + 2?",                    or a list of {"role", "content"}
     "responses": ["4.", "5."],                     each a string or a list of {"role", "content"}
     "comparisons": [{"winner": 0, "loser": 1,
                      "probability": 1.0, "margin": 0.0, "weight": 1.0,      optional, as in records.Comparison
                      "strength": "much better",                             optional
                      "votes": [{"annotator": "ann-03", "preferred": 0,      optional; preferred null for a tie
                                 "first": 1, "seconds": 12.5}]}],            optional, as in records.Vote
     "source": "campaign 2",                                                 optional, as in records.PreferenceGroup
     "models": ["a-7b", "b-7b"],                                             optional, one name a response
     "time": "2024-05-01",                                                   optional
     "gold": [0.9, 0.1]}                                                     optional, one number a response

A plain string is one user message in a prompt and one assistant message in a response. `strength` is what an
annotator ticked. It is a word, not a number: it becomes a margin only under a mapping that the caller gives,
such as `palate.data.strengths.STRENGTH_MARGINS`. A row may have further columns; a comparison may not, because a
misspelled `margin` would otherwise vanish silently; nor may a vote.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from palate.errors import DataError
from palate.records import ROLES, Comparison, Conversation, Message, PreferenceGroup, Role, Vote

Row: TypeAlias = dict[str, Any]
"""One JSON object; this file is the border where such objects become records."""

_VOTE_FIELDS = ("annotator", "preferred", "first", "seconds")
_COMPARISON_FIELDS = ("winner", "loser", "margin", "strength", "probability", "weight", "votes")


def group_to_row(group: PreferenceGroup, strengths: tuple[str, ...] = ()) -> Row:
    """The row of a group; reading it back gives the group, except for `where`.

    Args:
        group: any group.
        strengths: one word for each comparison, or nothing.
    """
    words = strengths or ("",) * len(group.comparisons)
    origin: Row = {"source": group.source, "models": list(group.models), "time": group.time, "gold": list(group.gold)}
    return {
        "id": group.id,
        "prompt": _plain(group.prompt, "user"),
        "responses": [_plain(response, "assistant") for response in group.responses],
        "comparisons": [
            _comparison_row(comparison, word) for comparison, word in zip(group.comparisons, words, strict=True)
        ],
        **{name: value for name, value in origin.items() if value},
    }


def _comparison_row(comparison: Comparison, strength: str) -> Row:
    row: Row = {"winner": comparison.winner, "loser": comparison.loser, "probability": comparison.probability}
    if comparison.margin:
        row["margin"] = comparison.margin
    if comparison.weight != 1:
        row["weight"] = comparison.weight
    if strength:
        row["strength"] = strength
    if comparison.votes:
        row["votes"] = [_vote_row(vote) for vote in comparison.votes]
    return row


def _vote_row(vote: Vote) -> Row:
    row: Row = {"annotator": vote.annotator, "preferred": vote.preferred}
    if vote.first is not None:
        row["first"] = vote.first
    if vote.seconds is not None:
        row["seconds"] = vote.seconds
    return row


def _plain(conversation: Conversation, role: Role) -> str | list[Row]:
    if len(conversation) == 1 and conversation[0].role == role:
        return conversation[0].content
    return [{"role": message.role, "content": message.content} for message in conversation]


def row_to_group(values: Row, where: str, margins: Mapping[str, float] | None = None) -> PreferenceGroup:
    """The group of a row.

    Args:
        values: the row.
        where: `file:line`, for messages; also the group's id where the row has none.
        margins: turns `strength` into a margin where the row gives no `margin`; None leaves it 0.

    Raises:
        DataError: naming the place, the field and what is wrong; reasons `missing-field`, `unknown-field`,
            `wrong-type`, `unknown-role`, `too-few-responses`, `bad-index`, `out-of-range`,
            `unknown-strength`.

    >>> row = {"prompt": "2 + 2?", "responses": ["4", "5"], "comparisons": [{"winner": 0, "loser": 1}]}
    >>> row_to_group(row, "a.jsonl:1").comparisons[0].probability
    1.0
    """
    responses = _list(values, "responses", where)
    if len(responses) < 2:
        raise _error("a group needs at least two responses", "too-few-responses", where, "responses")
    return PreferenceGroup(
        id=_identity(values.get("id"), where),
        prompt=_conversation(values.get("prompt") or [], "user", where, "prompt"),
        responses=tuple(_response(response, where, f"responses[{n}]") for n, response in enumerate(responses)),
        comparisons=tuple(
            _comparison(entry, len(responses), where, f"comparisons[{n}]", margins)
            for n, entry in enumerate(_list(values, "comparisons", where))
        ),
        where=where,
        source=_text(values, "source", where),
        models=_models(values, len(responses), where),
        time=_text(values, "time", where),
        gold=_gold(values, len(responses), where),
    )


def _comparison(entry: Any, number: int, where: str, field: str, margins: Mapping[str, float] | None) -> Comparison:
    if not isinstance(entry, dict):
        raise _error("a comparison is an object", "wrong-type", where, field)
    unknown = [name for name in entry if name not in _COMPARISON_FIELDS]
    if unknown:
        allowed = ", ".join(_COMPARISON_FIELDS)
        raise _error(f"unknown {unknown}; the fields are {allowed}", "unknown-field", where, field)
    winner = _index(entry.get("winner"), number, where, f"{field}.winner")
    loser = _index(entry.get("loser"), number, where, f"{field}.loser")
    if winner == loser:
        raise _error(f"winner and loser are both {winner}", "bad-index", where, field)
    probability = _number(entry, "probability", 1.0, where, field)
    if not 0.5 <= probability <= 1:
        hint = "it is the share of votes for the winner: between 0.5 and 1, else exchange winner and loser"
        raise _error(f"{probability}; {hint}", "out-of-range", where, f"{field}.probability")
    weight = _number(entry, "weight", 1.0, where, field)
    if weight < 0:
        raise _error(f"{weight}; a weight is not negative", "out-of-range", where, f"{field}.weight")
    return Comparison(
        winner=winner,
        loser=loser,
        margin=_number(entry, "margin", _strength_margin(entry, margins, where, field), where, field),
        probability=probability,
        weight=weight,
        votes=_votes(entry, (winner, loser), where, f"{field}.votes"),
    )


def _strength_margin(entry: Row, margins: Mapping[str, float] | None, where: str, field: str) -> float:
    strength = entry.get("strength")
    if strength is None or margins is None:
        return 0.0
    if strength not in margins:
        known = ", ".join(margins)
        raise _error(f"{strength!r} has no margin; known are {known}", "unknown-strength", where, f"{field}.strength")
    return margins[strength]


def _votes(entry: Row, pair: tuple[int, int], where: str, field: str) -> tuple[Vote, ...]:
    votes = []
    for vote in entry.get("votes") or ():
        if not isinstance(vote, dict) or not isinstance(vote.get("annotator"), str) or "preferred" not in vote:
            raise _error('a vote is {"annotator": text, "preferred": index or null}', "wrong-type", where, field)
        if unknown := [name for name in vote if name not in _VOTE_FIELDS]:
            allowed = ", ".join(_VOTE_FIELDS)
            raise _error(f"unknown {unknown}; the fields are {allowed}", "unknown-field", where, field)
        for name, what in (("preferred", "vote for"), ("first", "first is")):
            if vote.get(name) is not None and (type(vote[name]) is not int or vote[name] not in pair):
                raise _error(f"{what} {vote[name]!r}, not one of {pair}", "bad-index", where, field)
        votes.append(Vote(vote["annotator"], vote["preferred"], vote.get("first"), _seconds(vote, where, field)))
    return tuple(votes)


def _seconds(vote: Row, where: str, field: str) -> float | None:
    if vote.get("seconds") is None:
        return None
    seconds = _number(vote, "seconds", 0.0, where, field)
    if seconds < 0:
        raise _error(f"{seconds}; a duration is not negative", "out-of-range", where, f"{field}.seconds")
    return seconds


def _models(values: Row, number: int, where: str) -> tuple[str, ...]:
    names = values.get("models")
    if names is None or names == []:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) != number:
        raise _error(f"give a list of {number} names, one for each response", "wrong-type", where, "models")
    return tuple(names)


def _gold(values: Row, number: int, where: str) -> tuple[float, ...]:
    gold = values.get("gold")
    if gold is None or gold == []:
        return ()
    if not isinstance(gold, list) or len(gold) != number or not all(type(value) in (int, float) for value in gold):
        raise _error(f"give a list of {number} numbers, one for each response", "wrong-type", where, "gold")
    if not all(map(is_finite, gold)):
        raise _error("a number in it is not finite", "wrong-type", where, "gold")
    return tuple(map(float, gold))


def _text(values: Row, name: str, where: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _error(f"{value!r} is not text", "wrong-type", where, name)
    return value or ""


def _identity(value: Any, where: str) -> str:
    if value is None:
        return where
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _error(f"{value!r} is neither text nor a whole number", "wrong-type", where, "id")
    return str(value)


def _response(value: Any, where: str, field: str) -> Conversation:
    response = _conversation(value, "assistant", where, field)
    if not response or response[-1].role != "assistant":
        raise _error("a response ends with a message of the assistant", "unknown-role", where, field)
    return response


def _conversation(value: Any, role: Role, where: str, field: str) -> Conversation:
    if isinstance(value, str):
        return (Message(role, _sound(value, where, field)),)
    if not isinstance(value, list):
        raise _error("neither a string nor a list of messages", "wrong-type", where, field)
    messages = []
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise _error('a message is {"role": text, "content": text}', "wrong-type", where, field)
        if message.get("role") not in ROLES:
            raise _error(f"role {message.get('role')!r}; use one of {', '.join(ROLES)}", "unknown-role", where, field)
        messages.append(Message(cast(Role, message["role"]), _sound(message["content"], where, field)))
    return tuple(messages)


def _sound(text: str, where: str, field: str) -> str:
    """The text, which must not hold half of a surrogate pair: JSON can spell one, and no tokenizer or file takes it."""
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            message = f"character {error.start} is half of an emoji (a lone surrogate); mend or remove it"
            raise _error(message, "not-text", where, field) from error
    return text


def _index(value: Any, number: int, where: str, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < number:
        raise _error(f"{value!r} is not the index of one of {number} responses", "bad-index", where, field)
    return value


def _number(entry: Row, name: str, default: float, where: str, field: str) -> float:
    value = entry.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise _error(f"{str(value)[:40]} is not a finite number", "wrong-type", where, f"{field}.{name}")
    return float(value)


def is_finite(value: float) -> bool:
    """Whether it can be reckoned with: JSON's whole numbers may be larger than any float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _list(values: Row, name: str, where: str) -> list[Any]:
    if name not in values:
        raise _error("the field is missing", "missing-field", where, name)
    if not isinstance(values[name], list):
        raise _error(f"a list is needed, not {type(values[name]).__name__}", "wrong-type", where, name)
    return cast(list[Any], values[name])


def _error(message: str, reason: str, where: str, field: str) -> DataError:
    return DataError(f"{field}: {message}", reason=reason, where=where, field=field)
