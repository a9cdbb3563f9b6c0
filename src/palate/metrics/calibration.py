"""Whether margins are probabilities: of the pairs with p = sigmoid(margin) = 0.8, are 80 % ranked as people rank them?

The Bradley-Terry loss trains margins to be log-odds, so that this can be asked. A pair has no natural side to ask
about: with the margin always taken as chosen minus rejected, every label would be 1, and the best calibrated model the
one whose margins are infinite. So every pair enters from both sides, as (p, q) and as (1 - p, 1 - q), q being the share
of people who prefer the chosen response. The two say the same about either side of 1/2, and nothing depends on which
response is named first. It is therefore enough to look at the side that the model bets on: its *confidence*
max(p, 1 - p), and the *outcome*, q or 1 - q. Equal rewards have confidence 1/2 and outcome 1/2.

Shape legend: C comparisons, M clusters, B bins, R resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palate.metrics.columns import Floats, finite_column, probability_column
from palate.metrics.intervals import (
    Estimate,
    Ints,
    Names,
    cluster_codes,
    cluster_sums,
    percentile_estimate,
    resampled_sums,
    share_estimate,
)

BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs of similar confidence.

    Attributes:
        low, high: confidences of the least and the most confident pair.
        confidence: their mean.
        observed: mean outcome: how often the model was right, with its interval.
        pairs: how many.
    """

    low: float
    high: float
    confidence: float
    observed: Estimate
    pairs: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far confidence and outcome agree. All intervals are 95 % intervals over prompts.

    Attributes:
        ece: expected calibration error without the part that is noise, see `evaluate_calibration`.
        ece_plain: as it is usually computed, for comparison with published figures.
        ece_floor: what `ece_plain` would be on average, at these confidences, if the model were calibrated.
        brier: mean of q (1 - p)^2 + (1 - q) p^2: 0.25 for a constant model.
        log_loss: mean of -q ln p - (1 - q) ln(1 - p): ln 2 = 0.693 for a constant model.
        bins: the reliability table, least confident first.
        pairs: how many.
    """

    ece: Estimate
    ece_plain: float
    ece_floor: float
    brier: Estimate
    log_loss: Estimate
    bins: tuple[ReliabilityBin, ...]
    pairs: int


@dataclass(frozen=True, slots=True)
class NoiseCeiling:
    """The best that any model can do on labels of which some are wrong."""

    accuracy: float
    brier: float
    log_loss: float


def evaluate_calibration(
    margin: ArrayLike,
    cluster: Names,
    *,
    probability: ArrayLike | None = None,
    num_bins: int = BINS,
    num_resamples: int = 2000,
) -> Calibration:
    """Calibration of sigmoid(margin) on labelled pairs.

    The expected calibration error is sum_b n_b/C |mean confidence - mean outcome of bin b|, over bins of as many pairs
    each (Naeini et al. 2015; equal-mass bins: Nguyen and O'Connor 2015). An absolute value does not average out: a
    calibrated model shows 0.036 on 1,000 pairs and 15 bins, and resampling adds the noise a second time, so that usual
    bootstrap intervals miss the truth nearly always when it is small (Roelofs et al. 2022 on the bias).
    `ece` inverts a test instead (Carpenter 1999): had the model t times the observed gaps, what would be seen? The
    value is the t at which that equals `ece_plain` on average, and the ends are those at which `ece_plain` would be
    among its upper or lower 2.5 %. Noise is what resampling prompts shows. Intervals found in this way reach 0 for
    calibrated models; in simulations of 150 to 4,000 pairs they held 95 % of the truths, give or take 2.

    Args:
        margin: [C], reward of the chosen response minus that of the rejected one.
        cluster: [C], names of the prompts.
        probability: [C], share who prefer the chosen response, in [0.5, 1]; None for 1.
        num_bins: at most; pairs of equal confidence are never parted.
        num_resamples: see `cluster_bootstrap_interval`.

    Raises:
        ValueError: unequal lengths, no pairs, margins that are not finite, or probabilities outside [0.5, 1].
    """
    margin_C = finite_column(margin, "margin")
    label_C = probability_column(probability, len(margin_C))
    code_C = cluster_codes(cluster, len(margin_C))
    confidence_C = win_probability(np.abs(margin_C))
    outcome_C = 0.5 + np.sign(margin_C) * (label_C - 0.5)
    bin_C = _equal_mass_bins(confidence_C, num_bins)
    bins = tuple(
        _reliability(confidence_C[bin_C == number], outcome_C[bin_C == number], code_C[bin_C == number])
        for number in np.unique(bin_C).tolist()
    )
    gap_CB = np.where(bin_C[:, None] == np.arange(bin_C.max() + 1), (confidence_C - outcome_C)[:, None], 0.0)
    losses = [np.ones_like(margin_C), brier_scores(margin_C, label_C), log_losses(margin_C, label_C)]
    sums_MF = cluster_sums(np.column_stack([*losses, gap_CB]), code_C)
    drawn_RF = resampled_sums(sums_MF, num_resamples=num_resamples)
    mean_F, mean_RF = (sums[..., 1:] / sums[..., :1] for sums in (sums_MF.sum(axis=0), drawn_RF))
    noise_RB = mean_RF[:, 2:] - mean_F[2:]
    return Calibration(
        ece=_without_noise(mean_F[2:], noise_RB),
        ece_plain=float(np.abs(mean_F[2:]).sum()),
        ece_floor=float(np.abs(noise_RB).sum(axis=1).mean()),
        brier=percentile_estimate(float(mean_F[0]), mean_RF[:, 0]),
        log_loss=percentile_estimate(float(mean_F[1]), mean_RF[:, 1]),
        bins=bins,
        pairs=len(margin_C),
    )


def win_probability(margin: Floats) -> Floats:
    """Probability 1 / (1 + exp(-margin)) that the first of two responses is preferred, of the shape of `margin`.

    The model of Bradley and Terry (1952).

    >>> win_probability(np.array([0.0, -1000.0, 1.0986])).round(3).tolist()
    [0.5, 0.0, 0.75]
    """
    small = np.exp(-np.abs(margin))  # never overflows
    return np.asarray(np.where(margin >= 0, 1.0, small) / (1 + small))


def brier_scores(margin: Floats, probability: Floats) -> Floats:
    """Brier score q (1 - p)^2 + (1 - q) p^2 of each pair, [C] (Brier 1950); the same from either side of the pair.

    >>> brier_scores(np.array([0.0, 50.0, 50.0]), np.array([1.0, 1.0, 0.5])).round(3).tolist()
    [0.25, 0.0, 0.5]
    """
    win_C = win_probability(margin)
    return probability * (1 - win_C) ** 2 + (1 - probability) * win_C**2


def log_losses(margin: Floats, probability: Floats) -> Floats:
    """Log loss -q ln p - (1 - q) ln(1 - p) of each pair, [C], in nats; exact at any margin.

    >>> log_losses(np.array([0.0, -1e4]), np.array([0.7, 1.0])).round(3).tolist()
    [0.693, 10000.0]
    """
    return probability * np.logaddexp(0, -margin) + (1 - probability) * np.logaddexp(0, margin)


def noise_ceiling(probability: ArrayLike) -> NoiseCeiling:
    """The best figures on labels drawn with these probabilities: those of the model that knows them.

    With flip rate e (give 1 - e): accuracy 1 - e, Brier score e (1 - e), log loss -e ln e - (1 - e) ln(1 - e), which is
    reached at margins of +-ln((1 - e) / e). With several probabilities, the mean of each.

    Args:
        probability: a number or [C], share who prefer the chosen response, in [0.5, 1].

    Raises:
        ValueError: there are none, or one lies outside [0.5, 1].

    >>> found = noise_ceiling(0.9)
    >>> f"{found.accuracy:.1f} {found.brier:.2f} {found.log_loss:.4f}"
    '0.9 0.09 0.3251'
    """
    column = np.atleast_1d(np.asarray(probability, dtype=np.float64))
    label_C = probability_column(column, len(column))
    flip_C = 1 - label_C
    entropy_C = -label_C * np.log(label_C) - flip_C * np.log(np.where(flip_C > 0, flip_C, 1))
    return NoiseCeiling(float(label_C.mean()), float((label_C * flip_C).mean()), float(entropy_C.mean()))


def _equal_mass_bins(values_C: Floats, num_bins: int) -> Ints:
    """[C], numbers of bins from 0; fewer than `num_bins` where many values are equal."""
    edges = np.unique(np.quantile(values_C, np.arange(1, num_bins) / num_bins))
    return np.searchsorted(edges, values_C, side="right").astype(np.int64)


def _reliability(confidence_C: Floats, outcome_C: Floats, code_C: Ints) -> ReliabilityBin:
    low, high, mean = (float(figure) for figure in (confidence_C.min(), confidence_C.max(), confidence_C.mean()))
    return ReliabilityBin(low, high, mean, share_estimate(outcome_C, code_C), len(confidence_C))


def _without_noise(gap_B: Floats, noise_RB: Floats) -> Estimate:
    """The sum of |gap| as it would be without noise; see `evaluate_calibration`."""
    plain = float(np.abs(gap_B).sum())
    if np.isnan(noise_RB).any():
        return Estimate(plain, np.nan, np.nan)
    times = np.linspace(0, 4, 81)
    seen_TR = np.stack([np.abs(t * gap_B + noise_RB).sum(axis=1) for t in times])
    # more of the gaps shows more of them, but for rounding and a little noise
    mean_T, low_T, high_T = np.maximum.accumulate(
        [seen_TR.mean(axis=1), *np.quantile(seen_TR, [0.975, 0.025], axis=1)], axis=1
    )
    value, low, high = (plain * float(np.interp(plain, curve, times)) for curve in (mean_T, low_T, high_T))
    return Estimate(value, low, high)
