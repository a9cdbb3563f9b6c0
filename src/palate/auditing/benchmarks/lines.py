"""Tables of benchmarks: cells that are means over items, and lines that are means of cells and of other lines.

Every figure of the five benchmarks is one of the two, so that one bootstrap gives intervals for all of them: it
resamples prompts, and a prompt takes all its items along.

Shape legend: I items, K cells, M prompts, R resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from palate.metrics import Estimate, cluster_sums, share_estimate
from palate.metrics.intervals import percentile_estimate, resampled_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A mean over some of the items.

    Attributes:
        name: unique in its sheet.
        member_I: which items it is about.
        value_I: what each of them scores; NaN where it could not be scored.
        published: how many items the published set has here; None where that is not known.
        part: what its items are called, where several cells are about the same ones; else they go by its name.
    """

    name: str
    member_I: NDArray[np.bool_]
    value_I: Floats
    published: int | None = None
    part: str = ""

    @property
    def items_name(self) -> str:
        """What its items are called."""
        return self.part or self.name

    @property
    def counted_I(self) -> NDArray[np.bool_]:
        """Members with a score."""
        counted: NDArray[np.bool_] = self.member_I & np.isfinite(self.value_I)
        return counted

    @property
    def unscored(self) -> int:
        """Members without a score."""
        return int(self.member_I.sum() - self.counted_I.sum())

    @property
    def is_complete(self) -> bool:
        """Whether as many items as are published are there, and all of them are scored."""
        return self.unscored == 0 and int(self.member_I.sum()) == self.published


@dataclass(frozen=True, slots=True)
class Line:
    """A figure made of cells, and of lines before it.

    Attributes:
        name: unique in its sheet.
        parts: names and weights.
        kind: a mean divides by the weights of the parts that there are; a sum does not divide and needs all of them.
    """

    name: str
    parts: tuple[tuple[str, float], ...]
    kind: Literal["mean", "sum"] = "mean"


def mean(name: str, *parts: str) -> Line:
    """The unweighted mean of parts."""
    return Line(name, tuple((part, 1.0) for part in parts))


@dataclass(frozen=True, slots=True)
class Grid:
    """Figures laid out in rows and columns; `names` holds the name of each, row by row."""

    caption: str
    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One benchmark, ready to be computed.

    Attributes:
        key: for facts, such as `rewardbench`.
        title: for people.
        rule: how it is scored, and by whose rules, in a sentence or two.
        prompt_I: what dependent items have in common.
        tied_I: how many comparisons of each item had equal rewards.
        cells, lines: its figures.
        shown: names of the figures of the main table, in order.
        compared: names of those that stand beside published ones.
        macro, micro: names of the two figures over everything: the mean of parts, and the mean of items.
        official: which of the two the benchmark itself reports.
        grids: further tables.
        left_out: items that no figure is about, by reason.
        chance: what a coin gets.
    """

    key: str
    title: str
    rule: str
    prompt_I: tuple[str, ...]
    tied_I: NDArray[np.int64]
    cells: tuple[Cell, ...]
    lines: tuple[Line, ...]
    shown: tuple[str, ...]
    compared: tuple[str, ...]
    macro: str
    micro: str
    official: Literal["macro", "micro"]
    grids: tuple[Grid, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    chance: float | None = 0.5

    @property
    def whole(self) -> Cell:
        """The cell that all items belong to."""
        return next(cell for cell in self.cells if cell.name == self.micro)

    @property
    def overall(self) -> str:
        """The name of the official one of `macro` and `micro`."""
        return self.macro if self.official == "macro" else self.micro

    @property
    def is_complete(self) -> bool:
        """Whether all published items are there and scored: else nothing may be called overall."""
        known = (cell.is_complete for cell in self.cells if cell.published is not None)
        return self.whole.is_complete and all(known) and not any(cell.unscored for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a table.

    Attributes:
        name: of the cell or line.
        estimate: NaN ends where there is no interval.
        items: scored items that it is made of.
        published: how many there should be; None where that is not known.
        unscored: items left out for want of a reward.
        tied: comparisons with equal rewards among its items.
        missing: what has no items at all, see `Cell.items_name`.
        is_complete: whether it is what the benchmark publishes under that name.
    """

    name: str
    estimate: Estimate
    items: int
    published: int | None
    unscored: int
    tied: int
    missing: tuple[str, ...]
    is_complete: bool


