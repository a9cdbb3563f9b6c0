"""The settings of `palate train`, each documented once, here, and shown by `--help`; and which of them make sense."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Literal

from palate.errors import ConfigError

PoolingName = Literal["last", "mean", "mean-response", "cls", "attention"]
TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]
# On a tiny body with a planted preference for length the correlation of reward gaps with length went from 0.62 to 0.49,
# 0.33, 0.23 and 0.17 at 0.3, 1, 3 and 10, the one with quality from 0.86 to 0.92, 0.95, 0.91 and 0.92, and the gaps
# shrank from 2.9 to 2.6, 2.1, 1.8 and 0.8.
DECORRELATION = 1.0


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
    workers: int = 0
    """Processes that tokenize; 0 decides: one a core, up to eight, where there is enough data for it to pay."""
    cache: bool = True
    """Keep tokenized data, by a hash of all it depends on, in $PALATE_CACHE (~/.cache/palate)."""

    pairs_per_step: int = 32
    """Comparisons in an optimiser step, as near as whole groups allow."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass; a step runs as many as it needs. It changes results only with pack-window."""
    pack_window: int = 0
    """Fill packs from so many shuffled groups, then cut steps from whole packs; 1024 is usual, 0 packs each step."""
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
    length_control: Literal["none", "covariate", "decorrelation"] = "none"
    """Keep length out of the reward: by a covariate that is learned beside it and dropped, or by a penalty."""
    length_coefficient: float = DECORRELATION
    """Of decorrelation: times the squared correlation of reward gaps with length; steps of several packs cost more."""

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
    activation_offload: bool = False
    """Keep activations in the CPU's memory between forward and backward pass; on accelerators."""
    auto_batch: bool = False
    """Find the largest tokens-per-pack that fits into memory, and use it."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """adamw-8bit keeps the optimiser's state in a quarter of the memory; needs palate[memory]."""
    compile: bool = False
    """Compile the body's layers: the first packs take minutes, the others less time; needs a C++ compiler."""

    eval_every: int = 0
    """Evaluate on held-out data every N steps, and at the end; 0 only before and after."""
    battery: Literal["quick", "all", "none"] = "quick"
    """Hand-written pairs to be won at every evaluation, every checkpoint and the end: two fifths, all, or none."""
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
    trackers: tuple[TrackerName, ...] = ()
    """Also log to these, as far as they are installed."""
    trust_remote_code: bool = False
    """Run code that comes with the checkpoint."""

    def __post_init__(self) -> None:
        _check_train(self)


_FREE = ("out", "resume", "overwrite", "save_every", "eval_every", "keep_last", "trackers", "on_non_finite", "battery")
_FREE_FOR_DATA = ("workers", "cache")
# A run that ran out of memory must be able to go on.
_FREE_FOR_MEMORY = ("tokens_per_pack", "activation_checkpointing", "activation_offload", "auto_batch")


def differences(ours: TrainConfig, theirs: TrainConfig) -> list[str]:
    """Settings that would make a resumed run another run: `name: theirs -> ours`."""
    a, b = asdict(ours), asdict(theirs)
    free = {*_FREE, *_FREE_FOR_DATA, *_FREE_FOR_MEMORY} - ({"tokens_per_pack"} if ours.pack_window else set())
    bound = [name for name in a if name not in free]
    return [f"{name.replace('_', '-')}: {b[name]!r} -> {a[name]!r}" for name in bound if a[name] != b[name]]


_AT_LEAST_ONE = ("pairs_per_step", "tokens_per_pack", "epochs", "max_length", "lora_rank", "keep_last")
_AT_LEAST_ONE_IF_GIVEN = ("max_groups", "max_steps")
_ABOVE_ZERO = ("lr", "head_lr_scale", "lora_alpha")
_AT_LEAST_ZERO = (
    "weight_decay",
    "clip_norm",
    "centering",
    "length_coefficient",
    "eval_every",
    "save_every",
    "freeze_layers",
    "activation_checkpointing",
    "workers",
    "pack_window",
)


def _check_train(config: TrainConfig) -> None:
    def require(names: tuple[str, ...], holds: Callable[[float], bool], rule: str) -> None:
        for name in names:
            value = getattr(config, name)
            if value is not None and not holds(value):
                raise ConfigError(f"{name.replace('_', '-')} is {value}; it must {rule}")

    require((*_AT_LEAST_ONE, *_AT_LEAST_ONE_IF_GIVEN), lambda value: value >= 1, "be at least 1")
    require(_ABOVE_ZERO, lambda value: 0 < value < math.inf, "be above 0, and finite")
    require(_AT_LEAST_ZERO, lambda value: 0 <= value < math.inf, "be at least 0, and finite")
    require(("eval_fraction", "lora_dropout"), lambda value: 0 <= value < 1, "lie in [0, 1)")
    require(("label_smoothing",), lambda value: 0 <= value < 0.5, "lie in [0, 0.5)")
    require(("warmup_fraction",), lambda value: 0 <= value <= 1, "lie in [0, 1]")
    require(("seed",), lambda value: 0 <= value < 2**32, "lie in [0, 2^32)")
    _check_combinations(config)
    _check_memory(config)


_LORA = {field.name: field.default for field in fields(TrainConfig) if field.name.startswith("lora_")}


def _check_combinations(config: TrainConfig) -> None:
    if config.head_only and (config.lora or config.freeze_layers):
        raise ConfigError("head-only freezes the whole body; it does not go with lora or freeze-layers")
    if config.lora and config.freeze_layers:
        raise ConfigError("lora already freezes the body's own weights; drop freeze-layers")
    if not config.lora and (set_anyway := [name for name, usual in _LORA.items() if getattr(config, name) != usual]):
        raise ConfigError(f"{set_anyway[0].replace('_', '-')} belongs to lora, which is off: add lora, or drop it")
    if config.pack_window and config.auto_batch:
        raise ConfigError("pack-window fills packs before auto-batch can find their size: give tokens-per-pack")
    if config.resume and config.overwrite:
        raise ConfigError("resume continues what is in out, overwrite deletes it: choose one")
    if config.loss == "plackett-luce" and config.label_smoothing:
        raise ConfigError("label-smoothing belongs to single comparisons; plackett-luce would ignore it")
    if config.loss == "plackett-luce" and config.balance_groups:
        raise ConfigError("plackett-luce has one term a group already; balance-groups would do nothing")
    if config.length_control == "decorrelation" and not config.length_coefficient:
        raise ConfigError("decorrelation with a length-coefficient of 0 does nothing; use length-control none")
    if config.length_control != "decorrelation" and config.length_coefficient != DECORRELATION:
        raise ConfigError(
            f"length-coefficient belongs to decorrelation; length-control {config.length_control} would ignore it"
        )


def _check_memory(config: TrainConfig) -> None:
    if config.head_only and (config.activation_checkpointing or config.activation_offload):
        raise ConfigError("head-only keeps no activations; activation-checkpointing and -offload would do nothing")
    if config.head_only and config.optimizer != "adamw":
        raise ConfigError(f"with head-only there is hardly any optimiser state; {config.optimizer} saves nothing")
    if config.compile and config.activation_checkpointing:
        raise ConfigError(
            "compile and activation-checkpointing exclude each other: what is computed again may take another graph"
        )
