"""Parts of the data on which the candidate is worse, with Holm's correction for having looked at all of them."""

from dataclasses import dataclass, replace

import numpy as np

from palate.auditing.slices import FEWEST, Slice, slices_of
from palate.auditing.versus.disagreement import examples_of, parted
from palate.auditing.versus.matched import SIDES, Matched
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate, accuracy_difference, holm, share_estimate, sign_flip_p_value
from palate.metrics.comparison import paired_gains
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table
from palate.report.plots import Bars

_WHY = (
    "A candidate that is better on the whole may have been bought with a part of the data, which users of that part "
    "will notice. Among many parts some look worse by chance alone, so each is held to a stricter test the more there "
    "are."
)
_NOT_TESTED = (("chosen is", "longer"), ("chosen is", "shorter"))
"""They part labels, not data: a candidate that has unlearned to like length loses where the longer response was
preferred, which is no fault of it. That it has learned to like length is for `longer-bias` to say."""


@dataclass(frozen=True, slots=True)
class Part:
    """Both models on a part of the data.

    Attributes:
        slice: which pairs.
        sides: accuracy of incumbent and candidate.
        difference: accuracy of the candidate minus that of the incumbent.
        p_value: two-sided, of the sign-flip test over prompts.
        p_holm: the same after Holm's correction over all parts that are tested; None for those that are not.
    """

    slice: Slice
    sides: tuple[Estimate, Estimate]
    difference: Estimate
    p_value: float
    p_holm: float | None

    @property
    def name(self) -> str:
        """What the data was divided by, and the part."""
        return f"{self.slice.kind}: {self.slice.name}"

    @property
    def tested(self) -> bool:
        """Whether being worse there speaks against the candidate."""
        return self.p_holm is not None

    @property
    def pairs(self) -> int:
        """How many."""
        return int(self.slice.member_C.sum())


def compare_parts(matched: Matched) -> tuple[Part, ...]:
    """Every slice with enough pairs; the tests know that pairs of a prompt go together."""
    slices = tuple(slices_of(matched.candidate))
    p_values = [_p_value(matched, part) for part in slices]
    tested = [row for row, part in enumerate(slices) if (part.kind, part.name) not in _NOT_TESTED]
    adjusted = holm([p_values[row] for row in tested]).tolist() if tested else []
    corrected = dict(zip(tested, adjusted, strict=True))
    return tuple(
        Part(part, *_figures(matched, part), p_values[row], corrected.get(row)) for row, part in enumerate(slices)
    )


def check_parts(matched: Matched, thresholds: Thresholds) -> Check:
    """Accuracy of both by part of the data, and the parts on which the candidate is worse beyond doubt.

    Facts: `parts.tested`, `parts.worse` (names), `parts.least_p` after correction of those with a lower accuracy, and
    `parts.by_name` with pairs, accuracies, difference, interval and both p-values of each.
    """
    parts = compare_parts(matched)
    section = Section("parts", "Parts of the data", _WHY, ())
    if not parts:
        return Check(section, skipped=f"no part of the data but the whole holds {FEWEST} labelled pairs")
    tested = [part for part in parts if part.tested]
    worse = sorted((part for part in tested if part.difference.value < 0), key=lambda part: part.difference.value)
    surely = [(part, finding) for part in worse for finding in _surely(part, len(tested), thresholds)]
    facts: dict[str, Fact] = {
        "parts.tested": len(tested),
        "parts.least_p": min((part.p_holm for part in worse if part.p_holm is not None), default=1.0),
        "parts.worse": [part.name for part, _ in surely],
        "parts.by_name": {part.name: _facts(part) for part in parts},
    }
    findings = _worse(matched, surely)
    blocks = (_bars(parts), _table(parts))
    return Check(Section(section.key, section.title, _WHY, blocks), findings, facts)


def _p_value(matched: Matched, part: Slice) -> float:
    gain, _ = paired_gains(*(side.margin_C[part.member_C] for side in reversed(matched.sides)))
    return sign_flip_p_value(gain, matched.prompt_C[part.member_C])


def _figures(matched: Matched, part: Slice) -> tuple[tuple[Estimate, Estimate], Estimate]:
    prompt = matched.prompt_C[part.member_C]
    incumbent, candidate = (side.margin_C[part.member_C] for side in matched.sides)
    one, other = (share_estimate((np.sign(margin) + 1) / 2, prompt) for margin in (incumbent, candidate))
    return (one, other), accuracy_difference(candidate, incumbent, prompt).difference


def _worse(matched: Matched, surely: list[tuple[Part, Finding]]) -> tuple[Finding, ...]:
    """One finding for all parts that are worse beyond doubt: it tells of the one that lost most."""
    if not surely:
        return ()
    worst, finding = surely[0]
    lost_there_C = parted(matched)[0] & worst.slice.member_C
    named = "; ".join(part.name for part, _ in surely[1:])
    return (
        replace(
            finding,
            title=finding.title + (f" It is worse as well where {named}." if named else ""),
            count=int(lost_there_C.sum()),
            examples=examples_of(matched, lost_there_C, lost=True),
        ),
    )


def _surely(part: Part, tested: int, thresholds: Thresholds) -> tuple[Finding, ...]:
    assert part.p_holm is not None
    incumbent, candidate = part.sides
    return thresholds.find(
        "worse-slice",
        f"Where {part.name}, the candidate's accuracy is {candidate.value:.3f} against {incumbent.value:.3f} on "
        f"{part.pairs:,} pairs.",
        Measure(part.p_holm, f"p-value after Holm's correction over {tested} parts"),
        cure="Compare what both were trained on there; collect more such pairs or weigh them up, and compare again.",
    )


def _facts(part: Part) -> dict[str, Fact]:
    return {
        "pairs": part.pairs,
        **{name: one.value for name, one in zip(SIDES, part.sides, strict=True)},
        "difference": part.difference.value,
        "low": part.difference.low,
        "high": part.difference.high,
        "p": part.p_value,
        "p_holm": part.p_holm,
    }


def _bars(parts: tuple[Part, ...]) -> Bars:
    """The two models one below the other, part by part; names are short, since long ones are cut."""
    shown = [(part, name, one) for part in parts for name, one in zip(SIDES, part.sides, strict=True)]
    return Bars(
        "Accuracy by part of the data, the incumbent's above the candidate's",
        "accuracy, 95 % intervals",
        tuple(part.name if name == "incumbent" else "candidate" for part, name, _ in shown),
        tuple(one.value for _, _, one in shown),
        tuple((one.low, one.high) for _, _, one in shown),
        tuple(_label(part, name) for part, name, _ in shown),
        reference=0.5,
        reference_label="guessing",
    )


def _label(part: Part, name: str) -> str:
    return f"{name} where {part.name}, {part.pairs:,} pairs\ncandidate minus incumbent {part.difference.value:+.3f}"


def _table(parts: tuple[Part, ...]) -> Table:
    columns = ("part", "pairs", *SIDES, "difference", "low", "high", "p", "Holm's p")
    rows = tuple(
        (
            part.name,
            part.pairs,
            part.sides[0].value,
            part.sides[1].value,
            part.difference.value,
            part.difference.low,
            part.difference.high,
            part.p_value,
            part.p_holm,
        )
        for part in parts
    )
    caption = "Candidate minus incumbent; 95 % intervals of the differences are of each part alone"
    if not all(part.tested for part in parts):
        caption += "; where the longer or the shorter response was preferred is no part to be tested, see longer-bias"
    return Table(columns, rows, caption)
