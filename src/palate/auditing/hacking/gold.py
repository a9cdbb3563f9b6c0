"""Where gold comes from: a measure of how good a response is that is trusted more than the reward model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from palate.data.load import SIMULATED
from palate.data.simulate import read_qualities, simulate, truth_path
from palate.errors import DataError
from palate.records import PreferenceGroup

LABELS, SIMULATOR = "labels", "simulator"


def is_model(gold: str) -> bool:
    """Whether gold is asked of another reward model: a directory, a hub id or an address.

    >>> is_model("labels"), is_model("simulator"), is_model("runs/large-rm")
    (False, False, True)
    """
    return gold not in (LABELS, SIMULATOR)


def has_labels(groups: Sequence[PreferenceGroup]) -> bool:
    """Whether every response has a number under `gold`."""
    return bool(groups) and all(group.gold for group in groups)


def with_qualities(groups: Iterable[PreferenceGroup], source: str) -> list[PreferenceGroup]:
    """Groups of a simulated set, with the quality that the simulator knows of each response as their gold.

    The quality is drawn with the response and cannot be found from its text again: a file of `palate data simulate` has
    it beside it, and the built-in set is made once more.

    Args:
        groups: as read from the source.
        source: `simulated`, `simulated:NUM_PROMPTS`, or the path of a file that `palate data simulate` wrote.

    Raises:
        DataError: there is no truth about the source, or it is about another set.
    """
    known, where = _qualities(source)
    found = []
    for group in groups:
        quality = known.get(group.id)
        if quality is None or len(quality) != len(group.responses):
            message = f"{where} knows nothing of group {group.id!r} with {len(group.responses)} responses"
            message += "; give the file that was written together with it"
            raise DataError(message, reason="other-truth", where=group.where)
        found.append(replace(group, gold=quality))
    return found


def _qualities(source: str) -> tuple[dict[str, tuple[float, ...]], str]:
    name, _, number = source.partition(":")
    if name == SIMULATED:
        made = simulate(int(number)) if number else simulate()
        return {one.id: tuple(response.quality for response in one.responses) for one in made.truth}, "the simulator"
    path = truth_path(Path(source))
    if not path.is_file():
        message = f"gold is simulator, and there is no {path.name} beside the samples; palate data simulate writes both"
        raise DataError(message, reason="no-truth", where=source)
    return read_qualities(path), str(path)
