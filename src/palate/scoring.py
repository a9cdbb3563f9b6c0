"""Rewards of many groups, in the order given: packed within a window, one forward pass a pack.

Both evaluation and `palate score` come through here, and the training loop's own forward is the same call on the
same batches: what is scored is what was trained. Scoring compares no responses, so unlike a training step it may cut
a group that is larger than a pack: best-of-64 takes no more memory than pairs do.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from palate.errors import NonFiniteError
from palate.model.prompt_cache import Advance, PromptCache, cached_tokens, check_prompt_cache, pays, pool_cached, take
from palate.model.quantize import Agreement, measure_agreement, quantize_body
from palate.model.reward_model import RewardModel
from palate.packing.bins import pack, pack_padded
from palate.prefix_tree import WORTH_SHARING, common_prefix_length
from palate.records import TokenizedGroup

Rewards = NDArray[np.float32]

_WINDOW = 512  # groups packed together: enough to fill packs, few enough that results stream
_POOR = 0.95  # rank correlation with float32 below which int8 is warned of


@dataclass(slots=True)
class ScoringRun:
    """What one run of scoring has found and done; handed to several calls of `score_groups`, it goes on.

    Attributes:
        use_cache: whether a prompt cache may be looked for.
        cache: what `check_prompt_cache` found on the first window in which some group would gain; None before.
        computed_tokens: put through the body, padding included.
        unshared_tokens: of all sequences, each counted whole.
        cached_groups: groups whose prompt was run once through the cache.
        split_groups: groups laid into several packs, each with the prompt again.
        int8_share: share of the body's weights that `compare_int8` put in int8.
        agreement: what it found.
        say: told what was found.
    """

    use_cache: bool = True
    cache: PromptCache | None = None
    computed_tokens: int = 0
    unshared_tokens: int = 0
    cached_groups: int = 0
    split_groups: int = 0
    int8_share: float = 0.0
    agreement: Agreement | None = None
    say: Callable[[str], object] = field(default=lambda _line: None, repr=False)

    def check(self, model: RewardModel, groups: Sequence[TokenizedGroup]) -> None:
        """Look once whether the body goes on from a cached prompt."""
        if self.use_cache and self.cache is None:
            self.cache = check_prompt_cache(model, groups)
            if self.cache is not None:
                self.say(self.cache.remark)

    def facts(self) -> dict[str, Any]:
        """What there is to write down, as JSON values."""
        return {
            "computed_tokens": self.computed_tokens,
            "unshared_tokens": self.unshared_tokens,
            "cached_prompts": self.cached_groups,
            "split_prompts": self.split_groups,
            "prompt_cache": self.cache.remark if self.cache is not None else None,
            "int8_share": self.int8_share,
            "agreement": asdict(self.agreement) if self.agreement is not None else None,
        }


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is packed: some responses of one group of the window, with `part` the group of those alone."""

    group: int
    responses: tuple[int, ...]
    part: TokenizedGroup


@dataclass(frozen=True, slots=True)
class _Pass:
    """Units that run together; with `advance`, one whole group through the prompt cache."""

    units: tuple[_Unit, ...]
    advance: Advance | None = None


def score_groups(
    model: RewardModel,
    groups: Iterable[TokenizedGroup],
    *,
    tokens_per_pack: int = 4096,
    on_progress: Callable[[int], None] | None = None,
    require_finite: bool = True,
    run: ScoringRun | None = None,
) -> Iterator[Rewards]:
    """One float32 array [K] a group, in order.

    Args:
        model: in any mode; it is scored in evaluation mode and put back.
        groups: with or without comparisons.
        tokens_per_pack: budget of one forward pass. A group above it is cut, but no finer than parts whose responses
            hold as many tokens as the prompt that each part repeats.
        on_progress: called with the number of groups just done.
        require_finite: False lets NaN and infinite rewards through.
        run: gets the counts; what it knows of the body's cache is not found again.

    Raises:
        NonFiniteError: a reward is NaN or infinite and that is not allowed; the message names the row.
    """
    run = run if run is not None else ScoringRun()
    stream = iter(groups)
    while window := list(islice(stream, _WINDOW)):
        run.check(model, window)
        results = [np.empty(len(group.sequences), dtype=np.float32) for group in window]
        missing = [len(group.sequences) for group in window]
        for step, rewards_N in _one_ahead(model, _plan(model, window, tokens_per_pack, run), tokens_per_pack, run):
            bounds = np.cumsum([len(unit.responses) for unit in step.units])[:-1]
            for unit, rewards_K in zip(step.units, np.split(rewards_N, bounds), strict=True):
                results[unit.group][list(unit.responses)] = rewards_K
                missing[unit.group] -= len(rewards_K)
            if on_progress is not None:
                on_progress(sum(missing[at] == 0 for at in {unit.group for unit in step.units}))
        for group, rewards_K in zip(window, results, strict=True):
            if require_finite and not np.isfinite(rewards_K).all():
                raise NonFiniteError(f"{group.where or group.id}: the reward is not finite ({rewards_K.tolist()})")
            yield rewards_K


