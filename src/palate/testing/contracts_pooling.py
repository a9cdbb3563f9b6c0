"""The contract of a pooling; see `palate.testing.contracts`."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_padded, collate_tree
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.require import require

_PADDING = 1e3  # value of the states at padding: finite, so that a mask multiplied in is a way to keep the contract


def check_pooling(make_pooling: Callable[[int], nn.Module], hidden_size: int = 16) -> None:
    """Check that a pooling keeps the contract of `palate.model.pooling.Pooling`.

    In order: one vector of the hidden size for each sequence, floating, in the states' dtype or float32; the
    same vector on whichever side there is padding, in a packed row, and alone or in company; no padding is read;
    the gradient of a sequence's vector reaches states of that sequence and no others; and every parameter gets a
    gradient. Parameters are drawn at random first: a query of zeros would hide a fault.

    Args:
        make_pooling: from the hidden size to a new pooling.
        hidden_size: to make it with.

    Raises:
        AssertionError: with the first clause that is broken.

    >>> from palate.model.pooling import LastToken
    >>> check_pooling(lambda hidden_size: LastToken())
    """
    torch.manual_seed(0)
    pooling = make_pooling(hidden_size)
    for parameter in pooling.parameters():
        nn.init.normal_(parameter)
    groups = (token_group(6, (3, 5)), token_group(0, (4, 1), seed=1), token_group(2, (1, 7, 5), seed=2))
    _check_vectors(pooling, collate_tree(groups), hidden_size)
    _check_layouts(pooling, groups, hidden_size)
    _check_padding(pooling, groups, hidden_size)
    _check_gradients(pooling, collate_tree(groups), hidden_size)


def _states(batch: RewardBatch, hidden_size: int, padding: float = 0.0) -> Tensor:
    """States that depend on each token and its place in its sequence alone: the same ones in every layout."""
    token_S = batch.input_ids_BT.flatten()[batch.token_index_S]
    offset_S = torch.cat([torch.arange(length) for length in batch.lengths_N.tolist()])
    states = torch.full((batch.input_ids_BT.numel(), hidden_size), padding)
    phase = (token_S * 31 + offset_S * 7)[:, None] * (1 + torch.arange(hidden_size))
    states[batch.token_index_S] = torch.sin(phase * 0.37)
    return states.reshape(*batch.input_ids_BT.shape, hidden_size)


def _check_vectors(pooling: nn.Module, batch: RewardBatch, hidden_size: int) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        pooled_ND = pooling(_states(batch, hidden_size).to(dtype), batch)
        expected = (batch.num_sequences, hidden_size)
        require(
            tuple(pooled_ND.shape) == expected,
            f"a pooling returns one vector for each sequence, shape {expected}: got {tuple(pooled_ND.shape)}",
        )
        require(
            pooled_ND.dtype in (dtype, torch.float32),
            f"a pooling returns the states' dtype, {dtype}, or float32: got {pooled_ND.dtype}",
        )


def _check_layouts(pooling: nn.Module, groups: tuple[TokenizedGroup, ...], hidden_size: int) -> None:
    def pool(batch: RewardBatch) -> Tensor:
        pooled: Tensor = pooling(_states(batch, hidden_size), batch)
        return pooled.detach()

    alone = torch.cat([pool(collate_tree([group])) for group in groups])
    found = {
        "in a packed row": pool(collate_tree(groups)),
        "padded on the right": pool(collate_padded(groups, pad_token_id=0)),
        "padded on the left": pool(collate_padded(groups, pad_token_id=0, padding_side="left")),
    }
    for where, pooled_ND in found.items():
        difference = float((pooled_ND - alone).abs().max())
        require(
            difference < 1e-5,
            f"a sequence's vector is the same alone and in company: {where}, it differs by {difference:.2g}",
        )


def _check_padding(pooling: nn.Module, groups: tuple[TokenizedGroup, ...], hidden_size: int) -> None:
    for side in ("right", "left"):
        batch = collate_padded(groups, pad_token_id=0, padding_side=side)
        clean_ND = pooling(_states(batch, hidden_size), batch)
        other_ND = pooling(_states(batch, hidden_size, padding=_PADDING), batch)
        difference = float((clean_ND - other_ND).detach().abs().max())
        require(
            difference < 1e-5,
            f"padding is not read: states of {_PADDING:g} at padding on the {side} change a vector by {difference:.2g}",
        )


def _check_gradients(pooling: nn.Module, batch: RewardBatch, hidden_size: int) -> None:
    states_BTD = _states(batch, hidden_size).requires_grad_()
    pooled_ND = pooling(states_BTD, batch)
    require(pooled_ND.requires_grad, "the gradient of a vector reaches the states: it reaches none")
    weight_D = torch.linspace(-1, 1, hidden_size)
    for n, (start, end) in enumerate(pairwise(batch.sequence_bounds_N1.tolist())):
        (grad_BTD,) = torch.autograd.grad(
            pooled_ND[n].float() @ weight_D, states_BTD, retain_graph=True, materialize_grads=True
        )
        touched = set(grad_BTD.flatten(0, 1).abs().sum(-1).nonzero().flatten().tolist())
        own = set(batch.token_index_S[start:end].tolist())
        require(bool(touched), f"the gradient of a vector reaches the states: that of sequence {n} reaches none")
        require(
            touched <= own,
            f"the gradient of a vector reaches its own sequence alone: that of sequence {n}, rows {sorted(own)}, "
            f"reaches rows {sorted(touched - own)} too",
        )
    for name, parameter in pooling.named_parameters():
        total = (pooled_ND.float() @ weight_D).sum()
        (grad,) = torch.autograd.grad(total, parameter, retain_graph=True, allow_unused=True)
        require(
            grad is not None and bool(grad.isfinite().all()) and bool(grad.any()),
            f"every parameter gets a finite gradient that is not zero: {name} got {grad}",
        )
