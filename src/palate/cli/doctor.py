"""`palate doctor`."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from palate.atomic import write_text
from palate.config import DoctorConfig
from palate.doctor import Diagnosis, diagnose
from palate.training.display import ConsoleDisplay


def run_doctor(config: DoctorConfig) -> int:
    """Print what this machine can do, then what is missing."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    found = diagnose()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _rows(found):
        table.add_row(name, value)
    console.print(table, highlight=False)
    for remark in found.remarks:
        say(f"warning: {remark}")
    if config.json is not None:
        write_text(Path(config.json), json.dumps(found.to_json(), indent=2) + "\n")
        say(f"written to {config.json}")
    return 0


def _rows(found: Diagnosis) -> list[tuple[str, str]]:
    speeds = ", ".join(f"{name} {value:,.0f}" for name, value in found.gflops.items())
    rows = [
        ("machine", f"{found.processor}, {found.cores} cores, {found.system}"),
        ("accelerators", "; ".join(found.devices) or "none: palate computes on the processor"),
        ("threads", str(found.threads)),
        ("memory", f"{found.memory_free_gib:.1f} of {found.memory_gib:.1f} GiB free"),
        ("precision", f"{found.precision} by --dtype auto"),
        ("speed", f"{speeds} billion operations a second in a matrix product on {found.device}"),
        ("attention", found.attention),
        ("cache", f"{found.cache}, {found.cache_free_gib:.0f} GiB free"),
        ("versions", ", ".join(f"{name} {version}" for name, version in found.versions.items())),
    ]
    for extra in found.extras:
        state = f"missing {', '.join(extra.missing)}: pip install 'palate[{extra.name}]'" if extra.missing else "there"
        rows.append((f"extra {extra.name}", state))
    return rows
