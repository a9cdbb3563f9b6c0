"""NO_COLOR is heard, in the help and in what commands print."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

COLOURS = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38)[;m]")


def on_a_terminal(*arguments: str, no_color: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": no_color}
    command = [sys.executable, "-m", "palate", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        found = b""
        while chunk := _read(ours):
            found += chunk
    os.close(ours)
    assert process.returncode in (0, 1)  # 1: the data is as bad as it was made
    return found.decode()


def _read(end: int) -> bytes:
    try:
        return os.read(end, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("arguments", [("doctor", "--help"), ("data", "check", "@data")])
def test_no_colours_where_nobody_wants_them(arguments: tuple[str, ...], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 30)
    given = [argument.replace("@data", str(data)) for argument in arguments]
    assert COLOURS.search(on_a_terminal(*given, no_color=""))
    assert not COLOURS.search(on_a_terminal(*given, no_color="1"))
