"""The hand-written battery at every checkpoint: the unit tests of a reward model, run while it trains.

Held-out accuracy says how well a model ranks data like its own. The battery says whether it learns what everybody
agrees on, and the log of a run shows from which step on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from palate.auditing.battery import battery_summary, run_battery
from palate.auditing.local import LocalScorer
from palate.config import TrainConfig
from palate.model.reward_model import RewardModel
from palate.report.findings import Fact
from palate.training.journal import Journal

FILE = "battery.jsonl"


@dataclass(slots=True)
class BatteryRun:
    """Puts the battery to the model as it is, says what came out and keeps it.

    Attributes:
        model: in training; it is left in the mode that it was in.
        config: which pairs, and the token budget.
        journal: one line a checkpoint in `battery.jsonl`; None on ranks that write nothing.
        say: shows a line to the user.
    """

    model: RewardModel
    config: TrainConfig
    journal: Journal | None
    say: Callable[[str], None]

    def __call__(self, step: int) -> dict[str, Fact]:
        """The figures after `step`, see `palate.auditing.battery.battery_summary`; all ranks compute the same."""
        scorer = LocalScorer(self.model, self.config.out, tokens_per_pack=self.config.tokens_per_pack)
        result = run_battery(scorer, only_quick=self.config.battery == "quick")
        figures = battery_summary(result)
        if self.journal is not None:
            self.journal.write({"step": step, **figures})
        trivial, adversarial = result.trivial, result.adversarial
        unscored = f", {figures['unscored']} too long to be scored" if figures["unscored"] else ""
        self.say(
            f"battery after step {step}: {_share(trivial.accuracy)} of {trivial.scored} trivial pairs won, "
            f"{_share(adversarial.accuracy)} of {adversarial.scored} adversarial ones{unscored}"
        )
        return figures


def make_battery(
    model: RewardModel, config: TrainConfig, say: Callable[[str], None], *, writes: bool, done: int
) -> BatteryRun | None:
    """As the configuration asks; None where it asks for none.

    Args:
        model: to be examined.
        config: its `battery`.
        say: shows a line.
        writes: whether this rank keeps the log.
        done: steps done before; lines about later ones, left by a run that was killed, are cut.
    """
    if config.battery == "none":
        return None
    journal = Journal(Path(config.out) / FILE, keep_steps=done) if writes else None
    return BatteryRun(model, config, journal, say)


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"
