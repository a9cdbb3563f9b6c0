import math

import pytest

from palate.report.numbers import format_column, format_number, format_ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.5, "0.5"),
        (0.52381, "0.524"),
        (0.0999999, "0.1"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (-2.25, "\u22122.25"),
        (12_792, "12,792"),
        (1e-9, "1e-09"),
        (2e300, "2e+300"),
        (math.inf, "\u221e"),
        (-math.inf, "\u2212\u221e"),
        (math.nan, "\u2013"),
        (None, "\u2013"),
    ],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_a_column_has_one_number_of_decimals() -> None:
    assert format_column((0.128, 0.117, 0.14, 0.005)) == ("0.128", "0.117", "0.140", "0.005")
    assert format_column((0.31, 0.4)) == ("0.31", "0.40")
    assert format_column((12.34, 0.567)) == ("12.3", "0.6")
    assert format_column((3.0, 4.0)) == ("3", "4")
    assert format_column((0.717, 1.0)) == ("0.717", "1.000")


def test_a_small_number_beside_large_ones_is_not_rounded_to_nothing() -> None:
    assert format_column((1200.5, 0.034, 0.0)) == ("1,200", "0.034", "0")


def test_ticks_are_told_apart() -> None:
    assert format_ticks((0.0, 0.25, 0.5), 0.25) == ("0.00", "0.25", "0.50")
    assert format_ticks((0.0, 2.5, 5.0), 2.5) == ("0.0", "2.5", "5.0")
    assert format_ticks((-50.0, 0.0, 50.0), 50.0) == ("\u221250", "0", "50")
    assert format_ticks((1e6, 1.5e6, 2e6), 5e5) == ("1.0M", "1.5M", "2.0M")
    assert format_ticks((0.0, 1e-7), 1e-7) == ("0", "1e-07")
