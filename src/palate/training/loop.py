"""The training loop, top to bottom.

A step is planned beforehand (`palate.packing.plan`); here it is packed, unless the plan did, run forward and backward
pack by pack, clipped, and applied. Everything that is reported about it is summed exactly over its comparisons and over
ranks.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from palate.config import TrainConfig
from palate.errors import NonFiniteError
from palate.evaluation import describe
from palate.losses import length_correlation
from palate.metrics import PairwiseReport
from palate.model.reward_model import RewardModel
from palate.packing.plan import StepPlan
from palate.records import TokenizedGroup
from palate.training import checkpoints
from palate.training.battery import BatteryRun
from palate.training.checkpoints import Progress
from palate.training.guards import find_offenders, is_finite, name_rows
from palate.training.journal import Journal, StepRecord
from palate.training.length import LengthEffect, step_moments
from palate.training.objective import NUM_FIGURES, NUM_SUMS, num_terms, pack_loss, step_loss
from palate.training.optimizer import LENGTH
from palate.training.prepared import PreparedData

Say = Callable[[str], None]


@dataclass(slots=True)
class Trainer:
    """What the loop works with; made by `palate.training.run`.

    Attributes:
        model: the reward model itself, as evaluation and saving see it.
        wrapped: the same as accelerate prepared it; the training forward goes through it.
        effect: the length covariate; None without it.
        on_step: called after each step with its record.
        evaluate: scores the held-out data; None when there is none.
        battery: is run at every evaluation and every checkpoint; None for never.
        save_best: writes a whole reward model to a directory.
        say: shows a line to the user.
    """

    config: TrainConfig
    accelerator: Accelerator
    model: RewardModel
    wrapped: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    data: PreparedData
    effect: LengthEffect | None
    journal: Journal | None
    on_step: Callable[[StepRecord], None]
    evaluate: Callable[[], PairwiseReport] | None
    battery: BatteryRun | None
    save_best: Callable[[Path, PairwiseReport], object]
    say: Say


def fit(trainer: Trainer, progress: Progress) -> Progress:
    """Run the planned steps that `progress` has not done yet.

    Raises:
        NonFiniteError: a step's loss or gradient is not finite and `on_non_finite` is stop. Checkpoints stay.
    """
    config = trainer.config
    trainer.model.train()
    for number in range(progress.step + 1, len(trainer.data.steps) + 1):
        record = run_step(trainer, trainer.data.steps[number - 1], number)
        progress = _advance(progress, record)
        if trainer.journal is not None:
            trainer.journal.write(asdict(record))
        trainer.on_step(record)
        last = number == len(trainer.data.steps)  # what is measured after it is measured at the end
        measured = not last and _due(config.eval_every, number)
        saved = _due(config.save_every, number)
        if trainer.battery is not None and not last and (measured or saved):
            trainer.battery(number)
        if trainer.evaluate is not None and measured:
            report = trainer.evaluate()
            trainer.say(f"step {number}: held-out {describe(report)}")
            progress = keep_best(trainer, progress, report)
        if saved:
            save_state(trainer, progress)
    return progress


def _due(every: int, number: int) -> bool:
    return every > 0 and number % every == 0


def run_step(trainer: Trainer, step: StepPlan, number: int) -> StepRecord:
    """One optimiser step: forward and backward of every pack, clip, apply."""
    started = time.perf_counter()
    config, accelerator = trainer.config, trainer.accelerator
    groups = [trainer.data.training[index] for index in step.groups]
    terms = num_terms(groups, config)
    ranks = accelerator.num_processes
    packs = trainer.data.packs(step, config.tokens_per_pack, num_ranks=ranks)
    mine = packs[accelerator.process_index :: ranks]
    moments = None
    if config.length_control == "decorrelation" and len(packs) > 1:
        moments = step_moments(accelerator, trainer.model, ([groups[i] for i in items] for items in mine), config)
    sums = torch.zeros(NUM_SUMS, dtype=torch.float64, device=accelerator.device)
    for turn, items in enumerate(mine, start=1):
        # The gradients of all packs are summed before ranks exchange them, so only the last pack synchronises.
        with nullcontext() if turn == len(mine) else accelerator.no_sync(trainer.wrapped):
            sums += _run_pack(trainer, [groups[i] for i in items], groups, terms, moments)
    sums = accelerator.reduce(sums, reduction="sum") if ranks > 1 else sums
    summed, correct, judged, margin, pairs, ties, tokens = sums[:NUM_FIGURES].tolist()
    moments_M = sums[NUM_FIGURES:]
    loss = step_loss(summed, terms, moments_M, config)
    if trainer.effect is not None:
        trainer.effect.settle(accelerator, moments_M)
    correlation = float(length_correlation(moments_M))
    norm = _clip(trainer)
    finite = is_finite(loss, norm)
    if finite:
        trainer.optimizer.step()
    else:
        _refuse(trainer, number, groups)
    rates = [group["lr"] for group in _of_model(trainer.optimizer)]
    trainer.schedule.step()
    trainer.optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    return StepRecord(
        step=number,
        epoch=step.epoch,
        loss=loss if finite else None,
        accuracy=correct / judged if judged and finite else None,
        margin=margin / judged if judged and finite else None,
        grad_norm=norm if finite else None,
        lr=rates[0],
        head_lr=rates[-1],
        pairs=int(pairs),
        tokens=int(tokens),
        ties=int(ties),
        seconds=seconds,
        pairs_per_second=pairs / seconds,
        tokens_per_second=tokens / seconds,
        skipped=not finite,
        length_correlation=correlation if finite and is_finite(correlation) else None,
        length_effect=trainer.effect.per_doubling if trainer.effect is not None else None,
    )


def _run_pack(
    trainer: Trainer,
    groups: Sequence[TokenizedGroup],
    step_groups: Sequence[TokenizedGroup],
    terms: int,
    moments: torch.Tensor | None,
) -> torch.Tensor:
    # A rank without work of its own still takes part in the exchange of gradients, with a loss of zero.
    batch = trainer.model.collate(groups or step_groups[:1])
    reward_N = trainer.wrapped(batch)
    result = pack_loss(reward_N, batch, trainer.config, effect=trainer.effect, step_moments=moments)
    ranks = trainer.accelerator.num_processes  # data parallelism averages over ranks; we want the sum
    trainer.accelerator.backward(result.share(terms) * (ranks if groups else 0.0))
    return result.sums if groups else torch.zeros_like(result.sums)


def _clip(trainer: Trainer) -> float:
    limit = trainer.config.clip_norm or float("inf")
    parameters = [p for group in _of_model(trainer.optimizer) for p in group["params"]]
    norm = trainer.accelerator.clip_grad_norm_(parameters, limit)
    return float(norm) if norm is not None else 0.0


def _of_model(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The parameter groups of the model itself: rates, norm and clipping are theirs."""
    return [group for group in optimizer.param_groups if group.get("name") != LENGTH]


