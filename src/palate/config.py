"""Typed settings of every command: each field documented once, here, and shown by `--help`.

The configurations are frozen dataclasses. A YAML file gives defaults (`--config run.yaml`), flags override it, and
the resolved result is saved with the run. Python functions take the same names with the same defaults.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from tyro.conf import Positional

from palate.errors import ConfigError

PoolingName = Literal["last", "mean", "mean-response", "cls", "attention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Train a reward model on preference data."""

    model: str
    """Body to start from: a directory, a hub id, a .gguf file, or the alias smollm2."""
    data: str
    """Preference data: a file (JSONL, JSON, CSV, Parquet, also .gz), a folder, a hub dataset id, or 'simulated'."""
    out: str
    """Directory for the reward model, its log and its checkpoints."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    eval_data: str | None = None
    """Held-out preference data; by default a part of data is held out by prompt."""
    eval_fraction: float = 0.1
    """Share of the prompts to hold out when there is no eval-data; 0 trains on everything."""
    max_groups: int | None = None
    """Read at most this many groups (prompts with their responses), in file order."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed in dropped.jsonl."""
    max_length: int = 1024
    """Most tokens of a prompt with one response."""
    over_long: Literal["drop", "truncate-prompt", "error"] = "drop"
    """Longer ones: leave the group out, cut the prompt from the left, or stop."""

    pairs_per_step: int = 32
    """Comparisons in an optimiser step, as near as whole groups allow."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass; a step takes as many passes as it needs. Memory, not results, depends on it."""
    epochs: int = 1
    """Passes over the data."""
    max_steps: int | None = None
    """Stop after this many optimiser steps."""
    lr: float = 1e-5
    """Peak learning rate of the body."""
    head_lr_scale: float = 10.0
    """The head (and a learned pooling) trains at this multiple of lr."""
    weight_decay: float = 0.0
    """Decoupled weight decay on matrices of the body."""
    warmup_fraction: float = 0.05
    """Share of the steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after the warm-up; linear and cosine end at 0."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 switches clipping off."""
    seed: int = 0
    """Of the held-out split, the order of the data, a random head and dropout."""

    loss: Literal["bradley-terry", "hinge", "plackett-luce"] = "bradley-terry"
    """Objective on the comparisons; plackett-luce takes each group's full ranking."""
    label_smoothing: float = 0.0
    """Assumed share of flipped labels, in [0, 0.5)."""
    centering: float = 0.0
    """Coefficient of (reward of winner + reward of loser)^2, which keeps rewards around 0; 0.01 is usual."""
    balance_groups: bool = False
    """Give each prompt weight 1 in total instead of each comparison (InstructGPT's mean over C(K, 2))."""

    pooling: PoolingName = "last"
    """Which hidden states the head reads."""
    head_init: Literal["zero", "normal"] = "zero"
    """zero: reward 0 everywhere and a first loss of ln 2; normal: N(0, 1/hidden size)."""
    layout: Literal["auto", "tree", "padded"] = "auto"
    """tree computes shared prompts once; padded is for bodies that cannot; auto decides and says so."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the body's arithmetic; weights, head and loss stay float32. auto asks the hardware."""
    dropout: bool = False
    """Keep the body's dropout. Off by default: it makes margins noisy and shared prompts inexact."""

    freeze_layers: int = 0
    """Freeze the embeddings and this many of the lowest layers."""
    head_only: bool = False
    """Freeze the whole body."""
    lora: bool = False
    """Train LoRA adapters in the body instead of its weights; the model in out is merged."""
    lora_rank: int = 16
    """Rank of the adapters."""
    lora_alpha: float = 32.0
    """Adapter updates are scaled by lora-alpha / lora-rank."""
    lora_dropout: float = 0.0
    """Dropout on the adapters' input."""
    lora_targets: str = "all-linear"
    """Modules to adapt, separated by commas."""
    activation_checkpointing: int = 0
    """Recompute the activations of every N-th layer to save memory; 0 switches it off."""

    eval_every: int = 0
    """Evaluate on held-out data every N steps, and at the end; 0 only before and after."""
    save_every: int = 500
    """Write a checkpoint that --resume can continue from every N steps; 0 never."""
    keep_last: int = 2
    """How many of those to keep; the best by held-out accuracy is kept besides."""
    resume: bool = False
    """Continue from the newest checkpoint in out; with none there, start from the beginning."""
    overwrite: bool = False
    """Delete what an earlier run left in out."""
    on_non_finite: Literal["stop", "skip"] = "stop"
    """A NaN or infinite loss or gradient: stop, or skip the step; the rows are named either way."""
    trackers: tuple[str, ...] = ()
    """Also log to any of: tensorboard wandb mlflow trackio."""
    trust_remote_code: bool = False
    """Run code that comes with the checkpoint."""

    def __post_init__(self) -> None:
        _check_train(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """Evaluate a reward model on preference data: accuracy with intervals, margin, loss, by length."""

    model: Annotated[str, Positional]
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
    dtype: Literal["auto", "fp32", "bf16"] = "fp32"
    """Precision of the body's arithmetic."""
    layout: Literal["auto", "tree", "padded"] = "auto"
    """As in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """Score the responses of every prompt in a file; an interrupted run goes on where it stopped."""

    model: Annotated[str, Positional]
    """Reward model: a directory or a hub id."""
    data: str
    """Prompts with one or several responses each; preference data is fine too."""
    out: str
    """File to write, .jsonl or .parquet: one line a prompt with id and rewards, in the order of the data."""
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
    dtype: Literal["auto", "fp32", "bf16"] = "fp32"
    """Precision of the body's arithmetic."""
    layout: Literal["auto", "tree", "padded"] = "auto"
    """As in training."""
    overwrite: bool = False
    """Start over instead of continuing an interrupted run or refusing a finished one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateConfig:
    """Write the built-in preference set as JSONL: seeded, with known ground truth and planted flaws on request."""

    out: str
    """File to write, one prompt with its responses and comparisons a line."""
    num_prompts: int = 1200
    """How many prompts."""
    seed: int = 0
    """Of everything in the set."""
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


Config = TypeVar("Config", TrainConfig, EvalConfig, ScoreConfig, SimulateConfig, DemoConfig)


def build(kind: type[Config], values: dict[str, Any]) -> Config:
    """A configuration from plain values, such as a YAML file's; dashes in names are read as underscores.

    Raises:
        ConfigError: an unknown setting, a missing one, or one of the wrong type.
    """
    known = {f.name: f for f in fields(kind)}
    values = {name.replace("-", "_"): value for name, value in values.items()}
    if unknown := sorted(values.keys() - known.keys()):
        raise ConfigError(f"unknown setting {', '.join(unknown)}; there are {', '.join(known)}")
    coerced = {name: _coerce(name, str(known[name].type), value) for name, value in values.items()}
    try:
        return kind(**coerced)
    except TypeError as error:
        raise ConfigError(f"{error}".replace("__init__()", "the configuration")) from error


def _coerce(name: str, annotation: str, value: Any) -> Any:
    """YAML reads `1e-5` as text and lists for tuples; anything else of a wrong type is the user's to mend."""
    try:
        if "float" in annotation and isinstance(value, (str, int)) and not isinstance(value, bool):
            return float(value)
        if "int" in annotation and "float" not in annotation and isinstance(value, str):
            return int(value)
    except ValueError as error:
        raise ConfigError(f"{name} is {value!r}, which is not a number") from error
    if "bool" in annotation and not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; it must be true or false")
    return tuple(value) if "tuple" in annotation and not isinstance(value, str) else value


def read_yaml(path: Path) -> dict[str, Any]:
    """Settings from a YAML file.

    Raises:
        ConfigError: it is missing or not a mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold settings as `name: value` lines")
    return values


def write_yaml(config: Any, path: Path) -> None:
    """Save a resolved configuration, atomically, so that `--config` reads it back."""
    import yaml

    values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    temporary.replace(path)


def differences(ours: TrainConfig, theirs: TrainConfig) -> list[str]:
    """Settings that would make a resumed run another run: `name: theirs -> ours`."""
    free = {"resume", "overwrite", "save_every", "eval_every", "keep_last", "trackers", "out"}
    a, b = asdict(ours), asdict(theirs)
    return [f"{name}: {b[name]!r} -> {a[name]!r}" for name in a if name not in free and a[name] != b[name]]


def _check_train(config: TrainConfig) -> None:
    for name in ("pairs_per_step", "tokens_per_pack", "epochs", "max_length", "lora_rank"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name.replace('_', '-')} is {getattr(config, name)}; it must be at least 1")
    for name in ("max_groups", "max_steps"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name.replace('_', '-')} is {value}; it must be at least 1")
    positive = ("lr", "head_lr_scale")
    for name in (
        *positive,
        "weight_decay",
        "clip_norm",
        "centering",
        "eval_every",
        "save_every",
        "keep_last",
    ):
        value = getattr(config, name)
        if not value >= 0 or (name in positive and value == 0):
            raise ConfigError(
                f"{name.replace('_', '-')} is {value}; it must be {'above' if name in positive else 'at least'} 0"
            )
    if not 0 <= config.eval_fraction < 1:
        raise ConfigError(f"eval-fraction is {config.eval_fraction}; it must lie in [0, 1)")
    if not 0 <= config.label_smoothing < 0.5:
        raise ConfigError(f"label-smoothing is {config.label_smoothing}; it must lie in [0, 0.5)")
    if not 0 <= config.warmup_fraction <= 1:
        raise ConfigError(f"warmup-fraction is {config.warmup_fraction}; it must lie in [0, 1]")
    _check_combinations(config)


def _check_combinations(config: TrainConfig) -> None:
    if config.head_only and (config.lora or config.freeze_layers):
        raise ConfigError("head-only freezes the whole body; it does not go with lora or freeze-layers")
    if config.lora and config.freeze_layers:
        raise ConfigError("lora already freezes the body's own weights; drop freeze-layers")
    if config.resume and config.overwrite:
        raise ConfigError("resume continues what is in out, overwrite deletes it: choose one")
    if config.loss != "bradley-terry" and config.label_smoothing:
        raise ConfigError(f"label-smoothing belongs to bradley-terry; {config.loss} would ignore it")
    if config.loss == "plackett-luce" and config.balance_groups:
        raise ConfigError("plackett-luce has one term a group already; balance-groups would do nothing")
