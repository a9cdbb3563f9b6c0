"""Graph figures against brute force on small graphs."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.health.contradictions import orders
from palate.health.contradictions.orders import against_order, in_cycles, short_cycles, triangles

quick = settings(max_examples=150, deadline=None, derandomize=True)
TEXTS = 6
PAIRS = list(combinations(range(TEXTS), 2))
# of each pair: not compared, the first wins, the second wins
graphs = st.lists(st.sampled_from([None, 0, 1]), min_size=len(PAIRS), max_size=len(PAIRS))


def edges(choices: list[int | None]) -> tuple[np.ndarray, np.ndarray]:
    chosen = [(pair[way], pair[1 - way]) for pair, way in zip(PAIRS, choices, strict=True) if way is not None]
    winner, loser = np.array(chosen, np.int64).reshape(-1, 2).T
    return winner, loser


def reachable(winner: np.ndarray, loser: np.ndarray, start: int) -> set[int]:
    seen, waiting = set(), [start]
    while waiting:
        for to in loser[winner == waiting.pop()].tolist():
            if to not in seen:
                seen.add(to)
                waiting.append(to)
    return seen


def distance(winner: np.ndarray, loser: np.ndarray, start: int, goal: int) -> int:
    """Edges of the shortest way."""
    there, steps = {start}, 0
    while goal not in there:
        there, steps = {to for one in there for to in loser[winner == one].tolist()}, steps + 1
    return steps


@quick
@given(graphs)
def test_an_edge_is_on_a_cycle_if_there_is_a_way_back(choices: list[int | None]) -> None:
    winner, loser = edges(choices)
    slow = [one in reachable(winner, loser, other) for one, other in zip(winner.tolist(), loser.tolist(), strict=True)]
    assert in_cycles(winner, loser, TEXTS).tolist() == slow


@quick
@given(graphs)
def test_threes_are_counted_one_by_one(choices: list[int | None]) -> None:
    winner, loser = edges(choices)
    beats = set(zip(winner.tolist(), loser.tolist(), strict=True))
    closed = cyclic = 0
    for three in combinations(range(TEXTS), 3):
        won = [(i, j) for i, j in permutations(three, 2) if (i, j) in beats]
        closed += len(won) == 3
        cyclic += len(won) == 3 and len({i for i, _ in won}) == 3
    assert triangles(winner, loser, TEXTS) == (closed, cyclic)


def test_threes_are_counted_in_blocks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    one, other = np.triu_indices(40, 1)
    turned = rng.random(len(one)) < 0.2
    winner, loser = np.where(turned, [other, one], [one, other])
    whole = triangles(winner, loser, 50)
    monkeypatch.setattr(orders, "_WORK", 3000)
    assert triangles(winner, loser, 50) == whole
    assert whole[0] == 40 * 39 * 38 // 6


@quick
@given(graphs)
def test_what_is_left_when_edges_against_the_order_go_has_no_cycle(choices: list[int | None]) -> None:
    winner, loser = edges(choices)
    against = against_order(winner, loser, TEXTS)
    assert not in_cycles(winner[~against], loser[~against], TEXTS).any()
    assert not (against & ~in_cycles(winner, loser, TEXTS)).any()


def test_hardly_more_edges_go_against_it_than_must() -> None:
    rng = np.random.default_rng(1)
    excess = []
    for _ in range(60):
        winner, loser = edges(rng.choice([None, 0, 0, 0, 1], len(PAIRS)).tolist())
        best = min(
            sum(place[i] > place[j] for i, j in zip(winner, loser, strict=True)) for place in permutations(range(TEXTS))
        )
        excess.append(int(against_order(winner, loser, TEXTS).sum()) - best)
    assert min(excess) >= 0
    assert np.mean(excess) < 0.15


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
def test_noise_shows_in_threes_and_against_the_order_but_not_on_cycles(noise: float) -> None:
    rng = np.random.default_rng(2)
    one, other = np.triu_indices(60, 1)
    turned = rng.random(len(one)) < noise
    winner, loser = np.where(turned, [other, one], [one, other])
    closed, cyclic = triangles(winner, loser, 60)
    assert cyclic / closed == pytest.approx(noise * (1 - noise), rel=0.25)
    assert against_order(winner, loser, 60).mean() == pytest.approx(noise, rel=0.5)
    assert in_cycles(winner, loser, 60).mean() > 0.8 or noise == 0


def test_large_components_are_ordered_by_wins_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    one, other = np.triu_indices(60, 1)
    turned = rng.random(len(one)) < 0.1
    winner, loser = np.where(turned, [other, one], [one, other])
    monkeypatch.setattr(orders, "_POLISHED", 10)
    against = against_order(winner, loser, 60)
    assert 0.08 < against.mean() < 0.15
    assert not in_cycles(winner[~against], loser[~against], 60).any()


@quick
@given(graphs)
def test_cycles_are_closed_and_as_short_as_their_first_edge_allows(choices: list[int | None]) -> None:
    winner, loser = edges(choices)
    cycles = list(short_cycles(winner, loser, TEXTS, 9))
    assert bool(cycles) == in_cycles(winner, loser, TEXTS).any()
    for cycle in cycles:
        assert loser[cycle].tolist() == np.roll(winner[cycle], -1).tolist()
        assert len(set(cycle)) == len(cycle)
        assert len(cycle) - 1 == distance(winner, loser, int(loser[cycle[0]]), int(winner[cycle[0]]))
    assert [len(cycle) for cycle in cycles] == sorted(map(len, cycles))


def test_no_edges_no_cycles() -> None:
    none = np.empty(0, np.int64)
    assert in_cycles(none, none, 3).tolist() == against_order(none, none, 3).tolist() == []
    assert triangles(none, none, 3) == triangles(none, none, 0) == (0, 0)
    assert list(short_cycles(none, none, 3, 5)) == []
