"""How much work a shared pack takes, counted and not timed: tokens, attention calls, multiplications, operations.

A change that quietly computes a prompt twice, pads, or masks where nothing is hidden makes no reward wrong and no
test of rewards fail. The counts here are exact, from lengths alone, so that it fails here, on any machine.

`T` are the tokens of a pack, `R` the rows of it that are read (one a sequence), as in `palate.packing.batch`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from palate.model.reward_model import RewardModel
from palate.packing.batch import RewardBatch
from palate.records import TokenizedGroup
from palate.scoring import score_groups
from palate.testing.groups import token_group, with_system_turn
from palate.testing.tiny import tiny_reward_model

# (prompt, responses), shaped like a step of HH-RLHF at a third of its lengths: prompts longer than responses.
LENGTHS = (
    (66, (19, 30)),
    (21, (8, 4)),
    (110, (12, 41)),
    (35, (33, 16)),
    (57, (5, 22)),
    (148, (27, 9)),
    (12, (14, 26)),
    (43, (20, 11)),
)
BEST_OF = ((60, (11, 17, 9, 23, 14, 8, 19, 12)),)

# The tiny llama: hidden 32, MLP 64, 4 query heads and 2 key-value heads of 8, 3 layers.
HIDDEN, LAYERS, HEADS, HEAD_SIZE = 32, 3, 4, 8
KEYS_AND_VALUES = 2 * 32 * 16
ROW_WISE = 32 * 32 + 32 * 32 + 3 * 32 * 64
"""Weights of a layer's query and output projections and MLP: needed only where the last layer is read."""


@dataclass(frozen=True)
class Work:
    """Multiply-adds of a forward pass.

    Attributes:
        linear: of weights with tokens.
        scores: of queries with keys; the weights of attention with values take as many again.
    """

    linear: int
    scores: int


def shared_work(lengths: Sequence[tuple[int, Sequence[int]]]) -> Work:
    """A shared pack: prompts once, nothing padded, the last layer at the rows that are read.

    Every layer but the last: T tokens through all weights; (P + R1)^2 scores for the first response with its prompt,
    Ri (P + Ri) for each further one (masked ones included: a kernel's tiles are not our matter). The last layer, read
    at the last token of each sequence: keys and values of T tokens, everything else at R rows. Were it computed whole,
    it would count as any other layer.
    """
    tokens = sum(prompt + sum(responses) for prompt, responses in lengths)
    read = sum(len(responses) for _, responses in lengths)
    inner = sum((p + r[0]) ** 2 + sum(own * (p + own) for own in r[1:]) for p, r in lengths)
    last = sum(prompt + own for prompt, responses in lengths for own in responses)
    linear = (LAYERS - 1) * tokens * (KEYS_AND_VALUES + ROW_WISE) + tokens * KEYS_AND_VALUES + read * ROW_WISE
    return Work(linear + read * HIDDEN, HEADS * HEAD_SIZE * ((LAYERS - 1) * inner + last))


def padded_work(lengths: Sequence[tuple[int, Sequence[int]]]) -> Work:
    """The same sequences in padded rows, all layers whole."""
    rows = [prompt + own for prompt, responses in lengths for own in responses]
    tokens = len(rows) * max(rows)
    linear = LAYERS * tokens * (KEYS_AND_VALUES + ROW_WISE)
    return Work(linear + len(rows) * HIDDEN, HEADS * HEAD_SIZE * LAYERS * len(rows) * max(rows) ** 2)


class AttentionCalls(TorchFunctionMode):
    """Every scaled-dot-product call: queries, keys, whether a mask was given, whether it was called causal."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, bool, bool]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention:
            mask = kwargs.get("attn_mask")
            self.seen.append((args[0].shape[2], args[1].shape[2], mask is not None, kwargs.get("is_causal", False)))
        return func(*args, **kwargs)


class Operations(TorchDispatchMode):
    """How many operations are dispatched, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


def flops(task: Callable[[], object]) -> tuple[int, int]:
    """Floating-point operations of matrix products, and of attention, two a multiply-add.

    By torch's own counter, which lacks a formula for attention on CPUs; as for its other kernels, the backward has five
    products of that size for the forward's two.
    """
    aten = torch.ops.aten

    def linear(rows: Any, weight: Any, *_: Any, **__: Any) -> int:
        return 2 * int(torch.Size(rows).numel() * weight[0])

    def forward(query: Any, key: Any, *_: Any, **__: Any) -> int:
        return 2 * 2 * int(query[0] * query[1] * query[2] * key[2] * query[3])

    def backward(_: Any, query: Any, key: Any, *__: Any, **___: Any) -> int:
        return 5 * 2 * int(query[0] * query[1] * query[2] * key[2] * query[3])

    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    ours = {torch.ops.palate.multiply: linear}  # on processors where oneDNN is the faster
    with FlopCounterMode(display=False, custom_mapping={**mapping, **ours}) as counter:
        task()
    found = counter.get_flop_counts()["Global"]
    return sum(n for op, n in found.items() if op not in mapping), sum(found.get(op, 0) for op in mapping)


