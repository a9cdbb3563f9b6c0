"""Answers of a policy, as best-of-n chooses among them: pooled by prompt, wherever they stand in the file."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from palate.auditing.hacking.gold import SIMULATOR, with_qualities
from palate.data.load import stream_groups
from palate.data.read import PreferenceData, collect
from palate.errors import DataError
from palate.records import Conversation, PreferenceGroup

Samples = tuple[PreferenceGroup, ...]
"""A group for each prompt, with all of its samples and no comparisons."""


def read_samples(
    source: str, *, gold: str | None, split: str = "train", on_bad_row: Literal["error", "skip"] = "error"
) -> tuple[Samples, PreferenceData]:
    """Samples pooled by prompt, and what reading them had to say.

    Args:
        source: anything that `palate score` reads; comparisons in it are not looked at.
        gold: as in `AuditConfig`; the simulator's truth is taken along in the groups' `gold`.
        split: of a hub dataset.
        on_bad_row: a broken row stops the reading, or is left out and listed.

    Raises:
        DataError: the file cannot be read, has gold for some responses of a prompt and not for others, or the
            simulator's truth is not there.
    """
    stream = stream_groups(source, split=split, on_bad_row=on_bad_row, require_comparisons=False)
    data = collect(stream)
    groups = with_qualities(data.groups, source) if gold == SIMULATOR else data.groups
    return pool(groups), data


def pool(groups: Iterable[PreferenceGroup]) -> Samples:
    """One group for each prompt, with the responses and the gold of all of its groups, in order.

    Raises:
        DataError: some of a prompt's groups have gold and some have none.
    """
    by_prompt: dict[Conversation, list[PreferenceGroup]] = {}
    for group in groups:
        by_prompt.setdefault(group.prompt, []).append(group)
    return tuple(map(_pooled, by_prompt.values()))


def _pooled(same: list[PreferenceGroup]) -> PreferenceGroup:
    first = same[0]
    for one in same[1:]:
        if bool(one.gold) != bool(first.gold):
            message = f"{first.where} answers the same prompt, and only one of them has gold; give it in both or none"
            raise DataError(message, reason="gold-in-part", where=one.where, field="gold")
    return replace(
        first,
        responses=tuple(response for one in same for response in one.responses),
        gold=tuple(value for one in same for value in one.gold),
        comparisons=(),
        models=(),
    )
