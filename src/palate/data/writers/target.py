"""What a target is: a function from a group to rows, the columns of those rows, and what they can carry.

A file should be the same all the way down, or other tools refuse it: prompts are texts in all rows or messages in all,
and an optional column is in all rows or in none. What that depends on (`Traits`) is found by a first pass over them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from palate.data.votes import judge
from palate.records import Comparison, Conversation, PreferenceGroup, Role

Row: TypeAlias = dict[str, Any]
"""One row in the making: what leaves palate here is JSON."""

_ROUNDING = 1e-9

Kind = Literal["text", "number", "integer", "turns", "texts"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a flat target.

    Attributes:
        name: its name.
        kind: of its values; `turns` is a text, or messages where the file holds messages.
        needs: the trait without which the column is left away.
    """

    name: str
    kind: Kind = "text"
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What occurs in the data.

    Attributes:
        groups: how many.
        plain: whether every prompt is one user's text, or none at all, and every response one assistant's.
        used: which of `id`, `source`, `models`, `time`, `margin` and `seconds` any group has, and `unplaced` where of
            some vote it is not known which response was seen first.
    """

    groups: int
    plain: bool
    used: frozenset[str]


@dataclass(slots=True)
class Job:
    """What the rows of one file have in common, and where the losses are counted.

    Attributes:
        plain: whether turns are written as texts; else as messages.
        lost: what could not be written, by name.
        carries: what the target can write besides texts and preferences.
        agent: who made the predictions.
        rewards: of the group at hand, one a response, or None.
    """

    plain: bool
    lost: Counter[str] = field(default_factory=Counter)
    carries: frozenset[str] = frozenset()
    agent: str = ""
    rewards: tuple[float, ...] | None = None

    def leave_out(self, why: str) -> None:
        """Count a group, or a pair of it, that is not written at all."""
        self.lost[f"left-out: {why}"] += 1

    def lose(self, what: str, times: int = 1) -> None:
        """Count a part that is not written."""
        if times:
            self.lost[what] += times

    def wrote_group(self, group: PreferenceGroup) -> None:
        """Count what of a written group goes missing."""
        for name in ("source", "models", "time", "gold"):
            self.lose(name, int(bool(getattr(group, name)) and name not in self.carries))
        self.lose("id", int(bool(own_id(group)) and "id" not in self.carries))

    def wrote(self, comparison: Comparison) -> None:
        """Count what of a written comparison goes missing."""
        self.lose("margin", int(comparison.margin != 0 and "margin" not in self.carries))
        self.lose("weight", int(comparison.weight != 1 and "weight" not in self.carries))
        if "votes" in self.carries and comparison.votes:
            self.lose("probability", int(not _follows(comparison)))
        else:
            self.lose("probability", int(comparison.probability not in (0.5, 1)))
            self.lose("votes", len(comparison.votes))

    def wrote_all(self, group: PreferenceGroup) -> None:
        """Count what of a group goes missing that is written with all of its comparisons."""
        self.wrote_group(group)
        for comparison in group.comparisons:
            self.wrote(comparison)


RowsOf = Callable[[PreferenceGroup, Job], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Target:
    """A format that palate writes.

    Attributes:
        name: as the user gives it.
        rows: from a group to its rows.
        columns: of a flat target, in order; none where rows are nested objects, which only JSON can hold.
        carries: what is written besides texts and preferences, see `Job`.
        turns: whether prompts and responses can be texts, messages, or either, as the data needs.
        predictions: whether rewards can go along.
    """

    name: str
    rows: RowsOf
    columns: tuple[Column, ...] = ()
    carries: frozenset[str] = frozenset()
    turns: Literal["either", "text", "messages"] = "either"
    predictions: bool = False

    @property
    def endings(self) -> tuple[str, ...]:
        """What a file of it may end in."""
        if not self.columns:
            return (".jsonl", ".json")
        table = () if any(column.kind == "texts" for column in self.columns) else (".csv",)
        return (".jsonl", ".json", *table, ".parquet")

    def is_plain(self, traits: Traits) -> bool:
        """Whether its turns are written as texts."""
        return traits.plain if self.turns == "either" else self.turns == "text"


def find_traits(groups: Iterable[PreferenceGroup]) -> Traits:
    """Read all groups once."""
    number, plain, used = 0, True, set[str]()
    for group in groups:
        number += 1
        plain = plain and is_plain(group)
        used.update(name for name in ("source", "models", "time") if getattr(group, name))
        if own_id(group):
            used.add("id")
        for comparison in group.comparisons:
            if comparison.margin:
                used.add("margin")
            if any(vote.seconds is not None for vote in comparison.votes):
                used.add("seconds")
            if any(vote.first is None for vote in comparison.votes):
                used.add("unplaced")
    return Traits(number, plain, frozenset(used))


def is_plain(group: PreferenceGroup) -> bool:
    """Whether the prompt is one user's text, or none at all, and every response one assistant's."""
    asked = not group.prompt or _is_text(group.prompt, "user")
    return asked and all(_is_text(response, "assistant") for response in group.responses)


def own_id(group: PreferenceGroup) -> str:
    """The group's id where it is the data's own; the place in a file is none."""
    return "" if group.id == group.where else group.id


def turns(conversation: Conversation, plain: bool) -> str | list[Row]:
    """A conversation as text, of its only message if there is one, or as messages."""
    if plain:
        return "".join(message.content for message in conversation)
    return [{"role": message.role, "content": message.content} for message in conversation]


def short(conversation: Conversation, role: Role) -> str | list[Row]:
    """A conversation as text where it is one message of that role, or none at all, else as messages."""
    return turns(conversation, plain=not conversation or _is_text(conversation, role))


def _follows(comparison: Comparison) -> bool:
    """Whether the votes alone come to the label, as a reader of them would find it."""
    again = judge(comparison.votes, comparison.winner, comparison.loser)
    same_side = comparison.is_tie or again.winner == comparison.winner
    return same_side and abs(again.probability - comparison.probability) < _ROUNDING


def _is_text(conversation: Conversation, role: Role) -> bool:
    return len(conversation) == 1 and conversation[0].role == role
