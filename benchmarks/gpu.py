"""Everything that needs a GPU, in one command and under eight minutes: tests, the peak, steps, gradients, kernels.

python -m benchmarks.gpu --out DIRECTORY
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from benchmarks.gpu_budget import Budget
from benchmarks.gpu_kernels import KERNELS, Grid, kernels
from benchmarks.gpu_kernels import TINY as TINY_GRID
from benchmarks.gpu_steps import (
    BODIES,
    GRADIENTS,
    SMOLLM2,
    STEPS,
    TINY,
    equal_gradients,
    pairs_like_harmless,
    training_steps,
)
from benchmarks.report import RESULTS, Report, Row, Target, timed
from palate.model.kernels import avoid_cudnn_attention
from palate.records import Comparison, Message, PreferenceGroup
from palate.testing.attention import emulated_varlen_attn
from palate.testing.runs import write_groups
from palate.testing.tiny import save_tiny_causal_lm

TESTS, PEAK, TRL = "GPU tests", "Matrix products", "TRL's own RewardTrainer, SmolLM2's shape"
SECONDS = {TESTS: 200.0, STEPS: 130.0, TRL: 50.0, KERNELS: 80.0}
"""What each part may take; the others take a few."""
_ROOT = Path(__file__).parents[1]


def gpu_tests(report: Report, budget: Budget) -> None:
    """`tests/gpu` in a process of its own; what failed is in the notes."""
    command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider", "--tb=line"]
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=budget.left, env=_path())
        lines, code = done.stdout.splitlines(), done.returncode
    except subprocess.TimeoutExpired as late:
        printed = late.stdout or b""
        lines, code = (printed if isinstance(printed, str) else printed.decode()).splitlines(), 124
        report.notes.append(f"{TESTS}: stopped, no time was left.")
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    report.notes += [f"{TESTS}: {line[:300]}" for line in failed]
    report.add(TESTS, exit_code=code, failed=len(failed), said=lines[-1].strip("= ") if lines else "")


def _path() -> dict[str, str]:
    """The environment with this checkout importable, installed or not."""
    parts = [str(_ROOT / "src"), str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in parts if part)}


def matrix_peak(report: Report, size: int, device: torch.device) -> float:
    """Operations a second of a large square matrix product in bf16 on random numbers; zeros would run faster."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = [timed(lambda: [a @ b for _ in range(10)])() / 10 for _ in range(8)][3:]
    rate = 2 * size**3 / median(seconds)
    report.add(PEAK, size=size, tflops=rate / 1e12)
    return rate


def against_trl(report: Report, budget: Budget, folder: Path, *, tiny: bool) -> None:
    """`benchmarks.train_vs_trl` on random weights and lengths as HH's, where TRL is installed."""
    missing = [name for name in ("trl", "datasets") if importlib.util.find_spec(name) is None]
    if missing:
        report.notes.append(
            f"{TRL}: left out, {' and '.join(missing)} not installed; the padded step above is the one that TRL runs."
        )
        return
    model, data, out = folder / "model", folder / "pairs.jsonl", folder / "results"
    _save_model(model, tiny=tiny)
    _write_pairs(data, 24 if tiny else 6 * 32)
    pairs, steps = (4, 3) if tiny else (32, 6)
    command = [
        *(sys.executable, "-m", "benchmarks.train_vs_trl", "--model", model, "--data", data, "--pairs", pairs),
        *("--dtype", "bf16", "--steps", steps, "--ratios", "", "--padded-tokens", 2 * 32 * 1024, "--out", out),
    ]
    try:
        done = subprocess.run(
            [str(part) for part in command], cwd=_ROOT, capture_output=True, text=True, timeout=budget.left, env=_path()
        )
    except subprocess.TimeoutExpired:
        report.notes.append(f"{TRL}: stopped, no time was left.")
        return
    if done.returncode:
        report.notes.append(f"{TRL}: failed: {done.stderr.strip().splitlines()[-1][:300] if done.stderr else ''}")
        return
    found: Row = json.loads((out / "train_vs_trl.json").read_text(encoding="utf-8"))
    for row in found["tables"]["Speed and memory"]:
        report.add(TRL, **row)


def _save_model(folder: Path, *, tiny: bool) -> None:
    save_tiny_causal_lm(
        folder, "llama", **({} if tiny else {**SMOLLM2, "head_dim": 64, "max_position_embeddings": 4096})
    )


