"""What `palate data check` costs: minutes and memory against the number of pairs.

    python -m benchmarks.data_check --pairs 10000,30000,100000,300000,1000000

Each size is checked by a process of its own, as a user would run it. Texts are drawn from a vocabulary whose words are
as unequally common as in English; a hundredth of the prompts is asked again, and a hundredth of the rows is a copy
with a word changed, so that searches have something to find.
"""

import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from benchmarks.data import integers
from benchmarks.report import RESULTS, Report, Target
from benchmarks.scaling import exponent

COST = "Cost against the number of pairs"
_VOCABULARY = 50_000
_VOTERS = 200
_COLUMNS = ("prompt", "response_a", "response_b")


def write_pairs(path: Path, number: int, *, words: int, seed: int = 0) -> None:
    """Rows with three votes each, of about `words` words a response and half as many a prompt."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array([f"w{rank}" for rank in range(_VOCABULARY)])
    weight = 1 / np.arange(1, _VOCABULARY + 1)
    cumulative = np.cumsum(weight / weight.sum())
    with path.open("w", encoding="utf-8") as file:
        kept: list[dict[str, object]] = []
        for row in range(number):
            lengths = np.maximum(rng.lognormal(np.log([words / 2, words, words]), 0.5).astype(int), 3)
            drawn = vocabulary[np.minimum(np.searchsorted(cumulative, rng.random(lengths.sum())), _VOCABULARY - 1)]
            texts = [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
            names = [f"ann-{voter}" for voter in rng.choice(_VOTERS, 3, replace=False)]
            votes = [
                {"annotator": name, "value": value}
                for name, value in zip(names, rng.choice(["a", "b"], 3), strict=True)
            ]
            values: dict[str, object] = {**dict(zip(_COLUMNS, texts, strict=True)), "votes": votes}
            if kept and row % 100 == 50:
                values["prompt"] = kept[rng.integers(len(kept))]["prompt"]
            if kept and row % 100 == 75:
                values = {**kept[rng.integers(len(kept))], "response_a": texts[1]}
            if len(kept) < 1000:
                kept.append(values)
            file.write(json.dumps(values) + "\n")


def check(path: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak resident gigabytes of one check, children included one by one."""
    program = (
        "import resource, sys; from palate.cli.main import main; main(sys.argv[1:]); "
        "kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN); "
        "print(max(resource.getrusage(kind).ru_maxrss for kind in kinds))"
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", program, "data", "check", str(path), "--out", str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, int(done.stdout.split()[-1]) / 2**20


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=integers, default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--words", type=int, default=80, help="of a response, in the median")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="few pairs: does it run, not how it scales")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.words = [200, 400], 20
    return options


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    settings = {key: value for key, value in vars(options).items() if key != "out"}
    report = Report("data_check", "What checking preference data costs", settings, list(NOTES))
    with tempfile.TemporaryDirectory() as name:
        for number in options.pairs:
            data, page = Path(name, "pairs.jsonl"), Path(name, "report.json")
            write_pairs(data, number, words=options.words)
            seconds, memory = check(data, page)
            found = {finding["id"]: finding["count"] for finding in json.loads(page.read_text())["findings"]}
            report.add(
                COST,
                pairs=number,
                megabytes=data.stat().st_size / 1e6,
                seconds=seconds,
                pairs_per_second=number / seconds,
                peak_gib=memory,
                findings=" ".join(f"{id}:{count}" for id, count in found.items()),
            )
    rows = report.tables[COST]
    if not options.quick:
        million = next((row["seconds"] / 60 for row in rows if row["pairs"] == 1_000_000), None)
        slope = exponent([row["pairs"] for row in rows], [row["seconds"] for row in rows])
        report.targets = [
            Target("minutes for a million pairs", "at most", 30, million),
            Target("exponent of seconds against pairs", "at most", 1.1, slope),
        ]
    report.write(options.out)


NOTES = [
    "The whole command: reading, measuring every text, all checks, the report. Three votes a pair, no tokenizer.",
    "Memory is the largest of the command's own peak and those of its workers.",
]

if __name__ == "__main__":
    main()