def figures_of(sheet: Sheet, *, seed: int = 0) -> dict[str, Figure]:
    """All cells and lines with at least one scored item, with 95 % intervals from resampled prompts."""
    cells = [cell for cell in sheet.cells if cell.counted_I.any()]
    if not cells:
        return {}
    values = line_values({cell.name: np.array([_mean(cell)]) for cell in cells}, sheet.lines)
    columns_IF = np.column_stack([_sums(cell) for cell in cells])
    drawn_RF = resampled_sums(cluster_sums(columns_IF, sheet.prompt_I), seed=seed)
    with np.errstate(invalid="ignore"):
        drawn = {cell.name: drawn_RF[:, 2 * k] / drawn_RF[:, 2 * k + 1] for k, cell in enumerate(cells)}
    drawn = line_values(drawn, sheet.lines)
    found = {cell.name: _cell_figure(sheet, cell, drawn[cell.name]) for cell in cells}
    leaves = leaves_of(sheet)
    for line in sheet.lines:
        if line.name in values:
            parts = [cell for cell in sheet.cells if cell.name in leaves[line.name]]
            found[line.name] = _line_figure(sheet, line, parts, float(values[line.name][0]), drawn[line.name])
    return found


def line_values(known: Mapping[str, Floats], lines: Sequence[Line]) -> dict[str, Floats]:
    """Values of cells and of the lines that can be made of them, by name; arrays are combined element by element.

    >>> known = {"a": np.array([1.0]), "b": np.array([0.0])}
    >>> line_values(known, (Line("both", (("a", 3), ("b", 1), ("c", 9))),))["both"]
    array([0.75])
    """
    values = dict(known)
    for line in lines:
        parts = [(values[name], weight) for name, weight in line.parts if name in values]
        if not parts or (line.kind == "sum" and len(parts) < len(line.parts)):
            continue
        total: Floats = np.sum([weight * value for value, weight in parts], axis=0)
        values[line.name] = total / sum(weight for _, weight in parts) if line.kind == "mean" else total
    return values


def leaves_of(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    """Of every line the cells that it is made of in the end."""
    leaves: dict[str, tuple[str, ...]] = {cell.name: (cell.name,) for cell in sheet.cells}
    for line in sheet.lines:
        leaves[line.name] = tuple(dict.fromkeys(leaf for part, _ in line.parts for leaf in leaves.get(part, (part,))))
    return leaves


def _mean(cell: Cell) -> float:
    return float(cell.value_I[cell.counted_I].mean())


def _sums(cell: Cell) -> Floats:
    """[I, 2], score and count of each item."""
    return np.column_stack([np.where(cell.counted_I, cell.value_I, 0.0), cell.counted_I])


def _cell_figure(sheet: Sheet, cell: Cell, drawn_R: Floats) -> Figure:
    counted = cell.counted_I
    value_C = cell.value_I[counted]
    if value_C.min() >= 0 and value_C.max() <= 1:
        prompts = [prompt for prompt, kept in zip(sheet.prompt_I, counted, strict=True) if kept]
        estimate = share_estimate(value_C, prompts)
    else:
        estimate = _with_width(percentile_estimate(float(value_C.mean()), drawn_R))
    tied = int(sheet.tied_I[counted].sum())
    return Figure(cell.name, estimate, len(value_C), cell.published, cell.unscored, tied, (), cell.is_complete)


def _line_figure(sheet: Sheet, line: Line, parts: list[Cell], value: float, drawn_R: Floats) -> Figure:
    counted = np.any([cell.counted_I for cell in parts], axis=0)
    member = np.any([cell.member_I for cell in parts], axis=0)
    called = {cell.name: cell.items_name for cell in sheet.cells}
    there = {cell.name for cell in parts if cell.counted_I.any()}
    absent = (name for name in leaves_of(sheet)[line.name] if name not in there)
    missing = tuple(dict.fromkeys(called.get(name, name) for name in absent))
    return Figure(
        line.name,
        _with_width(percentile_estimate(value, drawn_R)),
        int(counted.sum()),
        None,
        int((member & ~counted).sum()),
        int(sheet.tied_I[counted].sum()),
        missing,
        not missing and all(cell.is_complete for cell in parts),
    )


def _with_width(estimate: Estimate) -> Estimate:
    """Resamples that all say the same say nothing: no interval."""
    if math.isnan(estimate.low) or estimate.low < estimate.high:
        return estimate
    return Estimate(estimate.value, math.nan, math.nan)
