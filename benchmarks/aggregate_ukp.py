"""Labels from votes against the published ones: every method of `palate data aggregate` on UKPConvArg1.

    python -m benchmarks.aggregate_ukp

Habernal and Gurevych (2016) made their labels from five votes a pair with MACE, and left pairs without one where it was
unsure. This says how often each method agrees with them, and on how many pairs it takes a side.
"""

import gzip
import json
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

from benchmarks.data import UKP, default_data
from benchmarks.report import RESULTS, Report, Row, Target
from palate.curate.aggregate import Method, aggregate
from palate.data.read import read_preferences

METHODS: tuple[Method, ...] = ("majority", "dawid-skene", "mace", "bradley-terry")
TABLE = "Agreement with the published labels"
NOTES = [
    "sides: pairs whose published label takes a side. decided: those of them for which the method takes one, coverage "
    "their share, accuracy the share of the decided that agree.",
    "three-way: share of all pairs with a published label, equal among them, that got the same one. Majority makes a "
    "tie only of an even split and Bradley-Terry none at all, so that they cannot score high there.",
    "The published labels come from MACE as well: a high figure there says that the method is that one, not that it is "
    "the best. Bradley-Terry also knows the other pairs of an argument and makes all labels fit one ranking.",
]


def published(path: Path) -> dict[str, str]:
    """`a1`, `a2` or `equal` by the pair's id, for those that have a label."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        rows = map(json.loads, file)
        return {row["id"]: row["gold"] for row in rows if row["gold"]}


def labels(path: Path) -> dict[str, str]:
    """The same of an aggregated file."""
    found = {}
    for group in read_preferences(str(path)).groups:
        (one,) = group.comparisons
        found[group.id] = "equal" if one.is_tie else ("a1", "a2")[one.winner]
    return found


def compared(found: dict[str, str], gold: dict[str, str]) -> Row:
    """Figures of one method."""
    sides = [name for name, label in gold.items() if label != "equal"]
    decided = [name for name in sides if found.get(name, "equal") != "equal"]
    return {
        "sides": len(sides),
        "decided": len(decided),
        "coverage": len(decided) / len(sides),
        "accuracy": sum(found[name] == gold[name] for name in decided) / len(decided),
        "three_way": sum(found.get(name) == label for name, label in gold.items()) / len(gold),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="pairs.jsonl.gz of UKPConvArg1, as palate's shared data has it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    data = options.data or default_data(UKP)
    gold = published(data)
    report = Report("aggregate_ukp", "Labels from votes against the published ones", {"seed": options.seed}, NOTES)
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        for method in METHODS:
            out, start = Path(folder, f"{method}.jsonl"), time.perf_counter()
            result = aggregate(str(data), out=str(out), method=method, seed=options.seed)
            seconds = time.perf_counter() - start
            print(f"{method}: {result.summary()}", flush=True)
            rows[method] = compared(labels(out), gold)
            report.add(TABLE, method=method, **rows[method], ties=result.ties, seconds=round(seconds, 1))
    report.targets = [
        Target("pairs that majority decides", "at least", 12083, rows["majority"]["decided"]),
        Target("accuracy of majority on them", "at least", 0.981, rows["majority"]["accuracy"]),
    ]
    report.write(options.out)


if __name__ == "__main__":
    main()
