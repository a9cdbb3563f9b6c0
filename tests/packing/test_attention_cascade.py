"""Own rows and prompts apart, merged by log-sum-exp: values and gradients of the CPU's kernels against the oracle."""

import pytest
import torch
from torch import Tensor

from palate.packing.attention import interface
from palate.packing.attention.cascade import attend_cascade, is_two_level
from palate.packing.attention.choice import Path
from palate.packing.attention.dense import attend_dense
from palate.packing.attention.scores import Scores
from palate.packing.batch import RewardBatch, Segment
from palate.packing.collate import collate_tree, read_only
from palate.testing.attention import pack_zoo, random_states
from palate.testing.separate import separate_rewards, sharp_reward_model

ZOO = pack_zoo()
TWO_LEVELS = [name for name in ZOO if name not in ("tree", "system turn")]
HEADS, SIZE = (9, 3), 16


def values_and_gradients(batch: RewardBatch, rows: Tensor, want: Scores, *, cascade: bool) -> list[Tensor]:
    states = random_states(batch.num_tokens, HEADS, SIZE)
    layout = batch.layout
    assert layout is not None
    if cascade:
        segments = layout.segments if layout.reading is None else layout.reading.segments
        output = attend_cascade(*states, layout, segments, want)
    else:
        output = attend_dense(*states, layout, want)
    upstream = torch.zeros_like(output)
    upstream[:, :, rows] = torch.randn(1, HEADS[0], len(rows), SIZE, generator=torch.Generator().manual_seed(9))
    return [output[:, :, rows], *torch.autograd.grad(output, states, upstream)]


@pytest.mark.parametrize("scale", [0.25, 0.7])
@pytest.mark.parametrize("pack", TWO_LEVELS)
def test_values_and_gradients_are_those_of_the_oracle(pack: str, scale: float) -> None:
    batch = collate_tree(ZOO[pack])
    rows = torch.arange(batch.num_tokens)
    merged, dense = (values_and_gradients(batch, rows, Scores(scale), cascade=each) for each in (True, False))
    for found, expected in zip(merged, dense, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pack", TWO_LEVELS)
def test_the_layer_that_is_read_in_part_computes_what_is_read(pack: str) -> None:
    whole = collate_tree(ZOO[pack])
    rows = whole.last_index_N.unique()[::2]
    batch = read_only(whole, rows, layer=4)
    merged, dense = (values_and_gradients(batch, rows, Scores(0.3), cascade=each) for each in (True, False))
    for found, expected in zip(merged, dense, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_backward_pass_gives_the_same_bits_every_time() -> None:
    batch = collate_tree(ZOO["K=64"])
    rows = torch.arange(batch.num_tokens)
    first, *others = (values_and_gradients(batch, rows, Scores(0.3), cascade=True) for _ in range(4))
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_whole_bodies_give_the_rewards_of_separate_runs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "choose_path", lambda *_, **__: Path("cascade", "forced"))
    model, groups = sharp_reward_model(kind), ZOO["mixed K"]
    torch.testing.assert_close(model(model.collate(groups)), separate_rewards(model, groups), atol=1e-5, rtol=0)


def test_only_trees_of_two_levels_are_done() -> None:
    for name in ZOO:
        layout = collate_tree(ZOO[name]).layout
        assert layout is not None
        assert is_two_level(layout.segments) is (name in TWO_LEVELS)
    first, second = Segment(0, 9, ((0, 9),)), Segment(9, 2, ((0, 4), (9, 2)))
    assert not is_two_level((first, second, Segment(11, 2, ((0, 5), (11, 2)))))  # a longer part of the same prompt
