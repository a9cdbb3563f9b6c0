"""`palate COMMAND ...`: parse, call one function, print.

Each command reads its typed configuration off `palate.config`; `--config file.yaml` gives defaults that flags
override. Nothing heavy is imported before a command runs, so `palate --help` is quick. Errors that a user can mend
print one message and exit with code 2.
"""

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate import __version__
from palate.cli.examples import EXAMPLES
from palate.errors import PalateError, PalateWarning


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its line in the help, the configuration that it reads (if any), and the function it runs."""

    summary: str
    config: str | None
    run: str


COMMANDS: dict[str, Command] = {
    "train": Command("train a reward model on preference data", "TrainConfig", "palate.cli.train:run_train"),
    "eval": Command("accuracy with intervals on held-out preferences", "EvalConfig", "palate.cli.use:run_eval"),
    "score": Command("rewards for a file of prompts and responses", "ScoreConfig", "palate.cli.use:run_score"),
    "serve": Command("the reward model as a server", "ServeConfig", "palate.cli.serve:run_serve"),
    "export": Command("write a reward model as other engines load it", "ExportConfig", "palate.cli.export:run_export"),
    "parity": Command("does another server give this model's rewards?", "ParityConfig", "palate.cli.export:run_parity"),
    "audit": Command("is a reward model sound? a report and an exit code", "AuditConfig", "palate.cli.audit:run_audit"),
    "compare": Command("may one reward model replace another?", "CompareConfig", "palate.cli.compare:run_compare"),
    "poolings": Command("train one model per pooling and compare them", "TrainConfig", "palate.cli.train:run_poolings"),
    "demo": Command("train on the built-in preferences and show the result", "DemoConfig", "palate.cli.demo:run_demo"),
    "walkthrough": Command(
        "one gradient step by hand, every number", "WalkthroughConfig", "palate.cli.use:run_walkthrough"
    ),
    "playground": Command(
        "one page to play with all of it, in a browser", "PlaygroundConfig", "palate.cli.playground:run_playground"
    ),
    "doctor": Command("what this machine can do, and what is missing", "DoctorConfig", "palate.cli.doctor:run_doctor"),
    "completion": Command("complete commands and flags in a shell", None, "palate.cli.completion:run_completion"),
    "data check": Command(
        "what is wrong with preference data, before training", "CheckConfig", "palate.cli.data:run_check"
    ),
    "data split": Command("train and dev files that share nothing", "SplitConfig", "palate.cli.data:run_split"),
    "data aggregate": Command("one label from several votes", "AggregateConfig", "palate.cli.data:run_aggregate"),
    "data balance": Command("take the length bias out of data", "BalanceConfig", "palate.cli.data:run_balance"),
    "data convert": Command("write preferences in another format", "ConvertConfig", "palate.cli.data:run_convert"),
    "data simulate": Command("write the built-in preference set", "SimulateConfig", "palate.cli.use:run_simulate"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 for an error that the user can mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"palate {__version__}")
        return 0
    _quiet_warnings()
    name, rest = _split(arguments)
    if name not in COMMANDS:
        print(f"palate: there is no command {name!r}\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        return _run(name, rest)
    except (PalateError, OSError) as error:  # of the system: a full disk, a folder that may not be written
        print(f"palate {name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\npalate {name}: stopped", file=sys.stderr)
        return 130


def usage() -> str:
    """The help of `palate` itself."""
    width = max(len(name) for name in COMMANDS) + 2
    lines = [f"  {name.ljust(width)}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"palate {__version__}: reward models you can trust",
            "",
            "usage: palate COMMAND [options]",
            "",
            *lines,
            "",
            "palate COMMAND --help lists a command's options.",
        ]
    )


def _quiet_warnings() -> None:
    """Commands say palate's own warnings themselves; those of libraries to their callers are not for users."""
    warnings.simplefilter("ignore", PalateWarning)
    warnings.simplefilter("ignore", FutureWarning)
    for name in ("torchao", "torch.utils._pytree"):  # on every import: kernels for other machines, a deprecated call
        logging.getLogger(name).setLevel(logging.ERROR)


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    pair = " ".join(arguments[:2])
    return (pair, arguments[2:]) if pair in COMMANDS else (arguments[0], arguments[1:])


def _run(name: str, rest: list[str]) -> int:
    command = COMMANDS[name]
    module, _, function = command.run.partition(":")
    if command.config is None:
        run_plain: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
        return run_plain(rest)
    config = parse(name, command.config, rest)
    run: Callable[[Any], int] = getattr(importlib.import_module(module), function)
    return run(config)


def parse(name: str, config_name: str, arguments: Sequence[str]) -> Any:
    """A configuration from flags, with a YAML file's values as defaults where `--config` names one.

    Raises:
        ConfigError: the file or a value in it is wrong.
        SystemExit: tyro printed the help, or what is wrong with the flags.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org, which tyro does not know; it reads its own when imported
        os.environ.setdefault("PYTHON_TYRO_ANSI_CODES", "False")
    import tyro

    from palate import config as settings

    kind = getattr(settings, config_name)
    file, flags = _take_config(list(arguments))
    default: dict[str, Any] = {}
    if file is not None:
        default["default"] = settings.build(kind, settings.read_yaml(file), absent=tyro.MISSING)
    about = f"{(kind.__doc__ or '').strip()} --config FILE.yaml gives defaults for all of these."
    description = f"{about}\n\nExample: {EXAMPLES[name]}"
    return tyro.cli(kind, prog=f"palate {name}", description=description, args=flags, **default)


def _take_config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    for index, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return Path(argument.partition("=")[2]), arguments[:index] + arguments[index + 1 :]
        if argument == "--config":
            if index + 1 == len(arguments):
                raise PalateError("--config needs a file")
            return Path(arguments[index + 1]), arguments[:index] + arguments[index + 2 :]
    return None, arguments
