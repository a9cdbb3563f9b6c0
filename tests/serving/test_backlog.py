"""Who is next: clients in turn, companions by what they share, nobody lost, nothing above the budget."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.prefix_tree import WORTH_SHARING, find_prefix_tree, shared_tokens, sort_key
from palate.serving.backlog import Backlog, Ticket, Work
from palate.serving.encoding import Encoded


def ticket(client: str) -> Ticket:
    loop = asyncio.new_event_loop()
    done = loop.create_future()
    loop.close()
    return Ticket(client, [None], None, done)


def work(client: str, ids: Sequence[int]) -> Work:
    return Work(Encoded(np.array(ids, dtype=np.int64), len(ids) - 1, False, True), ticket(client), 0)


def text(prompt: int, response: int, *, shared: int = 40, own: int = 20) -> list[int]:
    return [1000 + prompt] * shared + [2000 + response] * own


def drained(backlog: Backlog, budget: int) -> list[list[Work]]:
    packs = []
    while len(backlog):
        packs.append(backlog.take(budget))
    assert backlog.tokens == 0
    return packs


def test_clients_take_turns() -> None:
    backlog = Backlog()
    backlog.put([work("greedy", text(n, n)) for n in range(50)])
    backlog.put([work("modest", text(100, 0))])
    first = backlog.take(3 * 60)
    assert [one.ticket.client for one in first].count("modest") == 1
    assert len(first) == 3


def test_turns_go_on_from_pack_to_pack() -> None:
    backlog = Backlog()
    for client in range(3):
        backlog.put([work(f"client {client}", text(10 * client + n, n)) for n in range(3)])
    packs = drained(backlog, 60)
    assert [pack[0].ticket.client for pack in packs] == [f"client {n % 3}" for n in range(9)]


def test_responses_to_one_prompt_meet_though_each_came_by_itself() -> None:
    backlog = Backlog()
    for n in range(32):
        backlog.put([work(f"client {n}", text(n % 4, n))])
    packs = drained(backlog, 40 + 8 * 20)
    assert len(packs) == 4
    for pack in packs:
        assert len({one.encoded.ids[0] for one in pack}) == 1


def test_companions_of_ones_own_do_not_take_the_others_turns() -> None:
    backlog = Backlog()
    backlog.put([work("greedy", text(0, n)) for n in range(100)])
    for n in range(4):
        backlog.put([work(f"modest {n}", text(n + 1, n))])
    first = backlog.take(600)
    assert sum(one.ticket.client.startswith("modest") for one in first) == 4


def test_shared_tokens_count_once_and_only_where_they_are_laid_out_once() -> None:
    backlog = Backlog()
    backlog.put([work("a", text(0, n)) for n in range(5)])
    assert len(backlog.take(40 + 3 * 20)) == 3
    apart = Backlog(shares=False)
    apart.put([work("a", text(0, n)) for n in range(5)])
    assert len(apart.take(40 + 3 * 20)) == 1
    short = Backlog()
    short.put([work("a", text(0, n, shared=WORTH_SHARING - 1, own=5)) for n in range(5)])
    assert len(short.take(2 * (WORTH_SHARING + 4))) == 2


def test_what_is_larger_than_the_budget_goes_alone() -> None:
    backlog = Backlog()
    backlog.put([work("a", text(0, 0, own=500)), work("a", text(1, 1))])
    assert [len(pack) for pack in drained(backlog, 100)] == [1, 1]


def test_one_that_does_not_fit_is_first_in_the_next_pack() -> None:
    backlog = Backlog()
    backlog.put([work("a", text(0, 0)), work("b", text(1, 1, own=200)), work("c", text(2, 2))])
    packs = drained(backlog, 240)
    assert [[one.ticket.client for one in pack] for pack in packs] == [["a", "c"], ["b"]]


def test_a_request_is_forgotten_as_a_whole() -> None:
    backlog = Backlog()
    mine, other = work("a", text(0, 0)), work("a", text(0, 1))
    second = Work(other.encoded, mine.ticket, 1)
    backlog.put([mine, other, second])
    assert backlog.discard(mine.ticket) == 2
    assert backlog.discard(mine.ticket) == 0
    assert backlog.take(1000) == [other]
    backlog.put([mine])
    assert backlog.clear() == [mine.ticket]
    assert len(backlog) == backlog.tokens == 0


SEQUENCES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 60), st.integers(0, 5), st.integers(1, 40)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(SEQUENCES, st.integers(20, 300))
def test_everything_is_taken_once_within_the_budget(rows: list[tuple[str, int, int, int, int]], budget: int) -> None:
    works = [work(client, [10 + p] * shared + [20 + r] * own) for client, p, shared, r, own in rows]
    backlog = Backlog()
    backlog.put(works)
    packs = drained(backlog, budget)
    assert Counter(id(one) for pack in packs for one in pack) == Counter(map(id, works))
    for pack in packs:
        ordered = sorted((one.encoded.ids for one in pack), key=sort_key)
        groups = [[ordered[0]]]
        for before, ids in pairwise(ordered):
            if shared_tokens(before, ids) >= WORTH_SHARING:
                groups[-1].append(ids)
            else:
                groups.append([ids])
        tokens = sum(find_prefix_tree(group).num_tokens for group in groups)
        assert len(pack) == 1 or tokens <= budget
