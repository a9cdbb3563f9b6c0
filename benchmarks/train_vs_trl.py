"""Training: palate against TRL's RewardTrainer, same pairs, order, model, precision, optimizer and initial head.

python -m benchmarks.train_vs_trl --data FILE --pairs 2,8,16 --dtype fp32,bf16 --ratios 0.25,1,4,16
"""

import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.data import default_data, floats, integers, random_pairs, words
from benchmarks.report import RESULTS, Report, Row, Target, median_ratio
from benchmarks.turns import take_turns

_GIB = 2**30
SPEED, LOSSES = "Speed and memory", "Loss curves"


@dataclass(frozen=True, slots=True)
class Run:
    """One comparison: a name, the data, and what varies."""

    name: str
    data: str
    dtype: str
    pairs: int
    max_length: int


def planned(options: Namespace, folder: Path) -> Iterator[Run]:
    """Every comparison asked for: data by precision by pairs, then the ratios in the first precision."""
    for data in options.data:
        for dtype in options.dtype:
            for pairs in options.pairs:
                yield Run(_short(data), data, dtype, pairs, _limit(options, pairs))
    for ratio in options.ratios:
        path = folder / f"ratio-{ratio:g}.jsonl"
        random_pairs(path, options.ratio_pairs * _steps(options, options.ratio_pairs), ratio=ratio, total=options.total)
        limit = _limit(options, options.ratio_pairs)
        yield Run(f"ratio {ratio:g}", str(path), options.dtype[0], options.ratio_pairs, limit)


