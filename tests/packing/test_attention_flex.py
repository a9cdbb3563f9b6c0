"""The blocks against the mask written out, place by place, and FlexAttention's values on the CPU, where it runs."""

import numpy as np
import pytest
import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from palate.packing.attention import dense_tree_attention, flex, interface, tree_attention, visibility
from palate.packing.attention.choice import Path
from palate.packing.attention.flex import BLOCK, Blocks
from palate.packing.batch import TreeLayout
from palate.packing.collate import collate_tree
from palate.records import TokenizedGroup
from palate.testing.attention import branching_group, layer, pack_zoo, random_states
from palate.testing.groups import token_group
from palate.testing.separate import separate_rewards, sharp_reward_model

LONG: dict[str, tuple[TokenizedGroup, ...]] = {
    "pairs": (token_group(300, (170, 40)), token_group(90, (10, 500), seed=1), token_group(130, (128, 127), seed=2)),
    "tree": (branching_group(200, [(140, 30), (140, 200, 9), (50,), (140, 200, 130)]), token_group(3, (5, 2), seed=1)),
    "many": (token_group(260, [20 + 7 * i for i in range(16)]),),
    "nothing shared": (token_group(0, (256, 128)), token_group(0, (700,), seed=1)),
    "less than a block": pack_zoo()["mixed K"],
}
WINDOWS = [None, 1, 100, 129, 300, 5000]


def layout_of(pack: str) -> TreeLayout:
    layout = collate_tree(LONG[pack]).layout
    assert layout is not None
    return layout


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("pack", LONG)
def test_blocks_cover_exactly_what_is_visible(pack: str, window: int | None) -> None:
    layout = layout_of(pack)
    blocks = Blocks.of(layout.segments, window)
    num_rows, size = len(layout.position_T), len(blocks.position_T)
    assert size % BLOCK == 0
    assert size == 2 * BLOCK or 0 <= size - num_rows < BLOCK
    assert np.array_equal(blocks.visible_until_T[:num_rows], layout.visible_until_T)
    assert np.array_equal(blocks.position_T[:num_rows], layout.position_T)

    padded = TreeLayout((), torch.from_numpy(blocks.visible_until_T), torch.from_numpy(blocks.position_T))
    visible = visibility(padded, window)
    assert torch.equal(visible[:num_rows, :num_rows], visibility(layout, window))
    assert visible.diagonal().all()  # no row of weights is empty, padding included
    by_block = visible.reshape(size // BLOCK, BLOCK, size // BLOCK, BLOCK).permute(0, 2, 1, 3).flatten(2).numpy()
    every, some = by_block.all(axis=2), by_block.any(axis=2)
    assert not (blocks.full & ~every).any()
    assert not (some & ~blocks.full & ~blocks.partial).any()
    assert not (blocks.full & blocks.partial).any()
    if window is None:  # where positions do not matter, the blocks are the least there are
        assert np.array_equal(blocks.full, every)
        assert np.array_equal(blocks.partial, some & ~every)


@pytest.mark.parametrize("window", [None, 100])
def test_most_blocks_are_skipped_or_full(window: int | None) -> None:
    blocks = Blocks.of(layout_of("many").segments, window)
    assert blocks.partial.mean() < 0.3
    assert (blocks.partial | blocks.full).mean() < 0.5


@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("pack", LONG)
def test_the_block_mask_says_of_every_place_what_visibility_says(pack: str, window: int | None) -> None:
    layout = layout_of(pack)
    blocks = Blocks.of(layout.segments, window)
    mask = flex._block_mask(blocks, window, torch.device("cpu"))
    assert isinstance(mask, BlockMask)
    row = torch.arange(len(layout.position_T))
    zero = torch.tensor(0)
    found = mask.mask_mod(zero, zero, row[:, None], row[None, :])
    assert torch.equal(found, visibility(layout, window))
    # The lists that the forward kernel reads, and those of the backward kernel, which PyTorch derives from them.
    columns = mask.to_dense()[0, 0].bool()
    assert np.array_equal(columns.numpy(), blocks.partial | blocks.full)
    assert np.array_equal(mask.full_kv_num_blocks[0, 0].numpy(), blocks.full.sum(axis=1))
    transposed = torch.zeros_like(columns)
    for numbers, indices in (
        (mask.q_num_blocks, mask.q_indices),
        (mask.full_q_num_blocks, mask.full_q_indices),
    ):
        assert numbers is not None
        assert indices is not None
        for column, number in enumerate(numbers[0, 0]):
            transposed[indices[0, 0, column, :number].long(), column] = True
    assert torch.equal(transposed, columns)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention not compiled, which gives values without gradients on the CPU, in every layer."""
    monkeypatch.setattr(flex, "_kernel", lambda: flex_attention)
    monkeypatch.setattr(interface, "choose_path", lambda *_, **__: Path("flex", "forced"))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(
    "options",
    [{"softcap": 0.5}, {"softcap": 2.0, "sliding_window": 100, "scaling": 0.6}, {"sliding_window": 5}, {}],
    ids=["softcap", "softcap and window", "window", "plain"],
)
@pytest.mark.parametrize("pack", LONG)
@torch.no_grad()
def test_values_are_those_of_the_oracle(eager, pack: str, options: dict[str, float]) -> None:
    batch = collate_tree(LONG[pack])
    states = random_states(batch.num_tokens, (9, 3), 16)
    found, _ = tree_attention(layer(), *states, None, palate_layout=batch.layout, **options)
    expected, _ = dense_tree_attention(layer(), *states, None, palate_layout=batch.layout, **options)
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@torch.no_grad()
def test_whole_bodies_with_soft_caps_and_windows_give_the_rewards_of_separate_runs(eager) -> None:
    model, groups = sharp_reward_model("gemma2", attn_logit_softcapping=0.3), pack_zoo()["mixed K"]
    torch.testing.assert_close(model(model.collate(groups)), separate_rewards(model, groups), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@torch.no_grad()
def test_layers_of_different_caps_and_windows_share_a_layout(eager) -> None:
    batch = collate_tree(LONG["less than a block"])
    states = random_states(batch.num_tokens, (4, 2), 16)
    for options in ({"softcap": 0.5}, {"softcap": 2.0}, {"softcap": 0.5, "sliding_window": 3}, {}):
        found, _ = tree_attention(layer(), *states, None, palate_layout=batch.layout, **options)
        expected, _ = dense_tree_attention(layer(), *states, None, palate_layout=batch.layout, **options)
        torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-5)
    assert Blocks.of(layout_of("less than a block").segments, None).full.shape == (2, 2)  # a size of 1 would be special


@pytest.mark.slow
@torch.no_grad()
def test_compiled_it_serves_every_length_with_one_graph_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU forward alone is compiled; lengths of whole blocks are lengths like any other."""
    monkeypatch.setattr(interface, "choose_path", lambda *_, **__: Path("flex", "forced"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()  # of whatever ran before in this process
    flex._kernel.cache_clear()
    packs = [*LONG.values(), (token_group(256, (128, 128)),), (token_group(500, (12, 128)),)]
    assert sum(collate_tree(groups).num_tokens % BLOCK == 0 for groups in packs) >= 2
    graphs = []
    for groups in packs:
        batch = collate_tree(groups)
        states = random_states(batch.num_tokens, (9, 3), 16)
        for window in (None, 100):
            found, _ = tree_attention(layer(), *states, None, palate_layout=batch.layout, sliding_window=window)
            expected, _ = dense_tree_attention(
                layer(), *states, None, palate_layout=batch.layout, sliding_window=window
            )
            torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-5)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[-1] <= 6, graphs
