"""What a run says and how far it is.

On a terminal the progress is a bar that moves; in a file or a pipe it is a line now and then. Either way it says
step, loss, accuracy, pairs and tokens a second, and the time left.
"""

import math
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from palate.errors import PalateWarning
from palate.training.journal import StepRecord

_LINE_EVERY_SECONDS = 10.0
_WIDE = 100  # columns from which on there is room for a bar beside the figures


class Display(Protocol):
    """Where a run speaks."""

    def say(self, text: str) -> None:
        """Show a line."""

    def show(self, thing: Any) -> None:
        """Show a table or a rich text."""

    def start(self, total: int, done: int) -> None:
        """Training begins: `done` of `total` steps are done already."""

    def step(self, record: StepRecord) -> None:
        """A step is done."""

    def counting(self, what: str, total: int | None) -> Callable[[int], None]:
        """A job of `total` items begins; the returned function counts them. None: until it counts 0 of them."""

    def stop(self) -> None:
        """Training is over."""


class QuietDisplay:
    """Shows nothing; for library use. What the user has to know comes as a `PalateWarning` all the same."""

    def __init__(self, *, warn: bool = True) -> None:
        self._warn = warn

    def say(self, text: str) -> None:
        """Only warnings."""
        if self._warn and text.startswith("warning: "):
            warnings.warn(text.removeprefix("warning: "), PalateWarning, stacklevel=2)

    def show(self, thing: Any) -> None:
        """Nothing."""

    def start(self, total: int, done: int) -> None:
        """Nothing."""

    def step(self, record: StepRecord) -> None:
        """Nothing."""

    def counting(self, what: str, total: int | None) -> Callable[[int], None]:
        """A function that counts for nobody."""
        return lambda _done: None

    def stop(self) -> None:
        """Nothing."""


class ConsoleDisplay:
    """Rich output on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(emoji=False)
        bar = [BarColumn(bar_width=None)] if self.console.width >= _WIDE else []
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            MofNCompleteColumn(),
            *bar,
            TextColumn("{task.fields[figures]}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
            expand=bool(bar),
        )
        self._training: TaskID | None = None
        self._total = 0
        self._done_before = 0
        self._started = 0.0
        self._last_line = -math.inf

    def say(self, text: str) -> None:
        """A line; warnings in yellow."""
        style = "yellow" if text.startswith("warning") else None
        self.console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    def show(self, thing: Any) -> None:
        """A table or text."""
        self.console.print(thing)

    def start(self, total: int, done: int) -> None:
        """Begin the bar."""
        self._training = self._progress.add_task("step", total=total, completed=done, figures="")
        self._total, self._done_before, self._started = total, done, time.monotonic()
        self._progress.start()

    def step(self, record: StepRecord) -> None:
        """Move the bar, or print a line every ten seconds where there is no terminal."""
        assert self._training is not None
        figures = _figures(record)
        self._progress.update(self._training, completed=record.step, figures=figures)
        now = time.monotonic()
        due = now - self._last_line > _LINE_EVERY_SECONDS or record.step == self._total
        if due and not self.console.is_terminal:
            self._last_line = now
            left = (now - self._started) / (record.step - self._done_before) * (self._total - record.step)
            self.say(f"step {record.step}/{self._total} {figures} left {_clock(left)}")

    def counting(self, what: str, total: int | None) -> Callable[[int], None]:
        """A bar of its own, gone when it is full; where there is no terminal, a line every ten seconds."""
        task = self._progress.add_task(what, total=total, figures="")
        self._progress.start()
        counted, last_line = 0, time.monotonic()

        def advance(done: int) -> None:
            nonlocal counted, last_line
            counted += done
            self._progress.advance(task, done)
            now = time.monotonic()
            if now - last_line > _LINE_EVERY_SECONDS and not self.console.is_terminal:
                last_line = now
                self.say(f"{what} {counted:,}" + ("" if total is None else f"/{total:,}"))
            if done == 0 if total is None else counted >= total:
                self._progress.remove_task(task)
            if not self._progress.task_ids:
                self._progress.stop()

        return advance

    def stop(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        self._progress.stop()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)


def _figures(record: StepRecord) -> str:
    rates = f"{_short(record.pairs_per_second)} pairs/s {_short(record.tokens_per_second)} tokens/s"
    if record.loss is None:
        return f"skipped {rates}"
    accuracy = "" if record.accuracy is None else f"accuracy {record.accuracy:.2f} "
    return f"loss {record.loss:.4f} {accuracy}{rates}"


def _short(rate: float) -> str:
    if rate < 10:
        return f"{rate:.1f}"
    return f"{rate:.0f}" if rate < 10_000 else f"{rate / 1000:,.0f}k"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
