"""What the functions of this package ask of the columns that they are given."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def finite_column(values: ArrayLike, name: str, length: int | None = None) -> Floats:
    """Values as float64 [C].

    Args:
        values: numbers.
        name: what to call them in an error.
        length: C, where it is known.

    Raises:
        ValueError: they are no column, are empty, are not as many as `length`, or one of them is not finite.

    >>> finite_column([1, float("nan")], "margin")
    Traceback (most recent call last):
    ValueError: 1 of 2 values of margin are not finite: at 1
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not len(column):
        raise ValueError(f"{name} has shape {column.shape}: it needs [C], C > 0")
    if length is not None and len(column) != length:
        raise ValueError(f"{name} has {len(column)} values where {length} are needed")
    refuse_rows(~np.isfinite(column), f"values of {name} are not finite")
    return column


def probability_column(values: ArrayLike | None, length: int) -> Floats:
    """Shares who prefer the winner, [C], in [0.5, 1]; ones where there are none.

    Raises:
        ValueError: they are not as many as `length`, or one lies outside [0.5, 1].
    """
    if values is None:
        return np.ones(length)
    column = finite_column(values, "probability", length)
    refuse_rows((column < 0.5) | (column > 1), "probabilities lie outside [0.5, 1]")
    return column


def refuse_rows(bad: NDArray[np.bool_], what: str) -> None:
    """Say which rows are bad, if any.

    Raises:
        ValueError: some are.
    """
    rows = np.flatnonzero(bad).tolist()
    if rows:
        named = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise ValueError(f"{len(rows)} of {bad.size} {what}: at {named}")
