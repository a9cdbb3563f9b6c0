"""Completion scripts are run by the shell itself; examples are parsed by the commands themselves."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from palate.cli import completion
from palate.cli.examples import EXAMPLES
from palate.cli.main import COMMANDS, main, parse


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers after these words, the last of them unfinished."""
    line = " ".join(shlex.quote(word) for word in words)
    place = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}"
    program = f"source {script}; {place}; _palate; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout.split()


@pytest.fixture
def bash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "palate.bash"
    script.write_text(capsys.readouterr().out)
    return script


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_flags_and_choices(bash: Path) -> None:
    assert completed(bash, "palate", "wal") == ["walkthrough"]
    assert completed(bash, "palate", "data", "s") == ["simulate", "split"]
    assert completed(bash, "palate", "train", "--lora-t") == ["--lora-targets"]
    assert completed(bash, "palate", "train", "--no-d") == ["--no-dropout"]
    assert completed(bash, "palate", "train", "--loss", "") == ["bradley-terry", "hinge", "plackett-luce"]
    assert completed(bash, "palate", "data", "aggregate", "--method", "da") == ["dawid-skene"]
    assert completed(bash, "palate", "eval", "--mod") == []  # the model is no flag


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_has_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for name in COMMANDS for word in name.split())
    assert "pairs-per-step" in printed


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "bash,zsh,fish" in capsys.readouterr().out


def test_every_command_has_an_example_that_it_understands() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    for name, example in EXAMPLES.items():
        words = shlex.split(example.partition(" >> ")[0])
        assert words[: 1 + len(name.split())] == ["palate", *name.split()]
        config = COMMANDS[name].config
        if config is not None:
            parse(name, config, words[1 + len(name.split()) :])


def test_the_help_shows_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "split", "--help"])
    assert f"Example: {EXAMPLES['data split']}" in capsys.readouterr().out
