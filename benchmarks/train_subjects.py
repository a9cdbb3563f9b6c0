"""The two programs that `train_vs_trl` compares: palate.train, and TRL's RewardTrainer on the same pairs in order.

Both are run as their users run them; the only additions are that each waits for its turn before a step and says
afterwards what the step took. Run as `python -m benchmarks.train_subjects palate|trl CONFIG.yaml`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

import palate
from benchmarks.peer import classifier_on
from benchmarks.turns import Turns
from palate.config import TrainConfig, build, read_yaml
from palate.data.load import read_groups
from palate.data.render import TokenizedData, tokenize
from palate.model.backbone import load_backbone
from palate.packing.plan import plan_steps
from palate.records import TokenizedGroup
from palate.training.display import QuietDisplay
from palate.training.journal import StepRecord


class _TurnDisplay(QuietDisplay):
    """Where palate would show a step, the step is reported, and the next one waits for its turn."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(warn=False)
        self._turns = turns

    def start(self, total: int, done: int) -> None:
        """Loaded, tokenized, checked."""
        self._turns.ready(steps=total)
        self._turns.wait()

    def step(self, record: StepRecord) -> None:
        """From before packing to after the optimizer."""
        self._turns.done(seconds=record.seconds, loss=record.loss, tokens=record.tokens, pairs=record.pairs)
        self._turns.wait()


def run_palate(config: TrainConfig, turns: Turns) -> None:
    """`palate train`, whole."""
    palate.train(config, display=_TurnDisplay(turns))


def run_trl(config: TrainConfig, turns: Turns) -> None:
    """TRL's RewardTrainer with palate's settings, pairs and order.

    It gets ids that are tokenized already, so that both train on the same ones, and a head of zeros, as palate's is.
    """
    from transformers import TrainerCallback
    from trl import RewardConfig, RewardTrainer

    loaded = load_backbone(config.model)
    raw = read_groups(config.data, max_groups=config.max_groups)
    data = tokenize(raw.groups, loaded.tokenizer, max_length=config.max_length)
    planned = _planned(data, config)
    steps = [[_pair(group) for group in groups] for groups in planned]
    turns.ready(steps=len(steps), dropped=len(data.dropped), prompt_per_response=_ratio(planned))

    class TakeTurns(TrainerCallback):  # type: ignore[misc]
        """The clock runs from before the forward pass to after the optimizer; collating comes before it."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.wait()
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds = time.perf_counter() - self.started

        def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                step = steps[state.global_step - 1]
                widest = max(len(ids) for chosen, rejected in step for ids in (chosen, rejected))
                turns.done(seconds=self.seconds, loss=logs["loss"], tokens=2 * len(step) * widest, pairs=len(step))

    chosen = [chosen for step in steps for chosen, _ in step]
    rejected = [rejected for step in steps for _, rejected in step]
    trainer = RewardTrainer(
        model=classifier_on(loaded.backbone),
        args=RewardConfig(**_trl_settings(config, len(steps))),
        train_dataset=_dataset(chosen, rejected),
        processing_class=loaded.tokenizer,
        callbacks=[TakeTurns()],
    )
    assert len(trainer.train_dataset) == len(chosen), "TRL left out pairs that palate trains on"
    trainer.train()
    turns.wait()  # until the parent has had its last answer


def _trl_settings(config: TrainConfig, steps: int) -> dict[str, Any]:
    return {
        "output_dir": str(Path(config.out) / "trl"),
        "use_cpu": not torch.cuda.is_available(),
        "bf16": config.dtype == "bf16",
        "per_device_train_batch_size": config.pairs_per_step,
        "max_steps": steps,
        "max_length": config.max_length,
        "train_sampling_strategy": "sequential",
        "learning_rate": config.lr,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.clip_norm,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def _dataset(chosen: list[list[int]], rejected: list[list[int]]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"chosen_ids": chosen, "rejected_ids": rejected})


def _planned(data: TokenizedData, config: TrainConfig) -> list[list[TokenizedGroup]]:
    """The groups of every step, in palate's own order: were it another, the losses would part."""
    numbers = [len(group.comparisons) for group in data.groups]
    assert set(numbers) == {1}, "TRL takes pairs; this data has larger groups, or groups without a comparison"
    plan = plan_steps(numbers, config.pairs_per_step, epochs=1, seed=config.seed, max_steps=config.max_steps)
    steps = [[data.groups[index] for index in step.groups] for step in plan]
    full = all(len(step) == config.pairs_per_step for step in steps)
    assert full, "the data ends before the steps do: fewer steps, or more data"
    return steps


def _pair(group: TokenizedGroup) -> tuple[list[int], list[int]]:
    """Ids of chosen and rejected."""
    comparison = group.comparisons[0]
    return group.sequences[comparison.winner].tolist(), group.sequences[comparison.loser].tolist()


def _ratio(steps: list[list[TokenizedGroup]]) -> float:
    """Shared tokens by tokens of a response."""
    groups = [group for step in steps for group in step]
    prompts = sum(group.shared for group in groups)
    responses = sum(len(sequence) - group.shared for group in groups for sequence in group.sequences)
    return prompts / (responses / 2)


def main() -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    turns = Turns()
    subject, path = sys.argv[1:]
    config = build(TrainConfig, read_yaml(Path(path)))
    {"palate": run_palate, "trl": run_trl}[subject](config, turns)


if __name__ == "__main__":
    main()
