"""Faults that show in the rewards themselves, whatever gave them."""

import numpy as np

from palate.auditing.scorer import Floats
from palate.health.thresholds import Thresholds
from palate.report.findings import Finding, Measure


def faults_of_rewards(reward_R: Floats, thresholds: Thresholds, *, served: bool) -> tuple[Finding, ...]:
    """Rewards that are not finite, huge, all alike, or squeezed into [0, 1].

    Args:
        reward_R: on held-out data; NaN stands for "no reward".
        thresholds: for the findings.
        served: whether they come from a server, which may put a sigmoid on them; a head in this process cannot.
    """
    finite = reward_R[np.isfinite(reward_R)]
    infinite = float(np.isinf(reward_R).mean()) if len(reward_R) else 0.0
    findings = thresholds.find(
        "non-finite",
        f"{infinite:.1%} of the rewards are infinite.",
        Measure(infinite, "share of rewards"),
        cure="Look for exploding weights or a half-precision overflow; train again with gradient clipping.",
    )
    if not len(finite):
        return findings
    largest = float(np.abs(finite).max())
    findings += thresholds.find(
        "exploding-reward",
        f"The largest reward is {finite[np.abs(finite).argmax()]:+,.4g}: sigmoid(margin) is exactly 0 or 1 there, and "
        "half precision cannot tell neighbours apart.",
        Measure(largest, "reward units"),
        cure="A few wrong labels at too high a learning rate do this: clip the gradient norm, look at the rows that "
        "the training log names, and train again.",
        command="palate train --model MODEL --data PREFS --clip-norm 1.0 --out RM",
    )
    spread = float(np.ptp(finite))
    if spread <= 1e-6 * max(1.0, float(np.abs(finite).max())):
        return findings + thresholds.find(
            "constant-output",
            f"All rewards are {finite[0]:.4g}: the model says nothing.",
            Measure(1.0, "1 for constant"),
            cure="The head is dead or not loaded, or the server takes a softmax over one label.",
        )
    # A weak model may happen to stay in [0, 1], but hardly while it fills it.
    inside = served and bool((finite >= 0).all() and (finite <= 1).all() and len(finite) >= 20)
    return findings + thresholds.find(
        "sigmoid-output",
        f"All {len(finite):,} rewards lie between 0 and 1, from {finite.min():.2f} to {finite.max():.2f}: as if a "
        "sigmoid had been put on them.",
        Measure(spread if inside else 0.0, "width of the range that they fill"),
        cure='Ask for raw logits: "problem_type": "regression" in config.json, or use_activation false in the request.',
    )
