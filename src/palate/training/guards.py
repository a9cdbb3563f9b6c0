"""What stops a run before it wastes an hour: the first loss, and numbers that are not numbers."""

import math
from collections.abc import Sequence

import torch

from palate.config import TrainConfig
from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup
from palate.training.objective import num_terms, pack_loss

_NAMED = 8  # rows named in an error


@torch.no_grad()
def expected_first_loss(model: RewardModel, groups: Sequence[TokenizedGroup], config: TrainConfig) -> float:
    """The first step's loss were all rewards 0: ln 2 for plain pairs, and its like for margins and rankings."""
    batch = model.collate(groups)
    zeros_N = torch.zeros(batch.num_sequences, device=model.device)
    return float(pack_loss(zeros_N, batch, config).total) / num_terms(groups, config)


def judge_first_loss(loss: float, expected: float, *, zero_head: bool) -> str | None:
    """A warning when the first loss is not what an untrained head gives, or None.

    A head that is not zero may be better than that, as when training continues, but not much worse.

    >>> judge_first_loss(0.6931, math.log(2), zero_head=True) is None
    True
    >>> judge_first_loss(0.2, math.log(2), zero_head=False) is None
    True
    >>> str(judge_first_loss(4.2, math.log(2), zero_head=True))[:56]
    'the first loss is 4.2000 where rewards of 0 give 0.6931:'
    """
    if abs(loss - expected) <= 1e-3 if zero_head else loss <= expected + 0.5:
        return None
    return (
        f"the first loss is {loss:.4f} where rewards of 0 give {expected:.4f}: look at the margins and weights of the "
        "data, and at the head's initialisation"
    )


def find_offenders(model: RewardModel, groups: Sequence[TokenizedGroup], config: TrainConfig) -> list[TokenizedGroup]:
    """Groups that alone give a non-finite reward, loss or gradient: run one by one, since the step has failed anyway.

    Empty when each is finite alone, and only their sum is not.
    """
    offenders: list[TokenizedGroup] = []
    for group in groups:
        model.zero_grad(set_to_none=True)
        batch = model.collate([group])
        reward_N = model(batch)
        loss = pack_loss(reward_N, batch, config).share(terms=1)
        bad = not bool(torch.isfinite(reward_N).all() and torch.isfinite(loss))
        if not bad:
            loss.backward()  # type: ignore[no-untyped-call]
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            bad = not all(bool(torch.isfinite(grad).all()) for grad in grads)
        if bad:
            offenders.append(group)
    model.zero_grad(set_to_none=True)
    return offenders


def name_rows(step: int, offenders: Sequence[TokenizedGroup], groups: Sequence[TokenizedGroup]) -> str:
    """The sentence that names the rows behind a non-finite step."""
    if not offenders:
        return (
            f"step {step}: loss or gradient is not finite, though each of its {len(groups)} groups is alone; lower lr"
        )
    rows = ", ".join(group.where or group.id for group in offenders[:_NAMED])
    more = f" and {len(offenders) - _NAMED} more" if len(offenders) > _NAMED else ""
    return f"step {step}: loss or gradient is not finite for {rows}{more}"


def is_finite(*values: float) -> bool:
    """Whether all are."""
    return all(math.isfinite(value) for value in values)
