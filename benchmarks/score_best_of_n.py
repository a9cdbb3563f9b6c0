"""Scoring: palate against transformers' classifier on padded batches, for best-of-N and for pairs.

python -m benchmarks.score_best_of_n --responses 4,16,64 --ratios 1,4 --dtype fp32
"""

import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.data import default_data, floats, integers, sampled_groups, words
from benchmarks.peer import classifier_on, padded_scores
from benchmarks.report import RESULTS, Report, Row, Target, alternate, median_ratio, timed
from palate.data.load import read_groups
from palate.data.render import tokenize
from palate.model.backbone import load_backbone
from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup
from palate.scoring import ScoringRun, score_groups

TABLE = "Sequences a second"
PAIRS = "HH-RLHF pairs"
PAIRS_PER_BATCH = 8  # of TRL's evaluation unless told otherwise, and of the target
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Work:
    """Groups to score and how the table names them."""

    name: str
    responses: int
    ratio: float
    opening: bool
    groups: list[TokenizedGroup]
    by_length: bool = True  # how the peer's batches are made
    peer_batch: int | None = None  # its sequences; None for the number that is fastest for it


@dataclass(frozen=True, slots=True)
class Subjects:
    """The same weights twice: each in a body of its own, since they are run under different attentions."""

    ours: RewardModel
    theirs: Any


def load(name: str) -> Subjects:
    """Body, tokenizer and a random head of the size that training gives one."""
    ours, theirs = load_backbone(name), load_backbone(name)
    model = RewardModel(ours.backbone, ours.tokenizer)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.head.score.weight.normal_(std=model.head.score.in_features**-0.5, generator=generator)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = classifier_on(theirs.backbone, model.head.score.weight.cpu())
    return Subjects(model.to(device).eval(), classifier.to(device).eval())


