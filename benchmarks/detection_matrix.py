"""Which pathologies of a reward model an audit names, and what it says of sound models.

    python -m benchmarks.detection_matrix --work runs/detection

Ten pathologies, each planted in a reward model of its own, and ten sound reward models trained from ten seeds, each of
them the control of one pathology: the same audit on the same data without the plant. What is learnt is learnt by
SmolLM2-135M from simulated preferences. A pathology is caught when a finding that names it warns or fails; a false
finding is one that fails on a sound model. With --work, trained models are kept and used again.
"""

import json
import os
import shutil
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import palate
from benchmarks.detection_cases import (
    Material,
    Settings,
    Sizes,
    copied,
    exploded,
    head_with_bias,
    make,
    served_elsewhere,
    shifted_policy,
    stale_template,
    wrong_padding,
)
from benchmarks.report import RESULTS, Report, Target
from palate.data.simulate import Flaws
from palate.report.findings import Finding

DOCUMENT = Path(__file__).parents[1] / "docs" / "detection-matrix.md"
MATRIX, SOUND = "Planted pathologies", "Sound reward models"
FULL = Sizes(model="smollm2", train=300, held_out=100, policy=60, lr=1e-4)
Plant = Callable[[Material], AbstractContextManager[Settings]]


@dataclass(frozen=True, slots=True)
class Case:
    """One pathology.

    Attributes:
        name: as people call it.
        named: ids of the findings that name it.
        flaws: planted in its training data, if it is learnt from data.
        plant: done to a trained model or to what it is audited with; gives settings that differ.
        control: done to the sound model in the same place, such as the same server without the fault.
    """

    name: str
    named: tuple[str, ...]
    flaws: Flaws | None = None
    plant: Plant | None = None
    control: Plant | None = None


@contextmanager
def _shifted(material: Material) -> Iterator[Settings]:
    yield shifted_policy(material)


@contextmanager
def _unshifted(material: Material) -> Iterator[Settings]:
    yield {"policy_outputs": str(material.policy)}


CASES = (
    Case("length bias", ("length-bias",), flaws=Flaws(length_bias=0.9)),
    Case("padding-side bug", ("padding-side",), plant=lambda made: copied(made.model, wrong_padding)),
    Case("stale chat template", ("template-mismatch",), plant=lambda made: copied(made.model, stale_template)),
    Case("exploding reward", ("exploding-reward", "non-finite"), plant=lambda made: copied(made.model, exploded)),
    Case(
        "distribution shift onto the policy",
        ("distribution-shift", "response-shift"),
        plant=_shifted,
        control=_unshifted,
    ),
    Case("one annotator dominates", ("dominant-annotator",), flaws=Flaws(dominant=0.8)),
    Case("same prompt in train and dev", ("prompt-leak",), flaws=Flaws(leaks=0.3)),
    Case("bias left on the head", ("head-bias",), plant=lambda made: copied(made.model, head_with_bias)),
    Case(
        "two towers: dropout left on",
        ("dropout-on",),
        plant=lambda made: served_elsewhere(made.model, dropout=0.1),
        control=lambda made: served_elsewhere(made.model, dropout=0.0),
    ),
    Case("annotation artefacts", ("style-artifact",), flaws=Flaws(artefact=0.6)),
)


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=FULL.model)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--only", type=int, nargs="*", help="run these anew and keep the other rows of the results")
    parser.add_argument("--battery", choices=("all", "quick", "none"), default="quick")
    parser.add_argument("--probes", type=int, default=12)
    parser.add_argument("--work", type=Path, help="keep data and models here, and use what is there")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="little data, no battery: does it run, not what it finds")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    hidden = ("out", "work", "only")
    settings = {key: value for key, value in vars(options).items() if key not in hidden}
    report = Report("detection_matrix", "Which pathologies an audit names", settings, list(NOTES))
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        os.environ["PALATE_CACHE"] = str(work / "cache")
        for number, case in enumerate(CASES[: options.cases], start=1):
            if options.only is None or number in options.only:
                _one(report, case, number, work, options)
    if options.only is not None:
        _merge(report, options.out)
    caught, sound = report.tables[MATRIX], report.tables[SOUND]
    if not options.quick:
        failing = sum(row["fails"] != "none" for row in sound)
        report.targets = [
            Target("pathologies caught and named", "at least", 10, sum(row["caught"] == "yes" for row in caught)),
            Target("sound models with a finding that fails", "at most", 0, failing),
        ]
    written = report.write(options.out)
    if options.out == RESULTS and not options.quick:
        shutil.copy(written.with_suffix(".md"), DOCUMENT)


