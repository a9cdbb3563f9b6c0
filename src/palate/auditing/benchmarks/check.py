"""The benchmarks' own tables, as a section of the audit."""

import math
from collections.abc import Callable, Sequence

from palate.auditing.benchmarks.items import Floats, Item, items_by_format
from palate.auditing.benchmarks.judgebench import judgebench
from palate.auditing.benchmarks.lines import Figure, Grid, Sheet, figures_of
from palate.auditing.benchmarks.llmbar import llmbar
from palate.auditing.benchmarks.published import Published, published
from palate.auditing.benchmarks.rewardbench import rewardbench
from palate.auditing.benchmarks.rewardbench2 import rewardbench2
from palate.auditing.benchmarks.rm_bench import rm_bench
from palate.records import PreferenceGroup
from palate.report.findings import Block, Check, Fact, Paragraph, Section, Table
from palate.report.plots import Bars

_WHY = (
    "These are the tables that the authors of the benchmarks publish, computed by their rules, so that a figure here "
    "can stand beside one from elsewhere. They tell which of two texts a model prefers, and little about what a policy "
    "trained against it will do."
)
_MOST = 24  # bars of one plot

SHEETS: dict[str, Callable[[Sequence[Item]], tuple[Sheet, ...]]] = {
    "rewardbench": lambda items: (rewardbench(items),),
    "pair-lists": lambda items: (rewardbench2(items),),
    "rm-bench": lambda items: (rm_bench(items),),
    "llmbar": lambda items: (llmbar(items),),
    "judgebench": judgebench,
}
"""By format, what makes the tables of its items."""


def check_benchmarks(groups: Sequence[PreferenceGroup], reward_R: Floats, formats: Sequence[str]) -> Check | None:
    """The table of every benchmark that the held-out data has rows of; None where it has rows of none.

    Facts, by the benchmark's key: `benchmarks.rewardbench.overall` where all published items are there and scored, else
    None; `.macro` and `.micro` of the items that there are; `.figures` with every cell and line.

    Args:
        groups: held-out data.
        reward_R: rewards of all responses, in the order of the groups; NaN where there is none.
        formats: of each group, see `palate.auditing.benchmarks.formats_of`.
    """
    items = items_by_format(groups, reward_R, formats)
    if not items:
        return None
    sheets = [sheet for name, own in items.items() for sheet in SHEETS[name](own)]
    blocks: list[Block] = []
    facts: dict[str, Fact] = {}
    for sheet in sheets:
        figures = figures_of(sheet)
        blocks += [Paragraph(_summary(sheet, figures)), *_shown(sheet, figures)]
        facts.update(_facts(sheet, figures))
    return Check(Section("benchmarks", "Benchmarks", _WHY, tuple(blocks)), (), facts)


def _shown(sheet: Sheet, figures: dict[str, Figure]) -> tuple[Block, ...]:
    if not figures:
        return ()
    grids = (_grid_table(sheet, grid, figures) for grid in sheet.grids)
    return (_table(sheet, figures), *grids, *_bars(sheet, figures), *_published_table(sheet, figures))


def _summary(sheet: Sheet, figures: dict[str, Figure]) -> str:
    """What was computed by which rules, on what, and what is missing."""
    unscored = max((cell.unscored for cell in sheet.cells), default=0)
    sentences = [f"{sheet.title}. {sheet.rule}"]
    if figures and sheet.is_complete:
        sentences.append("All published items are there.")
    elif figures:
        sentences.append(f"This is not the whole benchmark, so no figure is its overall score: {_lacking(sheet)}.")
    else:
        sentences.append("No row can be scored by them.")
    if unscored:
        sentences.append(f"Without a reward, such as over-long ones, and left out of the means: {unscored:,}.")
    sentences += [
        f"Without a place in the table: {count:,}, since {reason}." for reason, count in sheet.left_out.items()
    ]
    return " ".join(sentences)


def _lacking(sheet: Sheet) -> str:
    """What is not all there, the whole last."""
    incomplete = [cell for cell in sheet.cells if not cell.is_complete and cell.published is not None]
    counts = {cell.items_name: f"{int(cell.counted_I.sum()):,} of {cell.published:,}" for cell in incomplete}
    if sheet.whole.published is None:
        return "how many items it has is not known"
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _label(sheet: Sheet, figure: Figure) -> str:
    role = {sheet.macro: "macro: ", sheet.micro: "micro: "}.get(figure.name, "")
    whole = sheet.is_complete or (not role and figure.is_complete)
    official = ", the official score" if figure.name == sheet.overall and whole else ""
    without = f", without {', '.join(figure.missing)}" if figure.missing else ""
    return f"{role}{figure.name}{official}" if whole else f"{role}{figure.name} (partial{without})"


