"""`palate audit`."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from palate.auditing.run import NAMES, Listener, audit
from palate.cli.data import findings_table
from palate.config import AuditConfig
from palate.training.display import ConsoleDisplay


def run_audit(config: AuditConfig) -> int:
    """Audit with a progress line, print the findings, say where the reports are; 1 where a finding fails."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("{task.completed:,} groups scored"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=None)

        def stage(name: str, total: int | None) -> None:
            progress.reset(task, description=name, total=total)

        listener = Listener(stage, lambda groups: progress.advance(task, groups), say)
        report = audit(config, listener=listener)
    console.print(findings_table(report))
    say(f"report in {', '.join(str(Path(config.out, name)) for name in NAMES)}")
    return int(report.verdict == "fail")
