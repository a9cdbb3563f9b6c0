"""`palate train`: read, prepare, check, fit, evaluate, save; each line of `train` is one of these."""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed

from palate.config import TrainConfig, build, write_yaml
from palate.data.read import write_dropped
from palate.evaluation import compare
from palate.metrics import PairwiseReport
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_sharing
from palate.scoring import score_groups
from palate.training import checkpoints
from palate.training.checkpoints import Progress
from palate.training.display import Display, QuietDisplay
from palate.training.guards import expected_first_loss, judge_first_loss
from palate.training.journal import Journal, StepRecord
from palate.training.loop import Trainer, fit
from palate.training.optimizer import make_optimizer, make_schedule
from palate.training.prepare import PreparedData, prepare, read
from palate.training.setup import build_model, claim, introduce
from palate.training.summary import count_tokens, summarise, write_summary


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run leaves behind.

    Attributes:
        model: the trained reward model, in evaluation mode.
        out: the directory that holds it.
        summary: what `summary.json` holds.
        before, after: held-out evaluations; None without held-out data.
    """

    model: RewardModel
    out: Path
    summary: dict[str, Any]
    before: PairwiseReport | None
    after: PairwiseReport | None


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
    config = build(TrainConfig, {**(asdict(config) if config else {}), **settings})
    show = display or QuietDisplay()
    out = Path(config.out)
    resumed = claim(config)
    set_seed(config.seed)
    raw = read(config)
    for remark in raw.remarks:
        show.say(remark)
    accelerator = Accelerator(log_with=list(config.trackers) or None, project_dir=str(out))
    model = build_model(config, accelerator.device, show)
    data = prepare(raw, model.tokenizer, config)
    if accelerator.is_main_process:
        write_yaml(replace(config, resume=False, overwrite=False), out / "config.yaml")
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
    out = Path(config.out)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, len(data.steps))
    wrapped, prepared = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    progress = Progress()
    if resumed is not None:
        accelerator.load_state(str(resumed))
        progress = checkpoints.load_progress(resumed)
        show.say(f"resumed from {resumed}, after step {progress.step}")
    zero_head = not bool(model.head.score.weight.any())
    _check_before(model, data, show)
    before = _evaluate(model, data, config, accelerator, show) if progress.step == 0 and data.evaluation else None
    if before is not None:
        show.say(f"held-out before: {describe(before)}")
    if accelerator.is_main_process and config.trackers:
        accelerator.init_trackers("palate", config={k: str(v) for k, v in asdict(config).items()})

    groups = [data.training[i] for i in data.steps[0].groups]
    expected = expected_first_loss(model, groups, config)

    def on_step(record: StepRecord) -> None:
        show.step(record)
        if record.step == 1 and record.loss is not None:
            warning = judge_first_loss(record.loss, expected, zero_head=zero_head)
            show.say(
                f"warning: {warning}"
                if warning
                else f"first loss {record.loss:.6f}, as expected (ln 2 is {math.log(2):.6f})"
            )
        if config.trackers:
            accelerator.log({k: v for k, v in asdict(record).items() if v is not None}, step=record.step)

    trainer = Trainer(
        config=config,
        accelerator=accelerator,
        model=model,
        wrapped=wrapped,
        optimizer=prepared,
        schedule=schedule,
        data=data,
        journal=Journal(out / "log.jsonl", keep_steps=progress.step) if accelerator.is_main_process else None,
        on_step=on_step,
        evaluate=(lambda: _evaluate(model, data, config, accelerator, show)) if data.evaluation else None,
        save_best=lambda path, report: model.save_pretrained(path, evaluation=_brief(report), **_known(config, data)),
        say=show.say,
    )
    started, pairs_before = time.perf_counter(), progress.pairs
    show.start(len(data.steps), progress.step)
    progress = fit(trainer, progress)
    seconds = time.perf_counter() - started
    show.stop()
    after = _evaluate(model, data, config, accelerator, show) if data.evaluation else None
    result = _finish(trainer, progress, show, before=before, after=after, seconds=seconds, pairs_before=pairs_before)
    if trainer.journal is not None:
        trainer.journal.close()
    accelerator.end_training()
    return result


def _check_before(model: RewardModel, data: PreparedData, show: Display) -> None:
    if model.layout != "tree":
        return
    groups = [data.training[i] for i in data.steps[0].groups]
    check = check_sharing(model, groups)
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
    advance = show.counting("evaluating", len(mine))
    rewards = list(score_groups(model, mine, tokens_per_pack=config.tokens_per_pack, on_progress=advance))
    if ranks == 1:
        return compare(data.evaluation, rewards)
    every = gather_object([(rank + ranks * i, r) for i, r in enumerate(rewards)])
    return compare(data.evaluation, [r for _, r in sorted(every, key=lambda pair: pair[0])])


def _finish(
    trainer: Trainer,
    progress: Progress,
    show: Display,
    *,
    before: PairwiseReport | None,
    after: PairwiseReport | None,
    seconds: float,
    pairs_before: int,
) -> TrainResult:
    config, model, data, out = trainer.config, trainer.model, trainer.data, Path(trainer.config.out)
    tokens = count_tokens((*data.training, *data.evaluation), shared=model.layout == "tree")
    mean, std = _training_rewards(model, data, config)
    evaluation = _brief(after) if after else {}
    if trainer.accelerator.is_main_process:
        loads = model.save_pretrained(
            out, evaluation=evaluation, reward_mean=mean, reward_std=std, **_known(config, data)
        )
        if config.lora:
            model.adapter.save_pretrained(str(out / "adapter"))
        extra = {"reward_mean": mean, "reward_std": std, "layout": model.layout, "loads_as": loads}
        if after is not None:
            show.say(f"held-out after: {describe(after)}")
        show.say(f"saved in {out} ({loads})")
    summary = summarise(
        progress=progress,
        data=data,
        tokens=tokens,
        before=before,
        after=after,
        seconds=seconds,
        pairs_this_run=progress.pairs - pairs_before,
        extra=extra if trainer.accelerator.is_main_process else {},
    )
    if trainer.accelerator.is_main_process:
        write_summary(out / "summary.json", summary)
    return TrainResult(model.eval(), out, summary, before, after)


def _training_rewards(model: RewardModel, data: PreparedData, config: TrainConfig) -> tuple[float, float]:
    """Mean and standard deviation of the rewards of a sample of the training responses."""
    picks = np.random.default_rng(config.seed).permutation(len(data.training))[:64]
    sample = [data.training[i] for i in picks.tolist()]
    rewards = np.concatenate(list(score_groups(model, sample, tokens_per_pack=config.tokens_per_pack)))
    return float(rewards.mean()), float(rewards.std())


def _known(config: TrainConfig, data: PreparedData) -> dict[str, Any]:
    return {"base_model": config.model, "over_long": config.over_long, "data_fingerprint": data.fingerprint}


def _brief(report: PairwiseReport) -> dict[str, Any]:
    values = report.to_json()
    return {name: values[name] for name in ("accuracy", "accuracy_low", "accuracy_high", "margin", "loss", "pairs")}


def describe(report: PairwiseReport) -> str:
    """One line: accuracy with its interval, pairs, ties, margin, loss."""
    return (
        f"accuracy {report.accuracy:.3f} [{report.accuracy_low:.3f}, {report.accuracy_high:.3f}] on {report.pairs} "
        f"pairs of {report.groups} prompts, {report.ties} tied; mean margin {report.margin:+.3f}, loss {report.loss:.4f}"
    )
