"""What a run shows while it runs: one rendered example, the table of its first packs, and live progress.

On a terminal the progress is a bar that moves; in a file or a pipe it is a line now and then. Either way it says
step, loss, accuracy, pairs and tokens a second, and the time left.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from palate.errors import PalateWarning
from palate.packing.plan import Indices, pack
from palate.records import TokenizedGroup
from palate.training.journal import StepRecord

_LINE_EVERY_SECONDS = 10.0
_WIDE = 100  # columns from which on there is room for a bar beside the figures
_SHOWN_CHARACTERS = 400  # of either end of a long text


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


def rendered_example(group: TokenizedGroup, tokenizer: Any, *, pooling: str) -> Group:
    """One group as the model reads it: the shared tokens once, each response, and the scored tokens marked."""
    first = group.sequences[0]
    title = f"one example as the model reads it ({group.where or group.id}); scored tokens are in brackets"
    shared = _marked(tokenizer, first[: group.shared], _scored(pooling, len(first), group.response_starts[0]))
    lines = [Text(title, style="bold"), _shortened(shared)]
    for number, (sequence, start) in enumerate(zip(group.sequences, group.response_starts, strict=True), start=1):
        scored = _scored(pooling, len(sequence), start)
        own = _marked(
            tokenizer, sequence[group.shared :], range(scored.start - group.shared, scored.stop - group.shared)
        )
        lines.append(Text.assemble((f"response {number}: ", "cyan"), _shortened(own)))
    return Group(*lines)


def _marked(tokenizer: Any, tokens: NDArray[np.int64], scored: range) -> Text:
    """The tokens' text, those in `scored` in brackets; a lone token is quoted, since it is often a line break."""
    low, high = (min(max(end, 0), len(tokens)) for end in (scored.start, scored.stop))
    before, inside, after = (tokenizer.decode(part) for part in (tokens[:low], tokens[low:high], tokens[high:]))
    marked = f"[{inside!r}]" if len(scored) == 1 else f"[{inside}]"
    if low == high:
        marked = ""
    return Text.assemble(before, (marked, "bold black on green"), after)


def _shortened(text: Text) -> Text:
    """Its two ends, where it is long."""
    if len(text) <= 2 * _SHOWN_CHARACTERS:
        return text
    left_out = len(text) - 2 * _SHOWN_CHARACTERS
    return Text.assemble(
        text[:_SHOWN_CHARACTERS], (f" [... {left_out:,} characters ...] ", "dim"), text[-_SHOWN_CHARACTERS:]
    )


def _scored(pooling: str, length: int, start: int) -> range:
    match pooling:
        case "last":
            return range(length - 1, length)
        case "cls":
            return range(1)
        case "mean":
            return range(length)
    return range(start, length)


def batch_table(
    groups: Sequence[TokenizedGroup],
    costs: Sequence[int],
    opening: int,
    budget: int,
    packs: Sequence[Indices] = (),
) -> Table:
    """How the first optimiser step is packed: one line a pack, with what sharing and packing save.

    Args:
        groups: of the step.
        costs: tokens that each adds to a pack.
        opening: tokens that a pack holds besides.
        budget: tokens of a pack.
        packs: positions in `groups`; packed here where there are none.
    """
    packs = [items for items in packs or pack(costs, budget - opening) if items]
    loads = [opening + sum(costs[i] for i in items) for items in packs]
    full = sum(loads) / sum(max(budget, load) for load in loads)
    title = f"the first step, packed: {full:.0%} of {budget:,} tokens a pack"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("pack", "groups", "responses", "comparisons", "tokens computed", "unshared", "padded"):
        table.add_column(name, justify="right")
    for number, (items, load) in enumerate(zip(packs, loads, strict=True), start=1):
        chosen = [groups[i] for i in items]
        lengths = [len(sequence) for group in chosen for sequence in group.sequences]
        table.add_row(
            str(number),
            str(len(chosen)),
            str(len(lengths)),
            str(sum(len(group.comparisons) for group in chosen)),
            f"{load:,}",
            f"{sum(lengths):,}",
            f"{max(lengths) * len(lengths):,}",
        )
    return table
