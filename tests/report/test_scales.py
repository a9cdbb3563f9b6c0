import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.report.scales import drawable, linear_scale, log_scale

floats = st.floats().filter(drawable)
positive = st.floats(min_value=5e-324).filter(drawable)


@given(st.lists(floats, max_size=5), st.booleans())
def test_every_value_lies_between_the_ends(values: list[float], zero: bool) -> None:
    scale = linear_scale(values, 10, 200, zero=zero)
    for value in [*values, *scale.ticks]:
        assert 10 - 1e-3 <= scale.place(value) <= 200 + 1e-3
    assert 2 <= len(scale.ticks) <= 10
    assert list(scale.ticks) == sorted(scale.ticks)
    assert not zero or scale.ticks[0] <= 0 <= scale.ticks[-1]


@given(st.lists(positive, max_size=5))
def test_every_positive_value_lies_between_the_ends_of_a_logarithmic_axis(values: list[float]) -> None:
    scale = log_scale(values, 200, 10)
    for value in [*values, *scale.ticks]:
        assert 10 - 1e-3 <= scale.place(value) <= 200 + 1e-3
    assert len(scale.ticks) <= 14
    assert not values or max(values) < 1e-280 or len(scale.ticks) >= 2


@given(st.floats(1e-200, 1e200), st.floats(1.01, 1e6))
def test_ticks_are_round_and_evenly_spaced(low: float, factor: float) -> None:
    ticks = linear_scale([low, low * factor], 0, 1).ticks
    step = ticks[1] - ticks[0]
    leading = step / 10 ** math.floor(math.log10(step * (1 + 1e-9)))
    assert min(abs(leading - m) for m in (1, 2, 2.5, 5)) < 1e-6
    for first, second in pairwise(ticks):
        assert second - first == pytest.approx(step, rel=1e-6)


@pytest.mark.parametrize("value", [1.0, -1.0, 1e289, 1e-289, 0.1])
def test_a_range_that_doubles_cannot_divide_is_widened(value: float) -> None:
    scale = linear_scale([value, math.nextafter(value, math.inf)], 0, 100)
    assert scale.place(value) == pytest.approx(50, abs=30)
    assert len(set(scale.labels)) == len(scale.labels)


def test_logarithmic_places() -> None:
    scale = log_scale([1, 100], 0, 10)
    assert [scale.place(value) for value in (1, 10, 100)] == pytest.approx([0, 5, 10])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_what_has_no_place(value: float) -> None:
    assert not drawable(value)
    assert drawable(-1.0)
    assert not drawable(-1.0, log=True)
    assert not drawable(0.0, log=True)
