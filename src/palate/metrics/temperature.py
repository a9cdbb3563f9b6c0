"""The temperature that makes margins probabilities, and what it changes.

Dividing every margin by one number changes no ranking, only how sure the model says that it is.

Shape legend: C comparisons, M clusters.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from palate.metrics.calibration import Calibration, evaluate_calibration, win_probability
from palate.metrics.columns import Floats, finite_column, probability_column
from palate.metrics.intervals import Estimate, Ints, Names, cluster_codes, cluster_sums

FOLDS = 5
TemperatureStatus = Literal["fitted", "separable", "no-signal"]


@dataclass(frozen=True, slots=True)
class Temperature:
    """The T with which sigmoid(margin / T) fits labels best.

    Attributes:
        value: T with its 95 % interval. Above 1 the model is too sure, below 1 not sure enough.
        status: `fitted`; `separable` where every pair is ranked right and each label is certain, so that no T is too
            low (T is 0); `no-signal` where margins point the wrong way on the whole, so that no T is too high (T is
            infinite). The last two have no interval.
    """

    value: Estimate
    status: TemperatureStatus


@dataclass(frozen=True, slots=True)
class TemperatureScaling:
    """A temperature, and calibration without and with it.

    Attributes:
        temperature: fitted to all pairs.
        before: of the margins as they are.
        after: of margins divided by temperatures that were fitted to other prompts; None where that cannot be said:
            a single prompt, or a part of the data in which every pair is ranked right.
    """

    temperature: Temperature
    before: Calibration
    after: Calibration | None


def temperature_scaling(
    margin: ArrayLike, cluster: Names, *, probability: ArrayLike | None = None, num_resamples: int = 2000
) -> TemperatureScaling:
    """What a temperature would do for calibration on pairs that it was not fitted to.

    Args:
        margin: [C], reward of the chosen response minus that of the rejected one.
        cluster: [C], names of the prompts.
        probability: [C], share who prefer the chosen response, in [0.5, 1]; None for 1.
        num_resamples: see `cluster_bootstrap_interval`.

    Raises:
        ValueError: see `evaluate_calibration`.
    """
    scaled_C = cross_fitted(margin, cluster, probability=probability)
    before, after = (
        None
        if column is None
        else evaluate_calibration(column, cluster, probability=probability, num_resamples=num_resamples)
        for column in (margin, scaled_C)
    )
    assert before is not None
    return TemperatureScaling(fit_temperature(margin, cluster, probability=probability), before, after)


def fit_temperature(margin: ArrayLike, cluster: Names, *, probability: ArrayLike | None = None) -> Temperature:
    """The T >= 0 with the least mean log loss of sigmoid(margin / T).

    In a = 1/T the loss is convex with slope mean m (sigmoid(a m) - q), whose root is found between 0 and where it is
    positive (Guo et al. 2017, On calibration of modern neural networks, section 4.2, for two classes). The interval is
    symmetric in ln T, from the cluster-robust variance sum_m s_m^2 / h^2 of a, s_m being the slope summed over a prompt
    and h = sum m^2 p (1 - p) (Liang and Zeger 1986), times M / (M - 1).

    Args:
        margin: [C], reward of the chosen response minus that of the rejected one.
        cluster: [C], names of the prompts.
        probability: [C], share who prefer the chosen response, in [0.5, 1]; None for 1.

    Raises:
        ValueError: see `evaluate_calibration`.

    >>> log_odds = math.log(0.75 / 0.25)
    >>> found = fit_temperature([2 * log_odds] * 3 + [-2 * log_odds], ["a", "b", "c", "d"])
    >>> round(found.value.value, 6), found.status
    (2.0, 'fitted')
    """
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.optimize import brentq

    margin_C = finite_column(margin, "margin")
    label_C = probability_column(probability, len(margin_C))
    code_C = cluster_codes(cluster, len(margin_C))

    def slopes(inverse: float) -> Floats:
        return margin_C * (win_probability(inverse * margin_C) - label_C)

    # what rounding leaves is no slope
    if slopes(0).sum() >= -1e-12 * np.abs(margin_C).sum():
        return Temperature(Estimate(math.inf, math.nan, math.nan), "no-signal")
    # the slope at infinity, of which no term is negative
    if not (margin_C * ((margin_C > 0) - label_C)).any():
        return Temperature(Estimate(0.0, math.nan, math.nan), "separable")
    high = 1 / float(np.abs(margin_C).max())
    while slopes(high).sum() <= 0:
        high *= 2
    inverse = float(brentq(lambda inverse: slopes(inverse).sum(), 0, high, xtol=1e-15 * high))
    return Temperature(_with_interval(inverse, margin_C, slopes(inverse), code_C), "fitted")


def cross_fitted(
    margin: ArrayLike, cluster: Names, *, probability: ArrayLike | None = None, num_folds: int = FOLDS, seed: int = 0
) -> Floats | None:
    """Margins [C] divided by the temperature that fits the other folds; prompts are never on both sides.

    Args:
        margin: [C], reward of the chosen response minus that of the rejected one.
        cluster: [C], names of the prompts.
        probability: [C], share who prefer the chosen response, in [0.5, 1]; None for 1.
        num_folds: at most; there are no more than prompts.
        seed: of which prompts make a fold.

    Returns:
        None where there is one prompt only, or where the pairs outside of some fold are separable.

    Raises:
        ValueError: see `evaluate_calibration`.
    """
    margin_C = finite_column(margin, "margin")
    label_C = probability_column(probability, len(margin_C))
    code_C = cluster_codes(cluster, len(margin_C))
    num_clusters = int(code_C.max()) + 1
    if num_clusters < 2:
        return None
    fold_C = (np.random.default_rng(seed).permutation(num_clusters) % min(num_folds, num_clusters))[code_C]
    scaled_C = np.empty_like(margin_C)
    for fold in range(int(fold_C.max()) + 1):
        other = fold_C != fold
        found = fit_temperature(margin_C[other], code_C[other], probability=label_C[other])
        if found.status == "separable":
            return None
        scaled_C[~other] = margin_C[~other] / found.value.value
    return scaled_C


def _with_interval(inverse: float, margin_C: Floats, slope_C: Floats, code_C: Ints) -> Estimate:
    """1 / inverse with its interval, NaN for a single prompt."""
    slope_M = cluster_sums(slope_C[:, None], code_C)[:, 0]
    if len(slope_M) < 2:
        return Estimate(1 / inverse, math.nan, math.nan)
    win_C = win_probability(inverse * margin_C)
    curvature = float(margin_C**2 @ (win_C * (1 - win_C)))
    error = math.sqrt(len(slope_M) / (len(slope_M) - 1) * float(slope_M @ slope_M)) / curvature
    with np.errstate(over="ignore"):  # margins that say next to nothing fit any temperature: from 0 to infinity
        spread = float(np.exp(NormalDist().inv_cdf(0.975) * error / inverse))
    return Estimate(1 / inverse, 1 / inverse / spread, spread / inverse)
