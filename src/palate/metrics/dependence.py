"""How far rewards follow something that they should not, length above all.

Rewards can follow length between prompts, where long answers may go to questions that are answered well, and within a
prompt, where that is no excuse. Neither says that it is wrong to: within a prompt the longer response may be the better
one. What remains once the label is known says more, and so does `palate.metrics.by_length`.

Shape legend: R responses, M prompts, V variables; ... the axes of resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palate.metrics.columns import Floats, finite_column, refuse_rows
from palate.metrics.intervals import Estimate, Ints, Names, cluster_bootstrap, cluster_codes, cluster_sums


@dataclass(frozen=True, slots=True)
class Association:
    """A linear relation, with 95 % intervals over prompts; NaN where one side does not vary.

    Attributes:
        r: Pearson's correlation.
        r2: its square, the share of variance that is explained; its interval is that of r, squared.
    """

    r: Estimate
    r2: Estimate


@dataclass(frozen=True, slots=True)
class LengthDependence:
    """How rewards follow length.

    Attributes:
        pooled, within: over all responses, and over differences from the prompt's mean.
        pooled_log, within_log: likewise for ln(1 + length).
        given_label: within prompts, of reward and ln(1 + length) once the label is known; None without labels.
    """

    pooled: Association
    within: Association
    pooled_log: Association
    within_log: Association
    given_label: Association | None


def length_dependence(
    reward: ArrayLike, length: ArrayLike, prompt: Names, *, label: ArrayLike | None = None
) -> LengthDependence:
    """Correlation of rewards with length and its logarithm, pooled and within prompts.

    Args:
        reward: [R].
        length: [R], in any unit, not negative.
        prompt: [R], names.
        label: [R], how good people found each response, such as 1 for chosen and 0 for rejected.

    Raises:
        ValueError: unequal lengths, no responses, values that are not finite, or negative lengths.
    """
    length_R = finite_column(length, "length")
    refuse_rows(length_R < 0, "values of length are negative")
    log_R = np.log1p(length_R)
    return LengthDependence(
        pooled=correlation(reward, length_R, prompt),
        within=correlation(reward, length_R, prompt, within=True),
        pooled_log=correlation(reward, log_R, prompt),
        within_log=correlation(reward, log_R, prompt, within=True),
        given_label=None if label is None else correlation(reward, log_R, prompt, given=label, within=True),
    )


def correlation(
    x: ArrayLike, y: ArrayLike, prompt: Names, *, given: ArrayLike | None = None, within: bool = False
) -> Association:
    """Pearson's correlation of two columns, or their partial correlation given a third.

    Partial: (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)), the correlation of what z leaves unexplained in each
    (Yule 1907). Within prompts, each column is taken as differences from its mean over the prompt.

    Args:
        x: [R].
        y: [R].
        prompt: [R], names; they are what is resampled.
        given: [R], the third column z, or None.
        within: whether to look within prompts.

    Raises:
        ValueError: unequal lengths, no rows, or values that are not finite.
    """
    x_R = finite_column(x, "x")
    columns = [x_R, finite_column(y, "y", len(x_R))]
    columns += [] if given is None else [finite_column(given, "given", len(x_R))]
    code_R = cluster_codes(prompt, len(x_R))
    sums_M = moment_sums(np.column_stack([_centred(column, code_R if within else None) for column in columns]), code_R)
    r = cluster_bootstrap(lambda sums: _partial(_covariance(sums, len(columns))), sums_M)
    low, high = sorted((r.low**2, r.high**2))
    return Association(r, Estimate(r.value**2, 0.0 if r.low <= 0 <= r.high else low, high))


def moment_sums(columns: Floats, prompt: Names) -> Floats:
    """[M, 1 + V + V (V + 1) / 2]: rows, sums, and sums of products of columns [R, V] in each prompt."""
    one, other = np.triu_indices(columns.shape[1])
    ones = np.ones((len(columns), 1))
    return cluster_sums(np.concatenate([ones, columns, columns[:, one] * columns[:, other]], axis=1), prompt)


def second_moments(sums: Floats, num_columns: int) -> Floats:
    """Mean products [..., V, V] of the columns of `moment_sums`."""
    one, other = np.triu_indices(num_columns)
    found = np.empty((*sums.shape[:-1], num_columns, num_columns))
    found[..., one, other] = found[..., other, one] = sums[..., 1 + num_columns :] / sums[..., :1]
    return found


def _covariance(sums: Floats, num_columns: int) -> Floats:
    mean = sums[..., 1 : 1 + num_columns] / sums[..., :1]
    return second_moments(sums, num_columns) - mean[..., :, None] * mean[..., None, :]


def _partial(covariance: Floats) -> Floats:
    """Correlation [...] of the first two of two or three variables, given the third; NaN where one does not vary."""
    if covariance.shape[-1] == 3:
        known, spread = covariance[..., :2, 2:], covariance[..., 2:, 2:]
        explained = known * np.swapaxes(known, -1, -2) / np.where(spread > 1e-12, spread, np.inf)
        covariance = covariance[..., :2, :2] - explained
    variances = covariance[..., 0, 0], covariance[..., 1, 1]
    varies = (variances[0] > 1e-12) & (variances[1] > 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(varies, covariance[..., 0, 1] / np.sqrt(variances[0] * variances[1]), np.nan)


def _centred(column_R: Floats, code_R: Ints | None) -> Floats:
    """Differences from the mean, or from each prompt's, of standard deviation 1 unless there are none."""
    means = column_R.mean() if code_R is None else (np.bincount(code_R, weights=column_R) / np.bincount(code_R))[code_R]
    centred_R = column_R - means
    # what rounding leaves is no difference
    centred_R = np.where(np.abs(centred_R) > 1e-12 * np.abs(column_R).max(), centred_R, 0.0)
    return centred_R / (centred_R.std() or 1.0)
