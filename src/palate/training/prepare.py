"""From a configuration to what the loop needs: tokenized groups on both sides, the plan, and what was left out.

`read` looks at every row before any model is loaded; `prepare` tokenizes, or finds the tokens in the cache. Neither
holds the data: groups go from the reader to the token store one chunk at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from palate.data.store import RecordBatch, TokenStore, write_batches
from palate.data.workers import Job, num_workers, tokenize_chunks
from palate.errors import ConfigError, DataError
from palate.model.contract import template_hash, tokenizer_hash
from palate.packing.plan import Packing, plan_steps
from palate.prefix_tree import WORTH_SHARING
from palate.records import DroppedRow, Message
from palate.training.display import Display
from palate.training.objective import is_full_ranking
from palate.training.prepared import PreparedData

_COUNTED = 500  # groups between two movements of the progress


@dataclass(frozen=True, slots=True)
class Source:
    """Data that has been read once, row by row, and can be read again.

    Attributes:
        name: as the user gave it.
        groups: streams them.
        report: what reading them had to say.
        key: identity of all that decides what is read; None when nothing is to be cached.
        settings: the settings among that.
    """

    name: str
    groups: GroupStream
    report: ReadReport
    key: str | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RawData:
    """The sources, before there is a tokenizer; `evaluation` is None where it comes out of the training data."""

    training: Source
    evaluation: Source | None


def read(config: TrainConfig, show: Display) -> RawData:
    """Look at every row once, before any model is loaded: a broken row should not cost a minute.

    Raises:
        DataError: the data cannot be read, changes meanwhile, or has changed since `palate data split` wrote it.
    """
    for remark in verify_training(config.data, config.eval_data):
        show.say(f"{'warning: ' if remark.warning else ''}{remark.text}")
    training = _look(config.data, config, show)
    return RawData(training, None if config.eval_data is None else _look(config.eval_data, config, show))


def _look(name: str, config: TrainConfig, show: Display) -> Source:
    settings = {"split": config.split, "on_bad_row": config.on_bad_row, "max_groups": config.max_groups}
    groups = stream_groups(name, **settings)  # type: ignore[arg-type]
    key = cache.source_key(name, **settings) if config.cache else None
    known = cache.load_report(key)
    if known is None:
        advance = show.counting("reading", None)
        for number, _ in enumerate(groups, start=1):
            if number % _COUNTED == 0:
                advance(_COUNTED)
        advance(0)
    source = Source(name, groups, known or groups.report, key, settings)
    if known is None:
        _refuse_changed(source)
        cache.save_report(key, source.report)
    show.say(f"{name}: {source.report.summary()}")
    return source


def _refuse_changed(source: Source) -> None:
    """What was read last has to be what the key names, or else others would find it there, and what was said of it."""
    key = None if source.key is None else cache.source_key(source.name, **source.settings)
    if key != source.key or source.groups.report != source.report:
        message = "was written to while it was being read; run again when it is at rest"
        raise DataError(message, reason="changed", where=source.name)


def prepare(
    raw: RawData,
    tokenizer: Any,
    config: TrainConfig,
    show: Display,
    *,
    shared: bool = True,
    num_ranks: int = 1,
    max_length: int | None = None,
) -> PreparedData:
    """Tokenize, split, and plan the steps.

    Args:
        raw: what `read` gave.
        tokenizer: of the model.
        config: the settings.
        show: gets what there is to say, and the progress.
        shared: whether the model's layout shares prompts, which decides what a group costs.
        num_ranks: processes that train together.
        max_length: tokens of a sequence where the body has no positions for as many as are configured.

    Raises:
        DataError: no group is left to train on, one is over-long and that is an error, or the data has changed.
        ConfigError: nothing can be held out, packs are to be filled beforehand without shared prompts, or processes
            cannot be forked.
    """
    config = config if max_length is None else replace(config, max_length=max_length)
    sources = [source for source in (raw.training, raw.evaluation) if source is not None]
    made = [_tokenize(source, tokenizer, config, show) for source in sources]
    training, evaluation = _two_sides([one.store for one in made], config, show)
    training, unusable = _usable(training, config)
    ignored = _ignored_labels(training, config, show)
    left_out = [*(source.report.dropped for source in sources), *(one.dropped for one in made), unusable]
    dropped = tuple(row for rows in left_out for row in rows)
    if not training:
        reasons = ", ".join(sorted({row.reason for row in dropped})) or "no comparisons"
        raise DataError(f"no group is left to train on ({reasons})", reason="nothing-left", where=config.data)
    opening = training.opening if shared and training.opening >= WORTH_SHARING else 0
    columns = training.columns
    costs = columns.computed - opening if shared else columns.responses * columns.longest
    if config.pack_window and not shared:
        raise ConfigError("pack-window fills packs of shared prompts, and this layout shares none: drop it")
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
        shared=shared,
        dropped=dropped,
        truncated=sum(int((one.store.columns.truncated > 0).sum()) for one in made),
        ignored_labels=ignored,
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
        _refuse_changed(source)
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


def _ignored_labels(groups: TokenStore, config: TrainConfig, show: Display) -> int:
    """Groups of which plackett-luce, which sees an order and nothing else, leaves something out of account."""
    if config.loss != "plackett-luce":
        return 0
    ignored = sum(any((c.weight, c.margin, c.probability) != (1, 0, 1) for c in g.comparisons) for g in groups)
    if ignored:
        show.say(
            f"warning: {ignored} groups have weights, margins or shared labels, which plackett-luce ignores: "
            "--loss bradley-terry sees them"
        )
    return ignored
