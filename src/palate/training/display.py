"""What a run shows while it runs: one rendered example, the table of its first packs, and live progress.

On a terminal the progress is a bar that moves; in a file or a pipe it is a line now and then. Either way it says
step, loss, accuracy, pairs and tokens a second, and the time left.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from palate.packing.plan import pack
from palate.records import TokenizedGroup
from palate.training.journal import StepRecord

_LINE_EVERY_SECONDS = 10.0


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

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """A job of `total` items begins; the returned function counts them."""

    def stop(self) -> None:
        """Training is over."""


class QuietDisplay:
    """Shows nothing; for library use."""

    def say(self, text: str) -> None:
        """Nothing."""

    def show(self, thing: Any) -> None:
        """Nothing."""

    def start(self, total: int, done: int) -> None:
        """Nothing."""

    def step(self, record: StepRecord) -> None:
        """Nothing."""

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """A function that counts for nobody."""
        return lambda _done: None

    def stop(self) -> None:
        """Nothing."""


class ConsoleDisplay:
    """Rich output on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._live: Live | None = None
        self._training: Any = None
        self._last_line = 0.0
        self._started = 0.0
        self._done_before = 0

    def say(self, text: str) -> None:
        """A line; warnings in yellow."""
        style = "yellow" if text.startswith("warning") else None
        self.console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    def show(self, thing: Any) -> None:
        """A table or text."""
        self.console.print(thing)

    def start(self, total: int, done: int) -> None:
        """Begin the bar."""
        self._training = self._progress.add_task("training", total=total, completed=done, figures="")
        self._started, self._done_before = time.monotonic(), done
        self._go_live()

    def step(self, record: StepRecord) -> None:
        """Move the bar, or print a line every ten seconds where there is no terminal."""
        figures = _figures(record)
        self._progress.update(self._training, completed=record.step, figures=figures)
        now = time.monotonic()
        total = int(self._progress.tasks[self._training].total or 0)
        if not self.console.is_terminal and (now - self._last_line > _LINE_EVERY_SECONDS or record.step == total):
            self._last_line = now
            left = (now - self._started) / max(record.step - self._done_before, 1) * (total - record.step)
            self.say(f"step {record.step}/{total}  {figures}  left {left:.0f} s")

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """A second bar for evaluation."""
        task = self._progress.add_task(what, total=total, figures="")
        self._go_live()

        def advance(done: int) -> None:
            self._progress.advance(task, done)
            if self._progress.tasks and self._progress._tasks[task].finished:
                self._progress.update(task, visible=False)

        return advance

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _go_live(self) -> None:
        if self._live is None and self.console.is_terminal:
            self._live = Live(self._progress, console=self.console, refresh_per_second=4)
            self._live.start()


def _figures(record: StepRecord) -> str:
    loss = "  skipped" if record.loss is None else f"loss {record.loss:.4f}"
    accuracy = "" if record.accuracy is None else f"accuracy {record.accuracy:.2f}  "
    return f"{loss}  {accuracy}{record.pairs_per_second:.1f} pairs/s  {record.tokens_per_second:,.0f} tokens/s"


def rendered_example(group: TokenizedGroup, tokenizer: Any, *, pooling: str) -> Group:
    """One group as the model reads it: the shared tokens once, each response, and the scored tokens marked."""
    lines = [
        Text(
            f"one example as the model reads it ({group.where or group.id}); scored tokens are marked",
            style="bold",
        ),
        Text(tokenizer.decode(group.sequences[0][: group.shared]), style="dim"),
    ]
    for number, (sequence, start) in enumerate(zip(group.sequences, group.response_starts, strict=True)):
        text = Text(f"response {number + 1}: ", style="cyan")
        scored = _scored(pooling, len(sequence), start)
        for position in range(group.shared, len(sequence)):
            piece = tokenizer.decode(sequence[position : position + 1])
            if position in scored:
                text.append(f"[{piece!r}]" if pooling in ("last", "cls") else piece, style="bold black on green")
            else:
                text.append(piece, style="default")
        lines.append(text)
    return Group(*lines)


def _scored(pooling: str, length: int, start: int) -> range:
    match pooling:
        case "last":
            return range(length - 1, length)
        case "cls":
            return range(1)
        case "mean":
            return range(length)
    return range(start, length)


def batch_table(groups: Sequence[TokenizedGroup], costs: Sequence[int], budget: int) -> Table:
    """How the first optimiser step is packed: one line a pack, with what sharing and packing save."""
    table = Table(title="the first step, packed", title_justify="left", box=None, pad_edge=False)
    for name in ("pack", "groups", "responses", "comparisons", "tokens computed", "unshared", "padded"):
        table.add_column(name, justify="right")
    for number, items in enumerate(pack(costs, budget), start=1):
        chosen = [groups[i] for i in items]
        lengths = [len(sequence) for group in chosen for sequence in group.sequences]
        table.add_row(
            str(number),
            str(len(chosen)),
            str(len(lengths)),
            str(sum(len(group.comparisons) for group in chosen)),
            f"{sum(costs[i] for i in items):,}",
            f"{sum(lengths):,}",
            f"{max(lengths) * len(lengths):,}",
        )
    return table
