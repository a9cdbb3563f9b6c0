"""`palate compare`."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from palate.auditing.run import Listener
from palate.auditing.versus.run import NAMES, compare
from palate.cli.data import findings_table
from palate.config import CompareConfig
from palate.training.display import ConsoleDisplay


def run_compare(config: CompareConfig) -> int:
    """Compare with a progress line, print findings and verdict, say where the reports are; 1 where the gate failed."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("{task.completed:,} groups scored"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=None)

        def stage(name: str, total: int | None) -> None:
            progress.reset(task, description=name, total=total)

        report = compare(config, listener=Listener(stage, lambda groups: progress.advance(task, groups), say))
    console.print(findings_table(report))
    say(str(report.facts["gate.verdict"]))
    say(f"report in {', '.join(str(Path(config.out, name)) for name in NAMES)}")
    return int(report.verdict == "fail")
