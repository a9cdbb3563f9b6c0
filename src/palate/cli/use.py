"""Commands that use what exists: eval, score, walkthrough, data simulate."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from palate import walkthrough
from palate.atomic import write_text
from palate.cli.score_files import run_score_files
from palate.config import EvalConfig, ScoreConfig, SimulateConfig, WalkthroughConfig
from palate.data.simulate import Flaws, simulate, truth_path, write_jsonl, write_truth
from palate.evaluation import count_reasons, evaluate
from palate.metrics import PairwiseReport
from palate.score_file import score
from palate.score_parts.run import is_folder
from palate.training.display import ConsoleDisplay


def run_eval(config: EvalConfig) -> int:
    """Print the report as a table."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    with _progress(console) as progress:
        task = progress.add_task("eval", total=None)
        report, dropped = evaluate(
            config,
            on_total=lambda total: progress.update(task, total=total),
            on_progress=lambda done: progress.advance(task, done),
            say=say,
        )
    console.print(report_table(report))
    for reason, count in count_reasons(dropped).items():
        say(f"warning: left out: {count} ({reason})")
    if config.json:
        say(f"figures in {config.json}")
    return 0


def report_table(report: PairwiseReport) -> Group:
    """The whole and each length bucket, a line each, and what else is known."""
    table = Table(title="held-out preferences", title_justify="left", box=None)
    table.add_column("tokens")
    for name in ("pairs", "accuracy", "95 % interval"):
        table.add_column(name, justify="right")
    interval = f"[{report.accuracy_low:.3f}, {report.accuracy_high:.3f}]"
    table.add_row("all", str(report.pairs), f"{report.accuracy:.3f}", interval, style="bold", end_section=True)
    for bucket in report.by_length:
        low_high = f"[{bucket.accuracy_low:.3f}, {bucket.accuracy_high:.3f}]"
        table.add_row(f"{bucket.low} to {bucket.high}", str(bucket.pairs), f"{bucket.accuracy:.3f}", low_high)
    remarks = (
        f"{report.groups} prompts; mean margin {report.margin:+.3f}, median {report.margin_median:+.3f}; loss "
        f"{report.loss:.4f}\n{report.ties} equal rewards count half; {report.label_ties} tied labels left out\n"
        f"interval over the whole: {report.interval}; Wilson [{report.wilson_low:.3f}, {report.wilson_high:.3f}]"
    )
    return Group(table, Text(remarks))


def run_score(config: ScoreConfig) -> int:
    """Score with a progress bar, then say what was done and what was not."""
    if is_folder(config.out):
        return run_score_files(config)
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    with _progress(console) as progress:
        task = progress.add_task("score", total=None)
        result = score(
            config,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            say=say,
        )
    resumed = f", {result.resumed} of them by an earlier run" if result.resumed else ""
    say(f"{result.prompts} prompts scored in {result.out}{resumed}")
    say(f"{result.run.computed_tokens:,} tokens computed for {result.run.unshared_tokens:,} in sequences scored apart")
    for reason, count in result.unscored.items():
        say(f"warning: rewards null: {count} ({reason})")
    if result.truncated:
        say(f"warning: prompt cut from the left: {result.truncated}")
    if result.dropped:
        say(f"warning: rows left out: {len(result.dropped)}, listed in {result.out}.dropped.jsonl")
    return 0


def run_walkthrough(config: WalkthroughConfig) -> int:
    """Print the worked example."""
    hand, autograd = walkthrough.walkthrough(), walkthrough.autograd_check()
    print(walkthrough.render(hand, autograd))
    if config.json is not None:
        numbers = {"by_hand": asdict(hand), "autograd": asdict(autograd)}
        write_text(Path(config.json), json.dumps(numbers, indent=2) + "\n")
    return 0


def run_simulate(config: SimulateConfig) -> int:
    """Write the set and say what is in it."""
    flaws = Flaws(
        length_bias=config.length_bias,
        flipped=config.flipped,
        dominant=config.dominant,
        leaks=config.leaks,
        duplicates=config.duplicates,
        artefact=config.artefact,
    )
    made = simulate(config.num_prompts, seed=config.seed, responses=config.responses, flaws=flaws)
    write_jsonl(made, Path(config.out))
    comparisons = sum(len(group.comparisons) for group in made.groups)
    truth = truth_path(Path(config.out))
    write_truth(made, truth)
    print(f"{len(made.groups)} prompts, {comparisons} comparisons in {config.out}; the truth about them in {truth}")
    return 0


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
