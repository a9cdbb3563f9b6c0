"""How far each edit moves the reward, and whether that is the wrong way more often than it may be.

Rewards have no unit of their own, so effects are given in *margins*: one is the median distance between the rewards of
the better and the worse response of a held-out pair. An edit that is worth one margin is worth as much as being right.

Shape legend: P probes, A edited texts of one probe, M prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from palate.auditing.probes.probe import Expectation, Probe
from palate.auditing.probes.run import Ints, ProbeResult
from palate.auditing.scorer import Floats
from palate.health.pairs import Share, share_of
from palate.metrics.significance import holm
from palate.report.findings import Fact


@dataclass(frozen=True, slots=True)
class Standard:
    """What an edit is held to: at most `share` of its effects may be above `tolerance`.

    Attributes:
        tolerance: in margins; for edits that must not move, of the size of the effect.
        share: of the texts.
    """

    tolerance: float
    share: float


STANDARDS: Mapping[Expectation, Standard] = {
    "must not move": Standard(0.1, 1 / 2),
    "must not gain": Standard(0.1, 1 / 2),
    "must lose": Standard(-0.1, 1 / 3),
}
"""By expectation.

A tenth of a margin decides next to nothing: moving one side of every pair by it turns over 2.7 % of the pairs if
margins are normal, which is what an accuracy from 1,000 pairs is uncertain by. An edit that must lose has to
lose as much, so that a rounding error is no loss.

