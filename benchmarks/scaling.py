"""How cost grows: with the number of pairs, for every stage of the pipeline, and with the number of responses.

    python -m benchmarks.scaling --pairs 1000,3000,10000,30000,100000 --responses 2,4,8,16,32,64

The model is tiny, so that what surrounds it shows; a stage whose time grows faster than its work is found here.
"""

import os
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import palate
from benchmarks.data import integers, random_pairs, sampled_groups
from benchmarks.report import RESULTS, Report, Row, Target, alternate, timed
from palate.config import TrainConfig, build
from palate.data.load import read_groups
from palate.data.render import tokenize
from palate.losses import bradley_terry
from palate.model.reward_model import RewardModel
from palate.packing.bins import pack
from palate.packing.plan import plan_steps
from palate.records import TokenizedGroup
from palate.scoring import score_groups
from palate.testing.tiny import save_tiny_causal_lm, tiny_reward_model
from palate.training.display import QuietDisplay
from palate.training.journal import StepRecord

PAIRS, RESPONSES, EXPONENTS = "Cost against the number of pairs", "Cost against the number of responses", "Exponents"
_STAGES = ("read", "tokenize", "plan", "score", "train")
_LIMIT = 1.1
_REPEATED = 10000  # pairs up to which a size is measured in every round: what takes seconds is noisy


