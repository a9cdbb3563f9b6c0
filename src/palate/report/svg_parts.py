"""What all drawings are made of: escaped elements, axes, and what stands beside the drawing.

Titles, legends and names of axes are not in the SVG but beside it, where they wrap on a narrow screen. Colours are
classes, so that one drawing serves light, dark and print. A mark is an element with `data-tip`, which the page shows
when a reader points at it.
"""

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from palate.report.scales import Scale

WIDTH = 400.0
"""Of a drawing. A phone is nearly as wide, so that 11 units of text stay legible there without a second drawing."""
HEIGHT = 220.0
TOP, BOTTOM, RIGHT = 10.0, HEIGHT - 24, WIDTH - 10
"""Where the axes end; the left margin depends on the labels."""
SERIES = 6
"""How many colours there are before they begin anew."""


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A name, and the classes of its swatch: `line` or `area`, and a colour."""

    name: str
    look: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot as it stands on the page.

    Attributes:
        svg: the drawing, empty where there is nothing to draw.
        x_title, y_title: names of the axes, empty where there are none.
        legend: empty where one series needs no name.
        note: what is not drawn and why; empty where everything is.
    """

    svg: Markup
    x_title: str = ""
    y_title: str = ""
    legend: tuple[LegendEntry, ...] = ()
    note: str = ""


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """`<tag attribute="...">children</tag>`, everything escaped but `Markup`.

    >>> element("text", "1 < 2", x=3.14159, class_="tick")
    Markup('<text x="3.1" class="tick">1 &lt; 2</text>')
    """
    written = "".join(f' {name.strip("_").replace("_", "-")}="{_value(v)}"' for name, v in attributes.items())
    return Markup(f"<{tag}{written}>{''.join(map(escape, children))}</{tag}>")


def svg(height: float, children: Iterable[Markup], label: str) -> Markup:
    """The drawing itself: scales with its box, is one stop of the Tab key, and says what it shows."""
    view = f"0 0 {WIDTH:.0f} {height:.0f}"
    return element("svg", *children, class_="plot", viewBox=view, role="img", tabindex=0.0, aria_label=label)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def whisker(ends: tuple[float, float], across: float, *, upright: bool) -> list[Markup]:
    """An interval along one axis, at `across` on the other, with a stroke at each end."""
    low, high = ends
    strokes = [(across, low, across, high), (across - 4, low, across + 4, low), (across - 4, high, across + 4, high)]
    return [line(*(s if upright else (s[1], s[0], s[3], s[2])), "whisker") for s in strokes]


def x_axis(x: Scale, top: float, bottom: float) -> list[Markup]:
    """Faint grid lines, and labels below them that stay inside the drawing."""
    drawn = []
    for tick, label in zip(x.ticks, x.labels, strict=True):
        at, half = x.place(tick), text_width(label) / 2
        drawn += [line(at, bottom, at, top, "grid faint"), text(label, min(at, WIDTH - half), bottom + 16, "middle")]
    return drawn


def y_axis(y: Scale, left: float, right: float) -> list[Markup]:
    """Grid lines, and labels to their left."""
    drawn = []
    for tick, label in zip(y.ticks, y.labels, strict=True):
        at = y.place(tick)
        drawn += [line(left, at, right, at, "grid"), text(label, left - 7, at + 3.8, "end")]
    return drawn


def text(content: str, x: float, y: float, anchor: str, class_: str = "tick") -> Markup:
    """A line of text; `anchor` is start, middle or end."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=class_)


def text_width(content: str) -> float:
    """About how wide a text is; wide letters, as in Chinese, count twice."""
    return sum(12.0 if unicodedata.east_asian_width(letter) in "WF" else 6.2 for letter in content)


def shorten(content: str, room: float) -> str:
    """The text, or as much of its beginning as fits."""
    content = " ".join(content.split())
    if text_width(content) <= room:
        return content
    while content and text_width(content) > room - 8:
        content = content[:-1]
    return content.rstrip() + "…"


def label_room(y: Scale) -> float:
    """Left margin that the labels of an axis need."""
    return max(map(text_width, y.labels), default=0.0) + 10


def series(index: int) -> str:
    """Class of the index-th series."""
    return f"s{index % SERIES + 1}"


def missing(count: int, what: str = "not a number that can be drawn") -> str:
    """The note on values that are left out, empty for none."""
    return "" if count == 0 else f"{count:,} {'value is' if count == 1 else 'values are'} {what}."


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return str(escape(value)).replace("\n", "&#10;")  # XML would read a line break as a space
    assert math.isfinite(value), "a place is not a number"
    return f"{value:.1f}".removesuffix(".0")
