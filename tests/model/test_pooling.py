import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from palate.model.pooling import POOLING_NAMES, PoolingName, ResponseAttention, make_pooling
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_padded, collate_tree
from palate.testing.groups import token_group

SIZE = 16
GROUPS = (
    token_group(20, (7, 9)),
    token_group(5, (12, 1, 4), seed=1),
    token_group(0, (6, 11), seed=2),
    token_group(4, (8, 6), opening=3, seed=3),
)
STARTS = [start for group in GROUPS for start in group.response_starts]
LAYOUTS = {
    "tree": lambda groups: collate_tree(groups),
    "right": lambda groups: collate_padded(groups, pad_token_id=0),
    "left": lambda groups: collate_padded(groups, pad_token_id=0, padding_side="left"),
}


def states_of(batch: RewardBatch, padding: float = 0.0) -> Tensor:
    """States that depend on a token's place in its sequence alone, so that every layout holds the same ones."""
    token = batch.input_ids_BT.flatten()[batch.token_index_S]
    offset = torch.cat([torch.arange(length) for length in batch.lengths_N.tolist()])
    hidden = torch.full((batch.input_ids_BT.numel(), SIZE), padding)
    phase = (token * 31 + offset * 7)[:, None] * (1 + torch.arange(SIZE)) * 0.37
    hidden[batch.token_index_S] = torch.sin(phase) * 3
    return hidden.unflatten(0, batch.input_ids_BT.shape)


def pooled_alone(name: PoolingName, state_TD: Tensor, start: int, pooling: nn.Module) -> Tensor:
    match name:
        case "last":
            return state_TD[-1]
        case "cls":
            return state_TD[0]
        case "mean":
            return state_TD.mean(0)
        case "mean-response":
            return state_TD[start:].mean(0)
        case "attention":
            scores = state_TD[start:] @ pooling.query / math.sqrt(SIZE)
            return scores.softmax(0) @ state_TD[start:]


def make(name: PoolingName) -> nn.Module:
    torch.manual_seed(0)
    pooling = make_pooling(name, SIZE)
    for parameter in pooling.parameters():
        nn.init.normal_(parameter)
    return pooling


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", POOLING_NAMES)
def test_pooling_is_that_of_each_sequence_alone(name: PoolingName, layout: str) -> None:
    batch = LAYOUTS[layout](GROUPS)
    hidden, pooling = states_of(batch), make(name)
    with torch.no_grad():
        found = pooling(hidden, batch)
        flat = hidden.flatten(0, 1)
        alone = [
            pooled_alone(name, flat[batch.token_index_S[start:end]], response, pooling)
            for (start, end), response in zip(pairwise(batch.sequence_bounds_N1.tolist()), STARTS, strict=True)
        ]
    torch.testing.assert_close(found, torch.stack(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", ["right", "left"])
@pytest.mark.parametrize("name", POOLING_NAMES)
def test_padding_is_never_read_not_even_multiplied_by_zero(name: PoolingName, layout: str) -> None:
    batch, pooling = LAYOUTS[layout](GROUPS), make(name)
    hidden = states_of(batch, padding=math.nan).requires_grad_()
    pooled = pooling(hidden, batch)
    (grad,) = torch.autograd.grad(pooled.square().sum(), hidden)
    assert pooled.isfinite().all()
    assert grad.isfinite().all()
    torch.testing.assert_close(pooled, pooling(states_of(batch), batch), atol=0, rtol=0)


@pytest.mark.parametrize("name", POOLING_NAMES)
def test_a_sequence_sends_its_gradient_to_its_own_tokens_alone(name: PoolingName) -> None:
    batch, pooling = collate_tree(GROUPS), make(name)
    hidden = states_of(batch).requires_grad_()
    pooled = pooling(hidden, batch)
    for n, (start, end) in enumerate(pairwise(batch.sequence_bounds_N1.tolist())):
        (grad,) = torch.autograd.grad(pooled[n].sum(), hidden, retain_graph=True)
        touched = set(grad[0].abs().sum(-1).nonzero().flatten().tolist())
        assert touched
        assert touched <= set(batch.token_index_S[start:end].tolist())


@pytest.mark.parametrize("name", POOLING_NAMES)
def test_low_precision_states_are_pooled_in_float32_or_copied(name: PoolingName) -> None:
    batch, pooling = collate_tree(GROUPS), make(name)
    half = states_of(batch).bfloat16()
    torch.testing.assert_close(pooling(half, batch).float(), pooling(half.float(), batch), atol=1e-6, rtol=1e-6)


def test_a_shared_opening_still_belongs_to_each_response() -> None:
    group = token_group(4, (8, 6), opening=3)
    batch = collate_tree([group])
    hidden = states_of(batch)
    rows = batch.token_index_S[: len(group.sequences[0])]
    torch.testing.assert_close(make("mean-response")(hidden, batch)[0], hidden[0, rows[4:]].mean(0))


def test_a_new_attention_pooling_is_the_mean_over_the_response() -> None:
    batch = collate_tree(GROUPS)
    hidden = states_of(batch)
    torch.testing.assert_close(ResponseAttention(SIZE)(hidden, batch), make("mean-response")(hidden, batch))


def test_attention_pooling_stays_finite_at_huge_scores_and_its_query_learns() -> None:
    batch, pooling = collate_tree(GROUPS), make("attention")
    with torch.no_grad():
        pooling.query.mul_(1e4)
    pooled = pooling(states_of(batch), batch)
    pooled.square().sum().backward()
    assert pooled.isfinite().all()
    assert pooling.query.grad.isfinite().all()

    fresh = ResponseAttention(SIZE)
    fresh(states_of(batch), batch).square().sum().backward()
    assert fresh.query.grad.abs().max() > 0


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'max'.*last, mean, mean-response, cls, attention"):
        make_pooling("max", SIZE)  # type: ignore[arg-type]
