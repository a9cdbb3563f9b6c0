"""Simulated sets as files that palate's own readers understand, and the truth about them beside it."""

import json
from dataclasses import asdict
from pathlib import Path

from palate.data.rows import group_to_row
from palate.data.simulate.truth import SimulatedSet
from palate.errors import DataError


def write_jsonl(made: SimulatedSet, path: Path) -> None:
    """Write one row a group, in UTF-8; the truth stays behind, except the strength of each label."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for group, truth in zip(made.groups, made.truth, strict=True):
            row = group_to_row(group, tuple(comparison.strength for comparison in truth.comparisons))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def truth_path(data: Path) -> Path:
    """Where the truth about simulated data lies: the file's name with `.truth` added, which no reader takes for data.

    >>> truth_path(Path("made.jsonl")).name
    'made.jsonl.truth'
    """
    return data.with_name(f"{data.name}.truth")


def write_truth(made: SimulatedSet, path: Path) -> None:
    """Write a JSON line a group: its `GroupTruth`, aligned with the rows of `write_jsonl`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for truth in made.truth:
            file.write(json.dumps(asdict(truth), ensure_ascii=False) + "\n")


def read_qualities(path: Path) -> dict[str, tuple[float, ...]]:
    """By group id, what each response is worth, from a file of `write_truth`.

    Raises:
        DataError: the file cannot be read, or a line is not one of `write_truth`.
    """
    found: dict[str, tuple[float, ...]] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"the truth cannot be read ({error})", reason="no-truth", where=str(path)) from error
    for number, line in enumerate(lines, 1):
        try:
            truth = json.loads(line)
            found[truth["id"]] = tuple(float(response["quality"]) for response in truth["responses"])
        except (ValueError, KeyError, TypeError) as error:
            message = f"not a line of the truth that palate data simulate writes ({error}); simulate it again"
            raise DataError(message, reason="broken-truth", where=f"{path}:{number}") from error
    return found
