"""How much of a margin is style: Bradley-Terry with marks of style as covariates, as LMArena does it.

Style is what can be counted without knowing whether a response is right: its length, headers, items of lists, bold.
People prefer some of it, so that a model which does is not wrong by that alone. The question is whether it does so more
than people, and how much of what it says about a pair style would say without it.

Shape legend: C comparisons, F features, M clusters; ... the axes of resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from palate.metrics.calibration import win_probability
from palate.metrics.columns import Floats, finite_column, probability_column, refuse_rows
from palate.metrics.dependence import moment_sums, second_moments
from palate.metrics.intervals import (
    Estimate,
    Ints,
    Names,
    cluster_codes,
    cluster_sums,
    percentile_estimate,
    resampled_sums,
)

L2 = 0.5
"""The penalty L2 / 2 |b|^2 on coefficients, next to the summed log loss: LMArena's. It matters for few pairs alone."""


@dataclass(frozen=True, slots=True)
class StyleWeight:
    """What one mark of style is worth, in log-odds for a usual difference in it (one root mean square).

    Attributes:
        name: of the mark.
        in_labels: in what people prefer, next to the other marks.
        in_rewards: in what the model prefers.
        beyond_rewards: in what people prefer, next to the other marks and the model's margin: what the model misses.
    """

    name: str
    in_labels: Estimate
    in_rewards: Estimate
    beyond_rewards: Estimate


@dataclass(frozen=True, slots=True)
class StyleControl:
    """Style in a model's margins. All intervals are 95 % intervals over prompts.

    Attributes:
        weights: of each mark; the interval of one that is the same in all pairs is NaN, and its weight 0.
        explained: share of the squared margins that differences in style explain; 0 for none.
        margin_alone: log-odds that a usual margin (one root mean square) is worth in what people prefer.
        margin_controlled: the same next to style. Much less than `margin_alone`: what the margin knows is style.
    """

    weights: tuple[StyleWeight, ...]
    explained: Estimate
    margin_alone: Estimate
    margin_controlled: Estimate


def style_control(
    margin: ArrayLike,
    winner: ArrayLike,
    loser: ArrayLike,
    names: Sequence[str],
    cluster: Names,
    *,
    probability: ArrayLike | None = None,
) -> StyleControl:
    """Style in labels, in margins, and in what margins say about labels.

    Three Bradley-Terry fits (`bradley_terry_weights`) share their features: what people prefer by style, what the model
    prefers by style, and what people prefer by style and margin. `explained` is 1 - |m - X b|^2 / |m|^2 of least
    squares without an intercept, since each pair could as well be named the other way round. It fits noise too, by as
    much as resampling adds to it once more: that is taken off the value once, and off the resamples twice.

    Args:
        margin: [C], reward of the chosen response minus that of the rejected one.
        winner: [C, F], counts of each mark in the chosen response, not negative.
        loser: [C, F], in the rejected one.
        names: F names of the marks.
        cluster: [C], names of the prompts.
        probability: [C], share who prefer the chosen response, in [0.5, 1]; None for 1.

    Raises:
        ValueError: shapes that do not fit, no pairs, values that are not finite, or negative counts.
    """
    margin_C = finite_column(margin, "margin")
    label_C, code_C = probability_column(probability, len(margin_C)), cluster_codes(cluster, len(margin_C))
    style_CF = style_differences(winner, loser)
    if style_CF.shape != (len(margin_C), len(names)):
        raise ValueError(f"style has shape {style_CF.shape}, for {len(margin_C)} pairs and {len(names)} names")
    margin_C1 = _scaled(margin_C[:, None])
    both_CF = np.concatenate([style_CF, margin_C1], axis=1)
    in_labels = bradley_terry_weights(style_CF, label_C, code_C)
    in_rewards = bradley_terry_weights(style_CF, (np.sign(margin_C) + 1) / 2, code_C)
    beyond = bradley_terry_weights(both_CF, label_C, code_C)
    return StyleControl(
        weights=tuple(StyleWeight(*found) for found in zip(names, in_labels, in_rewards, beyond[:-1], strict=True)),
        explained=_explained(both_CF, code_C),
        margin_alone=bradley_terry_weights(margin_C1, label_C, code_C)[0],
        margin_controlled=beyond[-1],
    )


