"""Before the first step: the output directory, the model as configured, and what the user should see of both."""

import shutil
from pathlib import Path

import torch

from palate.config import TrainConfig, build, differences, read_yaml
from palate.errors import ConfigError
from palate.model.adapters import add_lora, freeze_lowest
from palate.model.loading import new_reward_model, resolve_dtype
from palate.model.reward_model import RewardModel
from palate.training import checkpoints
from palate.training.display import Display, batch_table, rendered_example
from palate.training.optimizer import switch_off_dropout
from palate.training.prepare import PreparedData
from palate.training.summary import count_tokens


def claim(config: TrainConfig) -> Path | None:
    """Make the output directory this run's; returns the checkpoint to resume from, if any.

    Raises:
        ConfigError: an earlier run lies there, or the resumed run was configured otherwise.
    """
    out = Path(config.out)
    if config.overwrite and out.exists():
        shutil.rmtree(out)
    saved = checkpoints.find(out)
    if (out / "config.yaml").exists() and not config.resume:
        raise ConfigError(f"{out} holds an earlier run; choose another --out, or --resume, or --overwrite")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; --out must be a directory")
    out.mkdir(parents=True, exist_ok=True)
    if config.resume and (out / "config.yaml").exists():
        earlier = build(TrainConfig, read_yaml(out / "config.yaml"))
        if changed := differences(config, earlier):
            raise ConfigError(f"cannot resume {out} with other settings: {'; '.join(changed)}")
    return saved[-1] if config.resume and saved else None


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
        model.adapter = add_lora(
            model.backbone,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            dropout=config.lora_dropout,
            targets=config.lora_targets,
        )
    if config.activation_checkpointing:
        model.backbone.activation_checkpointing_enable(  # type: ignore[operator]
            {"use_reentrant": False}, every_n_layers=config.activation_checkpointing
        )
    model.to(device)
    model.compute_dtype = resolve_dtype(config.dtype, device)
    return model


def introduce(model: RewardModel, data: PreparedData, config: TrainConfig, show: Display) -> None:
    """Show what the run is about to do, on real rows."""
    groups = [data.training[i] for i in data.steps[0].groups]
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    precision = str(model.compute_dtype).removeprefix("torch.")
    show.show(rendered_example(groups[0], model.tokenizer, pooling=model.pooling_name))
    show.show(batch_table(groups, [model.cost(group) for group in groups], config.tokens_per_pack))
    tokens = count_tokens((*data.training, *data.evaluation), shared=model.layout == "tree")
    show.say(
        f"{len(data.training):,} groups in {len(data.steps):,} steps; {trainable:,} trainable "
        f"parameters on {model.device}, {precision}"
    )
    show.say(
        f"tokens: {tokens.unshared:,} unshared, {tokens.computed:,} computed, {tokens.ratio:.2f} unshared for every "
        "token computed; padding would come on top"
    )
    if data.truncated:
        show.say(f"warning: {data.truncated} groups had their prompt cut from the left to {config.max_length} tokens")
    for reason in sorted({row.reason for row in data.dropped}):
        rows = [row for row in data.dropped if row.reason == reason]
        show.say(
            f"warning: {len(rows)} left out ({reason}), such as {rows[0].where}: {rows[0].message}; "
            "all are in dropped.jsonl"
        )
