"""Settings: what is wrong with one is said before anything runs, by its name."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from palate.config import EvalConfig, ScoreConfig, TrainConfig, build, differences, read_yaml, resolve, write_yaml
from palate.errors import ConfigError

REQUIRED = {"model": "m", "data": "d", "out": "o"}
TRAIN_SETTINGS = [
    "model",
    "data",
    "out",
    "split",
    "eval_data",
    "eval_fraction",
    "max_groups",
    "on_bad_row",
    "max_length",
    "over_long",
    "workers",
    "cache",
    "pairs_per_step",
    "tokens_per_pack",
    "pack_window",
    "epochs",
    "max_steps",
    "lr",
    "head_lr_scale",
    "weight_decay",
    "warmup_fraction",
    "schedule",
    "clip_norm",
    "seed",
    "loss",
    "label_smoothing",
    "centering",
    "balance_groups",
    "length_control",
    "length_coefficient",
    "pooling",
    "head_init",
    "layout",
    "dtype",
    "dropout",
    "freeze_layers",
    "head_only",
    "lora",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_targets",
    "activation_checkpointing",
    "activation_offload",
    "auto_batch",
    "optimizer",
    "compile",
    "eval_every",
    "battery",
    "save_every",
    "keep_last",
    "resume",
    "overwrite",
    "on_non_finite",
    "trackers",
    "trust_remote_code",
]


def train_config(**values: Any) -> TrainConfig:
    return build(TrainConfig, {**REQUIRED, **values})


def test_the_names_of_the_settings_are_frozen() -> None:
    """Scripts and saved runs hold them: a change here breaks both, and belongs in the changelog."""
    assert [field.name for field in fields(TrainConfig)] == TRAIN_SETTINGS


def test_the_defaults_that_documentation_and_papers_name() -> None:
    config = train_config()
    assert (config.lr, config.head_lr_scale, config.clip_norm, config.epochs) == (1e-5, 10.0, 1.0, 1)
    assert (config.pooling, config.head_init, config.loss, config.dropout) == ("last", "zero", "bradley-terry", False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": 0}, "lr is 0.0; it must be above 0, and finite"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"head_lr_scale": -1}, "head-lr-scale is -1.0"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"max_steps": 0}, "max-steps is 0"),
        ({"keep_last": 0}, "keep-last is 0"),
        ({"save_every": -1}, "save-every is -1; it must be at least 0"),
        ({"freeze_layers": -1}, "freeze-layers is -1"),
        ({"clip_norm": float("inf")}, "clip-norm is inf"),
        ({"eval_fraction": 1}, r"eval-fraction is 1.0; it must lie in \[0, 1\)"),
        ({"label_smoothing": 0.5}, "label-smoothing is 0.5"),
        ({"warmup_fraction": 1.5}, "warmup-fraction is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"head_only": True, "lora": True}, "head-only freezes the whole body"),
        ({"lora": True, "freeze_layers": 1}, "lora already freezes"),
        ({"lora_rank": 8}, "lora-rank belongs to lora, which is off: add lora, or drop it"),
        ({"lora": False, "lora_targets": "q_proj"}, "lora-targets belongs to lora"),
        ({"head_only": True, "activation_checkpointing": 1}, "head-only keeps no activations"),
        ({"head_only": True, "activation_offload": True}, "head-only keeps no activations"),
        ({"head_only": True, "optimizer": "adamw-8bit"}, "adamw-8bit saves nothing"),
        ({"auto_batch": True, "pack_window": 64}, "pack-window fills packs before auto-batch"),
        ({"compile": True, "activation_checkpointing": 1}, "exclude each other"),
        ({"resume": True, "overwrite": True}, "choose one"),
        ({"loss": "plackett-luce", "label_smoothing": 0.1}, "plackett-luce would ignore it"),
        ({"loss": "plackett-luce", "balance_groups": True}, "would do nothing"),
        ({"pooling": "first"}, "pooling is 'first'; it must be one of last, mean, mean-response, cls, attention"),
        ({"loss": "mse"}, "loss is 'mse'; it must be one of"),
        ({"trackers": ["file"]}, "trackers is 'file'; it must be one of tensorboard"),
        ({"epochs": "two"}, "epochs is 'two'; it must be a whole number"),
        ({"epochs": 1.5}, "epochs is 1.5; it must be a whole number"),
        ({"epochs": True}, "epochs is True; it must be a whole number"),
        ({"lr": "fast"}, "lr is 'fast'; it must be a number"),
        ({"lora": "yes please"}, "lora is 'yes please'; it must be true or false"),
        ({"model": 7}, "model is 7; it must be text"),
        ({"data": None}, "data is None; it must be text"),
        ({"learning_rate": 1}, "unknown setting learning-rate; there are model, data, out"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train_config(**values)


def test_missing_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"^data, out must be given$"):
        build(TrainConfig, {"model": "m"})


def test_values_are_fitted_to_their_types() -> None:
    config = train_config(
        **{"lr": "1e-4", "head-lr-scale": 5, "max-steps": "7", "eval-data": None, "trackers": "wandb"}
    )
    assert (config.lr, config.head_lr_scale, config.max_steps, config.eval_data) == (1e-4, 5.0, 7, None)
    assert type(config.head_lr_scale) is float
    assert config.trackers == ("wandb",)
    assert build(EvalConfig, {"model": "m", "data": "d", "max_length": 9}).max_length == 9
    assert build(ScoreConfig, REQUIRED).overwrite is False


def test_hinge_takes_label_smoothing() -> None:
    assert train_config(loss="hinge", label_smoothing=0.1).label_smoothing == 0.1


def test_yaml_holds_what_was_written(tmp_path: Path) -> None:
    config = train_config(lr=3e-7, trackers=["wandb", "mlflow"], eval_data="x.jsonl", max_steps=3)
    write_yaml(config, tmp_path / "config.yaml")
    assert build(TrainConfig, read_yaml(tmp_path / "config.yaml")) == config
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("- 1\n", "must hold settings"), ("lr: [1\n", "cannot read the configuration"), (None, "cannot read")],
)
def test_a_file_that_is_no_configuration_is_an_error(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_an_empty_file_has_no_settings(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "run.yaml") == {}


def test_differences_are_those_that_change_the_result() -> None:
    config = train_config()
    free = replace(config, out="x", save_every=1, keep_last=9, eval_every=3, tokens_per_pack=99, resume=True)
    assert differences(free, config) == []
    assert differences(replace(config, lr=1e-3, seed=1), config) == ["lr: 1e-05 -> 0.001", "seed: 0 -> 1"]


def test_functions_take_a_configuration_or_settings_by_name_and_the_names_win(tmp_path: Path) -> None:
    whole = EvalConfig(model="a", data="b", max_groups=3)
    assert resolve(EvalConfig, whole, {}) == whole
    assert resolve(EvalConfig, whole, {"max_groups": 4}).max_groups == 4
    assert resolve(EvalConfig, None, {"model": tmp_path, "data": "b"}).model == str(tmp_path)
    with pytest.raises(ConfigError, match="data must be given"):
        resolve(EvalConfig, None, {"model": "a"})
