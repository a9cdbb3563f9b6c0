"""`palate audit`."""

from pathlib import Path

from rich.console import Console

from palate.auditing.run import NAMES, audit
from palate.cli.data import findings_table
from palate.cli.listening import listening
from palate.config import AuditConfig
from palate.training.display import ConsoleDisplay


def run_audit(config: AuditConfig) -> int:
    """Audit with a progress line, print the findings, say where the reports are; 1 where a finding fails."""
    console = Console(emoji=False)
    with listening(console) as listener:
        report = audit(config, listener=listener)
    console.print(findings_table(report))
    ConsoleDisplay(console).say(f"report in {', '.join(str(Path(config.out, name)) for name in NAMES)}")
    return int(report.verdict == "fail")
