"""`palate score` with a folder as out."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from palate.config import ScoreConfig
from palate.score_parts.progress import Progress as Moment
from palate.score_parts.run import FilesResult, score_files
from palate.training.display import ConsoleDisplay

_LINE_EVERY = 10.0  # seconds, where there is no terminal


def run_score_files(config: ScoreConfig) -> int:
    """Score with a progress bar, then say what was done and what was not; 2 where parts failed."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    bar = Progress(BarColumn(), TextColumn("{task.fields[figures]}"), console=console, disable=not console.is_terminal)
    with bar:
        show = _on_terminal(bar) if console.is_terminal else _in_lines(say)
        result = score_files(config, say=say, on_progress=show)
    for line in summary(result):
        say(line)
    return 2 if result.failed else 0


def summary(result: FilesResult) -> list[str]:
    """What was done, what was not, and last what failed."""
    totals = result.totals
    resumed = f", {result.resumed:,} of them by an earlier run" if result.resumed else ""
    lines = [
        f"{totals.prompts:,} prompts of {totals.files:,} files in {totals.done:,} parts in {result.out}{resumed}",
        f"{result.computed_tokens:,} tokens computed for {result.unshared_tokens:,} in sequences scored apart",
    ]
    lines += [f"warning: rewards null: {count:,} ({reason})" for reason, count in totals.unscored.items()]
    if totals.truncated:
        lines.append(f"warning: prompt cut from the left: {totals.truncated:,}")
    if totals.dropped:
        each = ", ".join(f"{reason} {count:,}" for reason, count in totals.dropped.items())
        lines.append(f"warning: rows left out: {each}; listed beside the parts in .dropped.jsonl")
    if totals.empty:
        lines.append(f"warning: parts without a row: {totals.empty:,}")
    lines += [f"error: {name} is not there: {error}" for name, error in result.failed.items()]
    if result.failed:
        lines.append(f"error: {totals.failed:,} of {totals.parts:,} parts failed; mend them and run the same command")
    return lines


def _on_terminal(bar: Progress) -> Callable[[Moment], None]:
    task = bar.add_task("score", total=None, figures="")

    def show(moment: Moment) -> None:
        bar.update(task, completed=moment.prompts, total=moment.expected or None, figures=moment.describe())

    return show


def _in_lines(say: Callable[[str], object]) -> Callable[[Moment], None]:
    last = time.monotonic()

    def show(moment: Moment) -> None:
        nonlocal last
        if time.monotonic() - last > _LINE_EVERY:
            last = time.monotonic()
            say(moment.describe())

    return show
