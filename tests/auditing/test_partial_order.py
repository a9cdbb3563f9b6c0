"""Orders that are known in part, against the whole order and against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from palate.auditing.partial_order import partial_kendall, preferred
from palate.metrics import kendall_tau

quick = settings(max_examples=80, deadline=None, derandomize=True)


def matrix(size: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    beats = np.zeros((1, size, size), np.bool_)
    for winner, loser in pairs:
        beats[0, winner, loser] = True
    return beats


def slowly_reached(size: int, pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    reached = set(pairs)
    for middle in range(size):
        for one in range(size):
            for other in range(size):
                if (one, middle) in reached and (middle, other) in reached:
                    reached.add((one, other))
    return reached


@quick
@given(
    st.integers(3, 7).flatmap(
        lambda k: st.tuples(
            st.just(k), st.sets(st.sampled_from([(i, j) for i in range(k) for j in range(k) if i != j]), max_size=9)
        )
    )
)
def test_what_follows_is_what_a_chain_leads_to_and_none_leads_back(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    size, pairs = drawn
    reached = slowly_reached(size, pairs)
    order, circular = preferred(matrix(size, list(pairs)))
    expected = {(i, j) for i, j in reached if (j, i) not in reached}
    assert {(i, j) for i, j in np.argwhere(order[0]).tolist()} == expected
    assert bool(circular[0]) == any((j, i) in reached for i, j in reached)


def test_long_chains_are_followed_to_their_end() -> None:
    size = 33
    order, circular = preferred(matrix(size, [(i, i + 1) for i in range(size - 1)]))
    assert (order[0] == np.triu(np.ones((size, size), np.bool_), 1)).all()
    assert not circular[0]


@pytest.mark.parametrize("levels", [2, 3, 50])
def test_where_everything_is_known_it_is_tau_b(levels: int) -> None:
    rng = np.random.default_rng(levels)
    gold, reward = rng.integers(0, levels, (40, 6)).astype(float), rng.integers(0, 4, (40, 6)).astype(float)
    order = gold[:, :, None] > gold[:, None, :]
    tied = np.triu(gold[:, :, None] == gold[:, None, :], 1)
    found = partial_kendall(reward, order, tied)
    expected = kendall_tau(reward.ravel(), gold.ravel(), np.repeat(np.arange(40), 6))
    np.testing.assert_allclose(found, expected)
    for row, tau in enumerate(found):
        if len(set(gold[row])) > 1 and len(set(reward[row])) > 1:
            assert tau == pytest.approx(kendalltau(reward[row], gold[row], variant="b").statistic)


def test_pairs_that_nobody_compared_do_not_count() -> None:
    order, _ = preferred(matrix(4, [(0, 1), (2, 3)]))
    none = np.zeros_like(order)
    for reward, tau in (((4, 3, 2, 1), 1), ((2, 1, 4, 3), 1), ((1, 2, 4, 3), 0), ((1, 2, 3, 4), -1), ((1, 1, 1, 1), 0)):
        assert partial_kendall(np.array([reward], float), order, none).tolist() == [tau]
    # an equal reward where an order is known costs its share, as in tau-b: 1 / sqrt(2 * 1)
    assert partial_kendall(np.array([[2.0, 1.0, 3.0, 3.0]]), order, none)[0] == pytest.approx(2**-0.5)
    assert np.isnan(partial_kendall(np.array([[1.0, 2.0, 3.0, 4.0]]), none, none)[0])


def test_a_judged_tie_is_not_the_same_as_no_judgement() -> None:
    order, _ = preferred(matrix(3, [(0, 2), (1, 2)]))
    tied = matrix(3, [(1, 0)])
    reward = np.array([[3.0, 2.0, 1.0]])
    assert partial_kendall(reward, order, np.zeros_like(tied))[0] == 1
    assert partial_kendall(reward, order, tied)[0] == pytest.approx(2 / 6**0.5)
