"""What a run leaves behind: the saved model, what its contract says, and the summary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils import broadcast_object_list

from palate.config import TrainConfig
from palate.evaluation import describe
from palate.metrics import PairwiseReport
from palate.model.adapters import save_adapter
from palate.model.reward_model import RewardModel
from palate.scoring import score_groups
from palate.training import checkpoints
from palate.training.checkpoints import Progress, read_report
from palate.training.display import Display
from palate.training.loop import Trainer, keep_best
from palate.training.prepared import PreparedData
from palate.training.setup import SUMMARY
from palate.training.summary import read_summary, summarise, write_summary


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


def finish(trainer: Trainer, progress: Progress, show: Display) -> TrainResult:
    """Evaluate once more, save the model, and say in `summary.json` what was done: the mark of a finished run."""
    config, model, data, accelerator = trainer.config, trainer.model, trainer.data, trainer.accelerator
    out = Path(config.out)
    after = trainer.evaluate() if trainer.evaluate is not None else None
    if after is not None and config.eval_every:
        progress = keep_best(trainer, progress, after)
    battery = trainer.battery(progress.step) if trainer.battery is not None else None
    facts = known(model, data, config)
    summary: list[Any] = [None]
    if accelerator.is_main_process:
        loads = model.save_pretrained(out, evaluation=brief(after) if after else {}, **facts)
        if config.lora:
            save_adapter(model.adapter, out / "adapter")
        effect = trainer.effect.per_doubling if trainer.effect is not None else None
        fill = data.fill(config.tokens_per_pack, num_ranks=accelerator.num_processes)
        values = summarise(progress=progress, data=data, model=model, after=after, length_effect=effect, fill=fill)
        budget = {"tokens_per_pack": config.tokens_per_pack, "auto_batch": config.auto_batch}
        write_summary(out / SUMMARY, {**values, **budget, "battery": battery, "loads_as": loads})
        summary = [read_summary(out / SUMMARY)]
        if effect is not None:
            show.say(f"length effect: {effect:+.3f} for a response twice as long, left out of the reward")
        if after is not None:
            show.say(f"held-out after: {describe(after)}")
        if progress.best_step is not None and progress.best_step != progress.step:
            best = checkpoints.best_directory(out, progress.best_step)
            show.say(f"best held-out accuracy {progress.best_accuracy:.3f}, after step {progress.best_step}: {best}")
        show.say(f"saved in {out} ({loads})")
    for journal in (trainer.journal, trainer.battery.journal if trainer.battery is not None else None):
        if journal is not None:
            journal.close()
    broadcast_object_list(summary)  # other machines need not see this one's directory
    accelerator.wait_for_everyone()  # so that nobody leaves while others still need the group
    accelerator.end_training()
    return TrainResult(model.eval(), out, summary[0], progress.before, after)


def load_result(out: Path) -> TrainResult:
    """What a finished run left behind."""
    summary = read_summary(out / SUMMARY)
    before, after = (read_report(summary[name]) for name in ("eval_before", "eval"))
    return TrainResult(RewardModel.from_pretrained(out), out, summary, before, after)


def known(model: RewardModel, data: PreparedData, config: TrainConfig) -> dict[str, Any]:
    """What the contract says of these weights; of what was fitted to those that they began with, nothing is left."""
    mean, std = _reward_scale(model, data, config)
    return {
        "base_model": config.model,
        "over_long": config.over_long,
        "data_fingerprint": data.fingerprint,
        "reward_mean": mean,
        "reward_std": std,
        "temperature": None,
    }


def _reward_scale(
    model: RewardModel, data: PreparedData, config: TrainConfig
) -> tuple[float, float] | tuple[None, None]:
    """Mean and standard deviation of the rewards of a sample of the training responses."""
    picks = np.random.default_rng(config.seed).permutation(len(data.training))[:64]
    sample = [data.training[i] for i in picks.tolist()]
    scores = score_groups(model, sample, tokens_per_pack=config.tokens_per_pack, require_finite=False)
    rewards = np.concatenate(list(scores))
    rewards = rewards[np.isfinite(rewards)]  # of rows whose steps were skipped, there are none
    return (float(rewards.mean()), float(rewards.std())) if rewards.size else (None, None)


def brief(report: PairwiseReport) -> dict[str, Any]:
    """An evaluation as the contract keeps it."""
    values = report.to_json()
    return {name: values[name] for name in ("accuracy", "accuracy_low", "accuracy_high", "margin", "loss", "pairs")}
