"""From values to places on a page: axes that begin and end at round numbers.

Any finite doubles will do: those beyond `LIMIT` are not drawable, and a range too narrow for a double to divide is
widened, so that no place is ever NaN.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from palate.report.numbers import format_ticks

LIMIT = 1e290
"""Differences and sums of such numbers are still finite."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis: the values at its ends, where these lie on the page, and its ticks.

    Attributes:
        low, high: values at the ends; their logarithms to base 10 where `log`.
        start, end: their places, in units of the drawing.
        ticks, labels: values that are written beside the axis, and how.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies; on a logarithmic axis it has to be positive."""
        at = math.log10(value) if self.log else value
        return self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)


def drawable(value: float, log: bool = False) -> bool:
    """Whether a value has a place on an axis: not NaN, not infinite, and positive on a logarithmic one."""
    return math.isfinite(value) and abs(value) <= LIMIT and (value > 0 or not log)


def linear_scale(values: Iterable[float], start: float, end: float, *, zero: bool = False, parts: int = 5) -> Scale:
    """An axis over drawable values, in about `parts` steps of 1, 2, 2.5 or 5 times a power of ten.

    >>> scale = linear_scale([0.3, 9.2], 0, 100)
    >>> scale.labels, scale.place(5)
    (('0', '2', '4', '6', '8', '10'), 50.0)
    """
    low, high = _widened([*values, 0.0] if zero else list(values))
    raw = (high - low) / parts
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next((m for m in (1, 2, 2.5, 5) if raw <= m * power * 1.001), 10)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    ticks = tuple(n * step for n in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, ticks, format_ticks(ticks, step))


def log_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """A logarithmic axis over positive values, with ticks at 1, 2 and 5 times powers of ten, or at fewer of these.

    >>> log_scale([3, 900], 0, 100).labels
    ('5', '10', '20', '50', '100', '200', '500')
    """
    found = [math.log10(value) for value in values]
    low, high = min(found, default=0.0), max(found, default=1.0)
    if high - low < 0.7:  # the least in which at least two ticks lie
        low, high = (low + high) / 2 - 0.35, (low + high) / 2 + 0.35
    powers = range(math.floor(low), math.ceil(high) + 1)
    every = max(1, len(powers) // 6)
    multiples = (1, 2, 5) if high - low < 2.5 else (1,)
    ticks = [m * 10.0**power for power in powers[::every] if abs(power) <= 300 for m in multiples]
    inside = tuple(tick for tick in ticks if low - 1e-9 <= math.log10(tick) <= high + 1e-9)
    return Scale(low, high, start, end, inside, tuple(format_ticks((tick,), tick)[0] for tick in inside), log=True)


def _widened(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    largest = max(abs(low), abs(high))
    if high - low > max(1e-9 * largest, 1 / LIMIT):
        return low, high
    pad = largest / 2 if largest > 1 / LIMIT else 1.0
    return low - pad, high + pad
