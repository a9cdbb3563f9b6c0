"""Preference data by name: a file, a folder, a hub id, or the built-in set."""

from palate.data.read import OnBadRow, PreferenceData, read_preferences
from palate.data.simulate import simulate
from palate.errors import DataError

SIMULATED = "simulated"


def read_groups(
    source: str,
    *,
    split: str = "train",
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    require_comparisons: bool = True,
) -> PreferenceData:
    """As `palate.data.read.read_preferences`, and `simulated` or `simulated:NUM_PROMPTS` for the built-in set.

    Raises:
        DataError: see `read_preferences`; or the number of prompts is not one.
    """
    name, _, number = source.partition(":")
    if name != SIMULATED:
        return read_preferences(
            source,
            split=split,
            on_bad_row=on_bad_row,
            max_groups=max_groups,
            require_comparisons=require_comparisons,
        )
    if number and not number.isdigit():
        raise DataError(f"{source!r}: give the number of prompts, such as simulated:600", reason="bad-number")
    groups = (simulate(int(number)) if number else simulate()).groups[:max_groups]
    return PreferenceData(groups=groups, dropped=(), formats={SIMULATED: len(groups)}, notes={}, rows=len(groups))
