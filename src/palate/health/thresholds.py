"""From which value a finding warns, and from which it fails.

An estimate is judged by the end of its interval that is nearer to harmless: a small sample warns of less, instead of
crying wolf.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from palate.errors import ConfigError
from palate.report.findings import Example, Finding, Measure, Severity


@dataclass(frozen=True, slots=True)
class Limit:
    """The values from which a finding warns and fails; None for never.

    Attributes:
        warn, fail: limits, which belong to the severity that they begin.
        bad: whether high or low values are bad.
    """

    warn: float | None
    fail: float | None
    bad: Literal["high", "low"] = "high"

    def judge(self, value: float) -> tuple[Severity, float] | None:
        """The severity of a value and the limit that it passes, or None."""
        for severity, limit in (("fail", self.fail), ("warn", self.warn)):
            if limit is not None and (value >= limit if self.bad == "high" else value <= limit):
                return severity, limit  # type: ignore[return-value]
        return None


_ANY = 1e-6  # a limit that any value passes: nothing to show as a threshold

LIMITS: dict[str, Limit] = {
    # rows
    "identical-pair": Limit(warn=1e-9, fail=0.05),  # share of rows with the same text on both sides
    "unusable-row": Limit(warn=1e-9, fail=0.05),  # share of rows that cannot be read
    "template": Limit(warn=1e-9, fail=0.05),  # share of groups with odd turns
    "no-shared-prompt": Limit(warn=1e-9, fail=0.2),  # share of groups whose conversations part early
    # tokens
    "over-long": Limit(warn=0.02, fail=0.2),  # share of groups over the maximum length
    "missing-eos": Limit(warn=1e-9, fail=0.01),  # share of sequences that end in no special token
    # leaks
    "prompt-leak": Limit(warn=1e-9, fail=0.01),  # share of the prompts of the other side
    "near-duplicate": Limit(warn=0.02, fail=0.1),  # share of the prompts of the other side, equal ones apart
    "response-leak": Limit(warn=0.2, fail=None),  # share of the long responses of the other side, to other prompts
    "label-leak": Limit(warn=1e-9, fail=0.01),  # share of the decided comparisons of the other side
    "repeated-prompt": Limit(warn=0.005, fail=None),  # share of the rows that a split by row would leak
    "contamination": Limit(warn=0.005, fail=0.02),  # share of a benchmark's items
    # contradictions
    "contradiction": Limit(warn=0.001, fail=0.05),  # share of the decided comparisons
    "cycle": Limit(warn=0.01, fail=0.15),  # share of the compared pairs that no order satisfies
    "duplicate": Limit(warn=0.001, fail=0.2),  # share of comparisons
    "unequal-margins": Limit(warn=0.01, fail=None),  # share of the compared pairs
    # length, style, response-only baseline, label noise
    "length-bias": Limit(warn=0.53, fail=0.65),  # accuracy of always choosing the longer response, or the shorter
    "length-votes": Limit(warn=0.03, fail=None),  # share of votes that length decides, under assumptions
    "style-artifact": Limit(warn=0.6, fail=0.85),  # share won by the response with more of a mark, beyond its length
    "style-only": Limit(warn=0.65, fail=0.75),  # held-out accuracy of a model that sees marks of style alone
    "generator-identity": Limit(warn=0.7, fail=0.85),  # held-out accuracy of a model that sees who wrote it alone
    "response-only": Limit(warn=0.65, fail=0.8),  # held-out accuracy of a model that does not see the prompt
    "label-noise": Limit(warn=0.08, fail=0.2),  # estimated share of wrong labels
    # annotators
    "few-votes": Limit(warn=0.1, fail=None),  # share of comparisons with fewer than three votes
    "low-agreement": Limit(warn=0.65, fail=0.55, bad="low"),  # share of pairs of votes that agree, ties left out
    "dominant-annotator": Limit(warn=0.2, fail=0.5),  # share of votes of the busiest beyond an even share
    "deviant-annotators": Limit(warn=0.01, fail=0.2),  # share of votes by people who agree less with the others
    "position-bias": Limit(warn=0.03, fail=0.1),  # distance from one half of the share that prefer what came first
    "hasty-annotators": Limit(warn=0.01, fail=0.2),  # share of votes by people who are far faster than the others
}


class Thresholds:
    """The limits of all findings, some of them set by the user.

    Args:
        changed: by id, the value from which that finding fails; its warning limit, where it has one, is moved to the
            same value if it would be the stricter of the two no longer.
        limits: what holds where nothing is changed.

    Raises:
        ConfigError: there is no such finding.
    """

    def __init__(self, changed: Mapping[str, float] | None = None, limits: Mapping[str, Limit] | None = None) -> None:
        self._limits = dict(LIMITS if limits is None else limits)
        for id, value in (changed or {}).items():
            if id not in self._limits:
                known = ", ".join(sorted(self._limits))
                raise ConfigError(f"there is no finding {id!r}; thresholds can be set for {known}")
            self._limits[id] = _moved(self._limits[id], value)

    def find(
        self,
        id: str,
        title: str,
        measure: Measure,
        *,
        cure: str,
        command: str = "",
        count: int = 0,
        examples: tuple[Example, ...] = (),
    ) -> tuple[Finding, ...]:
        """The finding, or nothing where its value passes no limit.

        Args:
            id: a key of `LIMITS`.
            title: see `Finding`; likewise for the others.
            measure: its threshold is filled in here.
            cure: what to do.
            command: ready to be copied.
            count: how many places there are.
            examples: the first of them.
        """
        limit = self._limits[id]
        bound = measure.low if limit.bad == "high" else measure.high
        judged = limit.judge(measure.value if bound is None else bound)
        if judged is None:
            return ()
        severity, threshold = judged
        shown = None if threshold <= _ANY else threshold
        held = Measure(measure.value, measure.unit, measure.low, measure.high, shown)
        return (Finding(id, severity, title, held, cure, command, count, examples),)


def _moved(limit: Limit, fail: float) -> Limit:
    if limit.warn is None:
        return Limit(None, fail, limit.bad)
    return Limit(min(limit.warn, fail) if limit.bad == "high" else max(limit.warn, fail), fail, limit.bad)


def parse_threshold(setting: str) -> tuple[str, float]:
    """`length-bias=0.7` as a name and a number.

    Raises:
        ConfigError: it is not written so.
    """
    name, _, value = setting.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ConfigError(f"threshold is {setting!r}; write NAME=NUMBER, such as length-bias=0.7") from None
