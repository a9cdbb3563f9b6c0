"""Proof, on the run's own tokens, that sharing prompts changes nothing.

Sharing is exact mathematics but it depends on a body that calls the attention function in every layer and honours
position ids. Bodies that do not are wrong silently, so every run compares its first groups with separate, padded
forward passes before it believes a single reward. The pooled vectors are compared, not the rewards: a fresh head
is zero and would agree with anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from palate.errors import ModelError, NonFiniteError
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded, collate_tree
from palate.records import TokenizedGroup

_MAX_TOKENS = 2048  # unshared tokens looked at: enough for several groups, cheap beside one training step


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Largest difference of pooled vectors, relative to their root mean square, over `num_sequences` sequences."""

    difference: float
    tolerance: float
    num_sequences: int
    num_layers: int


def check_layout(model: RewardModel, groups: Sequence[TokenizedGroup]) -> SelfCheck | None:
    """`check_sharing` for a model that shares prompts, on the first groups of a run; None where nothing is shared."""
    return check_sharing(model, groups) if model.layout == "tree" and groups else None


@torch.no_grad()
def check_sharing(model: RewardModel, groups: Sequence[TokenizedGroup]) -> SelfCheck:
    """Compare shared with unshared pooled vectors, in the weights' own precision.

    Raises:
        ModelError: they differ, or some layer never called the attention function.
        NonFiniteError: no row has finite states.
    """
    chosen = _select(groups)
    training, precision = model.training, model.compute_dtype
    model.eval()
    model.compute_dtype = torch.float32  # autocast off: rounding would hide an error of the size looked for
    try:
        tree = collate_tree(chosen).to(model.device)
        shared_ND = model.pool(tree).float()
        padded = collate_padded(chosen, pad_token_id=model.tokenizer.pad_token_id).to(model.device)
        unshared_ND = model.pool(padded).float()
    finally:
        model.compute_dtype = precision
        model.train(training)
    assert tree.layout is not None
    # A row that is not finite on its own is the training guards' to name, not a fault of sharing.
    finite_N = unshared_ND.isfinite().all(dim=1)
    if not finite_N.any():
        name = type(model.backbone).__name__
        raise NonFiniteError(
            f"{name} gives states that are not finite on every row looked at: are its weights damaged?"
        )
    shared_ND, unshared_ND = shared_ND[finite_N], unshared_ND[finite_N]
    scale = unshared_ND.square().mean().sqrt().clamp_min(1e-12)
    half = next(model.backbone.parameters()).dtype is not torch.float32
    result = SelfCheck(
        difference=float((shared_ND - unshared_ND).abs().max() / scale),
        tolerance=0.2 if half else 1e-3,
        num_sequences=len(unshared_ND),
        num_layers=len(tree.layout.layers_seen),
    )
    _judge(result, model.backbone)
    return result


def _select(groups: Sequence[TokenizedGroup]) -> list[TokenizedGroup]:
    """The largest group that is cheap enough, since windows show only in long texts, and then the smallest."""
    by_size = sorted(groups, key=lambda group: group.unshared_tokens)
    cheap = [group for group in by_size if group.unshared_tokens <= _MAX_TOKENS] or by_size[:1]
    chosen = [cheap.pop()]
    room = _MAX_TOKENS - chosen[0].unshared_tokens
    for group in cheap:
        if group.unshared_tokens > room:
            break
        chosen.append(group)
        room -= group.unshared_tokens
    return chosen


def _judge(result: SelfCheck, backbone: nn.Module) -> None:
    layers = int(backbone.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    name = type(backbone).__name__
    if result.num_layers != layers:
        raise ModelError(
            f"{result.num_layers} of {layers} layers of {name} called the shared-prompt attention; the others mix "
            "tokens in some other way, and rewards would be wrong. Run with --layout padded."
        )
    if not result.difference <= result.tolerance:
        raise ModelError(
            f"rewards with shared prompts differ from separate runs on {name}: {result.difference:.2g} of the pooled "
            f"vectors' size, more than {result.tolerance:.0e}. Run with --layout padded, and please report the model."
        )
