"""Simulated sets as files that palate's own readers understand."""

import json
from pathlib import Path

from palate.data.rows import group_to_row
from palate.data.simulate.truth import SimulatedSet


def write_jsonl(made: SimulatedSet, path: Path) -> None:
    """Write one row a group, in UTF-8; the truth stays behind, except the strength of each label."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for group, truth in zip(made.groups, made.truth, strict=True):
            row = group_to_row(group, tuple(comparison.strength for comparison in truth.comparisons))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
