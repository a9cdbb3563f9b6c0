"""What is drawn: the right places, all that can be drawn and nothing that cannot."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.report.findings import Measure
from palate.report.measures import draw_measure, say_measure
from palate.report.plots import Bars, Histogram, Line, Lines, Plot, Scatter
from palate.report.svg import MOST_ROWS, make_figure, tabulate
from palate.report.svg_bars import MOST_BARS
from palate.report.svg_parts import shorten, text_width

any_float = st.floats()


def column(size: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[any_float] * size)


@st.composite
def plots(draw: Callable) -> Plot:
    size = draw(st.integers(0, 5))
    names = tuple(draw(st.text(max_size=12)) for _ in range(size))
    match draw(st.sampled_from(("bars", "histogram", "lines", "scatter"))):
        case "bars":
            intervals = draw(st.one_of(st.just(()), st.tuples(*[column(2)] * size)))
            return Bars("t", "x", names, draw(column(size)), intervals, reference=draw(any_float))
        case "histogram":
            counts = tuple((name, draw(column(size))) for name in names[:3])
            return Histogram("t", "x", draw(column(size + 1)), counts, marker=draw(any_float))
        case "lines":
            band = [draw(column(size)), draw(column(size))] if draw(st.booleans()) else [(), ()]
            line = Line("l", draw(column(size)), draw(column(size)), *band)
            return Lines("t", "x", "y", (line, line), draw(st.booleans()), draw(st.booleans()))
    return Scatter("t", "x", "y", draw(column(size)), draw(column(size)), names, draw(st.none() | column(2)))


@given(plots())
@settings(max_examples=300, deadline=None)
def test_any_numbers_are_drawn_inside_the_drawing(plot: Plot) -> None:
    drawing = make_figure(plot).drawing
    for places in re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height|points|d)="([^"]*)"', drawing.svg):
        numbers = [float(number) for number in re.split("[ ,A-Z]+", places) if number]
        assert all(-1 <= number <= 1200 for number in numbers), places


@given(*[any_float] * 4)
def test_any_measure_is_drawn(value: float, low: float, high: float, threshold: float) -> None:
    drawn = draw_measure(Measure(value, "u", low, high, threshold))
    assert "nan" not in re.sub(r'aria-label="[^"]*"', "", drawn)
    assert bool(drawn) == (abs(value) <= 1e290)


@pytest.mark.parametrize(
    "plot",
    [
        Bars("t", "x", (), ()),
        Bars("t", "x", ("a",), (math.nan,)),
        Histogram("t", "x", (), ()),
        Histogram("t", "x", (0.0, math.nan), (("a", (1.0,)),)),
        Lines("t", "x", "y", ()),
        Lines("t", "x", "y", (Line("a", (0.0, -1.0), (1.0, 1.0)),), log_x=True),
        Scatter("t", "x", "y", (), ()),
        Scatter("t", "x", "y", (math.inf,), (0.0,)),
    ],
)
def test_nothing_to_draw_is_an_empty_drawing(plot: Plot) -> None:
    assert make_figure(plot).drawing.svg == ""


@pytest.mark.parametrize(
    "plot",
    [
        Bars("t", "x", ("a", "b"), (1.0,)),
        Bars("t", "x", ("a",), (1.0,), ((0.0, 1.0), (0.0, 1.0))),
        Histogram("t", "x", (0.0, 1.0, 2.0), (("a", (1.0,)),)),
        Lines("t", "x", "y", (Line("a", (0.0,), (1.0, 2.0)),)),
        Scatter("t", "x", "y", (0.0,), (1.0, 2.0)),
        Scatter("t", "x", "y", (0.0,), (1.0,), ("a", "b")),
    ],
)
def test_parts_of_different_length_are_refused(plot: Plot) -> None:
    with pytest.raises(ValueError, match=r"counts|shorter|longer"):
        make_figure(plot)


def drawn(plot: Plot, class_: str) -> list[ET.Element]:
    """Elements of a class; the SVG is well-formed XML too, so the standard library reads it."""
    root = ET.fromstring(make_figure(plot).drawing.svg)
    return [one for one in root.iter() if class_ in one.get("class", "").split()]


def number(element: ET.Element, name: str) -> float:
    return float(element.get(name, "nan"))


def test_bars_are_as_long_as_their_values() -> None:
    bars = drawn(Bars("t", "x", ("a", "b", "c"), (1.0, 2.0, -1.0)), "bar")
    heights = [number(bar, "height") for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert heights[2] == pytest.approx(heights[0], abs=0.2)
    assert number(bars[2], "y") == pytest.approx(number(bars[0], "y") + heights[0], abs=0.2)


def test_bars_with_long_names_lie_on_their_side_and_say_the_name_in_the_tip() -> None:
    name = "stack-exchange-preferences-en-2024-filtered"
    plot = Bars("t", "x", (name, "b"), (0.5, 0.25), ((0.25, 0.75), (0.2, 0.3)), ("n = 3", ""))
    bars = drawn(plot, "bar")
    assert number(bars[0], "width") == pytest.approx(2 * number(bars[1], "width"), abs=0.2)
    assert drawn(plot, "mark")[0].get("data-tip") == f"{name}: 0.5 [0.25, 0.75]\nn = 3"
    whisker = drawn(plot, "whisker")[0]
    assert number(whisker, "x2") - number(whisker, "x1") == pytest.approx(number(bars[0], "width"), abs=0.2)


def test_many_bars_are_cut_and_said() -> None:
    many = Bars("t", "x", tuple(f"source {n}" for n in range(MOST_BARS + 5)), (1.0,) * (MOST_BARS + 5))
    assert len(drawn(many, "bar")) == MOST_BARS
    assert make_figure(many).drawing.note == "5 more in the table of values."


def test_what_is_not_drawn_is_counted() -> None:
    bars = Bars("t", "x", ("a", "b"), (math.nan, 1.0), ((0.0, 1.0), (0.0, math.inf)))
    assert make_figure(bars).drawing.note == "2 values are not a number that can be drawn."
    lines = Lines("t", "x", "y", (Line("a", (0.0, 1.0, 2.0), (1.0, math.nan, 2.0)),), log_x=True)
    assert make_figure(lines).drawing.note == "2 values are not a number that can be drawn on a logarithmic axis."
    band = Lines("t", "x", "y", (Line("a", (0.0, 1.0), (1.0, math.nan), (0.0, math.nan), (math.inf, math.nan)),))
    assert make_figure(band).drawing.note == "2 values are not a number that can be drawn."
    assert make_figure(Bars("t", "x", ("a",), (1.0,))).drawing.note == ""


def test_histogram_steps_and_tips() -> None:
    plot = Histogram("t", "x", (0.0, 1.0, 3.0), (("chosen", (4.0, 2.0)), ("rejected", (1.0, 0.0))), 2.0, "limit")
    assert [mark.get("data-tip") for mark in drawn(plot, "mark")] == [
        "0 to 1\nchosen: 4\nrejected: 1",
        "1 to 3\nchosen: 2\nrejected: 0",
    ]
    first, second = drawn(plot, "mark")
    assert number(second, "width") == pytest.approx(2 * number(first, "width"), abs=0.2)
    assert number(drawn(plot, "reference")[0], "x1") == pytest.approx(
        number(second, "x") + number(second, "width") / 2, abs=0.2
    )
    assert [entry.name for entry in make_figure(plot).drawing.legend] == ["chosen", "rejected", "limit"]


def test_a_missing_value_breaks_the_curve_and_its_band() -> None:
    x = (0.0, 1.0, 2.0, 3.0, 4.0)
    y = (1.0, 2.0, math.nan, 2.0, 1.0)
    plot = Lines("t", "x", "y", (Line("a", x, y, tuple(v - 1 for v in y), tuple(v + 1 for v in y)),))
    assert [len(curve.get("points", "").split()) for curve in drawn(plot, "curve")] == [2, 2]
    assert [len(band.get("points", "").split()) for band in drawn(plot, "band")] == [4, 4]
    assert drawn(plot, "mark")[0].get("data-tip") == "a\nx: 0\ny: 1 [0, 2]"


def test_the_diagonal_goes_through_equal_values() -> None:
    plot = Lines("t", "x", "y", (Line("a", (0.0, 0.6), (0.2, 1.0)),), diagonal=True)
    xs, ys = zip(
        *(map(float, p.split(",")) for p in drawn(plot, "reference")[0].get("points", "").split()), strict=True
    )
    point = drawn(plot, "mark")[1]
    at = number(point, "cx")
    slope = (ys[-1] - ys[0]) / (xs[-1] - xs[0])
    below = ys[0] + slope * (at - xs[0]) - number(point, "cy")
    per_unit = abs(ys[-1] - ys[0])  # both axes go from 0 to 1
    assert below == pytest.approx(0.4 * per_unit, abs=1)


def test_a_fit_stays_inside_and_goes_through_its_points() -> None:
    plot = Scatter("t", "x", "y", (0.0, 1.0, 2.0), (0.0, 10.0, 20.0), fit=(10.0, 0.0))
    [fit] = drawn(plot, "fit")
    first, _, last = drawn(plot, "mark")
    for end, point in (("1", first), ("2", last)):
        assert number(fit, f"x{end}") == pytest.approx(number(point, "cx"), abs=0.2)
        assert number(fit, f"y{end}") == pytest.approx(number(point, "cy"), abs=0.2)
    for steep, outside in (((1000.0, 0.0), 1), ((0.0, 99.0), 0), ((1.0, 99.0), 0), ((math.nan, 0.0), 0)):
        assert len(drawn(Scatter("t", "x", "y", (0.0, 1.0), (0.0, 1.0), fit=steep), "fit")) == outside


def test_values_beyond_the_limit_are_counted() -> None:
    points = tuple(float(n) for n in range(MOST_ROWS + 7))
    table = tabulate(Scatter("t", "x", "y", points, points))
    assert (len(table.rows), table.omitted) == (MOST_ROWS, 7)


def test_every_kind_has_a_table() -> None:
    assert tabulate(Histogram("t", "x", (0.0, 1.0), (("a", (4.0,)),))).rows == ((0.0, 1.0, 4.0),)
    lines = tabulate(Lines("t", "x", "y", (Line("a", (1.0,), (2.0,), (1.5,), (2.5,)), Line("b", (1.0,), (3.0,)))))
    assert lines.rows == (("a", 1.0, 2.0, 1.5, 2.5), ("b", 1.0, 3.0, None, None))
    assert tabulate(Bars("t", "x", ("a",), (1.0,), labels=("n",))).rows == (("a", 1.0, "n"),)
    assert tabulate(Scatter("t", "x", "y", (1.0,), (2.0,), ("n",))).rows == ((1.0, 2.0, "n"),)


def test_the_bar_of_a_measure_is_to_scale() -> None:
    root = ET.fromstring(draw_measure(Measure(0.5, "share", 0.4, 0.6, 0.25)))
    place = {one.get("class"): one for one in root.iter()}
    start, amount = number(place["amount"], "x"), number(place["amount"], "width")
    assert number(place["threshold"], "x1") - start == pytest.approx(amount / 2, abs=0.2)
    assert root.get("aria-label") == say_measure(Measure(0.5, "share", 0.4, 0.6, 0.25))


def test_long_names_are_shortened_to_their_room() -> None:
    assert shorten("short", 100) == "short"
    assert shorten("two\n lines", 100) == "two lines"
    for text in ("a" * 100, "漢字" * 30):
        assert shorten(text, 100).endswith("…")
        assert text_width(shorten(text, 100)) <= 105
