from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from palate.model.pooling import POOLING_NAMES, PoolingName, make_pooling
from palate.packing.batch import RewardBatch
from palate.testing.contracts import check_backbone, check_pooling
from palate.testing.separate import sharp_reward_model

SHARING = ("llama", "qwen3", "gemma3_text", "mistral", "gemma2", "gpt_neox", "gpt2", "opt", "olmo2", "phi3")


@pytest.mark.parametrize("name", POOLING_NAMES)
def test_palates_own_poolings_keep_the_contract(name: PoolingName) -> None:
    check_pooling(partial(make_pooling, name), hidden_size=24)


class Weighted(nn.Module):
    """Ours to break: a mean over tokens, weighted by a learned gate."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(hidden_size))

    def weights(self, hidden_BTD: Tensor) -> Tensor:
        return (hidden_BTD.flatten(0, 1).float() @ self.gate).sigmoid()

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        rows_RD, weight_R = hidden_BTD.flatten(0, 1).float(), self.weights(hidden_BTD)
        spans = [batch.token_index_S[a:b] for a, b in pairwise(batch.sequence_bounds_N1.tolist())]
        return torch.stack([(rows_RD[i] * weight_R[i, None]).sum(0) / weight_R[i].sum() for i in spans])


def test_a_pooling_of_ones_own_keeps_it_too() -> None:
    check_pooling(Weighted)


class LastColumn(nn.Module):
    """The classic: reads padding wherever a row is padded on the right."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        if batch.layout is not None:
            return hidden_BTD[0, batch.last_index_N]
        return hidden_BTD[:, -1]


class MeanOfTheRow(nn.Module):
    """Divides by the width of the row, padding included."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        if batch.attention_mask_BT is None:
            return make_pooling("mean", 1)(hidden_BTD, batch)
        return hidden_BTD.mean(1)


class MeanWithOnePad(nn.Module):
    """Right in every layout while padding is zero, as it is here by chance."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        pooled_ND = make_pooling("mean", 1)(hidden_BTD, batch)
        mask_BT = batch.attention_mask_BT
        if mask_BT is None:
            return pooled_ND
        return pooled_ND + 1e-3 * (hidden_BTD * (1 - mask_BT)[:, :, None]).sum(1)


class Standardised(Weighted):
    """Centres the vectors of a batch, so that a reward depends on its company."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        pooled_ND = super().forward(hidden_BTD, batch)
        return pooled_ND - pooled_ND.mean(0)


class OffByOne(nn.Module):
    """One row after the last token: in a packed row, the first token of the next sequence."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        rows_RD = hidden_BTD.flatten(0, 1)
        return rows_RD[(batch.last_index_N + 1) % len(rows_RD)]


class Scalar(nn.Module):
    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        return hidden_BTD.flatten(0, 1)[batch.last_index_N].sum(-1)


class Halved(Weighted):
    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        return super().forward(hidden_BTD, batch).half()


class Detached(Weighted):
    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        return super().forward(hidden_BTD.detach(), batch)


class GateDetached(Weighted):
    def weights(self, hidden_BTD: Tensor) -> Tensor:
        return super().weights(hidden_BTD).detach()


