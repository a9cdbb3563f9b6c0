"""How often a reward model agrees with held-out preferences, with intervals, by length: `palate eval`."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palate.atomic import write_text
from palate.config import EvalConfig, resolve
from palate.errors import DataError
from palate.metrics import PairwiseReport, evaluate_pairs
from palate.records import DroppedRow, TokenizedGroup

if TYPE_CHECKING:
    from palate.model.reward_model import RewardModel
    from palate.scoring import Rewards, ScoringRun

Progress = Callable[[int], None]

_CHECKED = 32  # first groups that the self-check chooses from


def compare(groups: Sequence[TokenizedGroup], rewards: Sequence["Rewards"]) -> PairwiseReport:
    """Hold rewards against the comparisons of their groups.

    Raises:
        DataError: no comparison has a right answer.
    """
    rows: list[tuple[float, float, float, int, int]] = []
    cluster: list[str] = []
    for g, r in zip(groups, rewards, strict=True):  # one at a time: together they may not fit in memory
        cluster += [g.prompt_hash] * len(g.comparisons)
        for c in g.comparisons:
            lengths = (len(g.sequences[c.winner]), len(g.sequences[c.loser]))
            rows.append((r[c.winner], r[c.loser], c.probability, *lengths))
    winner, loser, probability, length_winner, length_loser = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    if (probability == 0.5).all():
        raise DataError(
            f"none of the {len(rows)} held-out comparisons has a right answer (ties have none); hold out other data",
            reason="no-comparisons",
        )
    return evaluate_pairs(
        winner,
        loser,
        probability=probability,
        length_winner=length_winner.astype(np.int64),
        length_loser=length_loser.astype(np.int64),
        cluster=cluster,
    )


def evaluate_model(
    model: "RewardModel",
    groups: Sequence[TokenizedGroup],
    *,
    tokens_per_pack: int = 4096,
    on_progress: Progress | None = None,
    run: "ScoringRun | None" = None,
) -> PairwiseReport:
    """Score the groups and compare; see `compare` and `palate.scoring.score_groups` for the errors."""
    from palate.scoring import score_groups

    rewards = list(score_groups(model, groups, tokens_per_pack=tokens_per_pack, on_progress=on_progress, run=run))
    return compare(groups, rewards)


def evaluate(
    config: EvalConfig | None = None,
    /,
    *,
    say: Callable[[str], object] = lambda _line: None,
    on_total: Progress | None = None,
    on_progress: Progress | None = None,
    **settings: Any,
) -> tuple[PairwiseReport, tuple[DroppedRow, ...]]:
    """Run `palate eval`: the report, and the rows that could not be used.

    Args:
        config: all settings at once; or give them by name.
        say: gets lines about the data and the model.
        on_total: gets the number of groups to score.
        on_progress: gets the number just done.
        settings: fields of `EvalConfig`, overriding `config`.

    Raises:
        PalateError: the data or the model cannot be used.
    """
    from palate.data.load import read_groups
    from palate.data.render import tokenize
    from palate.model.loading import load_reward_model
    from palate.model.self_check import check_layout
    from palate.scoring import ScoringRun, compare_int8

    config = resolve(EvalConfig, config, settings)
    data = read_groups(config.data, split=config.split, max_groups=config.max_groups, on_bad_row=config.on_bad_row)
    say(f"{config.data}: {data.summary()}")
    model = load_reward_model(config.model, dtype=config.dtype, layout=config.layout, max_length=config.max_length)
    for remark in model.remarks:
        say(f"warning: {remark}")
    tokenized = tokenize(data.groups, model.tokenizer, max_length=model.max_length, over_long=config.over_long)
    dropped = (*data.dropped, *tokenized.dropped)
    groups = tokenized.groups
    if not groups:
        reasons = ", ".join(f"{reason} {count}" for reason, count in count_reasons(dropped).items())
        raise DataError(f"no comparisons left to evaluate ({reasons})", reason="no-comparisons", where=config.data)
    check_layout(model, groups[:_CHECKED])
    run = ScoringRun(use_cache=config.layout != "padded", say=say)
    if config.dtype == "int8":
        compare_int8(model, groups[:_CHECKED], tokens_per_pack=config.tokens_per_pack, run=run)
    if on_total is not None:
        on_total(len(groups))
    report = evaluate_model(model, groups, tokens_per_pack=config.tokens_per_pack, on_progress=on_progress, run=run)
    if config.json:
        write_report(Path(config.json), report, dropped, run.facts())
    return report, dropped


def write_report(
    path: Path, report: PairwiseReport, dropped: Sequence[DroppedRow], scoring: Mapping[str, Any] | None = None
) -> None:
    """The report as JSON, with the number of dropped rows by reason and how it was scored; atomically."""
    values = {**report.to_json(), "dropped": count_reasons(dropped), "scoring": scoring}
    write_text(path, json.dumps(values, indent=2) + "\n")


def describe(report: PairwiseReport) -> str:
    """One line: accuracy with its interval, pairs, ties, margin, loss."""
    return (
        f"accuracy {report.accuracy:.3f} [{report.accuracy_low:.3f}, {report.accuracy_high:.3f}] "
        f"on {report.pairs} pairs of {report.groups} prompts, {report.ties} tied; "
        f"mean margin {report.margin:+.3f}, loss {report.loss:.4f}"
    )


def count_reasons(dropped: Sequence[DroppedRow]) -> dict[str, int]:
    """Number of dropped rows by reason.

    >>> count_reasons([DroppedRow("a:1", "over-long", None, ""), DroppedRow("a:2", "over-long", None, "")])
    {'over-long': 2}
    """
    counts: dict[str, int] = {}
    for row in dropped:
        counts[row.reason] = counts.get(row.reason, 0) + 1
    return counts
