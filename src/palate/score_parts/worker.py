"""A part, from its rows to its file. Every engine scores through this, so that all give the same lines."""

import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch

from palate import __version__, lock, score_file
from palate.config import ScoreConfig
from palate.data.read import GroupStream, write_dropped
from palate.errors import DataError, NonFiniteError
from palate.model.loading import load_reward_model
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup
from palate.score_lines import append, count, put_in_place, resume
from palate.score_parts.manifest import PartResult, settings_of
from palate.score_parts.plan import DROPPED, Part, open_part
from palate.scoring import ScoringRun

PARTIAL = ".partial"  # after a part's name: its lines until the manifest says that it is done


Event: TypeAlias = int | str | PartResult
"""Prompts of a part that are on disk, first those that were found there; a remark; or the part's result."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker says of itself when its model is loaded.

    Attributes:
        model_hash: of its weights, and of how text is rendered for them.
        version: palate's.
        remarks: of the model.
        facts: what there is to write down, as JSON values.
    """

    model_hash: str
    version: str
    remarks: tuple[str, ...]
    facts: dict[str, Any]


class Worker:
    """A model that scores parts one after another; it is checked on the first prompts that it meets.

    Args:
        config: all settings.
    """

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._remarks: deque[str] = deque()
        self._run = ScoringRun(use_cache=config.layout != "padded", say=self._remarks.append)
        self._model: RewardModel | None = None
        self._model_hash = ""
        self._checked = False

    def load(self) -> Loaded:
        """Load the model.

        Raises:
            PalateError: it cannot be used.
        """
        config = self._config
        model = self._model = load_reward_model(
            config.model, dtype=config.dtype, layout=config.layout, max_length=config.max_length
        )
        around = "bf16" if model.compute_dtype is torch.bfloat16 else "fp32"
        facts = {
            "dtype": "int8" if config.dtype == "int8" else around,
            "max_length": model.max_length,
            "layout": model.layout,
            "sharing_obstacle": model.sharing_obstacle,
        }
        self._model_hash = score_file.model_hash(model)
        return Loaded(self._model_hash, __version__, tuple(model.remarks), facts)

    def score(self, part: Part) -> Iterator[Event]:
        """Score what is missing of a part and yield how that goes, the result last.

        A fault of the part's data is its result. What would stop any part is raised.

        Raises:
            ConfigError: the part's partial file is another job's, or somebody else is writing it.
            ModelError: the model failed its check.
        """
        out = Path(self._config.out) / part.name
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(out.name + PARTIAL)
        try:
            with lock.held(partial, patience=lock.PATIENCE):
                yield from self._score(part, out, partial)
        except (DataError, NonFiniteError, OSError) as error:
            yield PartResult(error=str(error))

    def _score(self, part: Part, out: Path, partial: Path) -> Iterator[Event]:
        start, run = time.perf_counter(), self._run
        computed, unshared = run.computed_tokens, run.unshared_tokens
        # whole windows are scored again, so that they are packed as they would have been
        done = resumed = resume(partial, self._job(part), whole=score_file.WINDOW)
        yield done
        stream = open_part(part, self._config.on_bad_row)
        for number in append(partial, self._windows(islice(_groups(stream), resumed, None))):
            done += number
            while self._remarks:
                yield self._remarks.popleft()
            yield done
        _refuse_changed(part)
        dropped = stream.report.dropped
        if dropped:
            write_dropped(out.with_name(out.name + DROPPED), dropped)
        found = count(partial, expected=done)
        put_in_place(partial, out)
        yield PartResult(
            prompts=found.prompts,
            resumed=resumed,
            rows=stream.report.rows,
            unscored=found.unscored,
            truncated=found.truncated,
            dropped=dict(Counter(row.reason for row in dropped)),
            computed_tokens=run.computed_tokens - computed,
            unshared_tokens=run.unshared_tokens - unshared,
            seconds=round(time.perf_counter() - start, 3),
        )

    def _windows(self, groups: Iterator[PreferenceGroup]) -> Iterator[list[dict[str, Any]]]:
        assert self._model is not None, "load comes first"
        while not self._checked and (window := list(islice(groups, score_file.WINDOW))):
            self._checked = score_file.prepare(self._model, window, self._config, self._run) > 0
            yield from score_file.score_windows(self._model, window, self._config, self._run)
        yield from score_file.score_windows(self._model, groups, self._config, self._run)

    def _job(self, part: Part) -> str:
        """Identity of what is scored with what: a partial file of another job must not be continued."""
        assert self._model_hash, "load comes first"
        settings = {**settings_of(self._config), "on_bad_row": None}  # until a bad row, both rules write the same lines
        told = json.dumps([settings, self._model_hash, part.input, part.stamp.digest, part.row_group])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def _groups(stream: GroupStream) -> Iterator[PreferenceGroup]:
    """The groups; none of a file without rows, of which there are some wherever a job has written many files."""
    try:
        yield from stream
    except DataError as error:
        if error.reason != "empty-file":
            raise


def _refuse_changed(part: Part) -> None:
    stat = Path(part.input).stat()
    if (stat.st_size, stat.st_mtime_ns) != (part.stamp.size, part.stamp.mtime_ns):
        message = "was written to while it was being scored; run again when it is at rest"
        raise DataError(message, reason="changed", where=part.input)