def _refuse(trainer: Trainer, number: int, groups: Sequence[TokenizedGroup]) -> None:
    message = name_rows(number, find_offenders(trainer.model, groups, trainer.config), groups)
    if trainer.config.on_non_finite == "stop":
        kept = checkpoints.find(Path(trainer.config.out))
        where = f"the last checkpoint is {kept[-1]}" if kept else "no checkpoint was due yet"
        raise NonFiniteError(
            f"{message}; nothing was applied, {where}. Mend the rows and start over, or go on without them: "
            "--resume --on-non-finite skip"
        )
    trainer.say(f"warning: {message}; the step was skipped")


def _advance(progress: Progress, record: StepRecord) -> Progress:
    return replace(
        progress,
        step=record.step,
        first_loss=record.loss if record.step == 1 else progress.first_loss,
        pairs=progress.pairs + (0 if record.skipped else record.pairs),
        tokens=progress.tokens + record.tokens,
        seconds=progress.seconds + record.seconds,
        skipped=progress.skipped + record.skipped,
    )


def keep_best(trainer: Trainer, progress: Progress, report: PairwiseReport) -> Progress:
    """Keep the model as it is now when its evaluation is the best so far."""
    if progress.best_accuracy is not None and report.accuracy <= progress.best_accuracy:
        return progress
    root = Path(trainer.config.out)
    if trainer.accelerator.is_main_process:
        trainer.save_best(checkpoints.best_directory(root, progress.step), report)
        checkpoints.keep_only_best(root, progress.step)
    trainer.accelerator.wait_for_everyone()
    return replace(progress, best_step=progress.step, best_accuracy=report.accuracy)


def save_state(trainer: Trainer, progress: Progress) -> None:
    """Write a checkpoint to resume from, then prune the old ones."""
    root, accelerator = Path(trainer.config.out), trainer.accelerator
    target = checkpoints.step_directory(root, progress.step)
    staging = target.with_name(f".{target.name}.tmp")
    accelerator.save_state(str(staging))
    accelerator.wait_for_everyone()  # each rank writes its own random state
    if accelerator.is_main_process:
        checkpoints.save_progress(staging, progress)
        checkpoints.commit(staging, target)
        checkpoints.prune(root, keep_last=trainer.config.keep_last)
    accelerator.wait_for_everyone()
