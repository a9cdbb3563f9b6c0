"""Whole runs in a fraction of a second: an instruct checkpoint and a file of preferences, both tiny.

What `palate train` reads is written to a folder as a user would have it, so that such a run goes through every
part from the reader to the saved model. Everything is in float32, and the rows are random text: enough to learn
by heart, nothing to learn in general.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from palate.config import TrainConfig, build
from palate.data.rows import group_to_row
from palate.records import PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.tiny import save_tiny_causal_lm


def write_groups(path: Path, groups: Iterable[PreferenceGroup]) -> Path:
    """Write groups as JSONL, one a line; returns the path."""
    lines = (json.dumps(group_to_row(group)) + "\n" for group in groups)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def tiny_run(
    folder: Path, groups: Iterable[PreferenceGroup] | None = None, *, kind: str = "llama", **settings: Any
) -> TrainConfig:
    """Write a model and data to `folder`; returns settings that train the one on the other, in `folder/rm`.

    Args:
        folder: exists; gets `model`, `data.jsonl` and, by training, `rm`.
        groups: the preferences; 24 random pairs by default.
        kind: transformers model type, one of `palate.testing.tiny`.
        settings: fields of `TrainConfig`.
    """
    model, data = folder / "model", folder / "data.jsonl"
    if not model.exists():
        save_tiny_causal_lm(model, kind)
    write_groups(data, random_groups(24) if groups is None else groups)
    ours = {"dtype": "fp32", "pairs_per_step": 8, "lr": 1e-3, "eval_fraction": 0, "save_every": 0, "battery": "none"}
    return build(TrainConfig, {"model": str(model), "data": str(data), "out": str(folder / "rm"), **ours, **settings})
