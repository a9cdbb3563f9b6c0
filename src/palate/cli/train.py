"""`palate train` and `palate poolings`."""

from pathlib import Path

from accelerate import PartialState
from rich.console import Console
from rich.table import Table

from palate.config import TrainConfig
from palate.metrics import PairwiseReport
from palate.poolings import compare_poolings
from palate.training.display import ConsoleDisplay
from palate.training.run import train


def run_train(config: TrainConfig) -> int:
    """Train, then say how to go on."""
    result = train(config, display=ConsoleDisplay())
    if PartialState().is_main_process:
        print(next_steps(result.out))
    return 0


def next_steps(out: Path) -> str:
    """What to do with a fresh reward model."""
    return f"\nnext: palate eval {out} --data HELD_OUT    palate score {out} --data FILE --out SCORES.jsonl"


def run_poolings(config: TrainConfig) -> int:
    """Train each pooling, then print them side by side."""
    console = Console(emoji=False)
    results = compare_poolings(
        config, display=ConsoleDisplay(console), on_start=lambda name: console.rule(f"pooling {name}")
    )
    table = Table(title="held-out accuracy by pooling", title_justify="left", box=None)
    for name in ("pooling", "accuracy", "interval", "margin", "loss", "pairs", "seconds"):
        table.add_column(name, justify="left" if name == "pooling" else "right")
    for contender in sorted(results, key=lambda c: -c.report.accuracy):
        table.add_row(
            contender.pooling,
            *figures(contender.report),
            str(contender.report.pairs),
            f"{contender.seconds:.1f}",
        )
    console.print(table)
    return 0


def figures(report: PairwiseReport) -> tuple[str, str, str, str]:
    """Accuracy, interval, margin and loss, as a table shows them."""
    interval = f"[{report.accuracy_low:.3f}, {report.accuracy_high:.3f}]"
    return f"{report.accuracy:.3f}", interval, f"{report.margin:+.3f}", f"{report.loss:.4f}"
