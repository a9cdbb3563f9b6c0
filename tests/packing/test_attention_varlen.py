"""One call of the variable-length kernel, which stands here written out slowly, against the dense oracle."""

import pytest
import torch
from torch import Tensor

from palate.model.reward_model import RewardModel
from palate.packing.attention import dense_tree_attention, interface, tree_attention, varlen
from palate.packing.attention.choice import Path
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_tree, read_only
from palate.testing.attention import emulated_varlen_attn, layer, pack_zoo, random_states
from palate.testing.separate import separate_rewards, sharp_reward_model

ZOO = pack_zoo()
HEADS, SIZE = (9, 3), 8
SETTINGS = {
    "plain": {},
    "scaled": {"scaling": 0.7},
    "window 1": {"sliding_window": 1},
    "window 5": {"sliding_window": 5},
    "window 500": {"sliding_window": 500},
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Every layer takes `varlen`, whose kernel is the emulation; what it was called with."""
    seen: list[dict[str, object]] = []

    def kernel(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa) -> Tensor:
        seen.append({"queries": query, "keys": key, "window_size": window_size})
        return emulated_varlen_attn(
            query, key, value, cu_seq_q, cu_seq_k, max_q, max_k,
            scale=scale, window_size=window_size, enable_gqa=enable_gqa,
        )  # fmt: skip

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    monkeypatch.setattr(interface, "choose_path", lambda *_, **__: Path("varlen", "forced"))
    return seen


def values_and_gradients(attention, batch: RewardBatch, rows: Tensor, index: int = 0, **options) -> list[Tensor]:
    states = random_states(batch.num_tokens, HEADS, SIZE)
    output, _ = attention(layer(index), *states, None, palate_layout=batch.layout, **options)
    upstream = torch.zeros_like(output)
    upstream[:, rows] = torch.randn(1, len(rows), *output.shape[2:], generator=torch.Generator().manual_seed(9))
    return [output[:, rows], *torch.autograd.grad(output, states, upstream)]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pack", ZOO)
def test_values_and_gradients_are_those_of_the_oracle(calls, setting: str, pack: str) -> None:
    batch = collate_tree(ZOO[pack])
    rows = torch.arange(batch.num_tokens)
    fast = values_and_gradients(tree_attention, batch, rows, **SETTINGS[setting])
    dense = values_and_gradients(dense_tree_attention, batch, rows, **SETTINGS[setting])
    assert len(calls) == 1
    for found, expected in zip(fast, dense, strict=True):
        torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("setting", ["plain", "window 5"])
@pytest.mark.parametrize("pack", ZOO)
def test_the_layer_that_is_read_in_part_computes_what_is_read(calls, setting: str, pack: str) -> None:
    whole = collate_tree(ZOO[pack])
    rows = whole.last_index_N.unique()[::2]  # some groups' first responses are not among them
    batch = read_only(whole, rows, layer=4)
    fast = values_and_gradients(tree_attention, batch, rows, 4, **SETTINGS[setting])
    dense = values_and_gradients(dense_tree_attention, batch, rows, 4, **SETTINGS[setting])
    for found, expected in zip(fast, dense, strict=True):
        torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-5)
    states = random_states(batch.num_tokens, HEADS, SIZE)
    output, _ = tree_attention(layer(4), *states, None, palate_layout=batch.layout)
    assert batch.layout is not None
    assert batch.layout.reading is not None
    unread = torch.ones(batch.num_tokens, dtype=torch.bool)
    for segment in batch.layout.reading.segments:
        unread[segment.start : segment.start + segment.length] = False
    assert unread.any()
    assert not output[:, unread].any()


def test_keys_are_not_copied_where_nothing_is_shared(calls) -> None:
    batch = collate_tree(ZOO["nothing shared"])
    states = random_states(batch.num_tokens, HEADS, SIZE)
    tree_attention(layer(), *states, None, palate_layout=batch.layout)
    keys = calls[0]["keys"]
    assert isinstance(keys, Tensor)
    assert keys.data_ptr() == states[1].data_ptr()


@pytest.mark.parametrize(("window", "expected"), [(None, (-1, 0)), (1, (0, 0)), (5, (4, 0)), (500, (-1, 0))])
def test_a_window_is_told_as_the_kernel_counts_it(calls, window: int | None, expected: tuple[int, int]) -> None:
    batch = collate_tree(ZOO["pairs"])
    states = random_states(batch.num_tokens, HEADS, SIZE)
    tree_attention(layer(), *states, None, palate_layout=batch.layout, sliding_window=window)
    assert calls[0]["window_size"] == expected


def test_index_tensors_are_made_once_for_all_layers(calls, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(varlen, "bounds_of", lambda *a, original=varlen.bounds_of: made.append(1) or original(*a))
    batch = collate_tree(ZOO["mixed K"])
    states = random_states(batch.num_tokens, HEADS, SIZE)
    for index in range(3):
        tree_attention(layer(index), *states, None, palate_layout=batch.layout)
    assert len(calls) == 3
    assert len(made) == 2


def test_the_layer_that_is_read_in_part_has_index_tensors_of_its_own(calls) -> None:
    whole = collate_tree(ZOO["mixed K"])
    batch = read_only(whole, whole.last_index_N, layer=4)
    states = random_states(batch.num_tokens, HEADS, SIZE)
    for index in (3, 4):
        tree_attention(layer(index), *states, None, palate_layout=batch.layout)
    assert [len(call["queries"]) for call in calls] == [batch.num_tokens, batch.num_sequences]


def test_queries_and_keys_in_float32_are_taken_to_the_precision_of_the_values(calls) -> None:
    batch = collate_tree(ZOO["mixed K"])
    query, key, value = random_states(batch.num_tokens, HEADS, SIZE)
    output, _ = tree_attention(layer(), query, key, value.bfloat16(), None, palate_layout=batch.layout)
    expected, _ = dense_tree_attention(layer(), query, key, value, None, palate_layout=batch.layout)
    assert output.dtype is torch.bfloat16
    assert calls[0]["keys"].dtype is torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("pack", ["mixed K", "tree"])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen3"])
def test_whole_bodies_give_the_rewards_and_gradients_of_separate_runs(calls, kind: str, pack: str) -> None:
    model, groups = sharp_reward_model(kind), ZOO[pack]
    batch = model.collate(groups)
    rewards, alone = model(batch), separate_rewards(model, groups)
    torch.testing.assert_close(rewards, alone, atol=1e-5, rtol=0)
    weight = torch.randn(len(rewards), generator=torch.Generator().manual_seed(3))
    grads = [gradients(model, (each * weight).sum()) for each in (rewards, alone)]
    largest = max(grad.norm() for grad in grads[1].values())
    for name, expected in grads[1].items():
        assert (grads[0][name] - expected).norm() <= 1e-4 * expected.norm() + 1e-6 * largest, name
    assert len(calls) == 3


def gradients(model: RewardModel, loss: Tensor) -> dict[str, Tensor]:
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


class TestOlderReleases:
    """What the kernel takes has changed; what it lacks is found out from its signature."""

    def test_one_that_shares_heads_without_being_told(self, calls, monkeypatch: pytest.MonkeyPatch) -> None:
        def kernel(q, k, v, cu_q, cu_k, max_q, max_k, *, scale=None, window_size=(-1, -1)) -> Tensor:
            return emulated_varlen_attn(
                q, k, v, cu_q, cu_k, max_q, max_k, scale=scale, window_size=window_size, enable_gqa=True
            )

        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
        batch = collate_tree(ZOO["mixed K"])
        states = random_states(batch.num_tokens, HEADS, SIZE)
        output, _ = tree_attention(layer(), *states, None, palate_layout=batch.layout)
        expected, _ = dense_tree_attention(layer(), *states, None, palate_layout=batch.layout)
        torch.testing.assert_close(output, expected, atol=5e-6, rtol=1e-5)
        assert varlen.varlen_obstacle() is None

    def test_one_without_scale_and_windows_does_not_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", lambda query, key, value, is_causal: None)
        assert varlen.varlen_obstacle() == "this PyTorch's variable-length attention has no scale, window_size"

    def test_one_without_the_kernel_does_not_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "torch.nn.attention.varlen", None)
        assert "has no variable-length attention" in (varlen.varlen_obstacle() or "")

    def test_this_one_does(self) -> None:
        assert varlen.varlen_obstacle() is None
