from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.packing.plan import pack, plan_steps

TOKENS = st.lists(st.integers(1, 300), max_size=60)


@settings(max_examples=100, deadline=None)
@given(tokens=TOKENS, budget=st.integers(1, 400), num_ranks=st.integers(1, 4))
def test_every_item_is_packed_exactly_once_and_no_row_of_several_exceeds_the_budget(
    tokens: list[int], budget: int, num_ranks: int
) -> None:
    bins = pack(tokens, budget, num_ranks=num_ranks)
    assert sorted(item for items in bins for item in items) == list(range(len(tokens)))
    for items in bins:
        assert len(items) <= 1 or sum(tokens[item] for item in items) <= budget


@settings(max_examples=100, deadline=None)
@given(tokens=TOKENS, num_ranks=st.integers(1, 4))
def test_ranks_get_equally_many_rows_heaviest_first_and_empty_ones_only_when_nothing_can_be_halved(
    tokens: list[int], num_ranks: int
) -> None:
    bins = pack(tokens, 300, num_ranks=num_ranks)
    loads = [sum(tokens[item] for item in items) for items in bins]
    assert len(bins) % num_ranks == 0
    assert loads == sorted(loads, reverse=True)
    if () in bins:
        assert all(len(items) <= 1 for items in bins)


def test_an_item_above_the_budget_gets_a_row_of_its_own() -> None:
    assert pack([3, 20, 4], 8) == ((1,), (2, 0))


def test_best_fit_takes_the_row_with_the_least_room_that_is_enough() -> None:
    # 15 leaves 5, 12 leaves 8; 6 goes to the second and leaves 2 there, which is where 2 fits best.
    assert pack([15, 12, 6, 2], 20) == ((1, 2, 3), (0,))


@settings(max_examples=100, deadline=None)
@given(tokens=TOKENS)
def test_no_two_rows_could_have_been_one(tokens: list[int]) -> None:
    loads = [sum(tokens[item] for item in items) for items in pack(tokens, 300)]
    assert all(a + b > 300 for a, b in combinations(loads, 2))


def test_nothing_to_pack_gives_no_rows() -> None:
    assert pack([], 10) == ()


def test_each_epoch_takes_every_group_with_comparisons_once_in_an_order_of_its_own() -> None:
    comparisons = [1, 0, 3, 1, 10, 1, 0, 6]
    steps = plan_steps(comparisons, 4, epochs=3, seed=5)
    orders = [[g for step in steps if step.epoch == e for g in step.groups] for e in range(3)]
    assert [sorted(order) for order in orders] == [[0, 2, 3, 4, 5, 7]] * 3
    assert len({tuple(order) for order in orders}) > 1


def test_the_plan_depends_on_its_arguments_alone() -> None:
    np.random.seed(1)
    first = plan_steps([1] * 50, 8, epochs=2, seed=3)
    np.random.seed(2)
    assert plan_steps([1] * 50, 8, epochs=2, seed=3) == first
    assert plan_steps([1] * 50, 8, epochs=2, seed=4) != first


def test_a_resumed_run_sees_the_same_later_steps() -> None:
    whole = plan_steps([1, 3, 6, 1, 1] * 10, 8, epochs=4, seed=3)
    assert plan_steps([1, 3, 6, 1, 1] * 10, 8, epochs=4, seed=3, max_steps=7) == whole[:7]


@settings(max_examples=100, deadline=None)
@given(comparisons=st.lists(st.integers(1, 12), min_size=1, max_size=40), wanted=st.integers(1, 20))
def test_a_step_is_as_near_to_the_wanted_comparisons_as_whole_groups_allow(comparisons: list[int], wanted: int) -> None:
    steps = plan_steps(comparisons, wanted, epochs=1, seed=0)
    for step, following in pairwise(steps):
        here = sum(comparisons[group] for group in step.groups)
        one_more = here + comparisons[following.groups[0]]
        one_less = here - comparisons[step.groups[-1]]
        assert abs(here - wanted) <= abs(one_more - wanted)
        assert len(step.groups) == 1 or abs(here - wanted) <= abs(one_less - wanted)


@pytest.mark.parametrize("comparisons", [[], [0, 0]])
def test_without_comparisons_there_are_no_steps(comparisons: list[int]) -> None:
    assert plan_steps(comparisons, 4, epochs=2, seed=0) == ()


def test_plain_pairs_fill_every_step_but_the_last_exactly() -> None:
    sizes = [len(step.groups) for step in plan_steps([1] * 70, 32, epochs=1, seed=0)]
    assert sizes == [32, 32, 6]
