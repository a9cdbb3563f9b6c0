"""`log.jsonl` and its like: lines about steps, flushed as written, cut back to the checkpoint on resuming."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.atomic import write_text


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimiser step.

    Attributes:
        step: counted from 1.
        epoch: counted from 0.
        loss: over the step's terms, exact; this and the next three are None when the step was skipped.
        accuracy: over comparisons with a right answer, reward ties half; None when there are none.
        margin: mean reward of the winner minus the loser.
        grad_norm: before clipping.
        lr: of the body. head_lr: of the head.
        pairs, tokens: comparisons, and tokens computed.
        ties: comparisons with equal rewards.
        seconds, pairs_per_second, tokens_per_second: of this step, evaluation and saving left out.
        skipped: whether the step was skipped for non-finite values.
        length_correlation: of reward gaps with differences in length, uncentred, over the step's comparisons; None
            where the step was skipped, or all rewards or all lengths are equal.
        length_effect: of the length covariate after the step: reward units that twice the length is worth; None
            without it.
    """

    step: int
    epoch: int
    loss: float | None
    accuracy: float | None
    margin: float | None
    grad_norm: float | None
    lr: float
    head_lr: float
    pairs: int
    tokens: int
    ties: int
    seconds: float
    pairs_per_second: float
    tokens_per_second: float
    skipped: bool = False
    length_correlation: float | None = None
    length_effect: float | None = None


class Journal:
    """Appends lines to a file.

    Args:
        path: of the file.
        keep_steps: lines of later steps, left by a run that was killed after its last checkpoint, are cut.
    """

    def __init__(self, path: Path, *, keep_steps: int) -> None:
        if path.exists():
            _cut(path, keep_steps)
        self._file = path.open("a", encoding="utf-8")

    def write(self, values: Mapping[str, Any]) -> None:
        """One line, which names its `step`; numbers that JSON cannot hold become null."""
        held = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
        self._file.write(json.dumps(held) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cut(path: Path, keep_steps: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = (line for line in lines if line.endswith("\n"))  # a kill can tear the last one
    kept = [line for line in whole if json.loads(line)["step"] <= keep_steps]
    write_text(path, "".join(kept))
