"""What the rewards of both models are made of: calibration, length and style, side by side.

Shape legend: R responses.
"""

import numpy as np

from palate.auditing.appearance import check_appearance
from palate.auditing.calibration import check_calibration
from palate.auditing.limits import audit_thresholds
from palate.auditing.scorer import Floats
from palate.auditing.versus.matched import Matched
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate, cluster_bootstrap, cluster_codes
from palate.metrics.dependence import moment_sums, second_moments
from palate.metrics.intervals import Ints, Names
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table

_WHY = (
    "Of two models that are right equally often, one may owe more of its reward to length and form, and a policy that "
    "is trained against it will write longer. Calibration matters to whoever reads margins as probabilities."
)
_ROWS = (
    ("calibration error", "calibration.before.ece"),
    ("calibration error, with a temperature", "calibration.after.ece"),
    ("Brier score", "calibration.before.brier"),
    ("R^2 of reward on log length", "appearance.length_r2_pooled_log"),
    ("the same within prompts", "appearance.length_r2_within_log"),
    ("length and reward given the label, r", "appearance.length_partial_r"),
    ("share of margins that style explains", "appearance.style_explained"),
    ("accuracy, preferred one longer", "appearance.accuracy_longer"),
    ("accuracy, preferred one shorter", "appearance.accuracy_shorter"),
)
_UNBOUNDED = (  # apart, since a column shares its decimals
    ("log loss", "calibration.before.log_loss"),
    ("log loss, with a temperature", "calibration.after.log_loss"),
    ("temperature", "calibration.temperature"),
)


def check_makeup(matched: Matched, thresholds: Thresholds) -> Check:
    """Figures of both from the audit's own checks, and how much more of the candidate's reward is length.

    Facts: those of calibration and appearance of an audit, under `makeup.incumbent.` and `makeup.candidate.`;
    `makeup.length_r2_difference` with its interval.
    """
    section = Section("makeup", "Calibration, length and style", _WHY, ())
    found = [[check(side, audit_thresholds()) for check in _CHECKS] for side in matched.sides]
    facts_of = [{name: fact for one in checks for name, fact in one.facts.items()} for checks in found]
    skipped = [one.skipped for one in found[0] if one.skipped]
    if len(skipped) == len(_CHECKS):
        return Check(section, skipped=skipped[0])
    facts: dict[str, Fact] = {
        f"makeup.{side}.{name}": fact
        for side, stated in zip(("incumbent", "candidate"), facts_of, strict=True)
        for name, fact in stated.items()
    }
    caption = "; ".join(["On the same responses", *skipped])
    blocks = (_table(_ROWS, facts_of, caption), _table(_UNBOUNDED, facts_of, "Calibration in units without a ceiling"))
    longer = length_difference(matched)
    facts |= {
        "makeup.length_r2_difference": longer.value,
        "makeup.length_r2_difference_low": longer.low,
        "makeup.length_r2_difference_high": longer.high,
    }
    findings = _longer(longer, facts_of, thresholds)
    return Check(Section(section.key, section.title, _WHY, blocks), findings, facts)


_CHECKS = (check_calibration, check_appearance)


def _table(rows: tuple[tuple[str, str], ...], facts_of: list[dict[str, Fact]], caption: str) -> Table:
    cells = tuple((title, *(_number(stated.get(name)) for stated in facts_of)) for title, name in rows)
    return Table(("figure", "incumbent", "candidate"), cells, caption)


def length_difference(matched: Matched) -> Estimate:
    """R^2 of the candidate's reward on ln(1 + length) within prompts, minus that of the incumbent's.

    An R^2 has no unit, so that two models may be compared by it. A resample takes a prompt with the rewards of both.

    Returns:
        The difference with its 95 % interval; NaN where a reward or the length varies in no prompt.
    """
    responses, groups = matched.corpus.responses, matched.corpus.groups
    both_R = np.isfinite(matched.incumbent.reward_R)
    prompt_R = groups.prompt_key[responses.group[both_R]]
    columns = [side.reward_R[both_R] for side in matched.sides]
    return r2_difference(columns[0], columns[1], np.log1p(responses.characters[both_R].astype(np.float64)), prompt_R)


def r2_difference(incumbent: Floats, candidate: Floats, explains: Floats, prompt: Names) -> Estimate:
    """R^2 of `candidate` on `explains` minus that of `incumbent`, all taken as differences from the prompt's mean.

    Args:
        incumbent: [R].
        candidate: [R].
        explains: [R].
        prompt: [R], names.
    """
    code_R = cluster_codes(prompt, len(explains))
    columns_R3 = np.column_stack([_centred(column, code_R) for column in (incumbent, candidate, explains)])

    def difference(sums: Floats) -> Floats:
        moments = second_moments(sums, 3)  # of differences from means: covariances
        with np.errstate(invalid="ignore", divide="ignore"):
            r2 = moments[..., :2, 2] ** 2 / (moments[..., [0, 1], [0, 1]] * moments[..., 2:, 2])
        return np.asarray(r2[..., 1] - r2[..., 0])

    return cluster_bootstrap(difference, moment_sums(columns_R3, code_R))


def _centred(column_R: Floats, code_R: Ints) -> Floats:
    """Differences from the prompt's mean; what rounding leaves is none."""
    centred_R = column_R - (np.bincount(code_R, weights=column_R) / np.bincount(code_R))[code_R]
    return np.where(np.abs(centred_R) > 1e-12 * np.abs(column_R).max(), centred_R, 0.0)


def _longer(longer: Estimate, facts_of: list[dict[str, Fact]], thresholds: Thresholds) -> tuple[Finding, ...]:
    if not np.isfinite(longer.low):
        return ()
    incumbent, candidate = (stated.get("appearance.length_r2_within_log") for stated in facts_of)
    return thresholds.find(
        "longer-bias",
        f"Within prompts, length explains {_share(candidate)} of the candidate's reward and {_share(incumbent)} of the "
        "incumbent's.",
        Measure(longer.value, "R^2 on log length more than the incumbent", longer.low, longer.high),
        cure="A policy trained against the candidate will write longer answers: train it with length control, or "
        "balance its data by length.",
        command="palate train ... --length-control decorrelation",
    )


def _share(value: Fact) -> str:
    return f"{value:.0%}" if isinstance(value, float) else "an unknown share"


def _number(fact: Fact) -> float | None:
    return float(fact) if isinstance(fact, int | float) and np.isfinite(fact) else None