Half of the texts: an edit that moves or raises the typical text pays without looking at it. A third for what must lose,
since a model that does not see the damage, such as one that never reads the prompt, still loses half of the time, by
chance.
"""

FEWEST = 20
"""Prompts below which a probe is shown and not judged: fewer can hardly be significant among so many probes."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one probe came to; effects in margins.

    Attributes:
        probe: the edit.
        count: edited texts with a reward.
        not_applied: texts in which there was nothing to edit.
        unscored: edited texts without a reward, or whose original has none.
        mean, median: of the effect, with its sign.
        judged_by: the effect that the standard's share of the texts is above: the median of the size where the reward
            must not move, the median where it must not gain, the upper tercile where it must fall.
        low, high: interval of `judged_by` that holds for all judged probes together with 95 %.
        wrong: how often the effect was above the tolerance, with its own 95 % interval.
        p_value: the probability of so many if it were the standard's share, adjusted for the number of probes judged;
            None where there are too few prompts.
    """

    probe: Probe
    count: int
    not_applied: int
    unscored: int
    mean: float
    median: float
    judged_by: float
    low: float
    high: float
    wrong: Share
    p_value: float | None

    @property
    def is_wrong(self) -> bool:
        """Whether the standard is not met, and not by chance."""
        return self.p_value is not None and self.p_value < 0.05

    def to_fact(self) -> dict[str, Fact]:
        """For the JSON."""
        return {
            "expectation": self.probe.expectation,
            "texts": self.count,
            "not_applied": self.not_applied,
            "unscored": self.unscored,
            "mean": self.mean,
            "median": self.median,
            "judged_by": self.judged_by,
            "low": self.low,
            "high": self.high,
            "wrong": self.wrong.to_fact(),
            "p_value": self.p_value,
            "is_wrong": self.is_wrong,
        }


def effects_of(result: ProbeResult, scale: float) -> tuple[Effect, ...]:
    """The effects of the probes that found a text, in the order of the probes, adjusted among each other.

    Args:
        result: originals and edits with their rewards.
        scale: the median distance of the rewards of held-out pairs; more than 0.
    """
    gain_E = result.gain_E / scale
    _, prompt_S = np.unique([source.prompt_hash for source in result.sources], return_inverse=True)
    own_P = [np.flatnonzero(result.probe_E == number) for number in range(len(result.probes))]
    scored_P = [rows[np.isfinite(gain_E[rows])] for rows in own_P]
    prompt_P = [prompt_S[result.source_E[rows]].astype(np.int64) for rows in scored_P]
    judged = sum(len(np.unique(prompts)) >= FEWEST for prompts in prompt_P)
    found = []
    for number, (probe, rows) in enumerate(zip(result.probes, scored_P, strict=True)):
        if len(rows):
            effect = _effect(probe, gain_E[rows], prompt_P[number], judged)
            not_applied, unscored = int(result.not_applied_P[number]), len(own_P[number]) - len(rows)
            found.append(replace(effect, not_applied=not_applied, unscored=unscored))
    return _adjusted(found)


def _effect(probe: Probe, gain_A: Floats, prompt_A: Ints, judged: int) -> Effect:
    standard = STANDARDS[probe.expectation]
    bad_A = np.abs(gain_A) if probe.expectation == "must not move" else gain_A
    wrong_A = bad_A > standard.tolerance
    low, high = quantile_interval(bad_A, prompt_A, 1 - standard.share, 1 - 0.05 / max(1, judged))
    return Effect(
        probe,
        count=len(gain_A),
        not_applied=0,
        unscored=0,
        mean=float(gain_A.mean()),
        median=float(np.median(gain_A)),
        judged_by=float(np.quantile(bad_A, 1 - standard.share)),
        low=low,
        high=high,
        wrong=share_of(wrong_A, prompt_A),
        p_value=_excess(wrong_A, prompt_A, standard.share) if len(np.unique(prompt_A)) >= FEWEST else None,
    )


def quantile_interval(values_A: Floats, prompt_A: Ints, level: float, confidence: float) -> tuple[float, float]:
    """Interval of a quantile between two of the values, from the binomial distribution of how many lie below it.

    It needs no shape of the distribution. Where there are too few values for the confidence, it ends at the smallest
    and largest. Source: Conover (1999), Practical Nonparametric Statistics, section 3.2; for clusters Woodruff (1952).

    >>> quantile_interval(np.arange(1.0, 10.0), np.arange(9), 0.5, 0.95)
    (2.0, 8.0)
    """
    ordered, number = np.sort(values_A), len(values_A)
    independent = independent_count(values_A <= np.quantile(values_A, level), prompt_A)
    tail = (1 - confidence) / 2
    below = int(binom.ppf(tail, independent, level))
    above = independent - 1 - int(binom.ppf(1 - tail, independent, level))
    low = max(1, below * number // independent)
    high = number - max(0, above * number // independent)
    return float(ordered[low - 1]), float(ordered[high - 1])


def independent_count(holds_A: NDArray[np.bool_] | Floats, prompt_A: NDArray[Any]) -> int:
    """As how many independent texts these count, some of which share a prompt: n over the design effect, at most n.

    The design effect is the variance of the share between prompts over the one between texts. Source: Kish (1965),
    Survey Sampling, section 8.2.
    """
    prompts, code_A = np.unique(prompt_A, return_inverse=True)
    if len(prompts) == len(holds_A):
        return len(holds_A)
    residual_A = holds_A - holds_A.mean()
    between = float(np.square(np.bincount(code_A, weights=residual_A)).sum()) * len(prompts) / max(1, len(prompts) - 1)
    within = float(np.square(residual_A).sum())
    return len(holds_A) if between <= within else max(1, int(len(holds_A) * within / between))


def _excess(wrong_A: NDArray[np.bool_], prompt_A: Ints, share: float) -> float:
    """Twice the binomial probability of at least so many wrong: 0.05 is then where the interval's lower end is."""
    independent = independent_count(wrong_A, prompt_A)
    wrong = int(wrong_A.sum()) * independent // len(wrong_A)
    return min(1.0, 2 * float(binom.sf(wrong - 1, independent, share)))


def _adjusted(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """With p-values adjusted by Holm: under 0.05, any chance result is among them with a probability of at most 5 %."""
    p_values = [effect.p_value for effect in effects if effect.p_value is not None]
    adjusted = iter(holm(p_values).tolist() if p_values else [])
    return tuple(effect if effect.p_value is None else replace(effect, p_value=next(adjusted)) for effect in effects)
