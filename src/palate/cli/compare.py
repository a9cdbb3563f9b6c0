"""`palate compare`."""

from pathlib import Path

from rich.console import Console

from palate.auditing.versus.run import NAMES, compare
from palate.cli.data import findings_table
from palate.cli.listening import listening
from palate.config import CompareConfig
from palate.training.display import ConsoleDisplay


def run_compare(config: CompareConfig) -> int:
    """Compare with a progress line, print findings and verdict, say where the reports are; 1 where the gate failed."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    with listening(console) as listener:
        report = compare(config, listener=listener)
    console.print(findings_table(report))
    say(str(report.facts["gate.verdict"]))
    say(f"report in {', '.join(str(Path(config.out, name)) for name in NAMES)}")
    return int(report.verdict == "fail")
