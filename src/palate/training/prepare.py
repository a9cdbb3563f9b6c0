"""From a configuration to what the loop needs: tokenized groups on both sides, the plan, and what was left out.

`read` looks at every row before any model is loaded; `prepare` tokenizes, or finds the tokens in the cache. Neither
holds the data: groups go from the reader to the token store one chunk at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palate.config import TrainConfig
from palate.data import cache
from palate.data.cache import Tokenized
from palate.data.load import stream_groups
from palate.data.manifest import verify_training
from palate.data.read import GroupStream, ReadReport
from palate.data.render import render
from palate.data.split import held_out
from palate.data.store import Ints, RecordBatch, TokenStore, write_batches
from palate.data.workers import Job, num_workers, tokenize_chunks
from palate.errors import DataError
from palate.model.contract import template_hash, tokenizer_hash
from palate.packing.plan import Packing, Plan, fill, plan_steps
from palate.prefix_tree import WORTH_SHARING
from palate.records import DroppedRow, Message
from palate.training.display import Display
from palate.training.objective import is_full_ranking

_COUNTED = 500  # groups between two movements of the progress


@dataclass(frozen=True, slots=True)
class Source:
    """Data that has been read once, row by row, and can be read again.

    Attributes:
        name: as the user gave it.
        groups: streams them.
        report: what reading them had to say.
        key: identity of all that decides what is read; None when nothing is to be cached.
    """

    name: str
    groups: GroupStream
    report: ReadReport
    key: str | None


@dataclass(frozen=True, slots=True)
class RawData:
    """The sources, before there is a tokenizer; `evaluation` is None where it comes out of the training data."""

    training: Source
    evaluation: Source | None


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What the loop runs on.

    Attributes:
        training: tokenized groups with at least one comparison.
        evaluation: held-out groups, possibly none.
        steps: which groups each optimiser step takes.
        costs: tokens that each training group adds to a pack.
        opening: tokens that a pack holds besides, since all groups begin with them.
        dropped: every row and group left out, of both sides.
        truncated: groups whose prompt was cut.
        fingerprint: of the training comparisons.
        resume_key: what a resumed run must find unchanged: the fingerprint, and the number of processes where the
            plan depends on it.
    """

    training: TokenStore
    evaluation: TokenStore
    steps: Plan
    costs: Ints
    opening: int
    dropped: tuple[DroppedRow, ...]
    truncated: int
    fingerprint: str
    resume_key: str

    def fill(self, budget: int, *, num_ranks: int) -> float:
        """Share of the packs' token budget that is used, over the first steps."""
        return fill(self.steps, self.costs, budget - self.opening, num_ranks=num_ranks)


def read(config: TrainConfig, show: Display) -> RawData:
    """Look at every row once, before any model is loaded: a broken row should not cost a minute.

    Raises:
        DataError: the data cannot be read, or has changed since `palate data split` wrote it.
    """
    for remark in verify_training(config.data, config.eval_data):
        show.say(f"{'warning: ' if remark.warning else ''}{remark.text}")
    training = _look(config.data, config, show)
    return RawData(training, None if config.eval_data is None else _look(config.eval_data, config, show))


def _look(name: str, config: TrainConfig, show: Display) -> Source:
    settings = {"split": config.split, "on_bad_row": config.on_bad_row, "max_groups": config.max_groups}
    groups = stream_groups(name, **settings)  # type: ignore[arg-type]
    key = cache.source_key(name, **settings) if config.cache else None
    report = cache.load_report(key)
    if report is None:
        advance = show.counting("reading", None)
        for number, _ in enumerate(groups, start=1):
            if number % _COUNTED == 0:
                advance(_COUNTED)
        advance(0)
        report = groups.report
        cache.save_report(key, report)
    show.say(f"{name}: {report.summary()}")
    return Source(name, groups, report, key)


