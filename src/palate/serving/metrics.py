"""What a server tells Prometheus: load, speed, what was cut or failed, and how the rewards themselves look.

The last is what an operator of a reward model has to watch: a policy that learns to write longer answers for reward
shows in the rolling slope and correlation of reward and length long before anyone reads its texts.
"""

import os
import threading
from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from palate.serving.inputs import Outcome

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_WINDOW = 4096  # rewards that slope and correlation look back on


class Metrics:
    """One server's figures, in a registry of their own.

    Args:
        center: of the buckets of the reward histogram, the training data's mean as a rule.
        width: their unit, its standard deviation; buckets reach from -4 to 4 of them.
    """

    def __init__(self, *, center: float = 0.0, width: float = 1.0) -> None:
        self.registry = registry = CollectorRegistry()
        edges = [round(center + width * step / 2, 6) for step in range(-8, 9)]
        self._requests = Counter("palate_requests", "Answers", ["route", "code"], registry=registry)
        self._seconds = Histogram(
            "palate_request_seconds", "From first byte to answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge(
            "palate_queue_items", "Inputs accepted and not answered", registry=registry, multiprocess_mode="livesum"
        )
        self._queued = Histogram(
            "palate_queue_seconds", "Before an input is computed", buckets=_SECONDS, registry=registry
        )
        self._batch = Histogram("palate_batch_items", "Inputs of a forward pass", buckets=_ITEMS, registry=registry)
        self._fill = Histogram(
            "palate_batch_fill", "Share of the token budget used", buckets=_SHARES, registry=registry
        )
        self._pass = Histogram("palate_forward_seconds", "Of a forward pass", buckets=_SECONDS, registry=registry)
        self._tokens = Counter("palate_tokens", "Of all inputs, each counted whole", registry=registry)
        self._computed = Counter("palate_computed_tokens", "Put through the body", registry=registry)
        self._truncated = Counter("palate_truncated", "Inputs cut from the left", registry=registry)
        self._nonfinite = Counter("palate_nonfinite", "Rewards that were no numbers", registry=registry)
        self._errors = Counter("palate_item_errors", "Inputs without a score", ["type"], registry=registry)
        self._dropped = Counter("palate_dropped", "Inputs nobody waited for any more", ["reason"], registry=registry)
        self._cache = Counter("palate_cache", "Looked up", ["result"], registry=registry)
        self._unverified = Counter("palate_unverified_texts", "Rendered by an unnamed template", registry=registry)
        self._rewards = Histogram("palate_reward", "Raw rewards", buckets=edges, registry=registry)
        self._mean = _rolling("palate_reward_mean", "Raw rewards", registry)
        self._std = _rolling("palate_reward_std", "Raw rewards", registry)
        self._slope = _rolling("palate_reward_length_slope", "Reward a token", registry)
        self._correlation = _rolling("palate_reward_length_correlation", "Of reward and tokens", registry)
        self._window = np.zeros((2, _WINDOW))
        self._seen = 0
        self._lock = threading.Lock()

    def answered(self, route: str, code: int, seconds: float) -> None:
        """A request got its answer."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def waiting(self, items: int) -> None:
        """How many inputs are accepted and not answered."""
        self._waiting.set(items)

    def waited(self, seconds: Sequence[float]) -> None:
        """How long the inputs of a pack waited for it."""
        for value in seconds:
            self._queued.observe(value)

    def packed(self, items: int, tokens: int, computed: int, budget: int, seconds: float) -> None:
        """A pack was computed."""
        self._batch.observe(items)
        self._fill.observe(computed / budget)
        self._pass.observe(seconds)
        self._tokens.inc(tokens)
        self._computed.inc(computed)

    def dropped(self, reason: str, items: int) -> None:
        """Inputs were not computed because nobody waited for them any more."""
        self._dropped.labels(reason).inc(items)

    def looked_up(self, hits: int, misses: int) -> None:
        """Inputs were looked up in the cache."""
        self._cache.labels("hit").inc(hits)
        self._cache.labels("miss").inc(misses)

    def unverified(self, texts: int) -> None:
        """Texts came without the name of the template that rendered them."""
        self._unverified.inc(texts)

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """What came of a request's inputs."""
        for outcome in outcomes:
            self._truncated.inc(outcome.truncated)
            if outcome.error is not None:
                self._errors.labels(outcome.error.fault.value).inc()
                self._nonfinite.inc(outcome.error.fault == "non-finite")
            if outcome.score is not None:
                self._rewards.observe(outcome.score)
        self._roll([(outcome.tokens, outcome.score) for outcome in outcomes if outcome.score is not None])

    def _roll(self, points: Sequence[tuple[int, float]]) -> None:
        if not points:
            return
        with self._lock:
            for point in points:
                self._window[:, self._seen % _WINDOW] = point
                self._seen += 1
            tokens, rewards = self._window[:, : min(self._seen, _WINDOW)]
            found = slope_and_correlation(tokens, rewards)
            self._mean.set(rewards.mean())
            self._std.set(rewards.std())
            slope, correlation = found if found is not None else (float("nan"), float("nan"))
            self._slope.set(slope)
            self._correlation.set(correlation)

    def text(self) -> bytes:
        """Everything in Prometheus' own format; of all replicas where there are several."""
        registry = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _rolling(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    gauge = Gauge(name, f"{text}, over the last {_WINDOW}", registry=registry, multiprocess_mode="livemostrecent")
    gauge.set(float("nan"))  # not known yet: 0 would be a finding
    return gauge


def slope_and_correlation(
    tokens: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
    rewards: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
) -> tuple[float, float] | None:
    """Least-squares slope of reward on tokens, and Pearson's correlation; None where either does not vary.

    >>> slope_and_correlation(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5]))
    (0.5, 1.0)
    """
    tokens, rewards = tokens - tokens.mean(), rewards - rewards.mean()
    spread, variance, both = float(tokens @ tokens), float(rewards @ rewards), float(tokens @ rewards)
    if spread <= 0 or variance <= 0:
        return None
    return both / spread, both / (spread * variance) ** 0.5
