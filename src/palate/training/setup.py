"""Before the first step: the output directory, the model as configured, and what the user should see of both."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs

from palate.config import TrainConfig, build, differences, read_yaml, write_yaml
from palate.errors import ConfigError
from palate.lock import held
from palate.model.adapters import add_lora, freeze_lowest
from palate.model.backbone import decoder_layers
from palate.model.compiled import compile_layers, require_compiler
from palate.model.loading import new_reward_model, resolve_dtype
from palate.model.reward_model import RewardModel
from palate.packing.attention import path_of_body
from palate.training import checkpoints
from palate.training.display import Display
from palate.training.eight_bit import in_8bit, require_8bit
from palate.training.first_look import batch_table, rendered_example
from palate.training.memory import save_memory
from palate.training.optimizer import switch_off_dropout
from palate.training.prepared import PreparedData
from palate.training.summary import count_tokens

CONFIG, SUMMARY = "config.yaml", "summary.json"
"""Marks of a run: one is written before its first step, the other after everything else."""


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Devices, processes and trackers; precision is the model's own matter.

    Raises:
        ConfigError: a tracker, or what another option needs, is not installed; or another trainer has been here.
    """
    if config.optimizer == "adamw-8bit":
        require_8bit()
    if config.compile:
        require_compiler("compile")
    for name in config.trackers:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"the tracker {name} is not installed: pip install {name}, or drop it from --trackers")
    # One process of a machine tokenizes first, and the others wait for it: hours, for a large set on its first day.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))
    try:
        return Accelerator(
            mixed_precision="no",
            log_with=list(config.trackers) or None,
            project_dir=config.out,
            kwargs_handlers=[patience],
        )
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise
        raise ConfigError(
            "another trainer has set the precision of this process, which accelerate keeps: run palate's training in a "
            "process of its own"
        ) from error