def groups_of(lengths: Sequence[tuple[int, Sequence[int]]]) -> list[TokenizedGroup]:
    return [token_group(prompt, responses, seed=seed) for seed, (prompt, responses) in enumerate(lengths)]


@pytest.fixture
def model() -> RewardModel:
    return tiny_reward_model()


def batch_of(model: RewardModel, lengths: Sequence[tuple[int, Sequence[int]]], layout: Any = None) -> RewardBatch:
    return model.collate(groups_of(lengths), layout=layout)


def test_tokens_are_those_of_prompts_once_and_nothing_else(model: RewardModel) -> None:
    tokens = [prompt + sum(responses) for prompt, responses in LENGTHS]
    separate = [len(responses) * prompt + sum(responses) for prompt, responses in LENGTHS]
    longest = max(prompt + own for prompt, responses in LENGTHS for own in responses)
    assert [model.cost(group) for group in groups_of(LENGTHS)] == tokens
    assert batch_of(model, LENGTHS).input_ids_BT.shape == (1, sum(tokens))
    assert batch_of(model, LENGTHS, "padded").input_ids_BT.shape == (16, longest)
    assert Fraction(sum(separate), sum(tokens)) == Fraction(1281, 789)  # 1.62, as on harmless-base
    assert Fraction(16 * longest, sum(tokens)) == Fraction(2800, 789)  # 3.55 with what padding adds


def test_a_system_turn_is_computed_once_a_pack(model: RewardModel) -> None:
    """The turn that SmolLM2's template writes, 24 tokens long, saves a tenth of a step like HH-RLHF's eight pairs."""
    groups = with_system_turn(groups_of(LENGTHS), 8)
    assert model.collate(groups).num_tokens == sum(group.computed_tokens for group in groups)  # 8 are not worth it
    groups = with_system_turn(groups_of(LENGTHS), 24)
    batch = model.collate(groups)
    assert batch.num_tokens == sum(group.computed_tokens for group in groups) - 7 * 24
    with AttentionCalls() as calls, torch.no_grad():
        model(batch)
    assert len(calls.seen) == 16 * LAYERS


@pytest.mark.parametrize("lengths", [LENGTHS, BEST_OF])
def test_one_attention_call_a_sequence_and_layer(model: RewardModel, lengths: Any) -> None:
    batch = batch_of(model, lengths)
    with AttentionCalls() as calls, torch.no_grad():
        model(batch)
    whole = [(p + r[0], p + r[0], False, True) for p, r in lengths]  # causal without a mask: half the tiles are skipped
    further = [(own, p + own, own > 1, False) for p, r in lengths for own in r[1:]]
    read = [(1, p + own, False, False) for p, r in lengths for own in r]
    assert Counter(calls.seen) == Counter((LAYERS - 1) * (whole + further) + read)


@pytest.mark.parametrize("lengths", [LENGTHS, BEST_OF])
@pytest.mark.parametrize("layout", ["tree", "padded"])
def test_multiplications_of_a_training_pass(model: RewardModel, lengths: Any, layout: str) -> None:
    expected = shared_work(lengths) if layout == "tree" else padded_work(lengths)
    batch = batch_of(model.train(), lengths, layout)
    linear, attention = flops(lambda: model(batch).sum().backward())
    assert linear == 2 * 3 * expected.linear  # one product forward, two backward; two operations a multiply-add
    assert attention == 2 * 7 * expected.scores  # two products forward, five backward: one of them the scores again


def test_multiplications_of_scoring(model: RewardModel) -> None:
    """The whole way through `score_groups`: one pass of one pack."""
    expected = shared_work(LENGTHS)
    linear, attention = flops(lambda: list(score_groups(model, groups_of(LENGTHS))))
    assert linear == 2 * expected.linear
    assert attention == 2 * 2 * expected.scores


def test_sharing_saves_what_the_lengths_say() -> None:
    """The figures that the formulas give for these lengths, so that a mistake in them shows too."""
    pairs, padded = shared_work(LENGTHS), padded_work(LENGTHS)
    assert padded.linear / pairs.linear == pytest.approx(5.01, abs=0.01)
    assert padded.scores / pairs.scores == pytest.approx(8.96, abs=0.01)


@pytest.mark.parametrize("backward", [False, True])
def test_few_operations_a_sequence(model: RewardModel, backward: bool) -> None:
    """What a pass costs beside arithmetic: so many operations, and so many more for each further pair and layer.

    Measured with torch 2.13: 264 and 9.3 for a forward pass, 737 and 30 with its backward. Each costs some
    microseconds on a CPU, and a launch on a GPU.
    """

    def count(lengths: Any) -> int:
        batch = batch_of(model, lengths)
        with Operations() as operations, torch.set_grad_enabled(backward):
            rewards: Tensor = model(batch)
            if backward:
                rewards.sum().backward()
        return operations.seen.total()

    four, eight = count(LENGTHS[:4]), count(LENGTHS)
    pair_and_layer = (eight - four) / 4 / LAYERS
    fixed = four - 4 * LAYERS * pair_and_layer
    assert pair_and_layer <= (35 if backward else 11)
    assert fixed <= (880 if backward else 320)
