"""Tables and plots of a policy against the reference."""

from collections.abc import Iterator

import numpy as np

from palate.auditing.drift.compare import Drift
from palate.auditing.drift.distance import NOMINAL
from palate.auditing.drift.shift import Feature
from palate.auditing.drift.sides import Side
from palate.auditing.scorer import Floats
from palate.report.findings import Block, Paragraph, Table
from palate.report.plots import Histogram

_BARS = 24


def blocks_of(drift: Drift, reference: Side, policy: Side, name: str) -> Iterator[Block]:
    """What the section shows, in its order.

    Args:
        drift: the comparison.
        reference: one side of it.
        policy: the other.
        name: what the reference is, such as `held-out data`.
    """
    sizes = (
        f"{len(policy.row):,} responses of the policy to {len(np.unique(policy.prompt)):,} prompts, against "
        f"{len(reference.row):,} responses of the {name} to {len(np.unique(reference.prompt)):,}; "
        f"{drift.shared_prompts:,} prompts are in both."
    )
    unscored, undrawn = reference.unscored + policy.unscored, reference.undrawn + policy.undrawn
    if unscored:
        sizes += f" {unscored:,} further responses have no reward and are left out."
    if undrawn:
        sizes += f" {undrawn:,} further prompts were not scored: so many are drawn at random."
    yield Paragraph(sizes)
    count = len(reference.row)
    if drift.states is not None:
        outliers, energy = drift.states.outliers, drift.states.energy
        yield Paragraph(
            f"{outliers.value:.1%} [{outliers.low:.1%}, {outliers.high:.1%}] of the policy's responses lie further out "
            f"than all but {NOMINAL:.0%} of the reference's. Energy distance of all states: {energy.value:.4f} of the "
            f"distance between the sides, {energy.by_chance:.4f} by chance (p = {energy.p_value:.3f})."
        )
        yield _histogram(
            "How far out the hidden states lie",
            "distance, in units of the threshold; the last bar holds all beyond",
            drift.states.distance[:count],
            drift.states.distance[count:],
            name,
            marker=1.0,
        )
    else:
        yield Paragraph(f"Rewards, length and style alone were compared: {drift.no_states}.")
    yield _histogram(
        "Rewards", "reward; the last bar holds all beyond", reference.reward, policy.reward, name, marker=None
    )
    each = drift.responses_a_prompt
    taken = "one response" if each == 1 else f"at most {each} responses"
    yield _table(drift.responses, f"Responses, {taken} of each prompt on each side")
    yield _table(drift.prompts, "Prompts, told by their text alone: their hidden states are not looked at")


def _table(features: tuple[Feature, ...], caption: str) -> Table:
    rows = tuple(
        (one.name, one.reference, one.policy, one.difference, one.low, one.p_value, one.psi, one.psi_by_chance)
        for one in features
    )
    names = ("what", "reference", "policy", "difference (KS)", "sure of it", "p (Holm)", "PSI", "PSI by chance")
    return Table(names, rows, caption)


def _histogram(
    title: str, axis: str, reference: Floats, policy: Floats, name: str, *, marker: float | None
) -> Histogram:
    both = np.concatenate([reference, policy])
    low, high = np.quantile(both, [0.0, 0.995]).tolist()
    edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    series = []
    for label, side in ((name, reference), ("policy", policy)):
        counts, _ = np.histogram(np.minimum(side, edges[-1]), edges)
        series.append((label, tuple((counts / max(1, len(side))).tolist())))
    label = f"{NOMINAL:.0%} of the reference are beyond" if marker is not None else ""
    return Histogram(f"{title}, share of each side", axis, tuple(edges.tolist()), tuple(series), marker, label)
