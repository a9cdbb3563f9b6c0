"""Two programs that take turns, one measured step each: A B A B ..., in processes of their own.

Separate processes keep the peaks of memory apart; turns make both meet the same machine. The parent says `go`, the
subject does one step, answers with a line of JSON, and waits. While it waits it holds memory and no core.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, Self

from benchmarks.report import Row, peak_memory

_TAIL = 3000  # characters of a failed subject's messages that are shown


class Subject:
    """The parent's side: a program that makes one step each time it is told to."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._name = " ".join(command)
        self._messages = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115  closed in __exit__
        path = os.pathsep.join((str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.introduction = self._read()

    def step(self) -> Row:
        """Let it make its next step; returns what it measured."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Row:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            how = f"was killed by {Signals(-code).name}" if code < 0 else f"stopped with {code}"
            hint = "; it had, as a rule, more memory than the machine has" if code == -SIGKILL else ""
            self._messages.seek(0)
            raise RuntimeError(f"{self._name} {how}{hint}:\n{self._messages.read()[-_TAIL:]}")
        answer: Row = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # the subject takes the end of its orders as the end of its work
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._messages.close()


class Turns:
    """The subject's side: `ready` once, then `wait` before and `done` after each step."""

    def __init__(self) -> None:
        # Whatever libraries print must not come between the answers.
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def ready(self, **introduction: Any) -> None:
        """Everything is loaded."""
        self._answer(introduction)

    def wait(self) -> None:
        """Until it is our turn; ends the program when there is none to come."""
        if not sys.stdin.readline():
            raise SystemExit(0)

    def done(self, **measured: Any) -> None:
        """A step was made; the peak of memory so far goes along."""
        self._answer({**measured, "peak_bytes": peak_memory()})

    def _answer(self, row: Row) -> None:
        self._answers.write(json.dumps(row) + "\n")
        self._answers.flush()


def take_turns(module: str, subjects: dict[str, list[str]], steps: int) -> tuple[dict[str, Row], dict[str, list[Row]]]:
    """Introductions and `steps` measurements of each subject, by its name, the first to warm up included."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(Subject(module, arguments)) for name, arguments in subjects.items()}
        measured: dict[str, list[Row]] = {name: [] for name in subjects}
        for step in range(1, steps + 1):
            for name, subject in running.items():
                measured[name].append(subject.step())
                print(f"  step {step} of {steps}: {name} {measured[name][-1]}", flush=True)
        return {name: subject.introduction for name, subject in running.items()}, measured