class GradientLeak(Weighted):
    """Right values, wrong gradients: a term that is zero but sends every sequence's gradient to every row."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        mean_D = hidden_BTD.flatten(0, 1).float().mean(0)
        return super().forward(hidden_BTD, batch) + (mean_D - mean_D.detach())


BROKEN_POOLINGS: list[tuple[Callable[..., nn.Module], str]] = [
    (Scalar, "one vector for each sequence"),
    (Halved, "states' dtype"),
    (LastColumn, "alone and in company: padded on the right"),
    (MeanOfTheRow, "alone and in company: padded on the right"),
    (Standardised, "alone and in company: in a packed row"),
    (OffByOne, "alone and in company: in a packed row"),
    (MeanWithOnePad, "padding is not read"),
    (Detached, "reaches the states"),
    (GradientLeak, "reaches its own sequence alone"),
    (GateDetached, "every parameter gets a finite gradient"),
]


@pytest.mark.parametrize(("pooling", "clause"), BROKEN_POOLINGS, ids=[p.__name__ for p, _ in BROKEN_POOLINGS])
def test_a_broken_pooling_is_caught_by_the_clause_it_breaks(pooling: type[nn.Module], clause: str) -> None:
    def make(hidden_size: int) -> nn.Module:
        return pooling(hidden_size) if issubclass(pooling, Weighted) else pooling()

    with pytest.raises(AssertionError, match=clause):
        check_pooling(make)


@pytest.mark.parametrize("kind", [*SHARING, "bert", "mamba"])
def test_bodies_keep_the_contract_and_their_weights(kind: str) -> None:
    backbone = sharp_reward_model(kind).backbone.train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    attention = backbone.config._attn_implementation
    check_backbone(backbone, vocab_size=259)
    assert backbone.training
    assert backbone.config._attn_implementation == attention
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def replace_forward(module: nn.Module, forward: Callable[..., object]) -> None:
    original = module.forward
    module.forward = lambda *args, **kwargs: forward(original, *args, **kwargs)


def wrong_width(backbone: nn.Module) -> None:
    backbone.config.hidden_size = 48


def sees_the_future(backbone: nn.Module) -> None:
    mlp = backbone.layers[0].mlp
    replace_forward(mlp, lambda original, states: original(states + 0.3 * states.mean(1, keepdim=True)))


def reads_padding(backbone: nn.Module) -> None:
    """Scales by the length of the row: causal where both rows are as long, and wrong when padded."""

    def forward(original: Callable[..., object], *args: object, input_ids: Tensor, **kwargs: object) -> object:
        output = original(*args, input_ids=input_ids, **kwargs)
        output.last_hidden_state = output.last_hidden_state * (1 + 0.1 * (input_ids == input_ids[:, -1:]).sum())
        return output

    replace_forward(backbone, forward)


def counts_rows(backbone: nn.Module) -> None:
    replace_forward(
        backbone.rotary_emb,
        lambda original, states, position_ids: original(states, torch.arange(position_ids.shape[-1])[None]),
    )


def skips_the_interface(backbone: nn.Module) -> None:
    replace_forward(
        backbone.layers[1].self_attn,
        lambda _original, hidden_states, **_kwargs: (hidden_states.cumsum(1) / 100, None),
    )


def embeddings_cut_off(backbone: nn.Module) -> None:
    replace_forward(backbone.embed_tokens, lambda original, ids: original(ids).detach().requires_grad_())


def one_projection_cut_off(backbone: nn.Module) -> None:
    projection = backbone.layers[1].self_attn.v_proj
    replace_forward(projection, lambda _original, states: states @ projection.weight.detach().T)


def everything_cut_off(backbone: nn.Module) -> None:
    replace_forward(backbone.norm, lambda original, states: original(states).detach())


BROKEN_BODIES = [
    (wrong_width, "config.hidden_size a token"),
    (sees_the_future, "a later token changes no earlier state"),
    (reads_padding, "padding on the right changes no real state"),
    (skips_the_interface, "through the attention interface: 2 of 3"),
    (counts_rows, "shared prompts give what separate runs give"),
    (everything_cut_off, "to none"),
    (embeddings_cut_off, "not to embed_tokens.weight"),
    (one_projection_cut_off, "not to layers.1.self_attn.v_proj.weight"),
]


@pytest.mark.parametrize(("sabotage", "clause"), BROKEN_BODIES, ids=[s.__name__ for s, _ in BROKEN_BODIES])
def test_a_broken_body_is_caught_by_the_clause_it_breaks(sabotage: Callable[[nn.Module], None], clause: str) -> None:
    backbone = sharp_reward_model("llama").backbone
    sabotage(backbone)
    with pytest.raises(AssertionError, match=clause):
        check_backbone(backbone, vocab_size=259)