def work(options: Namespace, model: RewardModel) -> Iterator[Work]:
    """Real pairs, then best-of-N over N, ratios and shared openings."""
    if options.num_pairs:
        pairs = _pairs(options, model)
        yield pairs
        yield replace(pairs, by_length=False)
        yield replace(pairs, by_length=False, peer_batch=2 * PAIRS_PER_BATCH)
    vocabulary = int(model.backbone.config.vocab_size)  # type: ignore[union-attr, arg-type]
    for responses in options.responses:
        for ratio in options.ratios:
            for opening in (False, True):
                groups = sampled_groups(
                    max(options.sequences // responses, 1),
                    responses,
                    ratio=ratio,
                    response=options.response_tokens,
                    opening=opening,
                    vocab_size=vocabulary,
                )
                yield Work(f"best of {responses}", responses, ratio, opening, groups)


def _pairs(options: Namespace, model: RewardModel) -> Work:
    raw = read_groups(str(options.data or default_data()), max_groups=2 * options.num_pairs)
    groups = list(tokenize(raw.groups, model.tokenizer, max_length=1024).groups[: options.num_pairs])
    shared = sum(group.shared for group in groups)
    own = sum(len(sequence) - group.shared for group in groups for sequence in group.sequences)
    return Work(PAIRS, 2, 2 * shared / own, False, groups)


def warm_up(subjects: Subjects, sample: list[TokenizedGroup], dtype: str, options: Namespace) -> int:
    """Run both once on a sample; returns the batch size at which the peer is fastest on it."""
    subjects.ours.compute_dtype = _DTYPES[dtype]
    list(score_groups(subjects.ours, sample, tokens_per_pack=options.tokens_per_pack))
    sequences = [sequence for group in sample for sequence in group.sequences]

    def scoring(size: int) -> Callable[[], float]:
        return timed(lambda: padded_scores(subjects.theirs, sequences, size, _DTYPES[dtype]))

    seconds = alternate({size: scoring(size) for size in options.batches}, 1)
    return min(seconds, key=lambda size: seconds[size][0])


def measure(item: Work, subjects: Subjects, dtype: str, fastest: int, options: Namespace, report: Report) -> None:
    """Both in turn; the rewards are compared besides."""
    ours, sequences = subjects.ours, [sequence for group in item.groups for sequence in group.sequences]
    batch = item.peer_batch or fastest
    ours.compute_dtype = _DTYPES[dtype]
    rewards: dict[str, Any] = {}
    computed: set[int] = set()

    def palate() -> None:
        run = ScoringRun()
        scores = score_groups(ours, item.groups, tokens_per_pack=options.tokens_per_pack, run=run)
        rewards["palate"] = np.concatenate(list(scores))
        computed.add(run.computed_tokens)

    def transformers() -> None:
        rewards["transformers"] = padded_scores(
            subjects.theirs, sequences, batch, _DTYPES[dtype], by_length=item.by_length
        )

    tasks = {"palate": timed(palate), "transformers": timed(transformers)}
    seconds = alternate(tasks, options.rounds, warm_up=0)  # both have run by now
    report.add(
        TABLE,
        work=item.name,
        dtype=dtype,
        responses=item.responses,
        prompt_per_response=item.ratio,
        openings_shared=item.opening,
        prompts=len(item.groups),
        tokens=sum(len(sequence) for sequence in sequences),
        computed_tokens=computed.pop(),
        peer_batch=batch,
        peer_order="by length" if item.by_length else "as given",
        palate_sequences_per_second=len(sequences) / median(seconds["palate"]),
        transformers_sequences_per_second=len(sequences) / median(seconds["transformers"]),
        speed_up=median_ratio(seconds["palate"], seconds["transformers"]),
        largest_reward=float(np.abs(rewards["palate"]).max()),
        largest_difference=float(np.abs(rewards["palate"] - rewards["transformers"]).max()),
    )


def targets(rows: list[Row]) -> list[Target]:
    """What was promised of these figures, all in fp32."""
    rows = [row for row in rows if row["dtype"] == "fp32"]
    given = [row for row in rows if row["work"] == PAIRS and row["peer_order"] == "as given"]
    batches = [row["speed_up"] for row in given if row["peer_batch"] == 2 * PAIRS_PER_BATCH]
    by_length = [row["speed_up"] for row in rows if (row["work"], row["peer_order"]) == (PAIRS, "by length")]
    best = [row["speed_up"] for row in rows if (row["responses"], row["prompt_per_response"]) == (16, 4.0)]
    differences = [row["largest_difference"] for row in rows]
    return [
        Target("speed-up on HH-RLHF pairs, 8 a batch as given", "at least", 3.5, min(batches, default=None)),
        Target("the same, batches sorted by length", "at least", 3.5, min(by_length, default=None)),
        Target("speed-up on best of 16, ratio 4", "at least", 4.0, min(best, default=None)),
        Target("largest difference of rewards", "at most", 1e-4, max(differences, default=None)),
    ]


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2", help="a directory, a hub id or an alias")
    parser.add_argument("--data", help="a file of pairs; harmless-base of HH-RLHF by default")
    parser.add_argument("--responses", type=integers, default=[4, 16, 64], help="to a prompt")
    parser.add_argument("--ratios", type=floats, default=[1, 4], help="tokens of the prompt by a response's")
    parser.add_argument("--response-tokens", type=int, default=64, help="of a response, on average")
    parser.add_argument("--sequences", type=int, default=64, help="of each best-of-N measurement, about")
    parser.add_argument("--num-pairs", type=int, default=48, help="of HH-RLHF; 0 for none")
    parser.add_argument("--dtype", type=words, default=["fp32"])
    parser.add_argument("--batches", type=integers, default=[4, 8, 16, 32], help="the peer gets the fastest of these")
    parser.add_argument("--tokens-per-pack", type=int, default=4096, help="palate's default")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a tiny random model: does it run, not how fast")
    return parser.parse_args(arguments)


def _shrink(options: Namespace, folder: Path) -> None:
    from palate.testing.tiny import save_tiny_causal_lm

    options.model, options.num_pairs = str(save_tiny_causal_lm(folder / "model")), 0
    options.responses, options.ratios, options.sequences, options.response_tokens = [4], [2], 8, 12
    options.batches, options.rounds = [4, 8], 1


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    with tempfile.TemporaryDirectory() as name:
        os.environ["PALATE_CACHE"] = str(Path(name, "cache"))
        if options.quick:
            _shrink(options, Path(name))
        settings = {key: value for key, value in vars(options).items() if key != "out"}
        report = Report("score_best_of_n", "Scoring: palate against transformers' classifier", settings, list(NOTES))
        subjects = load(options.model)
        everything = list(work(options, subjects.ours))
    for dtype in options.dtype:
        fastest = warm_up(subjects, everything[0].groups[:16], dtype, options)
        for item in everything:
            measure(item, subjects, dtype, fastest, options, report)
            if not options.quick:
                report.targets = targets(report.tables[TABLE])
            report.write(options.out)  # after each measurement: whoever stops a long run keeps what it measured


NOTES = [
    "The peer gets sequences sorted by length (but where peer_order says otherwise), sdpa attention, no gradients, and "
    "the batch size that was fastest for it on a sample; pairs as given come once more 8 a batch, as TRL evaluates. "
    "The measurements take turns, and speed_up is the median of their ratios.",
    "Both hold the same weights; rewards are compared in every run. In bf16 transformers computes the head in bf16 "
    "too, palate in float32, so that they differ there.",
    "computed_tokens: what palate computes, shared prompts and openings once. openings_shared: all responses of a "
    "prompt begin alike, for a quarter of the shortest one, as samples of one policy often do.",
    "Random ids; lengths are lognormal with sigma 0.5 around their means.",
]

if __name__ == "__main__":
    main()
