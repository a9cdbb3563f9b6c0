"""The command line: one line for what a user can mend, every setting a flag, a file of settings below the flags."""

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from palate.cli.main import main, parse
from palate.config import (
    AggregateConfig,
    BalanceConfig,
    CheckConfig,
    CompareConfig,
    ConvertConfig,
    DemoConfig,
    EvalConfig,
    ScoreConfig,
    SimulateConfig,
    SplitConfig,
    TrainConfig,
)
from palate.errors import ConfigError, ModelError
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run, write_groups
from palate.testing.tiny import save_tiny_causal_lm

TRAIN_FLAGS = [
    "model",
    "data",
    "eval-data",
    "eval-fraction",
    "out",
    "max-groups",
    "max-length",
    "pairs-per-step",
    "epochs",
    "max-steps",
    "lr",
    "head-lr-scale",
    "dtype",
    "pooling",
    "loss",
    "seed",
    "eval-every",
    "save-every",
    "resume",
    "lora",
    "config",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_causal_lm(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_groups(tmp_path_factory.mktemp("data") / "data.jsonl", random_groups(12)))


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert caught.value.code == 0
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


def documentation(kind: type) -> dict[str, str]:
    """The line under each field, read off the source as a reader of it would."""
    source = inspect.getsource(kind)
    return dict(re.findall(r'^    (\w+): .*\n    """(.*)"""$', source, re.MULTILINE))


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("train", TrainConfig),
        ("poolings", TrainConfig),
        ("compare", CompareConfig),
        ("eval", EvalConfig),
        ("score", ScoreConfig),
        ("demo", DemoConfig),
        ("data check", CheckConfig),
        ("data split", SplitConfig),
        ("data aggregate", AggregateConfig),
        ("data balance", BalanceConfig),
        ("data convert", ConvertConfig),
        ("data simulate", SimulateConfig),
    ],
)
def test_help_names_every_setting_with_its_documentation(
    command: str, kind: type, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(command, capsys)
    documented = documentation(kind)
    for field in fields(kind):
        name = field.name.replace("_", "-")
        assert re.search(rf"--{name}\b", text) or name.upper() in text, name
        assert documented[field.name] in text, name


@pytest.mark.parametrize("flag", TRAIN_FLAGS)
def test_the_names_of_the_flags_that_scripts_use_are_frozen(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(rf"--{flag}\b", help_of("train", capsys))


def test_flags_override_the_file_which_overrides_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model: m\nlr: 1e-5\nepochs: 3\nhead-lr-scale: 2\ntrackers: wandb\nlora: true\n")
    for flags in (["--config", str(file)], [f"--config={file}"]):
        config = parse("train", "TrainConfig", [*flags, "--data", "d", "--out", "o", "--epochs", "5", "--no-lora"])
        assert (config.model, config.lr, config.epochs, config.head_lr_scale) == ("m", 1e-5, 5, 2.0)
        assert (config.trackers, config.lora, config.seed) == (("wandb",), False, 0)


def test_the_configuration_of_a_run_can_be_given_back(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, max_steps=3, eval_fraction=0.2)
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump({name: getattr(config, name) for name in ("model", "data", "out", "lr", "max_steps")})
    )
    assert main(["train", "--config", str(tmp_path / "run.yaml"), "--dtype", "fp32", "--pairs-per-step", "2"]) == 0
    saved = tmp_path / "rm" / "config.yaml"
    again = parse("train", "TrainConfig", ["--config", str(saved), "--out", "elsewhere"])
    assert (again.lr, again.max_steps, again.pairs_per_step, again.out) == (config.lr, 3, 2, "elsewhere")


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that fails."""
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1, errors
    assert "Traceback" not in errors
    return errors


def test_errors_are_one_line_with_code_2(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    bad_row = tmp_path / "bad.jsonl"
    bad_row.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", "chosen": "b"}\n')
    file = tmp_path / "file"
    file.touch()
    train = ["train", "--model", model, "--data", data, "--out", out]

    def error(*arguments: str) -> str:
        return error_of([*train, *arguments], capsys)

    assert error("--data", "absent.jsonl").startswith("palate train: error: absent.jsonl: no such file or folder")
    assert f"{bad_row}:2: " in error("--data", str(bad_row))
    assert "no such directory: ./absent" in error("--model", "./absent")
    assert f"{file} is a file; --out must be a directory" in error("--out", str(file))
    assert str(file) in error("--out", str(file / "below"))
    assert "lr is -1.0; it must be above 0" in error("--lr", "-1")
    assert "cannot read the configuration absent.yaml" in error("--config", "absent.yaml")
    assert "--config needs a file" in error("--config")
    assert "lora-targets nonsense" in error("--lora", "--lora-targets", "nonsense")
    assert "must end in .jsonl or .parquet" in error_of(["score", model, "--data", data, "--out", "x.txt"], capsys)


def test_a_message_of_several_lines_is_made_one(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ModelError("cannot load it:\n  the network is down\n")

    monkeypatch.setattr("palate.training.run.build_model", fail)
    arguments = ["train", "--model", model, "--data", data, "--out", str(tmp_path / "o")]
    assert error_of(arguments, capsys) == "palate train: error: cannot load it: the network is down\n"


def test_an_instruct_model_is_not_taken_for_a_reward_model(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "has no reward head" in error_of(["eval", model, "--data", data], capsys)
    out = str(tmp_path / "scores.jsonl")
    assert "has no reward head" in error_of(["score", model, "--data", data, "--out", out], capsys)


def test_an_unknown_setting_in_the_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("learning_rate: 1e-5\n")
    assert "unknown setting learning-rate; there are model, data" in error_of(["train", "--config", str(file)], capsys)


@pytest.mark.parametrize("tracker", ["wandb", "mlflow", "trackio"])
def test_a_tracker_that_is_not_installed_is_an_error(
    tracker: str,
    model: str,
    data: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("palate.training.setup.importlib.util.find_spec", lambda _name: None)
    arguments = ["train", "--model", model, "--data", data, "--out", str(tmp_path / "o"), "--trackers", tracker]
    assert f"the tracker {tracker} is not installed" in error_of(arguments, capsys)


@pytest.mark.parametrize("flags", [["--lr", "fast"], ["--pooling", "first"], ["--learning-rate", "1"], []])
def test_wrong_flags_are_named_with_code_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    required = ["--model", "m", "--data", "d", "--out", "o"] if flags else []
    with pytest.raises(SystemExit) as caught:
        main(["train", *required, *flags])
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert (flags[0] if flags else "--model") in errors
    assert "Traceback" not in errors


def test_unknown_commands_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "there is no command 'trian'" in capsys.readouterr().err
    assert main([]) == 0
    assert "usage: palate COMMAND" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert re.fullmatch(r"palate \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert main(["data"]) == 2


def test_an_interrupt_is_not_a_traceback(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("palate.training.loop.run_step", interrupt)
    assert main(["train", "--model", model, "--data", data, "--out", str(tmp_path / "o")]) == 130
    assert capsys.readouterr().err.endswith("palate train: stopped\n")


def test_configurations_are_checked_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match="choose one"):
        parse("train", "TrainConfig", ["--model", "m", "--data", "d", "--out", "o", "--resume", "--overwrite"])


def test_the_file_of_another_command_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps({"pairs_per_step": 3}))
    with pytest.raises(ConfigError, match="unknown setting pairs-per-step"):
        parse("eval", "EvalConfig", ["m", "--data", "d", "--config", str(file)])


def test_the_file_is_checked_when_flags_have_completed_it(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("longest: 256\nprotocol: vllm\n")
    parity = parse("parity", "ParityConfig", ["rm", "--url", "http://h", "--config", str(file)])
    assert (parity.longest, parity.protocol) == (256, "vllm")
    file.write_text("lora_rank: 8\n")
    flags = ["--config", str(file), "--model", "m", "--data", "d", "--out", "o"]
    assert parse("train", "TrainConfig", [*flags, "--lora"]).lora_rank == 8
    with pytest.raises(ConfigError, match="lora-rank belongs to lora"):
        parse("train", "TrainConfig", flags)
    file.write_text("calibrated: true\n")
    assert parse("export", "ExportConfig", ["rm", "--to", "vllm", "--out", "o", "--config", str(file)]).calibrated