def style_differences(winner: ArrayLike, loser: ArrayLike) -> Floats:
    """(a - b) / (a + b + 1) of each mark's counts in the two responses, over its root mean square, [C, F].

    A ratio, since ten more words are much to a short answer and nothing to a long one; the 1 is for counts of 0.
    Source: FastChat, `construct_style_matrices`. There it is standardised over both orders of each pair, which has mean
    0; so the root mean square is the standard deviation.

    Args:
        winner: [C, F], counts, not negative.
        loser: [C, F].

    Raises:
        ValueError: shapes differ, or counts are negative or not finite.

    >>> style_differences([[30, 1], [10, 1]], [[10, 1], [30, 1]]).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    winner_CF, loser_CF = np.asarray(winner, dtype=np.float64), np.asarray(loser, dtype=np.float64)
    if winner_CF.ndim != 2 or winner_CF.shape != loser_CF.shape:
        raise ValueError(f"style has shapes {winner_CF.shape} and {loser_CF.shape}: both need the same [C, F]")
    bad_CF = ~(np.isfinite(winner_CF) & np.isfinite(loser_CF) & (winner_CF >= 0) & (loser_CF >= 0))
    refuse_rows(np.asarray(bad_CF.any(axis=1)), "pairs have a count of style that is negative or not finite")
    return _scaled((winner_CF - loser_CF) / (winner_CF + loser_CF + 1))


def bradley_terry_weights(features: Floats, outcome: Floats, cluster: Names) -> tuple[Estimate, ...]:
    """Coefficients b of P(first is preferred) = sigmoid(x b), F of them, with 95 % intervals over prompts.

    The summed log loss plus L2 / 2 |b|^2 is minimised. With h its second derivative and g_m the slope of the loss
    summed over a prompt, the variance is h^-1 (sum_m g_m g_m^T) h^-1 times M / (M - 1) (Liang and Zeger 1986), so that
    pairs of a prompt need not be independent.

    Args:
        features: [C, F], first response minus second.
        outcome: [C], share who prefer the first, in [0, 1].
        cluster: [C], names of the prompts.

    Raises:
        ValueError: lengths differ, or there are no pairs.
    """
    b_F, hessian_FF = _fit(features, outcome)
    slope_CF = (win_probability(features @ b_F) - outcome)[:, None] * features
    slope_MF, inverse_FF = cluster_sums(slope_CF, cluster), np.linalg.inv(hessian_FF)
    clusters = len(slope_MF)
    scale = clusters / (clusters - 1) if clusters > 1 else np.nan
    error_F = np.sqrt(scale * np.diag(inverse_FF @ (slope_MF.T @ slope_MF) @ inverse_FF))
    half_F = NormalDist().inv_cdf(0.975) * np.where(features.any(axis=0), error_F, np.nan)
    return tuple(Estimate(float(b), float(b - half), float(b + half)) for b, half in zip(b_F, half_F, strict=True))


def _fit(features: Floats, outcome: Floats) -> tuple[Floats, Floats]:
    """Coefficients [F] of the least penalised loss, and its second derivative there [F, F]."""
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.optimize import minimize

    penalty_FF = L2 * np.eye(features.shape[1])

    def loss(b_F: Floats) -> float:
        logit_C = features @ b_F
        return float((np.logaddexp(0, logit_C) - outcome * logit_C).sum() + b_F @ penalty_FF @ b_F / 2)

    def slope(b_F: Floats) -> Floats:
        return np.asarray(features.T @ (win_probability(features @ b_F) - outcome) + penalty_FF @ b_F)

    def hessian(b_F: Floats) -> Floats:
        win_C = win_probability(features @ b_F)
        return np.asarray(features.T @ ((win_C * (1 - win_C))[:, None] * features) + penalty_FF)

    start_F = np.zeros(features.shape[1])
    b_F = minimize(loss, start_F, jac=slope, hess=hessian, method="trust-exact", options={"gtol": 1e-8}).x
    return b_F, hessian(b_F)


def _explained(both_CF: Floats, code_C: Ints) -> Estimate:
    """Share of the last column's squares that the others explain; see `style_control`."""
    number = both_CF.shape[1]
    sums_M = moment_sums(both_CF, code_C)
    drawn_R = _share_explained(second_moments(resampled_sums(sums_M), number))
    value = float(_share_explained(second_moments(sums_M.sum(axis=0), number)))
    noise = max(0.0, float(np.mean(drawn_R)) - value)
    found = percentile_estimate(value - noise, drawn_R - 2 * noise)
    return Estimate(*(float(np.clip(end, 0, 1)) for end in (found.value, found.low, found.high)))


def _share_explained(moments: Floats) -> Floats:
    """[...] of mean products [..., F + 1, F + 1]; NaN where the last column is 0."""
    with_last, total = moments[..., :-1, -1], moments[..., -1, -1]
    # features that are equal in all pairs of a resample, or that say the same, have no inverse
    inverse = np.linalg.pinv(moments[..., :-1, :-1], rcond=1e-10, hermitian=True)
    explained = np.einsum("...i,...ij,...j->...", with_last, inverse, with_last)
    return np.asarray(np.divide(explained, total, out=np.full(total.shape, np.nan), where=total > 1e-12))


def _scaled(columns_CF: Floats) -> Floats:
    """Columns over their root mean square; those that are 0 throughout stay so."""
    size_F = np.sqrt((columns_CF**2).mean(axis=0))
    return columns_CF / np.where(size_F > 0, size_F, 1)
