"""Each prompt once for bodies that cannot share it by a mask: run it, copy the state it leaves, go on from there.

Recurrent and hybrid bodies hand a state from token to token, so responses cannot lie side by side in one row. They can
start from copies of one state: the prompt runs alone with `use_cache`, the cache is expanded to K rows, and only the
responses' own tokens are run on it. For scoring alone: the states are updated in place, and nothing can be
differentiated through them.

Right padding needs no mask here. A causal body's real tokens come before any padding of their row, and a mask over
prompt and response would have the wrong width for a recurrent layer, which sees the response's tokens alone.

Not every body goes on from its cache: some recurrent layers take up their state only when they get one token at a
time, and begin anew, without a word, when they get several. `check_prompt_cache` therefore tries both on the run's own
groups against padded batches, and settles for neither where both differ.
"""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded
from palate.records import TokenizedGroup

Advance = Literal["at once", "token by token"]

_TOLERANCE = 1e-3  # of the pooled vectors' root mean square, in float32, as for sharing by a mask
_CHECKED_TOKENS = 2048
_CHECKED_RESPONSES = 4

# What a further forward pass costs, in tokens that it has to save. On two cores and bodies of width 768, two passes in
# place of one were even at 64 saved tokens; a step of K rows costs less, but there is one for every token.
_PASS = 64
_STEP = 8


@dataclass(frozen=True, slots=True)
class PromptCache:
    """How a body goes on from a cached prompt.

    Attributes:
        advance: the response's tokens in one pass, or one after the other; None when neither is right.
        difference: largest difference of pooled vectors from padded batches, relative to their root mean square.
        remark: what to say about it.
    """

    advance: Advance | None
    difference: float
    remark: str


def has_cache(backbone: nn.Module) -> bool:
    """Whether the body is causal and takes a cache, as far as its modules, signature and configuration tell."""
    causal = all(module.is_causal for module in backbone.modules() if hasattr(module, "is_causal"))
    return causal and _cache_name(backbone) is not None and hasattr(backbone.config, "use_cache")


def pays(group: TokenizedGroup, advance: Advance = "at once") -> bool:
    """Whether running the prompt on its own saves enough tokens to be worth the further passes."""
    width = max(len(sequence) for sequence in group.sequences)
    saved = padded_tokens(group) - cached_tokens(group)
    return saved >= _PASS + (_STEP * (width - group.shared) if advance == "token by token" else 0)


def padded_tokens(group: TokenizedGroup) -> int:
    """Tokens that a padded batch of the group computes."""
    return len(group.sequences) * max(len(sequence) for sequence in group.sequences)


def cached_tokens(group: TokenizedGroup) -> int:
    """Tokens computed with the prompt run once: the prompt's, and the responses' padded to the longest."""
    return padded_tokens(group) - (len(group.sequences) - 1) * group.shared


