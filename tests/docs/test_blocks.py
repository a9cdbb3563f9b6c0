"""Whatever a reader can copy runs: Python as it stands, commands through the command's own parser."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.docs.blocks import LANGUAGES, PAGES, ROOT, Block, blocks_of, without_remarks

from palate import config as settings
from palate.cli.main import COMMANDS, _split, _take_config, parse

BLOCKS = [block for page in PAGES if page.exists() for block in blocks_of(page)]
PYTHON = [page for page in PAGES if any(b.language == "python" and b.page == page for b in BLOCKS)]
TYPED = [(block, command) for block in BLOCKS for command in block.commands if command.startswith("palate ")]
# What takes seconds on a tiny model; the rest is imports and one forward pass.
SLOW = ("palate.train(", "palate.audit(", "palate.compare", "Trainer(")
# Fragments on pages that explain something else, by their first words, and where the whole of each is run.
FRAGMENTS = {
    "from palate.client import RemoteReward\nfrom trl import GRPOTrainer\n\ntrainer": "docs/how-to/trl-grpo.md"
}
TUTORIAL = ROOT / "docs" / "tutorial.md"  # test_tutorial.py runs it as a whole


def _name(value: object) -> str:
    return value.where if isinstance(value, Block) else str(value)[:60]


def _page(page: Path) -> Any:
    slow = any(word in b.text for b in BLOCKS if b.page == page and b.language == "python" for word in SLOW)
    return pytest.param(page, marks=[pytest.mark.slow] if slow else [], id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", [_page(page) for page in PYTHON if page != TUTORIAL])
def test_python_on_a_page_runs_from_top_to_bottom(
    page: Path, world: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in world.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").mkdir()
    for part in (world / "runs").iterdir():
        (tmp_path / "runs" / part.name).symlink_to(part)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    for block in (b for b in BLOCKS if b.page == page and b.language == "python" and not b.reason):
        if block.text.startswith("--8<--"):
            continue  # a file of examples/, which tests/examples runs
        if block.text.startswith(tuple(FRAGMENTS)):
            continue
        source = block.text.replace("smollm2", "tiny").replace("http://127.0.0.1:8000", address)
        exec(compile("\n" * block.line + source, str(block.page), "exec"), names)


@pytest.mark.parametrize(("block", "command"), TYPED, ids=_name)
def test_a_command_is_one_that_palate_takes(block: Block, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if " | " in re.sub(r"\[.*?\]", "", command):  # a line that lists several: palate data split | aggregate
        first, *others = without_parts(command)
        for other in others:
            assert f"{first} {other}" in COMMANDS, block.where
        return
    words = without_remarks(command)[1:]
    if not words or words[0].startswith("-"):
        return
    name, rest = _split(words)
    assert name in COMMANDS, f"{block.where}: {command}"
    kind = COMMANDS[name].config
    if kind is None or "--help" in rest:
        return
    file, flags = _take_config(rest)
    if file is not None:  # its settings are the reader's own; those that have to be given may be in it
        flags = flags + [word for given in _given_by_file(kind, flags) for word in given]
    try:
        parse(name, kind, flags)
    except SystemExit:
        pytest.fail(f"{block.where}: {command}\n{capsys.readouterr().err}")


def _given_by_file(kind: str, flags: list[str]) -> list[tuple[str, ...]]:
    needed = [n for n, f in getattr(settings, kind).__dataclass_fields__.items() if f.default is f.default_factory]
    return [(f"--{name}", "x") for name in needed if f"--{name}" not in flags]


def without_parts(command: str) -> list[str]:
    """`palate data split | balance   remark` as what is in common and what differs: data, split, balance."""
    words = command.split("   ")[0].replace(" | ", "|").split()[1:]
    return [words[0], *words[1].split("|")]


def test_blocks_say_what_they_are() -> None:
    odd = [f"{b.where}: {b.language}" for b in BLOCKS if b.language not in LANGUAGES and b.language != "toml"]
    assert not odd


def test_what_is_not_run_says_why(record_property: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Counted and listed, so that the list does not grow unseen."""
    left_out = [(block.where, block.reason) for block in BLOCKS if block.reason]
    for begins, page in FRAGMENTS.items():
        left_out += [(b.where, f"run as a whole in {page}") for b in BLOCKS if b.text.startswith(begins)]
    record_property("not_run", left_out)
    with capsys.disabled():
        sys.stdout.write("".join(f"\nnot run: {where}: {reason}" for where, reason in left_out))
    runnable = sum(block.language == "python" for block in BLOCKS) + len(TYPED)
    assert runnable >= 40, "the collector finds hardly anything: is it still looking in the right place?"
    assert len(left_out) <= MOST_NOT_RUN, left_out
    assert all(len(reason.split()) >= 3 for _, reason in left_out), left_out


MOST_NOT_RUN = 12
"""Raise it in the change that adds a block which cannot run, with the reason in the page."""


def test_a_block_that_is_not_closed_and_one_that_is_marked(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: needs a cluster -->\n```python\n1 / 0\n```\n\n```sh\npalate doctor   remark\n```\n")
    marked, plain = blocks_of(page)
    assert (marked.reason, marked.line, marked.language) == ("needs a cluster", 2, "python")
    assert plain.reason is None
    assert [without_remarks(command) for command in plain.commands] == [["palate", "doctor"]]
    page.write_text("```python\nx = 1\n")
    with pytest.raises(ValueError, match="the block is not closed"):
        blocks_of(page)
