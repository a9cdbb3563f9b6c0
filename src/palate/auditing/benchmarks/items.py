"""Which held-out groups belong to which benchmark, and the rewards of their good and bad responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.data.formats import recognise
from palate.data.sources import read_rows
from palate.data.textfiles import RawRow
from palate.errors import DataError
from palate.records import Conversation, PreferenceGroup

Floats = NDArray[np.float64]

FORMATS = ("rewardbench", "pair-lists", "rm-bench", "llmbar", "judgebench")
"""Formats of `palate.data.formats` that benchmarks are published in."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a benchmark with its rewards.

    Attributes:
        id: as in the data.
        subset: what the row says it belongs to: a subset, a domain, a source.
        prompt: equal for items with the same prompt.
        where: `file:line`.
        author: the model that wrote the responses, where one wrote all of them; else empty.
        chosen: [A], rewards of the good responses, in the order of the row; NaN where there is none.
        rejected: [B], rewards of the bad ones.
        first_is_chosen: whether the response that stands first in the row is the good one.
    """

    id: str
    subset: str
    prompt: str
    where: str
    author: str
    chosen: Floats
    rejected: Floats
    first_is_chosen: bool = True

    @property
    def is_scored(self) -> bool:
        """Whether all responses have a reward."""
        return bool(np.isfinite(self.chosen).all() and np.isfinite(self.rejected).all())


def items_by_format(
    groups: Sequence[PreferenceGroup], reward_R: Floats, formats: Sequence[str]
) -> dict[str, tuple[Item, ...]]:
    """The items of each benchmark format that there is.

    Args:
        groups: held-out data.
        reward_R: rewards of all responses, in the order of the groups.
        formats: of each group, see `formats_of`.
    """
    found: dict[str, list[Item]] = {}
    start = 0
    for group, name in zip(groups, formats, strict=True):
        rewards = np.asarray(reward_R[start : start + len(group.responses)], np.float64)
        start += len(group.responses)
        if name in FORMATS:
            found.setdefault(name, []).append(_item(group, rewards, name))
    return {name: tuple(found[name]) for name in FORMATS if name in found}


def formats_of(
    source: str, groups: Sequence[PreferenceGroup], counts: Mapping[str, int], *, split: str = "train"
) -> tuple[str, ...]:
    """The format that each group was read in; empty where it is no benchmark's.

    The reader counts formats without saying which group had which. Where it counted several, and a benchmark's is among
    them, the rows are looked at again.

    Args:
        source: what the groups were read from.
        groups: as read.
        counts: rows by format, as counted while reading.
        split: of a hub dataset.
    """
    if not set(FORMATS) & set(counts):
        return ("",) * len(groups)
    if len(counts) == 1:
        return tuple(counts) * len(groups)
    at = {row.where: _name(row) for row in read_rows(source, split=split) if isinstance(row, RawRow)}
    return tuple(at.get(group.where, "") for group in groups)


def _name(row: RawRow) -> str:
    try:
        name = recognise(row).name
    except DataError:  # the reader has said so
        return ""
    return name if name in FORMATS else ""


def _item(group: PreferenceGroup, reward_K: Floats, format: str) -> Item:
    authors = set(group.models)
    shared = (group.id, group.source, group.prompt_hash, group.where, authors.pop() if len(authors) == 1 else "")
    if format in ("llmbar", "judgebench"):
        winner = group.comparisons[0].winner
        return Item(*shared, reward_K[[winner]], reward_K[[1 - winner]], winner == 0)
    split = {"rewardbench": 1, "rm-bench": 3}.get(format) or good_responses(group)
    return Item(*shared, reward_K[:split], reward_K[split:])


def good_responses(group: PreferenceGroup) -> int:
    """How many responses of a row with lists of good and bad ones are good; they come first.

    Each good response beats each bad one unless they have the same text. Those that beat nobody and lose to nobody are
    therefore equal to all responses of the other side.

    >>> from palate.records import Comparison, Message
    >>> def group(comparisons, *texts):
    ...     responses = tuple((Message("assistant", text),) for text in texts)
    ...     return PreferenceGroup("", (), responses, tuple(Comparison(*one) for one in comparisons))
    >>> good_responses(group([(0, 2), (1, 2)], "a", "b", "c"))
    2
    >>> good_responses(group([(0, 2)], "a", "a", "b")), good_responses(group([(0, 2)], "a", "b", "b"))
    (1, 2)
    """
    first, last = max(one.winner for one in group.comparisons) + 1, min(one.loser for one in group.comparisons)
    lost: set[Conversation] = {group.responses[one.loser] for one in group.comparisons}
    return first + sum(group.responses[row] in lost for row in range(first, last))