@torch.no_grad()
def pool_cached(model: RewardModel, group: TokenizedGroup, *, advance: Advance, tokens_per_pack: int) -> Tensor:
    """Pooled vectors [K, D] of a group's sequences, its shared prefix computed once.

    Args:
        model: in evaluation mode.
        group: of any size; what is shared must not be empty.
        advance: what `check_prompt_cache` found.
        tokens_per_pack: as many rows go on together as padded sequences would fit into this, so that the copies of
            the prompt's state never take more memory than padded batches do.
    """
    batch = collate_padded([group], pad_token_id=model.tokenizer.pad_token_id).to(model.device)
    rows = max(1, tokens_per_pack // batch.input_ids_BT.shape[1])
    pooled: list[Tensor] = []
    prefix_1PD, cache = _run(model, batch.input_ids_BT[:1, : group.shared], None)
    for first in range(0, len(group.sequences), rows):
        part = take(group, range(first, min(first + rows, len(group.sequences))))
        batch = collate_padded([part], pad_token_id=model.tokenizer.pad_token_id).to(model.device)
        own_KT = batch.input_ids_BT[:, group.shared :]
        expanded = copy.deepcopy(cache)  # it grows in place, and the next rows need it as it was
        expanded.reorder_cache(torch.zeros(len(own_KT), dtype=torch.int64, device=model.device))
        own_KTD = _go_on(model, own_KT, expanded, advance)
        hidden_KTD = torch.cat((prefix_1PD.expand(len(own_KT), -1, -1), own_KTD), dim=1)
        pooled.append(model.pooling(hidden_KTD, batch))
    return torch.cat(pooled)


def take(group: TokenizedGroup, responses: Sequence[int]) -> TokenizedGroup:
    """The group with those of its responses alone, and without comparisons: enough to score them."""
    return replace(
        group,
        sequences=tuple(group.sequences[k] for k in responses),
        response_starts=tuple(group.response_starts[k] for k in responses),
        comparisons=(),
    )


@torch.no_grad()
def check_prompt_cache(model: RewardModel, groups: Sequence[TokenizedGroup]) -> PromptCache | None:
    """Find how the body goes on from a cache, on the first groups of a run; None where there is nothing to find.

    That is where prompts are shared by a mask already, where the body has no cache, or where no group would gain.
    """
    paying = [group for group in groups if pays(group)]
    if model.layout == "tree" or not has_cache(model.backbone) or not paying:
        return None
    training, precision = model.training, model.compute_dtype
    model.eval()
    model.compute_dtype = torch.float32  # autocast off: rounding would hide an error of the size looked for
    try:
        return _choose(model, _sample(paying))
    finally:
        model.compute_dtype = precision
        model.train(training)


def _choose(model: RewardModel, sample: Sequence[TokenizedGroup]) -> PromptCache:
    name = type(model.backbone).__name__
    tolerance = _TOLERANCE if next(model.backbone.parameters()).dtype is torch.float32 else 0.2
    batch = collate_padded(sample, pad_token_id=model.tokenizer.pad_token_id).to(model.device)
    expected_ND = model.pool(batch).float()
    scale = expected_ND.square().mean().sqrt().clamp_min(1e-12)
    found: list[str] = []
    # On single tokens both ways are the same, and prove nothing about several at once.
    several = any(max(map(len, group.sequences)) - group.shared > 1 for group in sample)
    ways: tuple[Advance, ...] = ("at once", "token by token") if several else ("token by token",)
    for advance in ways:
        try:
            parts = [pool_cached(model, group, advance=advance, tokens_per_pack=_CHECKED_TOKENS) for group in sample]
        except Exception as error:  # a body's own code: whatever it cannot do, padded batches remain
            found.append(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            continue
        difference = float((torch.cat(parts).float() - expected_ND).abs().max() / scale)
        if difference <= tolerance:
            remark = (
                f"prompt cache: {name} runs a shared prompt once and goes on from its state {advance}, where that is "
                f"worth it; agrees with padded batches to {difference:.1e} on {len(expected_ND)} sequences"
            )
            return PromptCache(advance, difference, remark)
        found.append(f"{advance} differs by {difference:.1e} of the pooled vectors' size")
    why = "; ".join(dict.fromkeys(found))
    return PromptCache(
        None, float("nan"), f"prompt cache: {name} does not go on from a cached prompt, so batches are padded ({why})"
    )


def _sample(paying: Sequence[TokenizedGroup]) -> list[TokenizedGroup]:
    """The largest group that is cheap enough, since windows show only in long texts, a middle one and the smallest."""
    by_size = sorted((take(g, range(min(len(g.sequences), _CHECKED_RESPONSES))) for g in paying), key=padded_tokens)
    cheap = [group for group in by_size if padded_tokens(group) <= _CHECKED_TOKENS] or by_size[:1]
    return [cheap[at] for at in sorted({0, len(cheap) // 2, len(cheap) - 1})]


def _go_on(model: RewardModel, own_KT: Tensor, cache: Any, advance: Advance) -> Tensor:
    """Hidden states [K, T, D] of the responses' own tokens, from the state that the prompt left."""
    states: list[Tensor] = []
    for step_KT in torch.split(own_KT, 1 if advance == "token by token" else own_KT.shape[1], dim=1):
        step_KTD, cache = _run(model, step_KT, cache)
        states.append(step_KTD)
    return torch.cat(states, dim=1)


def _run(model: RewardModel, input_ids_BT: Tensor, cache: Any) -> tuple[Tensor, Any]:
    config: Any = model.backbone.config
    if config._attn_implementation != model.own_attention:
        config._attn_implementation = model.own_attention
    name = _cache_name(model.backbone)
    assert name is not None
    given = {} if cache is None else {name: cache}
    mixed = model.compute_dtype is not torch.float32
    with torch.autocast(model.device.type, dtype=model.compute_dtype, enabled=mixed):
        output = model.backbone(input_ids=input_ids_BT, use_cache=True, **given)
    return output.last_hidden_state, output[name]


def _cache_name(backbone: nn.Module) -> str | None:
    parameters = inspect.signature(backbone.forward).parameters
    return next((name for name in ("past_key_values", "cache_params") if name in parameters), None)
