"""Commands that check and change preference data: data check, split, aggregate, balance, convert."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from palate.config import AggregateConfig, BalanceConfig, CheckConfig, ConvertConfig, SplitConfig
from palate.conversion import convert
from palate.curate.aggregate import aggregate
from palate.curate.balance import balance
from palate.curate.split import split
from palate.errors import ConfigError
from palate.health.check import Listener, check_data
from palate.report.document import Report
from palate.training.display import ConsoleDisplay

_STYLES = {"fail": "bold red", "warn": "yellow", "info": "cyan"}


def run_check(config: CheckConfig) -> int:
    """Check with a progress line, print the findings, say where the reports are; 1 where a finding fails."""
    console = Console(emoji=False)
    say = ConsoleDisplay(console).say
    with _progress(console) as progress:
        task = progress.add_task("reading", total=None)
        listener = Listener(
            stage=lambda name: progress.update(task, description=name),
            advance=lambda groups: progress.advance(task, groups),
            say=say,
        )
        report = check_data(config, listener=listener)
    console.print(findings_table(report))
    for path in config.out:
        say(f"report in {path}")
    return int(report.verdict == "fail")


def findings_table(report: Report) -> Group:
    """The findings, worst first, each with what to do, and what was not looked at."""
    table = Table(box=None, show_header=False, padding=(0, 2, 1, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_column(ratio=1)
    for placed in report.placed:
        finding = placed.finding
        cure = Text.assemble(finding.title, "\n", (finding.cure, "dim"))
        if finding.command:
            cure.append(f"\n  {finding.command}", "cyan")
        table.add_row(Text(finding.severity, _STYLES[finding.severity]), finding.id, cure)
    counts = report.counts
    summary = f"{counts['fail']} fail, {counts['warn']} warn, {counts['info']} for information"
    skipped = [f"not looked at: {check.section.title.lower()} ({check.skipped})" for check in report.skipped]
    return Group(table, Text("\n".join([*skipped, summary])))


def run_split(config: SplitConfig) -> int:
    """Split, with a progress line, and say what is where."""
    console = Console(emoji=False)
    with _counting(console, "split") as advance:
        result = split(
            config.data,
            out=config.out,
            fractions=dict(map(_fraction, config.fractions)),
            by=config.by,
            near_duplicates=config.near_duplicates,
            stratify=None if config.stratify == "none" else config.stratify,
            previous=config.previous,
            seed=config.seed,
            on_bad_row=config.on_bad_row,
            on_progress=advance,
        )
    say = ConsoleDisplay(console).say
    say(result.summary())
    for side, file in result.manifest.files.items():
        say(f"{side}: {result.folder / file.name}")
    return 0


def run_aggregate(config: AggregateConfig) -> int:
    """Make one label of the votes, and say what became of them."""
    console = Console(emoji=False)
    with _counting(console, "aggregate") as advance:
        result = aggregate(
            config.data,
            out=config.out,
            method=config.method,
            min_votes=config.min_votes,
            seed=config.seed,
            on_bad_row=config.on_bad_row,
            on_progress=advance,
        )
    ConsoleDisplay(console).say(f"{result.summary()}\nlabels in {result.out}")
    return 0


def run_balance(config: BalanceConfig) -> int:
    """Balance by length, and say how often the longer response wins before and after."""
    console = Console(emoji=False)
    with _counting(console, "balance") as advance:
        result = balance(
            config.data,
            out=config.out,
            mode=config.mode,
            unit=config.unit,
            by_source=config.by_source,
            seed=config.seed,
            on_bad_row=config.on_bad_row,
            on_progress=advance,
        )
    ConsoleDisplay(console).say(f"{result.summary()}\npreferences in {result.out}")
    return 0


def run_convert(config: ConvertConfig) -> int:
    """Convert, and say what the format could not carry."""
    console = Console(emoji=False)
    with _progress(console) as progress:
        task = progress.add_task("convert", total=None)
        result = convert(
            config.data,
            to=config.to,
            out=config.out,
            predictions=config.predictions,
            split=config.split,
            on_bad_row=config.on_bad_row,
            max_groups=config.max_groups,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    ConsoleDisplay(console).say(result.summary())
    return 0


def _fraction(setting: str) -> tuple[str, float]:
    name, _, share = setting.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ConfigError(f"fractions has {setting!r}; write NAME=SHARE, such as train=0.9 dev=0.1") from None


@contextmanager
def _counting(console: Console, name: str) -> Iterator[Callable[[int], None]]:
    """A progress line of unknown length; yields what counts more groups."""
    with _progress(console) as progress:
        task = progress.add_task(name, total=None)
        yield lambda groups: progress.advance(task, groups)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("{task.completed:,} groups"))
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