def claim(config: TrainConfig, *, owner: bool = True) -> Path | None:
    """Make the output directory this run's; returns the checkpoint to resume from, if any.

    Args:
        config: the settings.
        owner: whether this process answers for the directory; the others follow it.

    Raises:
        ConfigError: something else lies there, the run would delete its own input, or the resumed run was
            configured otherwise.
    """
    out = Path(config.out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; --out must be a directory")
    _protect_inputs(config, out)
    if owner and not (config.resume and (out / CONFIG).exists()):
        _check_room(out, overwrite=config.overwrite)
    out.mkdir(parents=True, exist_ok=True)
    if not config.resume or not (out / CONFIG).exists():
        return None
    if changed := differences(config, build(TrainConfig, read_yaml(out / CONFIG))):
        raise ConfigError(f"cannot resume {out} with other settings: {'; '.join(changed)}")
    if owner:
        checkpoints.sweep(out)
    saved = checkpoints.find(out)
    return saved[-1] if saved else None


def _protect_inputs(config: TrainConfig, out: Path) -> None:
    for name, value in (("model", config.model), ("data", config.data), ("eval-data", config.eval_data)):
        if value is None or not Path(value).exists():
            continue
        inside = Path(value).resolve().is_relative_to(out.resolve())
        if inside and (config.overwrite or Path(value).samefile(out)):
            raise ConfigError(f"--{name} {value} lies in --out {out}, which this run would replace")


@contextmanager
def alone(config: TrainConfig) -> Iterator[None]:
    """While this lasts, no other process trains into the output directory.

    Raises:
        ConfigError: another does already.
    """
    out = Path(config.out).resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")  # beside it, since --overwrite empties it
    with held(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def begin(config: TrainConfig) -> None:
    """Mark the output directory as this run's. Not before now, when all else is known to be sound, an earlier run goes.

    Args:
        config: as it is to be resumed.
    """
    out = Path(config.out)
    if config.overwrite and (out / CONFIG).exists():
        shutil.rmtree(out)
        out.mkdir()
    write_yaml(replace(config, resume=False, overwrite=False), out / CONFIG)


def _check_room(out: Path, *, overwrite: bool) -> None:
    """Nothing but runs is ever replaced, and those only if that is wanted."""
    if (out / CONFIG).exists():
        if not overwrite:
            raise ConfigError(f"{out} holds an earlier run; choose another --out, or --resume, or --overwrite")
    elif (out / "config.json").exists() or any(out.glob("*.safetensors")):
        raise ConfigError(f"{out} holds a model that is not of a run of palate train; choose another --out")


def build_model(config: TrainConfig, device: torch.device, show: Display) -> RewardModel:
    """The model to train, on its device: what trains, in which precision, said where it is not the default."""
    model = new_reward_model(
        config.model,
        pooling=config.pooling,
        head_init=config.head_init,
        layout=config.layout,
        max_length=config.max_length,
        trust_remote_code=config.trust_remote_code,
    )
    for remark in model.remarks:
        show.say(f"warning: {remark}")
    if not config.dropout and (changed := switch_off_dropout(model.backbone)):
        show.say(f"dropout switched off in {changed} places (--dropout keeps it)")
    if config.head_only:
        model.backbone.requires_grad_(False)
    if config.freeze_layers:
        show.say(f"frozen: {freeze_lowest(model.backbone, config.freeze_layers):,} parameters")
    if config.lora:
        model.adapter = _adapt(model, config)
    save_memory(model.backbone, config, device)
    model.to(device)
    model.compute_dtype = resolve_dtype(config.dtype, device)
    if config.compile:
        _compile(model, show)
    return model


def _compile(model: RewardModel, show: Display) -> None:
    if model.layout != "tree":
        why = model.sharing_obstacle or "--layout padded was asked for"
        raise ConfigError(f"compile works with shared prompts alone, and here prompts are not shared ({why}): drop it")
    compiled = compile_layers(model.backbone)
    show.say(f"compiling {compiled} of {len(decoder_layers(model.backbone) or ())} layers: the first packs take long")


def _adapt(model: RewardModel, config: TrainConfig) -> Any:
    try:
        return add_lora(
            model.backbone,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            dropout=config.lora_dropout,
            targets=config.lora_targets,
        )
    except ValueError as error:  # of PEFT, where no module has such a name
        raise ConfigError(f"lora-targets {config.lora_targets}: {error}") from error


def introduce(model: RewardModel, data: PreparedData, config: TrainConfig, show: Display) -> None:
    """Show what the run is about to do, on real rows."""
    budget, ranks = config.tokens_per_pack, PartialState().num_processes
    step, fill = data.steps[0], data.fill(budget, num_ranks=ranks)
    groups = [data.training[i] for i in step.groups]
    weights = [p for p in model.parameters() if p.requires_grad]
    trainable = sum(p.numel() for p in weights)
    precision = str(model.compute_dtype).removeprefix("torch.")
    show.show(rendered_example(groups[0], model.tokenizer, pooling=model.pooling_name))
    packs = [items for items in data.packs(step, budget, num_ranks=ranks) if items]
    loads = [data.tokens([step.groups[i] for i in items]) for items in packs]
    show.show(batch_table(groups, packs, loads, budget))
    tokens = count_tokens(data, shared=model.layout == "tree")
    show.say(
        f"{len(data.training):,} groups in {len(data.steps):,} steps; {trainable:,} trainable "
        f"parameters on {model.device}, {precision}"
    )
    if model.layout == "tree":
        show.say(f"attention: {path_of_body(model.backbone.config, model.device, model.compute_dtype)}")
    show.say(f"matrix products: {model.products}")
    show.say(
        f"tokens: {tokens.unshared:,} unshared, {tokens.computed:,} computed, {tokens.ratio:.2f} unshared for every "
        f"token computed; padding would come on top; packs are {fill:.0%} full"
    )
    if tokens.opening:
        show.say(f"all groups begin with the same {tokens.opening} tokens: a pack computes them once")
    if config.optimizer == "adamw-8bit":
        small = sum(p.numel() for p in weights if in_8bit(p))
        show.say(f"AdamW's averages take 8 bits for {small:,} parameters, and stay float32 for {trainable - small:,}")
    if data.truncated:
        cut = "1 group had its prompt" if data.truncated == 1 else f"{data.truncated} groups had their prompts"
        show.say(f"warning: {cut} cut from the left to {model.max_length} tokens")
    for reason in sorted({row.reason for row in data.dropped}):
        rows = [row for row in data.dropped if row.reason == reason]
        show.say(
            f"warning: {len(rows)} left out ({reason}), such as {rows[0].where}: "
            f"{rows[0].message.removeprefix(f'{rows[0].where}: ')}; "
            "all are in dropped.jsonl"
        )
