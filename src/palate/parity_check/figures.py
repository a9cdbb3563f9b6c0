"""How far served rewards are from our own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Served rewards against our own, over the texts that have both.

    Attributes:
        texts: compared.
        unscored: texts without a served reward.
        max_difference, mean_difference: of |served - ours|.
        std: of our rewards, to see the differences against.
        spearman: rank correlation; None where one side is constant.
        flips: share of all pairs of texts that the two order differently; a tie on one side alone counts half.
        slope, offset: of the least-squares line served = slope * ours + offset.
        residual: root mean square of what the line leaves.
    """

    texts: int
    unscored: int
    max_difference: float
    mean_difference: float
    std: float
    spearman: float | None
    flips: float
    slope: float
    offset: float
    residual: float


def compare(ours_N: Floats, served_N: Floats) -> Figures:
    """Compare two columns of rewards, NaN in the second where there is none.

    >>> found = compare(np.array([0.0, 1.0, 3.0]), np.array([0.5, 2.5, 6.5]))
    >>> found.slope, found.offset, found.flips, found.spearman
    (2.0, 0.5, 0.0, 1.0)
    """
    there_N = np.isfinite(served_N)
    ours, served = ours_N[there_N], served_N[there_N]
    apart = np.abs(served - ours)
    slope, offset = line(ours, served)
    return Figures(
        texts=len(ours),
        unscored=int((~there_N).sum()),
        max_difference=float(apart.max()),
        mean_difference=float(apart.mean()),
        std=float(ours.std()),
        spearman=_spearman(ours, served),
        flips=_flips(ours, served),
        slope=slope,
        offset=offset,
        residual=rms(served - slope * ours - offset),
    )


def line(x_N: Floats, y_N: Floats) -> tuple[float, float]:
    """Slope and offset of the least-squares line through (x, y); slope 0 where x does not vary."""
    x = x_N - x_N.mean()
    spread = float(x @ x)
    slope = float(x @ (y_N - y_N.mean())) / spread if spread else 0.0
    return slope, float(y_N.mean() - slope * x_N.mean())


def rms(values: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _spearman(ours: Floats, served: Floats) -> float | None:
    """Pearson's correlation of mid-ranks."""
    a, b = (rankdata(column) - (len(ours) + 1) / 2 for column in (ours, served))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / size, 12) if size else None


def _flips(ours: Floats, served: Floats) -> float:
    i, j = np.triu_indices(len(ours), 1)
    return float(np.abs(np.sign(ours[i] - ours[j]) - np.sign(served[i] - served[j])).mean() / 2) if len(i) else 0.0
