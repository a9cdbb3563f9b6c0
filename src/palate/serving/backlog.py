"""What waits to be computed, and what of it is computed next.

Every client has a queue of its own, and clients take turns, so nobody waits behind another's thousand requests. Whoever
has the turn brings companions: waiting inputs that begin with the same tokens, its own and others'. They cost
only what they do not share, which is why responses to one prompt meet in one pack even when every one of them came in a
request of its own. Companions of the same client count towards its turn; those of others are a gift to them.
"""

import asyncio
import time
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from palate.prefix_tree import WORTH_SHARING, shared_tokens, sort_key
from palate.serving.encoding import Encoded
from palate.serving.inputs import Outcome

_COMPANION = 4  # a companion shares at least a quarter of the tokens of whom it comes with


@dataclass(slots=True, eq=False)
class Ticket:
    """One request: where its outcomes gather, and who waits for them.

    Attributes:
        client: whose turn it takes.
        outcomes: one an input; None while it is missing.
        deadline: `time.monotonic()` after which nobody waits; None for never.
        done: set when all outcomes are there.
        dead: why nobody waits any more; None while somebody does.
    """

    client: str
    outcomes: list[Outcome | None]
    deadline: float | None
    done: "asyncio.Future[None]"
    dead: str | None = None


@dataclass(slots=True, eq=False)
class Work:
    """One input that waits.

    Attributes:
        encoded: what is computed.
        ticket: its request.
        at: its place there.
        since: `time.monotonic()` when it began to wait.
    """

    encoded: Encoded
    ticket: Ticket
    at: int
    since: float = field(default_factory=time.monotonic)


class Backlog:
    """Waiting work by client, and all of it sorted by tokens. Not locked; its owner has the lock.

    Args:
        shares: whether shared tokens are computed once; costs count them so.
    """

    def __init__(self, *, shares: bool = True) -> None:
        self._shares = shares
        self._queues: OrderedDict[str, deque[Work]] = OrderedDict()
        self._sorted: list[tuple[bytes, int, Work]] = []
        self._place: dict[Work, tuple[bytes, int, Work]] = {}
        self._numbers = count()
        self.tokens = 0
        """Of all that waits, each input counted whole."""

    def __len__(self) -> int:
        return len(self._sorted)

    def put(self, works: Iterable[Work]) -> None:
        """Wait at the end of the client's queue."""
        for work in works:
            place = (sort_key(work.encoded.ids), next(self._numbers), work)
            self._place[work] = place
            insort(self._sorted, place)
            self._queues.setdefault(work.ticket.client, deque()).append(work)
            self.tokens += len(work.encoded.ids)

    def discard(self, ticket: Ticket) -> int:
        """Forget what waits of a request; returns how much that was."""
        mine = [work for work in self._queues.get(ticket.client, ()) if work.ticket is ticket]
        for work in mine:
            self._remove(work)
        return len(mine)

    def clear(self) -> list[Ticket]:
        """Forget everything; returns the requests that it belonged to."""
        tickets = {work.ticket: None for work in self._place}
        for ticket in tickets:
            self.discard(ticket)
        return list(tickets)

    def take(self, budget: int) -> list[Work]:
        """The next pack: at least one input, and as many as `budget` tokens hold, shared ones counted once."""
        pack = _Pack(budget, shares=self._shares)
        went_in = True
        while went_in:
            went_in = False
            for client in list(self._queues):
                if client in self._queues and pack.add(self._queues[client][0]):
                    self._turn(client, pack)
                    went_in = True
        return pack.works

    def _turn(self, client: str, pack: "_Pack") -> None:
        """The client's oldest, which is in the pack already, and its companions."""
        work = self._queues[client][0]
        limit = max(pack.budget // len(self._queues), len(work.encoded.ids))
        spent = pack.last_cost
        self._queues.move_to_end(client)
        companions = list(self._companions(work))
        self._remove(work)
        for companion in companions:
            own = companion.ticket.client == client
            if own and spent >= limit:
                continue
            if not pack.add(companion):
                break
            spent += pack.last_cost if own else 0
            self._remove(companion)

    def _companions(self, work: Work) -> Iterator[Work]:
        """Those on either side that share enough, nearest first on each."""
        at = bisect_left(self._sorted, self._place[work])
        for steps in (range(at + 1, len(self._sorted)), range(at - 1, -1, -1)):
            for step in steps:
                other = self._sorted[step][2]
                if _COMPANION * shared_tokens(work.encoded.ids, other.encoded.ids) < len(work.encoded.ids):
                    break  # further away nobody shares more
                yield other

    def _remove(self, work: Work) -> None:
        client = work.ticket.client
        queue = self._queues[client]
        queue.remove(work)
        if not queue:
            del self._queues[client]
        del self._sorted[bisect_left(self._sorted, self._place.pop(work))]
        self.tokens -= len(work.encoded.ids)


class _Pack:
    """Inputs that are computed together, and the tokens of their prefix trees."""

    def __init__(self, budget: int, *, shares: bool) -> None:
        self.budget = budget
        self._shares = shares
        self.works: list[Work] = []
        self.last_cost = 0
        self._sorted: list[tuple[bytes, int]] = []
        self._tokens = 0

    def add(self, work: Work) -> bool:
        """Whether there was room; the first always has."""
        ids = work.encoded.ids
        place = (sort_key(ids), len(self.works))
        at = bisect_left(self._sorted, place)
        beside = self._sorted[max(at - 1, 0) : at + 1]
        # Among sorted sequences nobody shares more with one than its neighbours do.
        shared = max((shared_tokens(ids, self.works[n].encoded.ids) for _, n in beside), default=0)
        cost = len(ids) - (shared if self._shares and shared >= WORTH_SHARING else 0)
        if self.works and self._tokens + cost > self.budget:
            return False
        self._sorted.insert(at, place)
        self.works.append(work)
        self._tokens += cost
        self.last_cost = cost
        return True
