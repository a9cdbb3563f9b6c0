"""The contract of a body; see `palate.testing.contracts`."""

from typing import Any

import torch
from torch import Tensor, nn

from palate.model.backbone import hidden_states, sharing_obstacle
from palate.packing.attention import TREE
from palate.packing.collate import collate_padded, collate_tree
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.require import require
from palate.testing.separate import separate_states

_TOLERANCE = 1e-3  # of the states' root mean square, in float32
_NEEDED = 0.01  # a parameter that moves the last state by this share of its size, when redrawn, is needed for it


def check_backbone(backbone: nn.Module, vocab_size: int) -> None:
    """Check that a body keeps the contract that `palate.model.reward_model.RewardModel` relies on.

    In order: `last_hidden_state` is [1, T, config.hidden_size], floating; a later token changes no earlier state,
    or `sharing_obstacle` says why prompts cannot be shared; padding on the right, whatever its id, changes no
    real state; where nothing is said to be in the way, shared prompts give what separate runs give, through every
    layer's attention; and the last token's state sends a gradient to every parameter that it depends on.

    Meant for small bodies in float32, in evaluation mode: there is one forward pass for each parameter.

    Args:
        backbone: a body without LM head, with a transformers configuration; its weights are left as they were.
        vocab_size: token ids are drawn from [3, vocab_size).

    Raises:
        AssertionError: with the first clause that is broken.

    >>> from palate.testing.tiny import tiny_reward_model
    >>> check_backbone(tiny_reward_model("llama").backbone, vocab_size=259)
    """
    was_training = backbone.training
    backbone.eval()
    groups = tuple(
        token_group(prompt, lengths, seed=seed, vocab_size=vocab_size)
        for seed, (prompt, lengths) in enumerate(((20, (7, 9)), (0, (5, 3)), (11, (1, 6, 14))))
    )
    try:
        with torch.no_grad():
            _check_shape(backbone, groups[0])
            _check_causal(backbone, groups[0])
            _check_padding(backbone, groups)
            _check_sharing(backbone, groups)
        _check_gradients(backbone, groups[0])
    finally:
        backbone.train(was_training)


def _alone(backbone: nn.Module, group: TokenizedGroup) -> list[Tensor]:
    config: Any = backbone.config
    return separate_states(backbone, group.sequences, attention=config._attn_implementation)


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.square().mean().sqrt().clamp_min(1e-12))


def _check_shape(backbone: nn.Module, group: TokenizedGroup) -> None:
    config: Any = backbone.config
    state_TD = _alone(backbone, group)[0]
    expected = (len(group.sequences[0]), config.hidden_size)
    require(
        tuple(state_TD.shape) == expected,
        f"last_hidden_state holds one vector of config.hidden_size a token, {expected}: got {tuple(state_TD.shape)}",
    )
    require(state_TD.is_floating_point(), f"last_hidden_state is floating: got {state_TD.dtype}")


def _check_causal(backbone: nn.Module, group: TokenizedGroup) -> None:
    first, second = _alone(backbone, group)
    difference = _difference(second[: group.shared], first[: group.shared])
    require(
        difference < _TOLERANCE or sharing_obstacle(backbone) is not None,
        "a later token changes no earlier state, or sharing_obstacle says that prompts cannot be shared: states of "
        f"the same {group.shared} tokens differ by {difference:.2g} of their size with what follows",
    )


def _check_padding(backbone: nn.Module, groups: tuple[TokenizedGroup, ...]) -> None:
    config: Any = backbone.config
    expected = torch.cat([state_TD for group in groups for state_TD in _alone(backbone, group)])
    for pad_token_id in (0, 2):
        batch = collate_padded(groups, pad_token_id=pad_token_id).to(expected.device)
        states = hidden_states(backbone, batch, attention=config._attn_implementation)
        difference = _difference(states.flatten(0, 1)[batch.token_index_S], expected)
        require(
            difference < _TOLERANCE,
            f"padding on the right changes no real state: padded with id {pad_token_id}, states differ by "
            f"{difference:.2g} of their size",
        )


def _check_sharing(backbone: nn.Module, groups: tuple[TokenizedGroup, ...]) -> None:
    if sharing_obstacle(backbone) is not None:
        return
    config: Any = backbone.config
    own = config._attn_implementation
    expected = torch.cat([state_TD for group in groups for state_TD in _alone(backbone, group)])
    batch = collate_tree(groups).to(expected.device)
    try:
        states = hidden_states(backbone, batch, attention=TREE)
    finally:
        config._attn_implementation = own
    assert batch.layout is not None
    called = len(batch.layout.layers_seen)
    require(
        called == config.num_hidden_layers,
        f"every layer goes through the attention interface: {called} of {config.num_hidden_layers} did",
    )
    difference = _difference(states.flatten(0, 1)[batch.token_index_S], expected)
    require(
        difference < _TOLERANCE,
        "shared prompts give what separate runs give, or sharing_obstacle says why not: states differ by "
        f"{difference:.2g} of their size",
    )


def _check_gradients(backbone: nn.Module, group: TokenizedGroup) -> None:
    last_D = _alone(backbone, group)[0][-1]
    require(last_D.requires_grad, "the last token's state sends a gradient to the parameters it depends on: to none")
    weight_D = torch.linspace(-1, 1, len(last_D), device=last_D.device)
    parameters = {name: p for name, p in backbone.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(last_D.float() @ weight_D, list(parameters.values()), allow_unused=True)
    without = [
        name
        for (name, parameter), grad in zip(parameters.items(), grads, strict=True)
        if (grad is None or not grad.any()) and _is_needed(backbone, parameter, group, last_D.detach())
    ]
    require(
        not without,
        f"the last token's state sends a gradient to every parameter it depends on: not to {', '.join(without)}",
    )


@torch.no_grad()
def _is_needed(backbone: nn.Module, parameter: nn.Parameter, group: TokenizedGroup, last_D: Tensor) -> bool:
    """Whether the last state is another when the parameter is."""
    before = parameter.clone()
    generator = torch.Generator().manual_seed(0)
    try:
        parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter))
        return _difference(_alone(backbone, group)[0][-1], last_D) > _NEEDED
    finally:
        parameter.copy_(before)