def prepare(
    raw: RawData, tokenizer: Any, config: TrainConfig, show: Display, *, shared: bool = True, num_ranks: int = 1
) -> PreparedData:
    """Tokenize, split, and plan the steps.

    Args:
        raw: what `read` gave.
        tokenizer: of the model.
        config: the settings.
        show: gets what there is to say, and the progress.
        shared: whether the model's layout shares prompts, which decides what a group costs.
        num_ranks: processes that train together.

    Raises:
        DataError: no group is left to train on, or one is over-long and that is an error.
        ConfigError: nothing can be held out, or processes cannot be forked.
    """
    sources = [source for source in (raw.training, raw.evaluation) if source is not None]
    made = [_tokenize(source, tokenizer, config, show) for source in sources]
    training, evaluation = _two_sides([one.store for one in made], config, show)
    training, unusable = _usable(training, config)
    left_out = [*(source.report.dropped for source in sources), *(one.dropped for one in made), unusable]
    dropped = tuple(row for rows in left_out for row in rows)
    if not training:
        reasons = ", ".join(sorted({row.reason for row in dropped})) or "no comparisons"
        raise DataError(f"no group is left to train on ({reasons})", reason="nothing-left", where=config.data)
    opening = training.opening if shared and training.opening >= WORTH_SHARING else 0
    costs = (training.columns.computed if shared else training.columns.unshared) - opening
    packing = Packing(costs, config.tokens_per_pack - opening, config.pack_window, num_ranks)
    steps = plan_steps(
        training.columns.comparisons,
        config.pairs_per_step,
        epochs=config.epochs,
        seed=config.seed,
        max_steps=config.max_steps,
        packing=packing if config.pack_window else None,
    )
    fingerprint = training.fingerprint()
    return PreparedData(
        training=training,
        evaluation=evaluation.select(evaluation.columns.comparisons > 0),
        steps=steps,
        costs=costs,
        opening=opening,
        dropped=dropped,
        truncated=sum(int((one.store.columns.truncated > 0).sum()) for one in made),
        fingerprint=fingerprint,
        resume_key=f"{fingerprint}/{num_ranks}" if config.pack_window else fingerprint,
    )


def _tokenize(source: Source, tokenizer: Any, config: TrainConfig, show: Display) -> Tokenized:
    job = Job(tokenizer, config.max_length, config.over_long)
    workers = num_workers(config.workers, source.report.groups)

    def make(path: Path) -> tuple[DroppedRow, ...]:
        advance = show.counting("tokenizing", source.report.groups)
        dropped: list[DroppedRow] = []

        def batches() -> Iterator[RecordBatch]:
            for done in tokenize_chunks(source.groups, job, workers=workers):
                dropped.extend(done.dropped)
                advance(done.groups)
                yield done.batch

        write_batches(path, batches())
        return tuple(dropped)

    return cache.tokenized(_token_key(source, tokenizer, config), make, show.say)


def _token_key(source: Source, tokenizer: Any, config: TrainConfig) -> str | None:
    """Everything that decides the tokens; a rendered example stands for what a template may ask, such as the date."""
    if source.key is None:
        return None
    example = render(tokenizer, (Message("user", "a"),), (Message("assistant", "b"),)).text
    backend = getattr(tokenizer, "backend_tokenizer", None)
    whole = "" if backend is None else backend.to_str()
    parts = (tokenizer_hash(tokenizer), template_hash(tokenizer), whole, example)
    return f"{source.key}-{cache.digest(*parts, config.max_length, config.over_long)}"


def _two_sides(stores: list[TokenStore], config: TrainConfig, show: Display) -> tuple[TokenStore, TokenStore]:
    """Training and held-out groups, and what has to be said about them."""
    training = stores[0]
    prompts = training.columns.prompt_hash
    if len(stores) > 1:
        evaluation = stores[1]
        both = len(np.intersect1d(prompts, evaluation.columns.prompt_hash))
        if both:
            show.say(f"warning: {both} prompts of eval-data are in the training data too: its figures are inflated")
        return training, evaluation
    if config.eval_fraction == 0 or not training:
        return training, training[:0]
    if (prompts == prompts[0]).all():
        show.say(
            f"warning: nothing is held out, since all {len(training)} groups have the same prompt and a prompt on "
            "both sides would inflate every figure; give --eval-data, or read more of the data"
        )
        return training, training[:0]
    out = held_out(prompts, config.eval_fraction, seed=config.seed)
    show.say(f"held out by prompt: {out.sum()} of {len(training)} groups")
    return training.select(~out), training.select(out)


def _usable(groups: TokenStore, config: TrainConfig) -> tuple[TokenStore, list[DroppedRow]]:
    compared = groups.columns.comparisons > 0
    ranked = compared
    if config.loss == "plackett-luce":
        ranked = compared & np.fromiter((is_full_ranking(group) for group in groups), dtype=bool, count=len(groups))
    unusable: list[DroppedRow] = []
    for at in np.flatnonzero(~ranked).tolist():
        reason, message = "no-comparisons", "nothing is compared in this group"
        if compared[at]:
            reason, message = "no-full-ranking", "plackett-luce needs every pair of responses ordered, without ties"
        unusable.append(DroppedRow(groups[at].where, reason, None, message))
    return groups.select(ranked), unusable
