"""One reward model three ways on a CPU: palate's packs, transformers' classifier in torch, and the exported ONNX graph.

python -m benchmarks.onnx_speed --num-pairs 48 --threads 2
"""

import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import default_data, integers, sampled_groups
from benchmarks.peer import padded_scores
from benchmarks.report import RESULTS, Report, alternate, median_ratio, timed
from benchmarks.score_best_of_n import Subjects, load
from palate.data.load import read_groups
from palate.data.render import tokenize
from palate.exporting.graph import open_session, padded, write_graph
from palate.records import TokenizedGroup
from palate.scoring import score_groups

TABLE = "Sequences a second"
Ids = NDArray[np.int64]


def work(options: Namespace, subjects: Subjects) -> Iterator[tuple[str, list[TokenizedGroup]]]:
    """Real pairs, and many responses to one prompt."""
    if options.num_pairs:
        raw = read_groups(str(options.data or default_data()), max_groups=2 * options.num_pairs)
        rows = tokenize(raw.groups, subjects.ours.tokenizer, max_length=1024).groups
        yield "HH-RLHF pairs", list(rows[: options.num_pairs])
    vocabulary = int(subjects.ours.backbone.config.vocab_size)  # type: ignore[union-attr, arg-type]
    number = max(options.sequences // 8, 1)
    yield "best of 8", sampled_groups(number, 8, ratio=2, response=64, opening=False, vocab_size=vocabulary)


def onnx_scores(session: Any, sequences: Sequence[Ids], size: int) -> NDArray[np.float64]:
    """Rewards in batches of sequences of like length, in the order given."""
    order = sorted(range(len(sequences)), key=lambda at: len(sequences[at]))
    rewards = np.empty(len(sequences))
    for start in range(0, len(order), size):
        part = order[start : start + size]
        rewards[part] = session.run(None, padded([sequences[at].tolist() for at in part]))[0]
    return rewards


def fastest(score: Callable[[int], object], sizes: Sequence[int]) -> int:
    """The batch size at which it is fastest, each tried once after a warm-up."""
    seconds = alternate({size: timed(lambda size=size: score(size)) for size in sizes}, 1)  # type: ignore[misc]
    return min(seconds, key=lambda size: seconds[size][0])


def measure(name: str, groups: list[TokenizedGroup], subjects: Subjects, session: Any, options: Namespace) -> Any:
    """All three in turn, at the best batch size of each; rewards are compared besides."""
    sequences = [sequence for group in groups for sequence in group.sequences]
    rewards: dict[str, Any] = {}

    def palate() -> None:
        scores = score_groups(subjects.ours, groups, tokens_per_pack=options.tokens_per_pack)
        rewards["palate"] = np.concatenate(list(scores))

    def eager(size: int) -> None:
        rewards["torch"] = padded_scores(subjects.theirs, sequences, size, torch.float32)

    def graph(size: int) -> None:
        rewards["onnx"] = onnx_scores(session, sequences, size)

    eager_batch, graph_batch = fastest(eager, options.batches), fastest(graph, options.batches)
    tasks = {
        "palate": timed(palate),
        "torch": timed(lambda: eager(eager_batch)),
        "onnx": timed(lambda: graph(graph_batch)),
    }
    seconds = alternate(tasks, options.rounds)
    apart = max(float(np.abs(rewards["palate"] - rewards[other]).max()) for other in ("torch", "onnx"))
    return {
        "work": name,
        "sequences": len(sequences),
        "tokens": sum(len(sequence) for sequence in sequences),
        "computed_by_palate": sum(group.computed_tokens for group in groups),
        "torch_batch": eager_batch,
        "onnx_batch": graph_batch,
        **{f"{subject}_per_second": len(sequences) / median(seconds[subject]) for subject in tasks},
        "onnx_against_torch": median_ratio(seconds["onnx"], seconds["torch"]),
        "palate_against_onnx": median_ratio(seconds["palate"], seconds["onnx"]),
        "largest_difference": apart,
    }


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2", help="a directory, a hub id or an alias")
    parser.add_argument("--data", help="a file of pairs; harmless-base of HH-RLHF by default")
    parser.add_argument("--num-pairs", type=int, default=48, help="of HH-RLHF; 0 for none")
    parser.add_argument("--sequences", type=int, default=64, help="of best-of-8, about")
    parser.add_argument("--batches", type=integers, default=[1, 4, 8, 16], help="torch and ONNX get the fastest each")
    parser.add_argument("--tokens-per-pack", type=int, default=4096, help="palate's default")
    parser.add_argument("--threads", type=int, default=2, help="of torch and of onnxruntime")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a tiny random model: does it run, not how fast")
    return parser.parse_args(arguments)


def _shrink(options: Namespace, folder: Path) -> None:
    from palate.testing.tiny import save_tiny_causal_lm

    options.model, options.num_pairs, options.sequences = str(save_tiny_causal_lm(folder / "model")), 0, 16
    options.batches, options.rounds, options.threads = [4, 8], 1, 1


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    before = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as name:
        os.environ["PALATE_CACHE"] = str(Path(name, "cache"))
        if options.quick:
            _shrink(options, Path(name))
        settings = {key: value for key, value in vars(options).items() if key != "out"}
        report = Report("onnx_speed", "Scoring: palate, torch and onnxruntime", settings, list(NOTES))
        try:
            torch.set_num_threads(options.threads)
            subjects = load(options.model)
            report.notes.append(f"The graph was written by: {write_graph(subjects.ours, Path(name))}.")
            session = open_session(Path(name), threads=options.threads)
            for title, groups in work(options, subjects):
                report.add(TABLE, **measure(title, groups, subjects, session, options))
        finally:
            torch.set_num_threads(before)
    report.write(options.out)


NOTES = [
    "All three hold the same weights in float32 and as many threads. torch is transformers' classifier with sdpa "
    "attention; it and onnxruntime get sequences sorted by length, padded, at the batch size fastest for each.",
    "The measurements take turns; the ratios are medians over turns. computed_by_palate: tokens after sharing prompts.",
]

if __name__ == "__main__":
    main()