def _table(sheet: Sheet, figures: dict[str, Figure]) -> Table:
    names = (*sheet.shown, sheet.macro, sheet.micro)
    rows = tuple(
        (
            _label(sheet, figures[name]),
            figures[name].estimate.value,
            *_ends(figures[name]),
            figures[name].items,
            figures[name].published,
            figures[name].tied,
        )
        for name in names
        if name in figures
    )
    columns = ("", "score", "low", "high", "items", "published", "equal rewards")
    absent = [name for name in names if name not in figures]
    caption = f"{sheet.title}, with 95 % intervals" + (f"; nothing for {', '.join(absent)}" if absent else "")
    return Table(columns, rows, caption)


def _grid_table(sheet: Sheet, grid: Grid, figures: dict[str, Figure]) -> Table:
    rows = tuple(
        (row, *(figures[name].estimate.value if name in figures else None for name in names))
        for row, names in zip(grid.rows, grid.names, strict=True)
    )
    partial = "" if sheet.is_complete else " (partial)"
    return Table((grid.corner, *grid.columns), rows, f"{sheet.title}: {grid.caption}{partial}")


def _bars(sheet: Sheet, figures: dict[str, Figure]) -> tuple[Bars, ...]:
    drawn = [figures[name] for name in (*sheet.compared, sheet.micro) if name in figures]
    drawn = list({figure.name: figure for figure in drawn if not math.isnan(figure.estimate.low)}.values())[:_MOST]
    if not drawn:
        return ()
    return (
        Bars(
            sheet.title if sheet.is_complete else f"{sheet.title} (partial)",
            "score, 95 % intervals",
            tuple(figure.name for figure in drawn),
            tuple(figure.estimate.value for figure in drawn),
            tuple((figure.estimate.low, figure.estimate.high) for figure in drawn),
            tuple(f"{figure.items:,} items, {figure.tied:,} with equal rewards" for figure in drawn),
            reference=sheet.chance,
            reference_label="a coin",
        ),
    )


def _published_table(sheet: Sheet, figures: dict[str, Figure]) -> tuple[Block, ...]:
    others = [one for one in published() if one.benchmark == sheet.key]
    if not others:
        return ()
    roles = (sheet.macro, sheet.micro)
    own = {
        name: figure.estimate.value
        for name, figure in figures.items()
        if sheet.is_complete or (figure.is_complete and name not in roles)
    }
    rows = (("the audited model", own), *((_name(one), one.values(sheet)) for one in others))
    dashes = "" if sheet.is_complete else "; dashes where this data is not the whole of it"
    parts = tuple(name for name in sheet.compared if name != sheet.overall)
    table = Table(
        ("model", "overall", *parts),
        tuple((name, *(values.get(column) for column in (sheet.overall, *parts))) for name, values in rows),
        f"{sheet.title}: published figures of other reward models{dashes}",
    )
    sources = dict.fromkeys(str(one.source) for one in others)
    return table, Paragraph("Sources: " + "; ".join(sources) + ".")


def _name(one: Published) -> str:
    return f"{one.model} ({one.note})" if one.note else one.model


def _overall(sheet: Sheet, figures: dict[str, Figure]) -> dict[str, float | None]:
    names = (sheet.macro, sheet.micro)
    return {name: figures[name].estimate.value if name in figures else None for name in names}


def _facts(sheet: Sheet, figures: dict[str, Figure]) -> dict[str, Fact]:
    overall = _overall(sheet, figures)
    facts: dict[str, Fact] = {
        "complete": bool(figures) and sheet.is_complete,
        "overall": overall[sheet.overall] if figures and sheet.is_complete else None,
        "official": sheet.official,
        "macro": overall[sheet.macro],
        "micro": overall[sheet.micro],
        "left_out": dict(sheet.left_out),
        "figures": {name: _figure_fact(figure) for name, figure in figures.items()},
    }
    return {f"benchmarks.{sheet.key}.{name}": value for name, value in facts.items()}


def _figure_fact(figure: Figure) -> Fact:
    low, high = _ends(figure)
    return {
        "value": figure.estimate.value,
        "low": low,
        "high": high,
        "items": figure.items,
        "published_items": figure.published,
        "unscored": figure.unscored,
        "equal_rewards": figure.tied,
        "complete": figure.is_complete,
    }


def _ends(figure: Figure) -> tuple[float | None, float | None]:
    estimate = figure.estimate
    return (None, None) if math.isnan(estimate.low) else (estimate.low, estimate.high)
