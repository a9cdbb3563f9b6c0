"""`palate train`: read, prepare, check, fit, evaluate, save; each line of `train` is one of these."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object, set_seed
from torch import distributed

from palate.config import TrainConfig, resolve
from palate.data.read import write_dropped
from palate.errors import ConfigError
from palate.evaluation import compare, describe
from palate.metrics import PairwiseReport
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_layout
from palate.scoring import score_groups
from palate.training import checkpoints
from palate.training.battery import make_battery
from palate.training.budget import settle_budget
from palate.training.checkpoints import Progress
from palate.training.display import Display, QuietDisplay
from palate.training.guards import expected_first_loss, judge_first_loss
from palate.training.journal import Journal, StepRecord
from palate.training.length import make_effect
from palate.training.loop import Trainer, fit
from palate.training.optimizer import make_optimizer, make_schedule
from palate.training.outcome import TrainResult, brief, finish, known, load_result
from palate.training.prepare import prepare, read
from palate.training.prepared import PreparedData
from palate.training.setup import SUMMARY, alone, begin, build_model, claim, introduce, make_accelerator


def train(config: TrainConfig | None = None, /, *, display: Display | None = None, **settings: Any) -> TrainResult:
    """Train a reward model; see `TrainConfig` for the settings.

    Args:
        config: all settings at once; or give them by name.
        display: where the run shows itself; nothing is shown by default.
        settings: fields of `TrainConfig`, overriding `config`.

    Raises:
        PalateError: settings, data or model cannot be used; the message says what, where and how to mend it.

    Example:
        >>> import palate
        >>> result = palate.train(model="smollm2", data="simulated", out="runs/demo")  # doctest: +SKIP
        >>> result.summary["eval"]["accuracy"]  # doctest: +SKIP
        0.86
    """
    config = resolve(TrainConfig, config, settings)
    accelerator = make_accelerator(config)
    main = accelerator.is_main_process
    show = display if display is not None and main else QuietDisplay(warn=main)
    # Held until everything below is gone: the reducer of gradients, were it the last to let go of the group, would wait
    # for the group's threads while it keeps Python's lock from them.
    group = distributed.group.WORLD if distributed.is_available() and distributed.is_initialized() else None
    try:
        with alone(config) if main else nullcontext():
            return _train(config, accelerator, show)
    finally:
        show.stop()
        del group


def _train(config: TrainConfig, accelerator: Accelerator, show: Display) -> TrainResult:
    out = Path(config.out)
    with accelerator.main_process_first():
        resumed = claim(config, owner=accelerator.is_main_process)
    if config.resume and (out / SUMMARY).exists():
        show.say(f"{out} is finished: nothing to do")
        return load_result(out)
    set_seed(config.seed)
    # One process of each machine reads and tokenizes; the others find what it left in the cache.
    with accelerator.local_main_process_first():
        raw = read(config, show)
    model = build_model(config, accelerator.device, show)
    shared, ranks = model.layout == "tree", accelerator.num_processes
    with accelerator.local_main_process_first():
        data = prepare(raw, model.tokenizer, config, show, shared=shared, num_ranks=ranks, max_length=model.max_length)
    config = settle_budget(config, model, data, accelerator, show)
    if accelerator.is_main_process:
        begin(config)
        if data.dropped:
            write_dropped(out / "dropped.jsonl", data.dropped)
    introduce(model, data, config, show)
    return _run(config, accelerator, model, data, show, resumed)


def _run(
    config: TrainConfig,
    accelerator: Accelerator,
    model: RewardModel,
    data: PreparedData,
    show: Display,
    resumed: Path | None,
) -> TrainResult:
    effect = make_effect(data.training, config, accelerator.device)
    optimizer = make_optimizer(model, config, effect)
    schedule = make_schedule(optimizer, config, len(data.steps))
    wrapped, prepared = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule, *([] if effect is None else [effect]))
    progress = Progress(data_fingerprint=data.resume_key)
    if resumed is not None:
        progress = _restore(accelerator, resumed, data)
        show.say(f"resumed from {resumed}, after step {progress.step}")
    progress = _recall_best(config, accelerator, progress, show)
    _check_before(model, data, show)
    if progress.step == 0 and data.evaluation:
        progress = replace(progress, before=_evaluate(model, data, config, accelerator, show))
    if progress.before is not None:
        show.say(f"held-out before: {describe(progress.before)}")
    if accelerator.is_main_process and config.trackers:
        accelerator.init_trackers("palate", config={k: str(v) for k, v in asdict(config).items()})
    trainer = Trainer(
        config=config,
        accelerator=accelerator,
        model=model,
        wrapped=wrapped,
        optimizer=prepared,
        schedule=schedule,
        data=data,
        effect=effect,
        journal=_journal(config, accelerator, progress),
        on_step=_on_step(config, accelerator, model, data, show),
        evaluate=(lambda: _evaluate(model, data, config, accelerator, show)) if data.evaluation else None,
        # After the last step it runs at the end alone, and comes to that again however the run was cut short.
        battery=make_battery(
            model,
            config,
            show.say,
            writes=accelerator.is_main_process,
            done=min(progress.step, len(data.steps) - 1),
        ),
        save_best=lambda path, report: model.save_pretrained(
            path, evaluation=brief(report), **known(model, data, config)
        ),
        say=show.say,
    )
    show.start(len(data.steps), progress.step)
    progress = fit(trainer, progress)
    show.stop()
    return finish(trainer, progress, show)


def _restore(accelerator: Accelerator, checkpoint: Path, data: PreparedData) -> Progress:
    progress = checkpoints.load_progress(checkpoint)
    then, _, ranks = progress.data_fingerprint.partition("/")
    if then != data.fingerprint:
        raise ConfigError(
            f"cannot resume from {checkpoint}: the training data is not what it was (fingerprint "
            f"{then} then, {data.fingerprint} now); restore it, or start over with --overwrite"
        )
    if progress.data_fingerprint != data.resume_key:
        raise ConfigError(
            f"cannot resume from {checkpoint} with {accelerator.num_processes} processes: with pack-window the plan "
            f"is made for as many as the run began with, {ranks}"
        )
    accelerator.load_state(str(checkpoint))
    return progress


def _recall_best(config: TrainConfig, accelerator: Accelerator, progress: Progress, show: Display) -> Progress:
    """Only the best model of the steps that count is kept; one that is no more is not the best any more."""
    out = Path(config.out)
    if accelerator.is_main_process:
        checkpoints.keep_only_best(out, progress.best_step)
    there = [progress.best_step is None or checkpoints.best_directory(out, progress.best_step).exists()]
    broadcast_object_list(there)  # the directory may be on the first machine alone
    if there[0]:
        return progress
    show.say(f"warning: the best model so far, of step {progress.best_step}, is gone: the best begins anew")
    return replace(progress, best_step=None, best_accuracy=None)


def _journal(config: TrainConfig, accelerator: Accelerator, progress: Progress) -> Journal | None:
    if not accelerator.is_main_process:
        return None
    return Journal(Path(config.out) / "log.jsonl", keep_steps=progress.step)


def _on_step(
    config: TrainConfig, accelerator: Accelerator, model: RewardModel, data: PreparedData, show: Display
) -> Callable[[StepRecord], None]:
    """Show and track every step, and judge the first."""
    zero_head = not bool(model.head.score.weight.any())
    expected = expected_first_loss(model, [data.training[i] for i in data.steps[0].groups], config)

    def on_step(record: StepRecord) -> None:
        show.step(record)
        if record.step == 1 and record.loss is not None:
            warning = judge_first_loss(record.loss, expected, zero_head=zero_head)
            show.say(
                f"warning: {warning}" if warning else f"first loss {record.loss:.6f}; rewards of 0 give {expected:.6f}"
            )
        if config.trackers:
            accelerator.log({k: v for k, v in asdict(record).items() if v is not None}, step=record.step)

    return on_step


def _check_before(model: RewardModel, data: PreparedData, show: Display) -> None:
    check = check_layout(model, [data.training[i] for i in data.steps[0].groups])
    if check is not None:
        show.say(
            f"self-check: shared and separate runs agree to {check.difference:.1e} on {check.num_sequences} sequences, "
            f"all {check.num_layers} layers"
        )


def _evaluate(
    model: RewardModel, data: PreparedData, config: TrainConfig, accelerator: Accelerator, show: Display
) -> PairwiseReport:
    """Score the held-out groups, each rank a share of them, and compare all."""
    ranks, rank = accelerator.num_processes, accelerator.process_index
    mine = data.evaluation[rank::ranks]
    advance = show.counting("eval", len(mine))
    rewards = list(score_groups(model, mine, tokens_per_pack=config.tokens_per_pack, on_progress=advance))
    if ranks == 1:
        return compare(data.evaluation, rewards)
    every = gather_object([(rank + ranks * i, r) for i, r in enumerate(rewards)])
    return compare(data.evaluation, [r for _, r in sorted(every, key=lambda pair: pair[0])])
