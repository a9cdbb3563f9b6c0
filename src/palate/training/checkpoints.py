"""Checkpoints that survive a kill at any moment: written aside, then renamed.

`checkpoints/step-00000100` holds weights, optimiser, schedule, random states and the position in the plan. Since the
plan is a pure function of the configuration, the position is one number, and a resumed run takes the very same
steps. `checkpoints/best-00000060` is a whole reward model, the best so far by held-out accuracy.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palate.errors import ConfigError
from palate.metrics import LengthBucket, PairwiseReport

_PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        first_loss: of the very first step, None before it.
        best_step, best_accuracy: the best held-out evaluation so far.
        pairs: comparisons trained on.
        tokens: tokens computed in training.
        seconds: spent in steps; evaluation and saving left out.
        skipped: steps skipped for non-finite values.
        data_fingerprint: of the training data, which a resumed run must find unchanged.
        before: held-out evaluation before the first step, which a resumed run cannot repeat.
    """

    step: int = 0
    first_loss: float | None = None
    best_step: int | None = None
    best_accuracy: float | None = None
    pairs: int = 0
    tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0
    data_fingerprint: str = ""
    before: PairwiseReport | None = None


def commit(staging: Path, target: Path) -> None:
    """Flush what lies in `staging` to disk and rename it to `target`: either all of it is there, or nothing."""
    for file in staging.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    staging.rename(target)


def save_progress(directory: Path, progress: Progress) -> None:
    """Write the position beside the state that `directory` holds."""
    (directory / _PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")


def load_progress(directory: Path) -> Progress:
    """Read it back.

    Raises:
        ConfigError: the checkpoint is not one of palate's.
    """
    try:
        values = json.loads((directory / _PROGRESS).read_text(encoding="utf-8"))
        return Progress(**{**values, "before": read_report(values["before"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{directory} is not a checkpoint to resume from: {error}") from error


def read_report(values: dict[str, Any] | None) -> PairwiseReport | None:
    """A report from what its `to_json` gave; None for None."""
    if values is None:
        return None
    buckets = tuple(LengthBucket(**bucket) for bucket in values["by_length"])
    return PairwiseReport(**{**values, "by_length": buckets})


def step_directory(root: Path, step: int) -> Path:
    """`root/checkpoints/step-00000100`."""
    return root / "checkpoints" / f"step-{step:08d}"


def best_directory(root: Path, step: int) -> Path:
    """`root/checkpoints/best-00000100`."""
    return root / "checkpoints" / f"best-{step:08d}"


def find(root: Path, kind: str = "step") -> list[Path]:
    """Whole checkpoints of a kind, oldest first; half-written ones have another name and are not seen."""
    folder = root / "checkpoints"
    pattern = re.compile(rf"{kind}-\d{{8}}")
    return sorted(p for p in folder.glob(f"{kind}-*") if pattern.fullmatch(p.name)) if folder.is_dir() else []


def prune(root: Path, *, keep_last: int) -> None:
    """Delete all but the newest `keep_last` checkpoints to resume from; `keep_last` is at least 1."""
    for path in find(root)[:-keep_last]:
        shutil.rmtree(path)


def keep_only_best(root: Path, step: int | None) -> None:
    """Delete the best models of other steps than `step`: those that were outdone, and those of steps taken back."""
    for path in find(root, "best"):
        if step is None or path != best_directory(root, step):
            shutil.rmtree(path)


def sweep(root: Path) -> None:
    """Delete what a kill left half-written; whatever else hides there is not ours."""
    for path in (root / "checkpoints").glob(".*"):
        if path.is_dir() and re.fullmatch(r"\.(step|best)-\d{8}\..*", path.name):
            shutil.rmtree(path)
