"""The door to the model: inputs in, outcomes out, from any event loop; nothing slow ever runs on one.

    score --tokenizing thread--> Encoded --cache--> Backlog --model thread--> rewards --> Outcome

Both threads work for all requests alike. A request that is cancelled or late is taken out of the backlog at once, so
that nothing is computed for nobody.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from palate.model.reward_model import RewardModel
from palate.serving.backlog import Ticket, Work
from palate.serving.cache import RewardCache, content_key
from palate.serving.encoding import Encoded, Encoder
from palate.serving.faults import Fault, ServeError
from palate.serving.inputs import Failure, Input, OnOverlong, Outcome
from palate.serving.metrics import Metrics
from palate.serving.worker import Result, Worker

_CHUNK = 32  # inputs tokenized in one go, so that a large request does not hold up the small ones


class Engine:
    """Scores what many requests ask for at once.

    Args:
        model: the engine's alone from `start` on.
        tokens_per_pack: token budget of one forward pass.
        max_waiting: inputs accepted and not yet answered, above which more are refused.
        max_wait: seconds for which a pack that is not full waits for company.
        cache_size: rewards kept by content; 0 keeps none.
        metrics: figures of what happens; some of its own by default.
    """

    def __init__(
        self,
        model: RewardModel,
        *,
        tokens_per_pack: int = 4096,
        max_waiting: int = 4096,
        max_wait: float = 0.005,
        cache_size: int = 100_000,
        metrics: Metrics | None = None,
    ) -> None:
        self.model = model
        self.metrics = metrics if metrics is not None else Metrics()
        self.max_waiting = max_waiting
        self._encoder = Encoder(model)
        self._reads_response = model.pooling_name in ("mean-response", "attention")
        self._cache = RewardCache(cache_size)
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="palate-tokenizer")
        self._worker = Worker(
            model, self._answer, tokens_per_pack=tokens_per_pack, max_wait=max_wait, metrics=self.metrics
        )
        self._waiting = 0
        self._open = False

    @property
    def waiting(self) -> int:
        """Inputs accepted and not yet answered."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether the model's thread runs."""
        return self._worker.alive

    def start(self) -> None:
        """Accept inputs. Once only."""
        self._worker.start()
        self._open = True

    async def drain(self, grace: float | None = None) -> bool:
        """Refuse new inputs and wait for the answers to all accepted ones; whether all came within `grace` seconds."""
        self._open = False
        until = None if grace is None else time.monotonic() + grace
        while self._waiting and (until is None or time.monotonic() < until):
            await asyncio.sleep(0.01)
        return not self._waiting

    def stop(self) -> None:
        """End both threads; what still waits is refused."""
        self._open = False
        for ticket in self._worker.stop():
            _wake(ticket, ServeError(Fault.DRAINING, "the server has stopped", retry_after=5))
        self._tokenizing.shutdown()

    async def score(
        self,
        inputs: Sequence[Input],
        *,
        client: str,
        on_overlong: OnOverlong = "error",
        deadline: float | None = None,
    ) -> list[Outcome]:
        """One outcome an input, in order.

        Args:
            inputs: any number, in any mixture of forms.
            client: whose turn they take; clients are served in turn.
            on_overlong: see `OnOverlong`.
            deadline: `time.monotonic()` after which nobody waits any more; None for never.

        Raises:
            ServeError: nothing of it is scored: too much waits already, the deadline passed, the engine is not running.
        """
        self._admit(len(inputs))
        self._count(len(inputs))
        try:
            async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
                return await self._score(inputs, client, on_overlong, deadline)
        except TimeoutError as error:
            raise ServeError(Fault.DEADLINE, "there was no answer before the deadline", retry_after=None) from error
        finally:
            self._count(-len(inputs))

    def _admit(self, items: int) -> None:
        if not self._open:
            raise ServeError(Fault.DRAINING, "this server is not accepting requests", retry_after=5)
        if not self.alive:
            raise ServeError(Fault.INTERNAL, "the model's thread has died; start the server anew")
        if self._waiting + items > self.max_waiting:
            with self._worker.lock:
                tokens = self._worker.backlog.tokens
            speed = self._worker.tokens_per_second
            seconds = min(max(tokens / speed if speed else 1.0, 1.0), 60.0)
            message = f"{self._waiting} inputs are waiting already, and {self.max_waiting} may; ask again later"
            raise ServeError(Fault.OVERLOADED, message, retry_after=seconds)

    def _count(self, items: int) -> None:
        self._waiting += items
        self.metrics.waiting(self._waiting)

    async def _score(
        self, inputs: Sequence[Input], client: str, on_overlong: OnOverlong, deadline: float | None
    ) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        encoded: list[Encoded | Outcome] = []
        for at in range(0, len(inputs), _CHUNK):
            chunk = inputs[at : at + _CHUNK]
            encoded += await loop.run_in_executor(self._tokenizing, self._encoder.encode, chunk, on_overlong)
        outcomes = [item if isinstance(item, Outcome) else self._known(item) for item in encoded]
        ticket = Ticket(client, outcomes, deadline, loop.create_future())
        works = [
            Work(item, ticket, at)
            for at, item in enumerate(encoded)
            if isinstance(item, Encoded) and outcomes[at] is None
        ]
        if self._cache.size:
            found = sum(isinstance(item, Encoded) for item in encoded)
            self.metrics.looked_up(found - len(works), len(works))
        if works:
            await self._compute(ticket, works)
        return [outcome for outcome in outcomes if outcome is not None]

    def _known(self, encoded: Encoded) -> Outcome | None:
        reward = self._cache.get(content_key(encoded, reads_response=self._reads_response))
        return None if reward is None else _outcome(encoded, reward)

    async def _compute(self, ticket: Ticket, works: Sequence[Work]) -> None:
        """Wait for the model; whoever is cancelled or late takes along what was not computed."""
        with self._worker.lock:
            self._worker.backlog.put(works)
            self._worker.lock.notify()
        try:
            await ticket.done
        except BaseException:
            late = ticket.deadline is not None and time.monotonic() >= ticket.deadline
            ticket.dead = "deadline" if late else "cancelled"
            with self._worker.lock:
                left = self._worker.backlog.discard(ticket)
            self.metrics.dropped(ticket.dead, left)
            raise

    def _answer(self, works: Sequence[Work], results: Sequence[Result]) -> None:
        """In the model's thread: hand out a pack's results."""
        for work, result in zip(works, results, strict=True):
            if isinstance(result, float):
                self._cache.put(content_key(work.encoded, reads_response=self._reads_response), result)
            work.ticket.outcomes[work.at] = _outcome(work.encoded, result)
        for ticket in {work.ticket: None for work in works}:
            if None not in ticket.outcomes:
                _wake(ticket, None)


def _outcome(encoded: Encoded, result: Result) -> Outcome:
    score, error = (None, result) if isinstance(result, Failure) else (result, None)
    return Outcome(score, len(encoded.ids), encoded.truncated, encoded.ends_with_eos, error)


def _wake(ticket: Ticket, error: ServeError | None) -> None:
    """Tell the request's own event loop."""

    def tell() -> None:
        if not ticket.done.done():
            if error is None:
                ticket.done.set_result(None)
            else:
                ticket.done.set_exception(error)

    with suppress(RuntimeError):  # its loop is closed: nobody is there to be told
        ticket.done.get_loop().call_soon_threadsafe(tell)
