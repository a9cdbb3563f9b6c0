"""How far responses and prompts of a policy differ from the reference's, column by column.

Shape legend: as in `sides` and `exchange`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from palate.auditing.drift.exchange import Exchange, kolmogorov_smirnov, p_value, population_stability
from palate.auditing.scorer import Floats
from palate.metrics import holm

_LEVEL = 0.025  # the low end of a 95 % interval


@dataclass(frozen=True, slots=True)
class Feature:
    """How far the two sides differ in one column.

    Attributes:
        name: of the column.
        difference: Kolmogorov and Smirnov's D: at least this share of a side would have to be others.
        low: what is sure of it, however many columns are looked at; 0 where chance explains all.
        p_value: by exchange of prompts, with Holm's correction for the number of columns.
        psi, psi_by_chance: population stability index, and its mean over exchanges.
        reference, policy: means, prompts counting once.
    """

    name: str
    difference: float
    low: float
    p_value: float
    psi: float
    psi_by_chance: float
    reference: float
    policy: float


def features_of(columns: Mapping[str, Floats], draw: Exchange) -> tuple[Feature, ...]:
    """Every column that is not constant, the surest difference first.

    Args:
        columns: [R] each, the reference's responses and then the policy's; NaN where there is no value.
        draw: what is compared.
    """
    taken = {name: value[draw.row] for name, value in columns.items()}
    taken = {name: value for name, value in taken.items() if len(np.unique(value[np.isfinite(value)])) > 1}
    if not taken:
        return ()
    found = {name: kolmogorov_smirnov(value, draw.weight) for name, value in taken.items()}
    adjusted = holm([p_value(d) for d in found.values()])
    features = []
    for (name, d), p in zip(found.items(), adjusted.tolist(), strict=True):
        value, psi = taken[name], population_stability(taken[name], draw.weight)
        low = max(0.0, float(d[0]) - band(*_prompts(value, draw), columns=len(found)))
        means = (_mean(value, side) for side in (draw.weight[0], -draw.weight[0]))
        features.append(Feature(name, float(d[0]), low, p, float(psi[0]), float(psi[1:].mean()), *means))
    return tuple(sorted(features, key=lambda one: (-one.low, one.p_value, -one.difference)))


def band(reference: int, policy: int, *, columns: int = 1, level: float = _LEVEL) -> float:
    """By how much D may be too large, in any of so many columns, with probability `level` at most.

    sqrt(-ln(level / (2 columns)) / 2) sqrt(1/n + 1/m): Smirnov's limit for two samples, with Bonferroni's correction.
    It holds whatever the difference, since the variance of either distribution function is at most 1/4; what exchanges
    come to does not, where a difference is there. Responses of a prompt are averaged first, which varies less than one
    of them, so n and m are numbers of prompts. Source: Smirnov (1939); the constant: Massart (1990), The tight constant
    in the Dvoretzky-Kiefer-Wolfowitz inequality, Annals of Probability 18.

    Args:
        reference: n.
        policy: m.
        columns: that are looked at.
        level: 0.025 for the low end of a 95 % interval.

    >>> round(band(100, 100), 3)
    0.209
    """
    if not reference or not policy:
        return 1.0
    return math.sqrt(-math.log(level / (2 * columns)) / 2) * math.sqrt(1 / reference + 1 / policy)


def _prompts(value: Floats, draw: Exchange) -> tuple[int, int]:
    """Prompts of each side that have a value."""
    kept = np.isfinite(value)
    ours, theirs = (np.unique(draw.set[kept & side]) for side in (draw.weight[0] > 0, draw.weight[0] < 0))
    return len(ours), len(theirs)


def _mean(value: Floats, weight: Floats) -> float:
    kept = np.isfinite(value) & (weight > 0)
    return float(np.average(value[kept], weights=weight[kept])) if kept.any() else float("nan")
