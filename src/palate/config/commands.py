"""The settings of the other commands."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """Evaluate a reward model on preference data: accuracy with intervals, margin, loss, by length."""

    model: Annotated[str, Positional, arg(metavar="MODEL")]
    """Reward model: a directory or a hub id."""
    data: str
    """Preference data, as for training."""
    json: str | None = None
    """Also write the figures here."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    max_groups: int | None = None
    """Read at most this many groups."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted."""
    max_length: int | None = None
    """Most tokens of a sequence; the model's own limit by default."""
    over_long: Literal["drop", "truncate-prompt", "error"] = "drop"
    """Longer ones: leave the group out, counted; cut the prompt from the left; or stop."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass."""
    dtype: Literal["auto", "fp32", "bf16", "int8"] = "fp32"
    """Precision of the body's arithmetic; int8 is for CPUs, and what it changes is measured on the first prompts."""
    layout: Literal["auto", "tree", "padded"] = "auto"
    """As in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """Score the responses of every prompt in a file or in many; an interrupted run goes on where it stopped."""

    model: Annotated[str, Positional, arg(metavar="MODEL")]
    """Reward model: a directory or a hub id."""
    data: tuple[str, ...]
    """Prompts with one or several responses each; for a folder as out, any number of files, folders and patterns."""
    out: str
    """File to write, .jsonl or .parquet: one line a prompt, in the order of the data; or a folder, a part a file."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    max_groups: int | None = None
    """Read at most this many prompts."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed beside out."""
    max_length: int | None = None
    """Most tokens of a sequence; the model's own limit by default."""
    over_long: Literal["drop", "truncate-prompt", "error"] = "drop"
    """Longer ones: a line with rewards null and the reason; cut the prompt from the left, marked; or stop."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass."""
    dtype: Literal["auto", "fp32", "bf16", "int8"] = "fp32"
    """Precision of the body's arithmetic; int8 is for CPUs, and what it changes is measured on the first prompts."""
    layout: Literal["auto", "tree", "padded"] = "auto"
    """As in training."""
    overwrite: bool = False
    """Start over instead of continuing an interrupted run or refusing a finished one."""
    part_format: Literal["jsonl", "parquet"] | None = None
    """Of the parts in a folder; jsonl by default."""
    engine: Literal["process", "ray"] = "process"
    """Who scores the parts in a folder: this process, or workers of Ray."""
    ray_address: str | None = None
    """A cluster's address; by default Ray is started on this machine, for this run."""
    ray_workers: int | None = None
    """Workers, each with the model: by default one a GPU, or one where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateConfig:
    """Write the built-in preference set as JSONL: seeded, with known ground truth and planted flaws on request."""

    out: str
    """File to write, one prompt with its responses and comparisons a line."""
    num_prompts: int = 1200
    """How many prompts."""
    seed: int = 0
    """Of everything in the set."""
    responses: tuple[int, int] = (2, 6)
    """Fewest and most responses a prompt, up to 32: for best-of-N samples give the same number twice."""
    length_bias: float = 0.0
    """Rate of planted length bias: annotators who prefer the longer response."""
    flipped: float = 0.0
    """Rate of flipped labels."""
    dominant: float = 0.0
    """Share of the votes that one annotator casts."""
    leaks: float = 0.0
    """Rate of prompts that appear a second time with other responses."""
    duplicates: float = 0.0
    """Rate of duplicated groups."""
    artefact: float = 0.0
    """Rate of better responses that carry a formatting artefact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """Turn SmolLM2-135M-Instruct into a reward model on the built-in preferences, in a few minutes on two cores."""

    out: str = "runs/demo"
    """Directory for the reward model; an earlier demo there is replaced."""
    model: str = "smollm2"
    """Body to start from."""
    num_prompts: int = 600
    """Prompts of the built-in set."""
    seed: int = 0
    """Of the set and of the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkthroughConfig:
    """One gradient step of a reward model by hand, each number beside autograd's."""

    json: str | None = None
    """Also write the numbers here, by hand and from autograd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorConfig:
    """What this machine can do for palate, how fast, and which optional parts are missing."""

    json: str | None = None
    """Also write it here."""