def compare_int8(
    model: RewardModel, groups: Sequence[TokenizedGroup], *, tokens_per_pack: int = 4096, run: ScoringRun
) -> Agreement:
    """Run the model's body in int8 from now on, and say what that changes; see `palate.model.quantize`.

    Args:
        model: in float32; changed in place.
        groups: scored before and after.
        tokens_per_pack: as in `score_groups`.
        run: gets the result. Its cache is looked for before, in float32, where a small difference still means
            something. The tokens of the comparison are not counted.

    Raises:
        ConfigError: the body cannot run in int8.
    """
    run.check(model, groups)
    trial = ScoringRun(run.use_cache, run.cache)
    exact = list(score_groups(model, groups, tokens_per_pack=tokens_per_pack, run=trial))
    run.int8_share = quantize_body(model.backbone)
    found = list(score_groups(model, groups, tokens_per_pack=tokens_per_pack, run=trial))
    run.agreement = agreement = measure_agreement(exact, found)
    poor = agreement.spearman is not None and agreement.spearman < _POOR
    line = f"int8 holds {run.int8_share:.0%} of the body's weights; {agreement.describe()}"
    run.say(f"warning: {line}" if poor else line)
    return agreement


def _plan(model: RewardModel, window: Sequence[TokenizedGroup], budget: int, run: ScoringRun) -> list[_Pass]:
    """What runs together: a group through the prompt cache, or a pack of units."""
    advance = run.cache.advance if run.cache is not None else None
    passes: list[_Pass] = []
    units: list[_Unit] = []
    for at, group in enumerate(window):
        run.unshared_tokens += group.unshared_tokens
        if advance is not None and pays(group, advance):
            run.cached_groups += 1
            passes.append(_Pass((_Unit(at, tuple(range(len(group.sequences))), group),), advance))
        elif model.layout == "tree":
            parts = _cut(group, budget)
            run.split_groups += len(parts) > 1
            units += [_Unit(at, part, take(group, part)) for part in parts]
        else:
            units += [_Unit(at, (k,), take(group, (k,))) for k in range(len(group.sequences))]
    costs = [model.cost(unit.part) for unit in units]
    if model.layout == "tree":
        bins = pack(*_beyond_opening(units, costs, budget))
    else:
        bins = pack_padded([1] * len(units), costs, budget)
    return passes + [_Pass(tuple(units[i] for i in items)) for items in bins]


def _beyond_opening(units: Sequence[_Unit], costs: Sequence[int], budget: int) -> tuple[list[int], int]:
    """What each unit adds to a pack, and what there is room for: what all begin with, a pack holds once."""
    sequences = [sequence for unit in units for sequence in unit.part.sequences]
    opening = common_prefix_length(sequences) if sequences else 0
    opening = opening if opening >= WORTH_SHARING else 0
    return [cost - opening for cost in costs], budget - opening


def _cut(group: TokenizedGroup, budget: int) -> list[tuple[int, ...]]:
    """The group's responses in parts of at most `budget` tokens, or of twice the prompt where that is more.

    The second bound keeps a long prompt from being repeated for every response: the parts together compute at most
    twice what the whole group would, and hold at most twice what one sequence needs anyway. Responses with a common
    opening lie side by side in the tree's order and stay so.
    """
    if group.computed_tokens <= budget:
        return [tuple(range(len(group.sequences)))]
    limit = max(budget, 2 * group.shared)
    parts: list[tuple[int, ...]] = []
    room = 0
    for response, taken_over in zip(group.tree.order, group.tree.shared, strict=True):
        length = len(group.sequences[response])
        if parts and length - taken_over <= room:
            parts[-1] += (response,)
            room -= length - taken_over
        else:
            parts.append((response,))
            room = limit - length
    return parts


def _one_ahead(
    model: RewardModel, passes: Iterable[_Pass], budget: int, run: ScoringRun
) -> Iterator[tuple[_Pass, Rewards]]:
    """Each pass with its rewards [N], read when the next one is on its way: a GPU need not wait for the host."""
    before: tuple[_Pass, Tensor] | None = None
    for step in passes:
        started = step, _score_pass(model, step, budget, run)
        if before is not None:
            yield before[0], before[1].cpu().numpy()
        before = started
    if before is not None:
        yield before[0], before[1].cpu().numpy()


@torch.no_grad()
def _score_pass(model: RewardModel, step: _Pass, budget: int, run: ScoringRun) -> Tensor:
    """Rewards float32 [N] of the pass's responses, unit by unit; its tokens are counted."""
    training = model.training
    model.eval()
    if step.advance is not None:
        group = step.units[0].part
        run.computed_tokens += cached_tokens(group)
        rewards_N: Tensor = model.head(pool_cached(model, group, advance=step.advance, tokens_per_pack=budget))
    else:
        batch = model.collate([unit.part for unit in step.units])
        run.computed_tokens += batch.input_ids_BT.numel()
        rewards_N = model(batch)
    model.train(training)
    return rewards_N.float()
