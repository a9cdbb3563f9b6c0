"""A progress line for commands that score groups in several stages."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from palate.auditing.run import Listener
from palate.training.display import ConsoleDisplay


@contextmanager
def listening(console: Console) -> Iterator[Listener]:
    """What an audit tells, shown on a console; the line is only there on a terminal."""
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("{task.completed:,} groups scored"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=None)

        def stage(name: str, total: int | None) -> None:
            progress.reset(task, description=name, total=total)

        yield Listener(stage, lambda groups: progress.advance(task, groups), ConsoleDisplay(console).say)
