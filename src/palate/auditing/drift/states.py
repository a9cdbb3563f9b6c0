"""What hidden states say about a policy's responses: how many lie too far out, and whether they lie elsewhere at all.

Shape legend: R responses of both sides, the reference's first, D hidden size.
"""

from dataclasses import dataclass

import numpy as np

from palate.auditing.drift.distance import Weighed, conformal_threshold, fit_metric, outlier_share, weighed
from palate.auditing.drift.exchange import Exchange, energy_distance, half_of, p_value
from palate.auditing.drift.sides import Side
from palate.auditing.local import States
from palate.auditing.scorer import Floats
from palate.health.tables import Keys
from palate.metrics import Estimate

FEWEST = 20
"""Prompts of the reference that each half needs: with fewer there is no threshold that one in twenty passes."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy distance between the states of both sides, as a share of the distance between them.

    Attributes:
        value: 0 where they are alike.
        by_chance: its mean over exchanges of prompts.
        p_value: by these exchanges.
    """

    value: float
    by_chance: float
    p_value: float


@dataclass(frozen=True, slots=True)
class StateShift:
    """The states of the policy's responses against the reference's.

    Attributes:
        outliers: share of the policy's responses beyond the reference's threshold.
        energy: of all states, in all directions.
        distance: [R], in units of the threshold.
        direction: [R], along the direction in which the sides differ most. It is found on one half of the prompts and
            looked at on the other; NaN on the first.
    """

    outliers: Estimate
    energy: Energy
    distance: Floats
    direction: Floats


def why_not(reference: Side, policy: Side) -> str:
    """Why states cannot be compared; empty where they can."""
    if reference.state is None or policy.state is None:
        return "the model is served by address, and servers do not show hidden states"
    keys = np.unique(reference.prompt)
    halves = np.bincount(half_of(keys), minlength=2)
    if halves.min() < FEWEST:
        return f"the reference has {len(keys)} prompts with rewards; hidden states need {FEWEST} in each half of them"
    return ""


def state_shift(
    state: States, prompt: Keys, is_policy: np.ndarray[tuple[int], np.dtype[np.bool_]], draw: Exchange, *, seed: int = 0
) -> StateShift:
    """Distances, outliers, direction and energy.

    Args:
        state: [R, D].
        prompt: [R].
        is_policy: [R].
        draw: what the energy distance is computed of.
        seed: of the resamples.
    """
    half = half_of(prompt)
    distance, direction = np.full(len(state), np.nan), np.full(len(state), np.nan)
    halves: list[tuple[Weighed, Weighed]] = []
    for judged in (0, 1):
        fitted = ~is_policy & (half != judged)
        metric = fit_metric(state[fitted], len(np.unique(prompt[fitted])), seed=seed)
        sides = [np.flatnonzero((half == judged) & (is_policy == side)) for side in (False, True)]
        ours, theirs = (weighed(metric.distance(state[rows]), prompt[rows]) for rows in sides)
        threshold = float(conformal_threshold(ours, np.ones((1, ours.prompts)))[0])
        both = half == judged
        distance[both] = metric.distance(state[both]) / threshold
        halves.append((ours, theirs))
        if judged == 0 and (is_policy & ~both).any():
            # in whitened coordinates the difference of means is Fisher's discriminant
            towards = metric.coordinates(state[is_policy & ~both]).mean(axis=0)
            direction[both] = metric.coordinates(state[both]) @ (towards / max(float(np.linalg.norm(towards)), 1e-12))
    taken = state[draw.row]
    # fitted without knowing which side a response is from, as a permutation test has to be
    blind = fit_metric(taken, len(np.unique(prompt[draw.row])), seed=seed)
    energy = energy_distance(blind.coordinates(taken), draw.weight)
    return StateShift(
        outlier_share(halves, seed=seed),
        Energy(float(energy[0]), float(energy[1:].mean()), p_value(energy)),
        distance,
        direction,
    )
