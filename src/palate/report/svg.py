"""Plots as they stand on the page: the drawing, the same in words, and the same as a table.

Whoever cannot see a drawing, or wants its numbers, has the table; the words are what a screen reader says of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from palate.report.findings import Table
from palate.report.numbers import Cell
from palate.report.plots import Bars, Histogram, Lines, Plot, Scatter
from palate.report.svg_bars import draw_bars, draw_histogram
from palate.report.svg_parts import Drawing
from palate.report.svg_points import draw_lines, draw_scatter

MOST_ROWS = 300
"""Of a table of values; further ones are counted below it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot in its three forms."""

    title: str
    drawing: Drawing
    values: Table


def make_figure(plot: Plot) -> Figure:
    """Draw a plot; one without any number that can be drawn has an empty drawing.

    Raises:
        ValueError: its parts are not of one length.
    """
    values = tabulate(plot)
    count = len(values.rows) + values.omitted
    label = (
        f"{plot.title}. {_KINDS[type(plot)]}, {count:,} {'row' if count == 1 else 'rows'}; values in the table below."
    )
    match plot:
        case Bars():
            drawing = draw_bars(plot, label)
        case Histogram():
            drawing = draw_histogram(plot, label)
        case Lines():
            drawing = draw_lines(plot, label)
        case Scatter():
            drawing = draw_scatter(plot, label)
    return Figure(plot.title, drawing, values)


def tabulate(plot: Plot) -> Table:
    """The numbers of a plot, at most `MOST_ROWS` of them.

    >>> tabulate(Bars("wins", "share", ("a", "b"), (0.5, 0.6), ((0.4, 0.6), (0.5, 0.7)))).rows
    (('a', 0.5, 0.4, 0.6), ('b', 0.6, 0.5, 0.7))
    """
    rows: list[tuple[Cell, ...]]
    match plot:
        case Bars():
            columns = ["", plot.axis, *(["low", "high"] if plot.intervals else []), *(["note"] if plot.labels else [])]
            extra = [*zip(*plot.intervals, strict=True), *([plot.labels] if plot.labels else [])]
            rows = list(zip(plot.names, plot.values, *extra, strict=True))
        case Histogram():
            columns = ["from", "to", *(name for name, _ in plot.counts)]
            counts = [row for _, row in plot.counts]
            rows = list(zip(plot.edges, plot.edges[1:], *counts, strict=False))
        case Lines():
            columns = ["", plot.x_axis, plot.y_axis, "low", "high"]
            rows = [
                (curve.name, *point)
                for curve in plot.lines
                for point in zip(
                    curve.x, curve.y, curve.low or _none(curve.x), curve.high or _none(curve.x), strict=True
                )
            ]
        case Scatter():
            columns = [plot.x_axis, plot.y_axis, *(["note"] if plot.labels else [])]
            rows = list(zip(plot.x, plot.y, *([plot.labels] if plot.labels else []), strict=True))
    return Table(tuple(columns), tuple(rows[:MOST_ROWS]), omitted=max(0, len(rows) - MOST_ROWS))


_KINDS: dict[type, str] = {Bars: "Bar chart", Histogram: "Histogram", Lines: "Line chart", Scatter: "Scatter plot"}


def _none(values: Sequence[float]) -> tuple[None, ...]:
    return (None,) * len(values)
