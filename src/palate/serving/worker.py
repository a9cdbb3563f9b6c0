"""The thread that owns the model: one pack after the other, as long as anything waits.

Everything that waits when a pack is done may go into the next one, whichever request it came in. A pack is laid out by
`palate.scoring`, like that of every other scoring in palate. Whatever happens in a forward pass becomes errors of the
inputs concerned, and the thread goes on.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

import torch

from palate.model.reward_model import RewardModel
from palate.prefix_tree import WORTH_SHARING, shared_tokens, sort_key
from palate.records import TokenizedGroup
from palate.scoring import ScoringRun, score_groups
from palate.serving.backlog import Backlog, Ticket, Work
from palate.serving.encoding import Encoded
from palate.serving.faults import Fault
from palate.serving.inputs import Failure
from palate.serving.metrics import Metrics

Result = float | Failure
Answer = Callable[[Sequence[Work], Sequence[Result]], None]

_LOG = logging.getLogger("palate.serving")


class Worker:
    """Computes what waits; see the module.

    Args:
        model: this thread's alone from `start` on.
        answer: called in this thread with a pack's work and what came of it.
        tokens_per_pack: budget of one forward pass.
        max_wait: seconds for which a pack that is not full waits for company.
        metrics: told what was done.
    """

    def __init__(
        self, model: RewardModel, answer: Answer, *, tokens_per_pack: int, max_wait: float, metrics: Metrics
    ) -> None:
        self.backlog = Backlog(shares=model.layout == "tree")
        self.lock = threading.Condition()
        """To be held by whoever looks at or changes the backlog; notified when something was put in."""
        self.tokens_per_second = 0.0
        """As recent packs went, in tokens of whole inputs; 0 before the first."""
        self._model = model
        self._answer = answer
        self._budget = tokens_per_pack
        self._max_wait = max_wait
        self._metrics = metrics
        self._run = ScoringRun()
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="palate-model", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self) -> list[Ticket]:
        """End after the pack at hand; returns the requests that nobody will answer."""
        with self.lock:
            self._stopped = True
            self.lock.notify()
        if self.alive:
            self._thread.join()
        with self.lock:
            return self.backlog.clear()

    def _loop(self) -> None:
        while works := self._next():
            started, computed = time.perf_counter(), self._run.computed_tokens
            self._answer(works, self._compute(works))
            seconds = time.perf_counter() - started
            tokens = sum(len(work.encoded.ids) for work in works)
            self._metrics.packed(len(works), tokens, self._run.computed_tokens - computed, self._budget, seconds)
            rate = tokens / max(seconds, 1e-9)
            self.tokens_per_second = 0.8 * self.tokens_per_second + 0.2 * rate if self.tokens_per_second else rate

    def _next(self) -> list[Work]:
        """The next pack; empty when it is time to stop."""
        with self.lock:
            while not self._stopped:
                if not len(self.backlog):
                    self.lock.wait()
                    continue
                self.lock.wait_for(lambda: self._stopped or self.backlog.tokens >= self._budget, self._max_wait)
                now = time.monotonic()
                works = [work for work in self.backlog.take(self._budget) if _awaited(work, now)]
                self._metrics.waited([now - work.since for work in works])
                if works:
                    return works
            return []

    def _compute(self, works: Sequence[Work]) -> list[Result]:
        """What came of each; a pack that fails is halved until the failure is one input's own."""
        try:
            rewards = self._forward([work.encoded for work in works])
        except Exception as error:  # whatever the body, the driver or the allocator raise
            full = _is_out_of_memory(error)
            if full and torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(works) > 1:
                half = len(works) // 2
                return self._compute(works[:half]) + self._compute(works[half:])
            tokens = len(works[0].encoded.ids)
            _LOG.error("forward pass failed", exc_info=error, extra={"fields": {"tokens": tokens}})
            if full:
                return [Failure(Fault.OUT_OF_MEMORY, f"there is not enough memory for {tokens} tokens")]
            return [Failure(Fault.INTERNAL, "the forward pass failed; the server's log says why")]
        return [
            reward if math.isfinite(reward) else Failure(Fault.NON_FINITE, f"the reward is {reward}, no number")
            for reward in rewards
        ]

    def _forward(self, inputs: Sequence[Encoded]) -> list[float]:
        """The inputs' rewards, those with common beginnings computed together."""
        order = sorted(range(len(inputs)), key=lambda at: sort_key(inputs[at].ids))
        groups: list[list[int]] = []
        for at in order:
            if groups and shared_tokens(inputs[groups[-1][-1]].ids, inputs[at].ids) >= WORTH_SHARING:
                groups[-1].append(at)
            else:
                groups.append([at])
        scored = score_groups(
            self._model,
            [_group([inputs[at] for at in members]) for members in groups],
            tokens_per_pack=self._budget,
            require_finite=False,
            run=self._run,
        )
        rewards = [0.0] * len(inputs)
        for members, found in zip(groups, scored, strict=True):
            for at, reward in zip(members, found.tolist(), strict=True):
                rewards[at] = reward
        return rewards


def _awaited(work: Work, now: float) -> bool:
    ticket = work.ticket
    return ticket.dead is None and (ticket.deadline is None or now < ticket.deadline)


def _group(members: Sequence[Encoded]) -> TokenizedGroup:
    return TokenizedGroup(
        id="",
        prompt_hash="",
        sequences=tuple(member.ids for member in members),
        response_starts=tuple(member.response_start for member in members),
        comparisons=(),
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