def _write_pairs(path: Path, number: int) -> None:
    """Random letters, one token each to the tiny tokenizer, of HH's lengths."""

    def text(tokens: list[int]) -> str:
        return "".join(chr(97 + token % 26) for token in tokens)

    groups = []
    for n, group in enumerate(pairs_like_harmless(900)[:number]):
        prompt, *answers = group.sequences[0][: group.shared], *(s[group.shared :] for s in group.sequences)
        responses = tuple((Message("assistant", f"{side}{text(a)}"),) for side, a in zip("pq", answers, strict=True))
        turns = (Message("user", f"{n} {text(prompt)}"),)
        groups.append(PreferenceGroup(f"random-{n}", turns, responses, (Comparison(0, 1),), f"random:{n + 1}"))
    write_groups(path, groups)


@contextmanager
def stand_ins(needed: bool) -> Iterator[None]:
    """On a dry run the variable-length kernel is the slow one of the tests, so that all of the code is run."""
    if not needed:
        yield
        return
    import torch.nn.attention.varlen as kernel

    real, kernel.varlen_attn = kernel.varlen_attn, emulated_varlen_attn  # type: ignore[assignment]
    try:
        yield
    finally:
        kernel.varlen_attn = real


def targets(report: Report) -> list[Target]:
    """What was promised of these figures."""
    steps = {row["body"]: row for row in report.tables.get(STEPS, [])}
    use = {name: row["palate_use_of_specified_peak"] for name, row in steps.items()}
    exact = [r["difference_by_norm"] for r in report.tables.get(GRADIENTS, []) if r["precision"] == "float32"]
    failed = [row["failed"] + (row["exit_code"] != 0) for row in report.tables.get(TESTS, [])]
    return [
        Target("GPU tests that failed", "at most", 0, float(failed[0]) if failed else None),
        Target(
            "lowest speed-up over the padded step",
            "at least",
            2.0,
            min((row["speed_up"] for row in steps.values()), default=None),
        ),
        *(
            Target(f"use of the specified peak, {body.name}, unique tokens", "at least", wanted, use.get(body.name))
            for body, wanted in zip(BODIES[1:], (0.35, 0.4), strict=True)
        ),
        Target("difference of gradients in float32, by their norm", "at most", 1e-4, max(exact, default=None)),
    ]


def run(options: Namespace) -> Path:
    """All parts, cheap and decisive ones first; returns the JSON's path."""
    dry = options.dry_run
    device = torch.device("cpu") if dry else torch.device("cuda", torch.cuda.current_device())
    report = Report(
        "gpu-dry-run" if dry else "gpu", "palate on a GPU", {"dry_run": dry, "budget_seconds": options.seconds}
    )
    report.notes += [
        "Steps of palate and of the padded classifier alternate on the same weights, with the same optimizer and "
        "pairs; medians over the rounds. Random weights; lengths are those of HH-RLHF's harmless-base.",
        "The padded step is what TRL's RewardTrainer runs: 2 B dialogues, padded on the right.",
        "Use of the peak counts every token once, whatever a step computes besides.",
        "cuDNN's attention is off on both sides: it plans anew for every length, which would slow the padded step.",
    ]
    avoid_cudnn_attention()
    part = options.seconds / sum(SECONDS.values())
    if dry:
        report.notes.append(f"{TESTS}: left out of a dry run, in which they would all be skipped.")
    else:
        gpu_tests(report, Budget(SECONDS[TESTS] * part))
    peak = matrix_peak(report, 256 if dry else 8192, device)
    equal_gradients(report, (TINY if dry else BODIES)[0], device)
    training_steps(report, Budget(SECONDS[STEPS] * part), TINY if dry else BODIES, device, peak)
    report.targets = [] if dry else targets(report)
    report.write(Path(options.out))  # whoever stops it keeps what it measured
    with stand_ins(dry):
        kernels(report, Budget(SECONDS[KERNELS] * part), TINY_GRID if dry else Grid(), device)
    if options.trl:
        with tempfile.TemporaryDirectory() as folder:
            against_trl(report, Budget(SECONDS[TRL] * part), Path(folder), tiny=dry)
    return report.write(Path(options.out))


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default=str(RESULTS), help="where gpu.json and gpu.md go")
    parser.add_argument("--seconds", type=float, default=sum(SECONDS.values()), help="for all parts together")
    parser.add_argument(
        "--dry-run", action="store_true", help="all of it in miniature, on the CPU; figures mean nothing"
    )
    parser.add_argument("--no-trl", dest="trl", action="store_false", help="leave out TRL's own trainer")
    options = parser.parse_args(arguments)
    if not options.dry_run and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --dry-run shows on the CPU that the script works")
    run(options)


if __name__ == "__main__":
    main()
