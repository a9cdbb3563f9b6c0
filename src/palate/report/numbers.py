"""Numbers for people: three significant digits, thousands apart, a dash where there is none."""

import math
from collections.abc import Sequence

Cell = str | float | int | None

DASH = "\N{EN DASH}"
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def format_number(value: float | None) -> str:
    """A number in at most three significant digits; whole numbers in full.

    >>> [format_number(n) for n in (43835, 0.5238, 0.5, 12.3456, -0.0000123, None, float("nan"))]
    ['43,835', '0.524', '0.5', '12.3', '−1.23e-05', '–', '–']
    """
    return format_column((value,))[0]


def format_column(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The cells of one column: floats share their decimals, so that they line up; text stays as it is.

    >>> format_column((0.5, 0.12345, None, 0.00001)), format_column((1200.0, 3.25)), format_column(("a", 7))
    (('0.500', '0.123', '–', '1e-05'), ('1,200', '3'), ('a', '7'))
    """
    floats = [cell for cell in cells if isinstance(cell, float) and cell != 0 and _is_plain(cell)]
    needed = max(map(_needed_decimals, floats), default=0)
    return tuple(_format_cell(cell, min([needed, *map(_decimals_of, floats)])) for cell in cells)


def format_ticks(ticks: Sequence[float], step: float) -> tuple[str, ...]:
    """Labels of an axis: as many decimals as its step needs, and one unit for all of them.

    >>> format_ticks((0.0, 0.25, 0.5), 0.25), format_ticks((0.0, 50_000.0, 100_000.0), 50_000.0)
    (('0.00', '0.25', '0.50'), ('0k', '50k', '100k'))
    """
    largest = max(map(abs, ticks), default=0.0)
    if largest >= 1e15 or step < 1e-6:
        return tuple(_minus(f"{tick:.3g}") for tick in ticks)
    unit, suffix = next((pair for pair in _UNITS if largest >= max(pair[0], 1e5)), (1.0, ""))
    step /= unit
    decimals = next((d for d in range(9) if abs(round(step, d) - step) <= 1e-6 * step), 9)
    return tuple(_minus(f"{tick / unit:,.{decimals}f}{suffix}") for tick in ticks)


def _format_cell(cell: Cell, decimals: int) -> str:
    if isinstance(cell, str):
        return cell
    if cell is None or math.isnan(cell):
        return DASH
    if math.isinf(cell):
        return "∞" if cell > 0 else _minus("-∞")
    if isinstance(cell, int):
        return _minus(f"{cell:,}")
    # A small number in a column of large ones would be rounded to nothing.
    if not _is_plain(cell) or (0 < abs(cell) < 10**-decimals and not cell.is_integer()):
        return _minus(f"{cell:.3g}")
    return _minus(f"{cell:,.{decimals}f}")


def _is_plain(value: float) -> bool:
    """Whether people write it without a power of ten."""
    return value == 0 or 1e-4 <= abs(value) < 1e15


def _decimals_of(value: float) -> int:
    """Decimals that leave three significant digits, and as many for 1 as for the shares below it."""
    return max(0, 3 - math.ceil(math.log10(abs(value))))


def _needed_decimals(value: float) -> int:
    _, _, decimals = f"{value:.{_decimals_of(value)}f}".partition(".")
    return len(decimals.rstrip("0"))


def _minus(text: str) -> str:
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text