def _merge(report: Report, folder: Path) -> None:
    """Put the new rows in the places of the old ones; every case has data, seed and model of its own."""
    kept = json.loads((folder / f"{report.name}.json").read_text(encoding="utf-8"))["tables"]
    for table, key in ((MATRIX, "pathology"), (SOUND, "seed")):
        new = {row[key]: row for row in report.tables[table]}
        report.tables[table] = [new.get(row[key], row) for row in kept[table]]
    report.notes.append("The command ran single cases anew (--only); all other rows are of a run of all cases before.")


def _one(report: Report, case: Case, number: int, work: Path, options: Namespace) -> None:
    sizes = FULL if not options.quick else Sizes(options.model, train=24, held_out=60, policy=30, lr=1e-3)
    sound = make(work / f"sound-{number}", sizes, seed=number)
    started = perf_counter()
    with _applied(case.control, sound) as changed:
        found = _audited(sound.settings() | changed, options)
    report.add(
        SOUND,
        seed=number,
        fails=_names(found, "fail"),
        warns=_names(found, "warn"),
        control_of=case.name,
        seconds=perf_counter() - started,
    )
    planted = sound
    if case.flaws is not None:
        by_row = case.flaws.leaks > 0
        planted = make(work / f"planted-{number}", sizes, seed=number, flaws=case.flaws, split_by_row=by_row)
    with _applied(case.plant, planted) as changed:
        found = _audited(planted.settings() | changed, options)
    named = next((finding for finding in found if finding.id in case.named and finding.severity != "info"), None)
    report.add(
        MATRIX,
        pathology=case.name,
        caught="no" if named is None else "yes",
        finding=case.named[0] if named is None else named.id,
        severity="-" if named is None else named.severity,
        value=None if named is None else named.measure.value,
        unit="" if named is None else named.measure.unit,
        others_that_fail=_names([one for one in found if one.id not in case.named], "fail"),
    )


@contextmanager
def _applied(plant: Plant | None, material: Material) -> Iterator[Settings]:
    if plant is None:
        yield {}
        return
    with plant(material) as settings:
        yield settings


def _audited(settings: Settings, options: Namespace) -> list[Finding]:
    asked = {"battery": "none" if options.quick else options.battery, "probes": 0 if options.quick else options.probes}
    with tempfile.TemporaryDirectory() as out:
        report = palate.audit(**(asked | settings), out=out)
    return [finding for check in report.checks for finding in check.findings]


def _names(found: list[Finding], severity: str) -> str:
    return " ".join(sorted(finding.id for finding in found if finding.severity == severity)) or "none"


NOTES = [
    "Drift of the policy is named by distribution-shift, which looks at hidden states, or by response-shift, which "
    "looks at length and form. The dressed-up answers here are not far out in their states, and only the second names "
    "them.",
    "Planted: annotators of whom nine in ten votes go to the longer response; a pad token in config.json that is not "
    "the tokenizer's; the chat template of another model; three unclipped steps on one mislabelled pair; a policy that "
    "dresses up and repeats every answer; four fifths of the votes by one of five annotators; a third of the prompts "
    "asked again, split by row; a bias of 1.7; a server in training mode; marks of form on three in five answers.",
    "A finding that fails on a sound model would be false. Those that warn need not be: a body of 135M parameters does "
    "lose many pairs of the battery, and no threshold makes that untrue.",
]

if __name__ == "__main__":
    main()
