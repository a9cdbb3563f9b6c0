"""Drawings of one number against another: curves with bands, and points with a fitted line."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

from palate.report.numbers import format_number
from palate.report.plots import Line, Lines, Scatter
from palate.report.scales import Scale, drawable, linear_scale, log_scale
from palate.report.svg_parts import (
    BOTTOM,
    HEIGHT,
    RIGHT,
    TOP,
    Drawing,
    LegendEntry,
    element,
    label_room,
    line,
    missing,
    series,
    svg,
    x_axis,
    y_axis,
)

DOTS = 60
"""Curves of more points are drawn without a dot at each."""
MOST_MARKS = 400
"""Places of one curve that a reader can point at; of more points every n-th."""

Point = tuple[float, float, float, float]
"""x, y, and the ends of the band, which are y where there is none."""


def draw_lines(plot: Lines, label: str) -> Drawing:
    """Curves that break where a value is missing."""
    curves = [(curve, list(_points(curve, plot.log_x))) for curve in plot.lines]
    places = [point for _, points in curves for point in points if point is not None]
    lost = sum(_lost(curve, points) for curve, points in curves)
    what = "not a number that can be drawn on a logarithmic axis" if plot.log_x else "not a number that can be drawn"
    if not places:
        return Drawing(Markup(), note=missing(lost, what))
    heights = [end for point in places for end in point[1:]]
    across = [point[0] for point in places]
    both = [*heights, *across] if plot.diagonal and not plot.log_x else []
    y = linear_scale(both or heights, BOTTOM, TOP)
    left = label_room(y)
    x = log_scale(across, left, RIGHT) if plot.log_x else linear_scale(both or across, left, RIGHT)
    parts = [*x_axis(x, TOP, BOTTOM), *y_axis(y, left, RIGHT)]
    legend = []
    if plot.diagonal:
        parts += _diagonal(x, y)
        legend.append(LegendEntry("y = x", "line reference"))
    for n, (curve, points) in enumerate(curves):
        parts += _curve(points, x, y, series(n))
        parts += _marks(plot, n, points, x, y)
        legend += [LegendEntry(curve.name, f"line {series(n)}")] if len(curves) > 1 or plot.diagonal else []
    return Drawing(svg(HEIGHT, parts, label), plot.x_axis, plot.y_axis, tuple(legend), missing(lost, what))


def draw_scatter(plot: Scatter, label: str) -> Drawing:
    """Points, the more transparent the more there are, and the line through them."""
    labels = plot.labels or [""] * len(plot.x)
    rows = list(zip(plot.x, plot.y, labels, strict=True))
    points = [row for row in rows if drawable(row[0]) and drawable(row[1])]
    note = missing(len(rows) - len(points))
    if not points:
        return Drawing(Markup(), note=note)
    y = linear_scale([point[1] for point in points], BOTTOM, TOP)
    left = label_room(y)
    x = linear_scale([point[0] for point in points], left, RIGHT)
    parts = [*x_axis(x, TOP, BOTTOM), *y_axis(y, left, RIGHT)]
    density = "few" if len(points) <= 80 else "some" if len(points) <= 600 else "many"
    for px, py, name in points:
        tip = f"{plot.x_axis}: {format_number(px)}\n{plot.y_axis}: {format_number(py)}" + (f"\n{name}" if name else "")
        parts.append(_dot(x.place(px), y.place(py), f"dot mark s1 {density}", tip))
    legend: tuple[LegendEntry, ...] = ()
    if plot.fit is not None:
        parts += _fit(*plot.fit, x, y)
        slope, intercept = map(format_number, plot.fit)
        legend = (LegendEntry(f"fit: slope {slope}, intercept {intercept}", "line fit"),)
    return Drawing(svg(HEIGHT, parts, label), plot.x_axis, plot.y_axis, legend, note)


def _points(curve: Line, log: bool) -> Iterator[Point | None]:
    """Each point, or None where it has no place; a band that has none there is drawn as a line."""
    for x, y, low, high in zip(curve.x, curve.y, curve.low or curve.y, curve.high or curve.y, strict=True):
        if not (drawable(x, log) and drawable(y)):
            yield None
        else:
            yield (x, y, low, high) if drawable(low) and drawable(high) else (x, y, y, y)


def _lost(curve: Line, points: Sequence[Point | None]) -> int:
    """How many points are not drawn, or without their band."""
    bands = zip(curve.low or curve.y, curve.high or curve.y, strict=True)
    return sum(point is None or not all(map(drawable, band)) for point, band in zip(points, bands, strict=True))


def _curve(points: Sequence[Point | None], x: Scale, y: Scale, colour: str) -> list[Markup]:
    parts = []
    for found, group in groupby(points, lambda point: point is not None):
        if not found:
            continue
        run = [point for point in group if point is not None]
        if any(low != high for _, _, low, high in run):
            upper = [_place(x.place(p[0]), y.place(p[3])) for p in run]
            lower = [_place(x.place(p[0]), y.place(p[2])) for p in reversed(run)]
            parts.append(element("polygon", points=" ".join([*upper, *lower]), class_=f"band {colour}"))
        middle = " ".join(_place(x.place(p[0]), y.place(p[1])) for p in run)
        parts.append(element("polyline", points=middle, class_=f"curve {colour}"))
    return parts


def _marks(plot: Lines, index: int, points: Sequence[Point | None], x: Scale, y: Scale) -> Iterator[Markup]:
    drawn = [point for point in points if point is not None]
    for px, py, low, high in drawn[:: -(-len(drawn) // MOST_MARKS) or 1]:
        between = f" [{format_number(low)}, {format_number(high)}]" if low != high else ""
        tip = (
            f"{plot.lines[index].name}\n{plot.x_axis}: {format_number(px)}\n{plot.y_axis}: {format_number(py)}{between}"
        )
        look = "dot mark few" if len(drawn) <= DOTS else "unseen mark"
        yield _dot(x.place(px), y.place(py), f"{look} {series(index)}", tip)


def _diagonal(x: Scale, y: Scale) -> list[Markup]:
    """The line y = x where both axes have it; a curve on a logarithmic axis, hence many short pieces."""
    first, last = (10**x.low, 10**x.high) if x.log else (x.low, x.high)
    low, high = max(first, y.low), min(last, y.high)
    if low >= high:
        return []
    steps = [low * (1 - n / 64) + high * (n / 64) for n in range(65)]
    return [element("polyline", points=" ".join(_place(x.place(v), y.place(v)) for v in steps), class_="reference")]


def _fit(slope: float, intercept: float, x: Scale, y: Scale) -> list[Markup]:
    """The part of a line that lies within the axes."""
    if not (drawable(slope) and drawable(intercept)):
        return []
    low, high = x.low, x.high
    if slope != 0:
        enters, leaves = sorted(((y.low - intercept) / slope, (y.high - intercept) / slope))
        low, high = max(low, enters), min(high, leaves)
    ends = [slope * at + intercept for at in (low, high)]
    slack = 1e-6 * (y.high - y.low)
    if not (low < high and all(y.low - slack <= end <= y.high + slack for end in ends)):
        return []
    return [line(x.place(low), y.place(ends[0]), x.place(high), y.place(ends[1]), "fit")]


def _dot(x: float, y: float, class_: str, tip: str) -> Markup:
    return element("circle", cx=x, cy=y, r=3.0, class_=class_, data_tip=tip)


def _place(x: float, y: float) -> str:
    return f"{x:.1f},{y:.1f}"