def _steps(options: Namespace, pairs: int) -> int:
    """Steps of few pairs vary more and take less time: there are more of them, for as many pairs as 8 a step give."""
    steps: int = options.steps
    return max(steps, steps * 8 // pairs)


def _limit(options: Namespace, pairs: int) -> int:
    """Tokens a sequence at most, so that TRL's padded step of that many pairs fits into memory."""
    longest: int = options.padded_tokens // (2 * pairs)
    return min(options.max_length, longest)


def _short(path: str) -> str:
    """`hh_rlhf/harmless-base/test.jsonl.gz` is told by its folder."""
    return Path(path).parent.name if Path(path).name.startswith("test.") else Path(path).name


def measure(run: Run, options: Namespace, report: Report, folder: Path) -> None:
    """Both subjects, step by step in turns; the first step warms up, and counts for the losses alone."""
    from palate.config import TrainConfig, build, write_yaml

    settings: dict[str, Any] = {
        "model": options.model,
        "data": run.data,
        "out": str(folder / f"{run.name}-{run.dtype}-{run.pairs}".replace(" ", "-")),
        "dtype": run.dtype,
        "pairs_per_step": run.pairs,
        "max_length": run.max_length,
        "max_steps": _steps(options, run.pairs),
        "lr": options.lr,
        "head_lr_scale": 1.0,
        "warmup_fraction": 0.0,
        "schedule": "constant",
        "eval_fraction": 0.0,
        "save_every": 0,
        "seed": options.seed,
        "max_groups": options.max_groups,
    }
    path = Path(settings["out"] + ".yaml")
    write_yaml(build(TrainConfig, settings), path)
    subjects = {name: [name, str(path)] for name in ("palate", "trl")}
    said, measured = take_turns("benchmarks.train_subjects", subjects, settings["max_steps"])
    ours, theirs = measured["palate"], measured["trl"]
    for step, (our, their) in enumerate(zip(ours, theirs, strict=True), 1):
        row = {"run": f"{run.name}, {run.dtype}, {run.pairs} pairs", "step": step}
        gap = abs(our["loss"] - their["loss"])
        report.add(LOSSES, **row, palate=our["loss"], trl=their["loss"], difference=gap)
    report.add(SPEED, **_row(run, said["trl"], ours, theirs))


def _row(run: Run, said: Row, ours: list[Row], theirs: list[Row]) -> Row:
    our_seconds, their_seconds = ([row["seconds"] for row in rows[1:]] for rows in (ours, theirs))
    return {
        "data": run.name,
        "dtype": run.dtype,
        "pairs_per_step": run.pairs,
        "max_length": run.max_length,
        "left_out": said["dropped"],
        "prompt_per_response": said["prompt_per_response"],
        "palate_pairs_per_second": run.pairs / median(our_seconds),
        "trl_pairs_per_second": run.pairs / median(their_seconds),
        "speed_up": median_ratio(our_seconds, their_seconds),
        "speed_up_of_all": sum(their_seconds) / sum(our_seconds),
        "lowest_speed_up": min(b / a for a, b in zip(our_seconds, their_seconds, strict=True)),
        "palate_tokens": sum(row["tokens"] for row in ours),
        "trl_tokens": sum(row["tokens"] for row in theirs),
        "palate_peak_gib": ours[-1]["peak_bytes"] / _GIB,
        "trl_peak_gib": theirs[-1]["peak_bytes"] / _GIB,
        "losses_moved": max(abs(row["loss"] - ours[0]["loss"]) for row in ours),
        "largest_loss_difference": max(abs(a["loss"] - b["loss"]) for a, b in zip(ours, theirs, strict=True)),
    }


def targets(rows: list[Row]) -> list[Target]:
    """What was promised of these figures."""

    def speed(dtype: str, pairs: int) -> float | None:
        found = [r["speed_up"] for r in rows if (r["dtype"], r["pairs_per_step"]) == (dtype, pairs) and _real(r)]
        return min(found, default=None)

    losses = [row["largest_loss_difference"] for row in rows if row["dtype"] == "fp32"]
    return [
        Target("speed-up at 8 pairs a step, fp32", "at least", 4.0, speed("fp32", 8)),
        Target("speed-up at 8 pairs a step, bf16", "at least", 3.3, speed("bf16", 8)),
        Target("speed-up at 2 pairs a step, fp32", "at least", 2.0, speed("fp32", 2)),
        Target(
            "lowest speed-up over the ratios",
            "at least",
            0.97,
            min((row["speed_up"] for row in rows if not _real(row)), default=None),
        ),
        Target(
            "peak memory by TRL's, largest", "at most", 1.0, max(r["palate_peak_gib"] / r["trl_peak_gib"] for r in rows)
        ),
        Target("difference of losses step by step, fp32, largest", "at most", 1e-3, max(losses, default=None)),
    ]


def _real(row: Row) -> bool:
    return not row["data"].startswith("ratio ")


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2", help="a directory, a hub id or an alias")
    parser.add_argument("--data", nargs="*", help="files of pairs; harmless-base of HH-RLHF by default")
    parser.add_argument("--pairs", type=integers, default=[2, 8, 16], help="pairs a step")
    parser.add_argument("--dtype", type=words, default=["fp32", "bf16"])
    parser.add_argument("--ratios", type=floats, default=[0.25, 1, 4, 16], help="tokens of the prompt by a response's")
    parser.add_argument("--ratio-pairs", type=int, default=8, help="pairs a step in the sweep over ratios")
    parser.add_argument("--total", type=int, default=320, help="tokens of a sequence in the sweep, on average")
    parser.add_argument("--steps", type=int, default=5, help="steps of 8 pairs or more, the first to warm up")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--padded-tokens", type=int, default=8192, help="of TRL's step at most; limits max-length")
    parser.add_argument("--max-groups", type=int, default=1000, help="pairs to read of the data")
    parser.add_argument("--lr", type=float, default=1e-4, help="TRL's default: the losses have to move to be compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a tiny random model: does it run, not how fast")
    options = parser.parse_args(arguments)
    options.steps = max(options.steps, 2)
    return options


def _shrink(options: Namespace, folder: Path) -> None:
    from palate.testing.tiny import save_tiny_causal_lm

    options.model = str(save_tiny_causal_lm(folder / "model"))
    data = random_pairs(folder / "pairs.jsonl", 32, ratio=2, total=60)
    options.data, options.pairs, options.dtype, options.ratios = [str(data)], [4], ["fp32"], [1]
    options.steps, options.ratio_pairs, options.total, options.lr = 3, 2, 40, 1e-3


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PALATE_CACHE"] = str(folder / "cache")
        if options.quick:
            _shrink(options, folder)
        options.data = options.data or [str(default_data())]
        settings = {key: value for key, value in vars(options).items() if key != "out"}
        report = Report("train_vs_trl", "Training: palate against TRL's RewardTrainer", settings)
        report.notes += NOTES
        if any(_limit(options, pairs) < options.max_length for pairs in options.pairs):
            report.notes.append(
                f"With more than {options.padded_tokens // 2 // options.max_length} pairs a step, sequences are "
                f"limited so that TRL pads to at most {options.padded_tokens} tokens a step, for memory; the rest is "
                "left out on both sides and counted."
            )
        for run in planned(options, folder):
            measure(run, options, report, folder)
            if not options.quick:
                report.targets = targets(report.tables[SPEED])
            report.write(options.out)  # after each comparison: whoever stops a long run keeps what it measured


NOTES = [
    "Each subject runs in a process of its own, one step in turn with the other; speed_up is the median over steps of "
    "TRL's seconds by palate's on the same pairs. The first step warms up.",
    "palate's seconds run from before packing to after the optimizer; TRL's from before the forward pass to after the "
    "optimizer, collating left out. Loading and tokenizing count for neither.",
    "Both: AdamW (fused), one constant learning rate for head and body, gradients clipped at norm 1, dropout off, no "
    "recomputed activations, a head of zeros, ids tokenized once and given to both in the same order.",
    "losses_moved: how far palate's loss went from its first value. That two losses agree means something where they "
    "differ by far less than that.",
    "left_out: pairs with a sequence above max_length, which palate drops and counts, and TRL would filter.",
    "Peaks are resident memory of the whole process, its libraries included; TRL brings more of those.",
    "The ratios use random words; lengths of prompts and responses are lognormal with sigma 0.5.",
]

if __name__ == "__main__":
    main()
