"""Plots as data: what is drawn, not how. `palate.report.svg` draws them.

Points and bars may carry a `label`, shown when the reader points at them or moves to them with the keyboard.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Bars:
    """Named values side by side, with intervals where they are known.

    Attributes:
        title, axis: what is shown, and the unit of the values.
        names: one for each bar.
        values: heights (lengths: bars lie on their side where names are long).
        intervals: (low, high) for each bar, or nothing.
        labels: one for each bar, or nothing.
        reference: a line at this value, such as chance; None for none.
        reference_label: what the line is.
    """

    title: str
    axis: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...] = ()
    labels: tuple[str, ...] = ()
    reference: float | None = None
    reference_label: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values lie in each bin; several series are laid over each other.

    Attributes:
        title, axis: what is shown, and the unit of the values.
        edges: bins + 1 ascending numbers.
        counts: by series name, one count for each bin.
        marker: a line at this value, such as a limit; None for none.
        marker_label: what the line is.
    """

    title: str
    axis: str
    edges: tuple[float, ...]
    counts: tuple[tuple[str, tuple[float, ...]], ...]
    marker: float | None = None
    marker_label: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: places, heights and, where they are known, a band."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Curves over one axis.

    Attributes:
        title, x_axis, y_axis: what is shown, and the units.
        lines: the curves.
        diagonal: whether to draw y = x, as in a reliability plot.
        log_x: whether the x axis is logarithmic.
    """

    title: str
    x_axis: str
    y_axis: str
    lines: tuple[Line, ...]
    diagonal: bool = False
    log_x: bool = False


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points, at most a few thousand: a caller that has more draws a sample and says so in the title.

    Attributes:
        title, x_axis, y_axis: what is shown, and the units.
        x, y: the points.
        labels: one for each point, or nothing.
        fit: (slope, intercept) of a line through them; None for none.
    """

    title: str
    x_axis: str
    y_axis: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[str, ...] = ()
    fit: tuple[float, float] | None = None


Plot: TypeAlias = Bars | Histogram | Lines | Scatter
