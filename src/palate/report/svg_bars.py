"""Drawings of amounts: bars with intervals, and histograms."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from palate.report.numbers import format_number
from palate.report.plots import Bars, Histogram
from palate.report.scales import Scale, drawable, linear_scale
from palate.report.svg_parts import (
    BOTTOM,
    HEIGHT,
    RIGHT,
    TOP,
    WIDTH,
    Drawing,
    LegendEntry,
    element,
    label_room,
    line,
    missing,
    series,
    shorten,
    svg,
    text,
    text_width,
    whisker,
    x_axis,
    y_axis,
)

MOST_BARS = 40
"""More are in the table of values below a drawing, and the note says so."""
ROW = 24.0


@dataclass(frozen=True, slots=True)
class _Bar:
    name: str
    value: float
    interval: tuple[float, float] | None
    label: str

    @property
    def tip(self) -> str:
        between = f" [{format_number(self.interval[0])}, {format_number(self.interval[1])}]" if self.interval else ""
        return f"{self.name}: {format_number(self.value)}{between}" + (f"\n{self.label}" if self.label else "")


def draw_bars(plot: Bars, label: str) -> Drawing:
    """Bars upright, or on their side where names need the room."""
    bars, lost = _bars_of(plot)
    if not bars:
        return Drawing(Markup(), note=missing(lost))
    drawn = bars[:MOST_BARS]
    reference = plot.reference if plot.reference is not None and drawable(plot.reference) else None
    room = (WIDTH - 60) / len(drawn)
    upright = len(drawn) <= 12 and all(text_width(bar.name) <= room for bar in drawn)
    more = len(bars) - len(drawn)
    return Drawing(
        (_upright if upright else _on_their_side)(drawn, reference, label),
        x_title="" if upright else plot.axis,
        y_title=plot.axis if upright else "",
        legend=() if reference is None else (LegendEntry(plot.reference_label or "reference", "line reference"),),
        note=" ".join(filter(None, (missing(lost), f"{more:,} more in the table of values." if more else ""))),
    )


def draw_histogram(plot: Histogram, label: str) -> Drawing:
    """Each series as steps over the bins, one on top of the other."""
    edges = list(zip(plot.edges, plot.edges[1:], strict=False))
    found = [bin_ for bin_, (low, high) in enumerate(edges) if drawable(low) and drawable(high)]
    lost = len(edges) - len(found)
    counts = []
    for name, all_counts in plot.counts:
        if len(all_counts) != len(edges):
            raise ValueError(f"histogram {plot.title!r}: {len(all_counts)} counts of {name!r} in {len(edges)} bins")
        lost += sum(not drawable(all_counts[bin_]) for bin_ in found)
        counts.append((name, [c if drawable(c := all_counts[bin_]) else 0.0 for bin_ in found]))
    if not found or not counts:
        return Drawing(Markup(), note=missing(lost))
    marker = [plot.marker] if plot.marker is not None and drawable(plot.marker) else []
    y = linear_scale([c for _, row in counts for c in row], BOTTOM, TOP, zero=True)
    left = label_room(y)
    x = linear_scale([*marker, *(edge for bin_ in found for edge in edges[bin_])], left, RIGHT)
    places = [(x.place(edges[bin_][0]), x.place(edges[bin_][1])) for bin_ in found]
    parts = [*x_axis(x, TOP, BOTTOM), *y_axis(y, left, RIGHT)]
    parts += [_steps(places, row, y, f"area {series(n)}") for n, (_, row) in enumerate(counts)]
    parts += [line(x.place(value), TOP, x.place(value), BOTTOM, "reference") for value in marker]
    for n, (bin_, (start, end)) in enumerate(zip(found, places, strict=True)):
        low, high = (format_number(edge) for edge in edges[bin_])
        rows = "".join(f"\n{name}: {format_number(row[n])}" for name, row in counts)
        parts.append(_mark(min(start, end), TOP, abs(end - start), BOTTOM - TOP, f"{low} to {high}{rows}"))
    names = [LegendEntry(name, f"area {series(n)}") for n, (name, _) in enumerate(counts) if len(counts) > 1]
    names += [LegendEntry(plot.marker_label or "marker", "line reference")] if marker else []
    return Drawing(svg(HEIGHT, parts, label), plot.axis, "count", tuple(names), missing(lost))


def _bars_of(plot: Bars) -> tuple[list[_Bar], int]:
    """What can be drawn, and how many numbers cannot."""
    bars, lost = [], 0
    intervals: Sequence[tuple[float, float] | None] = plot.intervals or [None] * len(plot.names)
    labels = plot.labels or [""] * len(plot.names)
    for name, value, interval, label in zip(plot.names, plot.values, intervals, labels, strict=True):
        if interval is not None and not all(map(drawable, interval)):
            interval, lost = None, lost + 1
        if drawable(value):
            bars.append(_Bar(name, value, interval, label))
        else:
            lost += 1
    return bars, lost


def _upright(bars: list[_Bar], reference: float | None, label: str) -> Markup:
    y = linear_scale(_extent(bars, reference), BOTTOM, TOP + 8, zero=True)
    left = label_room(y)
    step = (RIGHT - left) / len(bars)
    wide = min(0.62 * step, 56.0)
    parts = y_axis(y, left, RIGHT)
    for n, bar in enumerate(bars):
        centre, top = left + (n + 0.5) * step, y.place(bar.value)
        parts.append(_rectangle(centre - wide / 2, top, wide, y.place(0) - top, "bar s1"))
        parts += _whisker(bar, y, centre, upright=True)
        parts.append(text(bar.name, centre, BOTTOM + 16, "middle"))
        parts.append(_mark(centre - step / 2, TOP, step, BOTTOM - TOP, bar.tip))
    parts.append(line(left, y.place(0), RIGHT, y.place(0), "base"))
    parts += [line(left, y.place(reference), RIGHT, y.place(reference), "reference")] if reference is not None else []
    return svg(HEIGHT, parts, label)


def _on_their_side(bars: list[_Bar], reference: float | None, label: str) -> Markup:
    values = [format_number(bar.value) for bar in bars]
    left = min(200.0, max(text_width(bar.name) for bar in bars)) + 12
    bottom = TOP + ROW * len(bars)
    x = linear_scale(_extent(bars, reference), left, RIGHT - max(map(text_width, values)) - 6, zero=True, parts=4)
    parts = x_axis(x, TOP, bottom)
    for n, (bar, value) in enumerate(zip(bars, values, strict=True)):
        top, end = TOP + n * ROW, x.place(bar.value)
        parts.append(_rectangle(x.place(0), top + 5, end - x.place(0), ROW - 10, "bar s1"))
        parts += _whisker(bar, x, top + ROW / 2, upright=False)
        parts.append(text(shorten(bar.name, left - 12), left - 9, top + ROW / 2 + 3.8, "end", "name"))
        parts.append(text(value, RIGHT + 6, top + ROW / 2 + 3.8, "end"))
        parts.append(_mark(0, top, WIDTH, ROW, bar.tip))
    parts.append(line(x.place(0), TOP, x.place(0), bottom, "base"))
    parts += [line(x.place(reference), TOP, x.place(reference), bottom, "reference")] if reference is not None else []
    return svg(bottom + 24, parts, label)


def _extent(bars: list[_Bar], reference: float | None) -> list[float]:
    ends = [end for bar in bars for end in (bar.value, *(bar.interval or ()))]
    return ends if reference is None else [*ends, reference]


def _whisker(bar: _Bar, scale: Scale, across: float, *, upright: bool) -> list[Markup]:
    if bar.interval is None:
        return []
    low, high = bar.interval
    return whisker((scale.place(low), scale.place(high)), across, upright=upright)


def _steps(places: list[tuple[float, float]], row: list[float], y: Scale, class_: str) -> Markup:
    base = f"{y.place(0):.1f}"
    path = f"M{places[0][0]:.1f},{base}"
    for (start, end), count in zip(places, row, strict=True):
        path += f"L{start:.1f},{y.place(count):.1f}H{end:.1f}"
    return element("path", d=f"{path}V{base}Z", class_=class_)


def _rectangle(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    """A rectangle whose sides may be negative, as those of bars below zero are."""
    return element(
        "rect", x=min(x, x + width), y=min(y, y + height), width=abs(width), height=abs(height), class_=class_
    )


def _mark(x: float, y: float, width: float, height: float, tip: str) -> Markup:
    return element("rect", x=x, y=y, width=width, height=height, class_="mark", data_tip=tip)
