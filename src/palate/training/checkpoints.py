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

from palate.errors import ConfigError

_PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        first_loss: of the very first step, None before it.
        best_accuracy: best held-out accuracy so far.
        pairs: comparisons trained on.
        tokens: tokens computed in training.
        skipped: steps skipped for non-finite values.
    """

    step: int = 0
    first_loss: float | None = None
    best_accuracy: float | None = None
    pairs: int = 0
    tokens: int = 0
    skipped: int = 0


def commit(staging: Path, target: Path) -> None:
    """Flush what lies in `staging` to disk and rename it to `target`: either all of it is there, or nothing."""
    for file in staging.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    shutil.rmtree(target, ignore_errors=True)
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
        return Progress(**json.loads((directory / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{directory} is not a checkpoint to resume from: {error}") from error


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


def prune(root: Path, *, keep_last: int, kind: str = "step") -> None:
    """Delete all but the newest `keep_last` checkpoints of a kind, and what a kill left half-written."""
    for path in find(root, kind)[: -keep_last or None]:
        shutil.rmtree(path)
    for path in (root / "checkpoints").glob(f".{kind}-*.tmp"):
        shutil.rmtree(path)
