"""What a shared prompt does to the noise that dropout puts on the margin of a pair, measured over its masks.

A margin is the difference of two rewards. With a pass of its own for each response, the prompt is read twice under
different masks, and the noise of both readings ends in the margin. Where the prompt is computed once, both responses
read it under the same masks, and what it does to both rewards alike cancels.

How much that is depends on what the head reads. Pooled over the whole conversation, most of the noise is the
prompt's, and nearly all of it goes. At the last token it does not: in these bodies the noise is that of the
response's own masks, which attention averages less than the prompt's, and sharing changes little.

It is the sharing that does it, not the single pass: in a padded batch every row has masks of its own, so that
stacking chosen and rejected leaves the noise of separate passes as it is. And it is no matter of right or wrong: all
three read the same body, and without dropout, which is the default, all three agree and none has any noise.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from palate.config import PoolingName
from palate.losses import bradley_terry
from palate.model.reward_model import RewardModel
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_padded, collate_tree
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.tiny import tiny_reward_model
from palate.training.optimizer import switch_off_dropout

SEEDS = 80


def separate_passes(group: TokenizedGroup) -> list[RewardBatch]:
    """One row a pass, and nothing shared."""
    rows = zip(group.sequences, group.response_starts, strict=True)
    alone = [replace(group, sequences=(row,), response_starts=(start,), comparisons=()) for row, start in rows]
    return [collate_padded([one], pad_token_id=0) for one in alone]


def batches(group: TokenizedGroup) -> dict[str, list[RewardBatch]]:
    return {
        "separate": separate_passes(group),
        "stacked": [collate_padded([group], pad_token_id=0)],
        "shared": [collate_tree([group])],
    }


def draw(model: RewardModel, passes: list[RewardBatch], seed: int) -> tuple[Tensor, Tensor]:
    """The margin, and the loss's gradient on the head's weights, under the masks of one seed."""
    torch.manual_seed(seed)
    reward_N = torch.cat([model(batch) for batch in passes])
    loss = bradley_terry(reward_N[:1], reward_N[1:]).sum()
    (grad,) = torch.autograd.grad(loss, model.head.score.weight)
    return (reward_N[0] - reward_N[1]).detach(), grad.flatten()


def spread(model: RewardModel, passes: list[RewardBatch]) -> tuple[float, float]:
    """Variance of the margin, and of the head's gradient summed over its entries, over seeds."""
    margins, grads = zip(*(draw(model, passes, seed) for seed in range(SEEDS)), strict=True)
    return float(torch.stack(margins).var()), float(torch.stack(grads).var(dim=0).sum())


@pytest.fixture(scope="module")
def group() -> TokenizedGroup:
    return token_group(60, (4, 4))


@pytest.mark.parametrize(("pooling", "low", "high"), [("mean", 0.0, 0.2), ("last", 0.5, 1.6)])
def test_sharing_takes_the_prompt_s_noise_from_margin_and_gradient_and_stacking_does_not(
    pooling: PoolingName, low: float, high: float, group: TokenizedGroup
) -> None:
    model = tiny_reward_model("gpt2", pooling=pooling).train()
    found = {name: spread(model, passes) for name, passes in batches(group).items()}
    for separate, stacked, shared in zip(found["separate"], found["stacked"], found["shared"], strict=True):
        assert separate > 0
        assert low * separate < shared < high * separate
        assert 0.6 * separate < stacked < 1.6 * separate


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_without_dropout_there_is_no_noise_and_all_agree(pooling: PoolingName, group: TokenizedGroup) -> None:
    model = tiny_reward_model("gpt2", pooling=pooling).train()
    assert switch_off_dropout(model.backbone) > 0
    draws = [draw(model, passes, seed) for passes in batches(group).values() for seed in (0, 1)]
    for first, again in zip(draws[::2], draws[1::2], strict=True):
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
    for margin, grad in draws:
        torch.testing.assert_close(margin, draws[0][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(grad, draws[0][1], atol=1e-5, rtol=0)
