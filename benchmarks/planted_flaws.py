"""Which planted flaws `palate data check` finds, at which rate, and what it says about clean data.

    python -m benchmarks.planted_flaws

The built-in set, about 2,000 pairs each time, with one kind of flaw planted at a known rate. A flaw is flagged when a
finding that names it warns or fails. Where single places are planted, recall is the share of them that the check lists,
and precision the share of what it lists that was planted.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import floats
from benchmarks.report import RESULTS, Report, Target
from palate.data.simulate import Flaws, SimulatedSet, simulate
from palate.health.annotators.check import check_annotators
from palate.health.contradictions.check import check_contradictions
from palate.health.corpus import Corpus, build_corpus
from palate.health.leaks.check import check_leaks
from palate.health.noise.check import check_noise
from palate.health.shortcuts.artefacts import check_artefacts
from palate.health.shortcuts.baseline import check_baseline, fit_baseline
from palate.health.shortcuts.length import check_length
from palate.health.thresholds import Thresholds
from palate.records import PreferenceGroup
from palate.report.findings import Check

PROMPTS = 1030  # about 2,000 comparisons
PLANTED, CLEAN = "Planted flaws", "Clean sets"
NAMED: dict[str, tuple[str, ...]] = {
    "leaks": ("prompt-leak",),
    "duplicates": ("duplicate",),
    "artefact": ("style-artifact",),
    "length_bias": ("length-bias", "length-votes"),
    "dominant": ("dominant-annotator",),
    "flipped": ("label-noise",),
}
"""The findings that name each flaw of `palate.data.simulate.Flaws`."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the checks said of one set, and the columns that they read."""

    corpus: Corpus
    checks: tuple[Check, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """Ids of the findings that warn or fail."""
        return tuple(f.id for check in self.checks for f in check.findings if f.severity != "info")

    def fact(self, name: str) -> object:
        """One figure, or None."""
        return next((check.facts[name] for check in self.checks if name in check.facts), None)


def look(groups: Sequence[PreferenceGroup], folder: Path, against: Sequence[PreferenceGroup] = ()) -> Looked:
    corpus, limits = build_corpus(groups, folder, against=against), Thresholds()
    baseline = fit_baseline(corpus)
    checks = (
        *(one(corpus, limits) for one in (check_leaks, check_contradictions, check_length, check_artefacts)),
        check_baseline(limits, baseline),
        check_noise(corpus, limits, None if baseline is None else baseline.margins, "the n-gram baseline"),
        check_annotators(corpus, limits),
    )
    return Looked(corpus, checks)


def planted(made: SimulatedSet, kind: str, folder: Path) -> Looked:
    """Leaks are planted between a set and its dev set: the last fifth of the rows, as a split by row would have it."""
    if kind != "leaks":
        return look(made.groups, folder)
    cut = len(made.groups) * 4 // 5
    return look(made.groups[:cut], folder, against=made.groups[cut:])


def places(made: SimulatedSet, kind: str, found: Looked) -> tuple[int, int, int] | None:
    """How many places were planted, listed, and both; None where the flaw has no single places.

    Leaks and duplicates are found by exact keys and only counted: what is counted up to the planted number is both.
    """
    if kind == "flipped":
        return suspects(made, found)
    if kind == "leaks":
        cut = int((~found.corpus.groups.against).sum())
        ours = {truth.leaked_from or truth.id for truth in made.truth[:cut]}
        truly = sum((truth.leaked_from or truth.id) in ours for truth in made.truth[cut:])
        listed = found.fact("leaks.same_prompt_groups")
    elif kind == "duplicates":
        truly = sum(bool(truth.duplicate_of) for truth in made.truth)
        listed = found.fact("leaks.duplicate_groups")
    else:
        return None
    assert isinstance(listed, int)
    return truly, listed, min(truly, listed)


def suspects(made: SimulatedSet, found: Looked) -> tuple[int, int, int]:
    """Flipped labels among the first of the ranking for review: twice as many as were flipped."""
    flipped = {
        (group.id, label.winner, label.loser): is_so.flipped
        for group, truth in zip(made.groups, made.truth, strict=True)
        for label, is_so in zip(group.comparisons, truth.comparisons, strict=True)
    }
    number, ranked = sum(flipped.values()), found.fact("noise.suspects")
    assert isinstance(ranked, list)
    first = [one for one in ranked[: 2 * number] if isinstance(one, dict)]
    hits = sum(flipped[str(one["id"]), int(str(one["winner"])), int(str(one["loser"]))] for one in first)
    return number, len(first), hits


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", type=floats, default=[0.005, 0.02, 0.1])
    parser.add_argument("--seeds", type=int, default=5, help="sets of each flaw and rate")
    parser.add_argument("--clean", type=int, default=20, help="clean sets")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="one small set each: does it run, not what it finds")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rates, options.seeds, options.clean, options.prompts = [0.1], 1, 1, 120
    return options


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    settings = {key: value for key, value in vars(options).items() if key != "out"}
    report = Report("planted_flaws", "What a data check finds of planted flaws", settings, list(NOTES))
    for kind in NAMED:
        for rate in options.rates:
            report.add(PLANTED, **one_row(kind, rate, options))
    alarms = 0
    for seed in range(options.clean):
        with tempfile.TemporaryDirectory() as folder:
            found = look(simulate(options.prompts, seed=1000 + seed).groups, Path(folder)).findings
        alarms += bool(found)
        report.add(CLEAN, seed=1000 + seed, findings=" ".join(found) or "none")
    flagged = {(row["flaw"], row["rate"]): row["flagged"] for row in report.tables[PLANTED]}
    if not options.quick:
        report.targets = [
            Target(f"{kind} at 2 % flagged, share of sets", "at least", 1.0, flagged.get((kind, 0.02)))
            for kind in NAMED
        ]
        report.targets.append(Target("clean sets with an alarm", "at most", 0, alarms))
    report.write(options.out)


def one_row(kind: str, rate: float, options: Namespace) -> dict[str, object]:
    hits, counts, others = 0, [], 0
    for seed in range(options.seeds):
        made = simulate(options.prompts, seed=seed, flaws=Flaws(**{kind: rate}))
        with tempfile.TemporaryDirectory() as folder:
            found = planted(made, kind, Path(folder))
            hits += any(id in NAMED[kind] for id in found.findings)
            others += sum(id not in NAMED[kind] for id in found.findings)
            counts.append(places(made, kind, found))
    known = [count for count in counts if count is not None]
    truly, listed, both = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0, 0)
    return {
        "flaw": kind,
        "rate": rate,
        "flagged": hits / options.seeds,
        "planted": truly or None,
        "recall": both / truly if truly else None,
        "precision": both / listed if listed else None,
        "other_findings_a_set": others / options.seeds,
    }


NOTES = [
    "Rates are of what each flaw is counted among: leaks, duplicates and artefact among groups, flipped among labels, "
    "length_bias among votes; dominant is the share of all votes that one of five annotators casts (0.2 is even).",
    "Flipped labels are ranked for review by what a bag of n-grams can tell; recall and precision are of the first of "
    "that ranking, twice as many as were flipped. The set is made so that n-grams tell little; rewards of a trained "
    "model (palate data check --scores) rank better.",
    "Of leaks those count whose original is on the other side of a split by row. Other findings may be true: a copied "
    "group repeats its prompt, a dominant annotator leaves others with few votes.",
]

if __name__ == "__main__":
    main()
