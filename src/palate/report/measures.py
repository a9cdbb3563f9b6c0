"""How bad a finding is, in numbers, in words and as a bar."""

from dataclasses import dataclass

from markupsafe import Markup

from palate.report.findings import Measure
from palate.report.numbers import format_column, format_number
from palate.report.scales import drawable, linear_scale
from palate.report.svg_parts import element, line, text, whisker


@dataclass(frozen=True, slots=True)
class SaidMeasure:
    """The numbers of a measure in the same decimals; what it does not have is empty."""

    value: str
    interval: str
    threshold: str


def say_numbers(measure: Measure) -> SaidMeasure:
    """The numbers for people.

    >>> say_numbers(Measure(0.0312, "share of dev prompts", 0.024, 0.0401, 0.01))
    SaidMeasure(value='0.0312', interval='0.0240 to 0.0401', threshold='0.0100')
    """
    numbers = (measure.value, measure.low, measure.high, measure.threshold)
    value, low, high, threshold = format_column(numbers)
    known = measure.low is not None and measure.high is not None
    return SaidMeasure(value, f"{low} to {high}" if known else "", "" if measure.threshold is None else threshold)


def say_measure(measure: Measure) -> str:
    """One sentence.

    >>> say_measure(Measure(0.745, "share of pairs", 0.737, 0.753, 0.65))
    '0.745 share of pairs, 95 % interval 0.737 to 0.753, threshold 0.650'
    """
    said = say_numbers(measure)
    interval = f", 95 % interval {said.interval}" if said.interval else ""
    return f"{said.value} {measure.unit}{interval}" + (f", threshold {said.threshold}" if said.threshold else "")


def draw_measure(measure: Measure) -> Markup:
    """A bar from zero to the value, its interval, and the threshold as a line; empty where there is no value."""
    if not drawable(measure.value):
        return Markup()
    interval = [end for end in (measure.low, measure.high) if end is not None and drawable(end)]
    threshold = [] if measure.threshold is None or not drawable(measure.threshold) else [measure.threshold]
    x = linear_scale([measure.value, *interval, *threshold], 2, 298, zero=True, parts=2)
    zero, value = x.place(0), x.place(measure.value)
    parts = [
        element("rect", x=2.0, y=5.0, width=296.0, height=10.0, class_="track"),
        element("rect", x=min(zero, value), y=5.0, width=abs(value - zero), height=10.0, class_="amount"),
    ]
    if len(interval) == 2:
        parts += whisker((x.place(interval[0]), x.place(interval[1])), 10, upright=False)
    parts += [line(x.place(at), 0, x.place(at), 20, "threshold") for at in threshold]
    parts += [text(format_number(x.low), 2, 31, "start"), text(format_number(x.high), 298, 31, "end")]
    return element("svg", *parts, class_="measure", viewBox="0 0 300 34", role="img", aria_label=say_measure(measure))