def exponent(work: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Slope of log seconds over log work, by least squares; 1 is linear. None for a single point.

    >>> round(exponent([1, 10, 100], [2, 20, 200]), 6)
    1.0
    """
    if len(work) < 2:
        return None
    return float(np.polyfit(np.log(work), np.log(seconds), 1)[0])


class _StepTimes(QuietDisplay):
    """Sums the seconds of the steps of a run."""

    def __init__(self) -> None:
        super().__init__(warn=False)
        self.seconds = 0.0

    def step(self, record: StepRecord) -> None:
        """Add it."""
        self.seconds += record.seconds


def pipeline(number: int, options: Namespace, folder: Path) -> Iterator[Row]:
    """Every stage once, on that many random pairs, but scoring and training of too many; one row a stage."""
    path = random_pairs(folder / f"{number}.jsonl", number, ratio=2, total=options.total)
    model = tiny_reward_model()
    started = time.perf_counter()
    raw = read_groups(str(path))
    read = time.perf_counter()
    groups = tokenize(raw.groups, model.tokenizer, max_length=4096).groups
    tokenized = time.perf_counter()
    tokens = [model.cost(group) for group in groups]
    for step in plan_steps([len(group.comparisons) for group in groups], 32, epochs=1, seed=0):
        pack([tokens[index] for index in step.groups], options.tokens_per_pack)
    planned = time.perf_counter()
    yield _stage("read", groups, read - started)
    yield _stage("tokenize", groups, tokenized - read)
    yield _stage("plan", groups, planned - tokenized)
    if number <= options.most_scored:
        started = time.perf_counter()
        _score(model, groups)
        yield _stage("score", groups, time.perf_counter() - started)
    if number <= options.most_trained:
        yield _stage("train", groups, _train(path, options, folder))


def sweep(options: Namespace, folder: Path, report: Report) -> None:
    """Every size in turn, the small ones in every round; a row is the median of its rounds."""
    measured: dict[tuple[str, int], list[Row]] = {}
    for turn in range(options.rounds):
        for number in options.pairs:
            if turn and number > _REPEATED:
                continue
            print(f"round {turn + 1} of {options.rounds}: {number:,} pairs", flush=True)
            for row in pipeline(number, options, Path(tempfile.mkdtemp(dir=folder))):
                measured.setdefault((str(row["stage"]), number), []).append(row)
            report.tables[PAIRS] = [_median(measured[key]) for key in sorted(measured, key=_in_order)]
            report.write(options.out)  # whoever stops a long run keeps what it measured


def _in_order(key: tuple[str, int]) -> tuple[int, int]:
    return key[1], _STAGES.index(key[0])


def _median(rows: Sequence[Row]) -> Row:
    seconds = float(np.median([row["seconds"] for row in rows]))
    unique = rows[0]["unique_tokens"]
    return {**rows[0], "seconds": seconds, "microseconds_per_token": 1e6 * seconds / unique, "rounds": len(rows)}


def _stage(name: str, groups: Sequence[TokenizedGroup], seconds: float) -> Row:
    unique = sum(group.computed_tokens for group in groups)
    return {
        "stage": name,
        "pairs": len(groups),
        "unique_tokens": unique,
        "seconds": seconds,
        "microseconds_per_token": 1e6 * seconds / unique,
    }


def _train(path: Path, options: Namespace, folder: Path) -> float:
    """Seconds of the steps of `palate.train` on the file."""
    settings = {
        "model": str(options.model),
        "data": str(path),
        "out": str(folder / f"rm-{path.stem}"),
        "dtype": "fp32",
        "eval_fraction": 0.0,
        "max_length": 4096,
        "tokens_per_pack": options.tokens_per_pack,
        "save_every": 0,
    }
    times = _StepTimes()
    palate.train(build(TrainConfig, settings), display=times)
    return times.seconds


def responses(counts: Sequence[int], options: Namespace, report: Report) -> None:
    """Scoring and a training pass of `options.prompts` groups, against K."""
    model = tiny_reward_model()
    for count in counts:
        groups = sampled_groups(options.prompts, count, ratio=3, response=40, opening=False, vocab_size=259)
        tasks = {"score": timed(partial(_score, model, groups)), "train": timed(partial(_train_pass, model, groups))}
        seconds = {name: float(np.median(values)) for name, values in alternate(tasks, options.rounds).items()}
        unique = sum(group.computed_tokens for group in groups)
        report.add(
            RESPONSES,
            responses=count,
            unique_tokens=unique,
            separate_tokens=sum(group.unshared_tokens for group in groups),
            score_seconds=seconds["score"],
            train_seconds=seconds["train"],
            score_microseconds_per_token=1e6 * seconds["score"] / unique,
            train_microseconds_per_token=1e6 * seconds["train"] / unique,
        )


def _score(model: RewardModel, groups: Sequence[TokenizedGroup]) -> None:
    for _ in score_groups(model, groups):
        pass


def _train_pass(model: RewardModel, groups: Sequence[TokenizedGroup]) -> None:
    """Forward and backward of every pack."""
    model.zero_grad(set_to_none=True)
    for items in pack([model.cost(group) for group in groups], 4096):
        batch = model.collate([groups[i] for i in items])
        reward_N = model(batch)
        bradley_terry(reward_N[batch.winner_C], reward_N[batch.loser_C]).mean().backward()


def exponents(report: Report) -> list[Target]:
    """Fit every stage against its work; near-linear is an exponent of at most 1.1."""
    rows, sizes = report.tables.get(PAIRS, []), report.tables.get(RESPONSES, [])
    fits: list[tuple[str, float | None]] = []
    for stage in _STAGES:
        work, seconds = ([row[key] for row in rows if row["stage"] == stage] for key in ("unique_tokens", "seconds"))
        fits.append((f"{stage} against pairs", exponent(work, seconds)))
    for stage in ("score", "train"):
        unique, seconds = ([row[key] for row in sizes] for key in ("unique_tokens", f"{stage}_seconds"))
        fits.append((f"{stage} against the tokens of K responses", exponent(unique, seconds)))
    for what, value in fits:
        report.add(EXPONENTS, stage=what, exponent=value)
    return [Target(f"exponent of {what}", "at most", _LIMIT, value) for what, value in fits]


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=integers, default=[1000, 3000, 10000, 30000, 100000])
    parser.add_argument("--responses", type=integers, default=[2, 4, 8, 16, 32, 64], help="to a prompt")
    parser.add_argument("--prompts", type=int, default=8, help="in the sweep over responses")
    parser.add_argument("--total", type=int, default=40, help="letters of prompt and response; two tokens each")
    parser.add_argument("--most-scored", type=int, default=100000, help="pairs up to which they are scored")
    parser.add_argument("--most-trained", type=int, default=30000, help="pairs up to which they are trained on")
    parser.add_argument("--tokens-per-pack", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="few pairs: does it run, not how it scales")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.responses, options.prompts, options.rounds = [20, 40], [2, 4], 2, 1
    return options


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    torch.manual_seed(0)
    settings = {key: value for key, value in vars(options).items() if key != "out"}
    report = Report("scaling", "How cost grows with pairs and with responses", settings, list(NOTES))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PALATE_CACHE"] = str(folder / "cache")
        options.model = save_tiny_causal_lm(folder / "model")
        list(pipeline(min(options.pairs), options, Path(tempfile.mkdtemp(dir=folder))))  # warms up
        sweep(options, folder, report)
    responses(options.responses, options, report)
    found = exponents(report)
    report.targets = [] if options.quick else found
    report.write(options.out)


NOTES = [
    "A model of three layers and 32 dimensions with one token a byte; the largest numbers of pairs are not trained on.",
    f"Sizes take turns; up to {_REPEATED} pairs the figures are medians of several rounds, above it of one.",
    "The seconds of training are those of the optimizer steps of palate.train, packing included. Reading and "
    "tokenizing are measured once, in one process, without a cache.",
    "An exponent is the slope of log seconds over log work: 1 is linear, 2 is quadratic.",
]

if __name__ == "__main__":
    main()
