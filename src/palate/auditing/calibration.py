"""Whether sigmoid(margin) is the probability that people agree, and what a temperature would do about it."""

import numpy as np

from palate.auditing.scorer import Scored
from palate.health.thresholds import Thresholds
from palate.metrics.calibration import Calibration, noise_ceiling
from palate.metrics.temperature import Temperature, TemperatureScaling, temperature_scaling
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table
from palate.report.plots import Line, Lines

_WHY = (
    "A margin of 1 claims that people prefer the response with probability 0.73. Whoever filters by margin, mixes "
    "rewards or draws pairs to label relies on such claims; one number, the temperature, usually mends them."
)
_FEWEST = 50  # pairs from which on calibration can be told at all


def check_calibration(scored: Scored, thresholds: Thresholds) -> Check:
    """Reliability, calibration error, Brier score, log loss, and the fitted temperature with before and after."""
    section = Section("calibration", "Calibration", _WHY, ())
    usable = scored.usable_C
    if usable.sum() < _FEWEST:
        return Check(section, skipped=f"{int(usable.sum())} labelled pairs with rewards; {_FEWEST} are needed")
    labels = scored.corpus.comparisons
    probability = labels.probability[usable]
    found = temperature_scaling(
        scored.margin_C[usable],
        scored.corpus.groups.prompt_key[labels.group[usable]],
        probability=probability,
    )
    ceiling = noise_ceiling(probability)
    facts = _facts(found)
    facts |= {"calibration.best_accuracy": ceiling.accuracy, "calibration.best_log_loss": ceiling.log_loss}
    blocks = (_reliability(found), _table(found))
    return Check(Section(section.key, section.title, _WHY, blocks), _findings(found, thresholds), facts)


def _findings(found: TemperatureScaling, thresholds: Thresholds) -> tuple[Finding, ...]:
    ece = found.before.ece
    what, cure = _judged(found.temperature)
    return thresholds.find(
        "miscalibrated",
        f"Stated and observed probabilities differ by {ece.value:.3f}; {what}.",
        Measure(ece.value, "expected calibration error", ece.low, ece.high),
        cure=cure,
    )


def _judged(temperature: Temperature) -> tuple[str, str]:
    """What is the case, and what mends it: a temperature only where one can be fitted."""
    if temperature.status == "separable":
        return "every pair is ranked right, so that no temperature is low enough to fit", (
            "No temperature can be fitted where nothing is wrong. Give more pairs, and closer ones, until the model "
            "misses some; until then margins say which response is better, not how sure that is."
        )
    if temperature.status == "no-signal":
        return "on the whole its margins point the wrong way, so that no temperature is high enough to fit", (
            "No temperature turns a ranking round. Mend the ranking first: the section about it says what may be wrong."
        )
    value = temperature.value.value
    return f"the model is {'too sure of itself' if value > 1 else 'not sure enough'} (temperature {value:.2f})", (
        "Divide margins by the temperature before reading them as probabilities. --save-temperature writes it to the "
        "contract; rankings do not change."
    )


def _facts(found: TemperatureScaling) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "calibration.temperature": found.temperature.value.value,
        "calibration.temperature_low": found.temperature.value.low,
        "calibration.temperature_high": found.temperature.value.high,
        "calibration.temperature_status": found.temperature.status,
        "calibration.pairs": found.before.pairs,
    }
    for when, one in (("before", found.before), ("after", found.after)):
        if one is None:
            continue
        facts |= {
            f"calibration.{when}.ece": one.ece.value,
            f"calibration.{when}.ece_low": one.ece.low,
            f"calibration.{when}.ece_high": one.ece.high,
            f"calibration.{when}.ece_plain": one.ece_plain,
            f"calibration.{when}.brier": one.brier.value,
            f"calibration.{when}.log_loss": one.log_loss.value,
        }
    return facts


def _reliability(found: TemperatureScaling) -> Lines:
    lines = [_line("as it is", found.before)]
    if found.after is not None:
        lines.append(_line("with the temperature", found.after))
    return Lines(
        "How often the model is right, by how sure it is",
        "stated probability, sigmoid of |margin|",
        "share that people agree with",
        tuple(lines),
        diagonal=True,
    )


def _line(name: str, one: Calibration) -> Line:
    return Line(
        name,
        tuple(part.confidence for part in one.bins),
        tuple(part.observed.value for part in one.bins),
        tuple(part.observed.low for part in one.bins),
        tuple(part.observed.high for part in one.bins),
    )


def _table(found: TemperatureScaling) -> Table:
    rows: list[tuple[str | float | None, ...]] = []
    for name, read in (("expected calibration error", "ece"), ("Brier score", "brier"), ("log loss", "log_loss")):
        cells = [None if one is None else getattr(one, read).value for one in (found.before, found.after)]
        rows.append((name, *cells))
    value = found.temperature.value.value
    rows.append(("temperature", 1.0, value if np.isfinite(value) else None))
    return Table(
        ("figure", "as it is", "with the temperature"), tuple(rows), "Temperatures are fitted to other prompts"
    )
