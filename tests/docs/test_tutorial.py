"""The tutorial from top to bottom in an empty folder, with a tiny model in place of SmolLM2."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT, Block, blocks_of
from tests.serving.processes import Process

from palate.cli.main import main
from palate.testing.tiny import save_tiny_causal_lm

TUTORIAL = ROOT / "docs" / "tutorial.md"
# What depends on neither the model nor the machine is what the page shows, line by line.
SHOWN_AS_IT_IS = ("data simulate", "data split")
# They exit with 1 where something fails; a tiny model of random weights is as bad as it may be.
MAY_FAIL = ("audit", "data check")

pytestmark = pytest.mark.slow


class Reader:
    """Follows the page: types commands, runs Python, keeps a server open."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.server: Process | None = None
        self.typed: list[str] = []

    def type(self, command: str, expected: str | None) -> None:
        words = shlex.split(command.replace("smollm2", "tiny"))[1:]
        name = " ".join(words[:2]) if words[0] == "data" else words[0]
        self.typed.append(name)
        if name == "serve":
            port = words.index("--port")
            self.server = Process(words[1:port] + words[port + 2 :], self.folder)
            self.server.wait_until_ready()
            return
        code = main(words)
        shown = self.capsys.readouterr()
        assert code in ((0, 1) if name in MAY_FAIL else (0,)), f"{command}\n{shown.out}\n{shown.err}"
        if expected and name in SHOWN_AS_IT_IS:
            assert shown.out.splitlines() == expected.splitlines()

    def run(self, block: Block) -> None:
        source = block.text
        if self.server is not None:
            source = source.replace("http://127.0.0.1:8000", self.server.url)
        exec(compile("\n" * block.line + source, block.where, "exec"), {})


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    save_tiny_causal_lm(tmp_path / "tiny", max_position_embeddings=2048)
    reader = Reader(tmp_path, capsys)
    yield reader
    if reader.server is not None:
        assert reader.server.stop() == 0
        assert reader.server.popen.stdout is not None
        reader.server.popen.stdout.close()


def test_it_can_be_followed(reader: Reader) -> None:
    blocks = blocks_of(TUTORIAL)
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.reason:
            continue
        if block.language == "python":
            reader.run(block)
        expected = after.text if after is not None and after.language == "text" else None
        for command in block.commands:
            assert command.startswith("palate "), f"{block.where}: {command}"
            reader.type(command, expected)
    assert {"data simulate", "data check", "data split", "train", "eval", "audit", "score", "serve"} <= {*reader.typed}
