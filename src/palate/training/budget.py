"""How many tokens fit into one forward and backward pass: `--auto-batch`.

Real packs of the run's own longest groups are run, since these need the most memory. On a CUDA device packs grow until
memory ends; elsewhere there is no end that could be met safely, so two sizes are measured and a line laid through them:
what a pack needs grows with its tokens, and no faster, because groups come longest first. What a step
needs besides is added: the gradients of its earlier packs, and the optimiser's state. Afterwards nothing is left
behind: no gradients, no cached memory, and the random state as it was.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from palate.config import TrainConfig, build, read_yaml
from palate.errors import ConfigError
from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup
from palate.training.display import Display
from palate.training.eight_bit import state_bytes
from palate.training.footprint import free_bytes, peak_bytes
from palate.training.prepared import PreparedData
from palate.training.setup import CONFIG

MARGIN_CUDA, MARGIN_HOST = 0.1, 0.25
"""Share of the free memory that is left alone. A GPU's is ours, but fragments. On the host we see tensors alone, not
what an operation or the allocator needs besides: SmolLM2-135M, with 3.6 of 4.8 GiB foretold, grew by 4.6 GiB."""
_ENOUGH = 512  # tokens: on fewer, constant costs hide what a token needs


@dataclass(frozen=True, slots=True)
class Trial:
    """A pack that was run: its tokens, and the bytes that training needs with such packs, besides the weights."""

    tokens: int
    needed: int


Ints = NDArray[np.int64]
Measure = Callable[[int], Trial]
"""Runs a pack of at most so many tokens, one group at least."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget of tokens a pack that was found, and why.

    Attributes:
        tokens: of a pack.
        needed: bytes that training needs with it, besides the weights.
        free: bytes that there were.
        margin: share of these that was left alone.
        trials: packs that were run to find out.
    """

    tokens: int
    needed: int
    free: int
    margin: float
    trials: int

    def __str__(self) -> str:
        return (
            f"{self.tokens:,} tokens a pack need {_size(self.needed)} of {_size(self.free)} free, of which "
            f"{self.margin:.0%} are left alone ({self.trials} packs tried)"
        )


def settle_budget(
    config: TrainConfig, model: RewardModel, data: PreparedData, accelerator: Accelerator, show: Display
) -> TrainConfig:
    """The configuration with the budget that fits, where it asks for one; a resumed run keeps what was found first.

    Raises:
        ConfigError: see `find_budget`.
    """
    if not config.auto_batch:
        return config
    saved = Path(config.out) / CONFIG
    if config.resume and saved.exists():
        earlier = build(TrainConfig, read_yaml(saved))
        if earlier.auto_batch:
            show.say(f"tokens-per-pack is {earlier.tokens_per_pack:,}, as found when the run started")
            return replace(config, tokens_per_pack=earlier.tokens_per_pack)
    budget = find_budget(
        model,
        data.training,
        config,
        costs=data.costs,
        opening=data.opening,
        largest_step=max(data.tokens(step.groups) for step in data.steps),
        ranks=accelerator.num_processes,
    )
    tokens = budget.tokens
    if accelerator.num_processes > 1:
        tokens = min(gather_object([tokens]))
    show.say(f"tokens-per-pack is {tokens:,}: {budget}")
    return replace(config, tokens_per_pack=tokens)


def find_budget(
    model: RewardModel,
    groups: Sequence[TokenizedGroup],
    config: TrainConfig,
    *,
    costs: Ints,
    opening: int = 0,
    largest_step: int,
    ranks: int = 1,
) -> Budget:
    """The largest budget that fits, between the longest group and the largest step.

    Args:
        model: on its device, as it will be trained; its gradients are dropped.
        groups: of the training data.
        config: the optimiser's kind.
        costs: tokens that each group adds to a pack.
        opening: tokens that a pack holds besides.
        largest_step: tokens of the largest step, all of which one pack can hold: more is of no use.
        ranks: processes; with several, each keeps a second copy of the gradients for their exchange.

    Raises:
        ConfigError: not even the longest group fits; it says what can be done.
    """
    longest = opening + int(costs.max())
    trainable = [p for p in model.parameters() if p.requires_grad]
    besides = state_bytes(trainable, eight_bit=config.optimizer == "adamw-8bit")
    besides += 4 * sum(p.numel() for p in trainable) if ranks > 1 else 0
    cuda = model.device.type == "cuda"
    margin = MARGIN_CUDA if cuda else MARGIN_HOST
    free = free_bytes(model.device)
    allowed = int(free * (1 - margin))
    trials = 0

    def measure(tokens: int) -> Trial:
        nonlocal trials
        trials += 1
        chosen = longest_first(costs, tokens - opening)
        return Trial(opening + int(costs[chosen].sum()), besides + peak_bytes(model, [groups[i] for i in chosen]))

    best = (grow if cuda else extrapolate)(measure, longest, max(longest, largest_step), allowed)
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(model.device)
    if best.needed > allowed:
        raise ConfigError(
            f"the longest group alone, {longest:,} tokens, needs {_size(best.needed)} to train, and "
            f"{_size(allowed)} are free ({margin:.0%} left alone): try --activation-checkpointing 1, --lora, "
            "--optimizer adamw-8bit or a lower --max-length"
        )
    return Budget(best.tokens, best.needed, free, margin, trials)


def grow(measure: Measure, low: int, high: int, allowed: int) -> Trial:
    """Double from `low` until `high` or too much, then halve the gap down to a sixteenth of the answer.

    Args:
        measure: see `Measure`; running out of memory counts as too much.
        low: the smallest budget of use.
        high: the largest.
        allowed: bytes that may be needed.

    Returns:
        The largest budget found and what it needs; `low`, where that is more than allowed.

    >>> grow(lambda tokens: Trial(tokens, 10 * tokens), 100, 5000, allowed=9_999)
    Trial(tokens=950, needed=9500)
    """

    def needed(tokens: int) -> int:
        try:
            return measure(tokens).needed
        except torch.OutOfMemoryError:
            return allowed + 1

    best = Trial(low, needed(low))
    too_much = high + 1 if best.needed <= allowed else low
    while too_much - best.tokens > max(1, best.tokens // 16):
        trial = min(2 * best.tokens, high) if too_much > high else (best.tokens + too_much) // 2
        if (found := needed(trial)) <= allowed:
            best = Trial(trial, found)
        else:
            too_much = trial
    return best


def extrapolate(measure: Measure, low: int, high: int, allowed: int) -> Trial:
    """Measure two packs that are safe to run, and solve for the budget that needs what is allowed; see `grow`.

    >>> extrapolate(lambda tokens: Trial(tokens, 3000 + 10 * tokens), 100, 50_000, allowed=100_000)
    Trial(tokens=9700, needed=100000)
    """
    small = measure(min(max(low, _ENOUGH), high))
    if small.tokens >= high:
        return small
    large = measure(min(2 * max(low, small.tokens), high))
    more = large.tokens - small.tokens
    each = (large.needed - small.needed) / more if more else small.needed / small.tokens
    each = max(each, 1.0)
    tokens = min(high, max(low, small.tokens + math.floor((allowed - small.needed) / each)))
    return Trial(tokens, small.needed + math.floor((tokens - small.tokens) * each))


def longest_first(costs: Ints, tokens: int) -> list[int]:
    """Which groups make the hardest pack of at most `tokens` tokens: the longest that still fit; one at least.

    >>> longest_first(np.array([30, 50, 10, 40]), 100)
    [1, 3, 2]
    """
    chosen: list[int] = []
    room = tokens
    for index in np.argsort(-costs, kind="stable").tolist():
        if costs[index] <= room or not chosen:
            chosen.append(index)
            room -= int(costs[index])
        if room <= 0:
            break
    return chosen


def _size(num_bytes: int) -> str:
    """In the usual unit.

    >>> _size(3 * 2**29), _size(5 * 2**20)
    ('1.5 GiB', '5.0 MiB')
    """
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.1f} MiB"
