"""The same client without `await`: an event loop in a thread of its own does the work."""

import asyncio
from collections.abc import Coroutine, Sequence
from threading import Thread
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from palate.client.answers import Score
from palate.client.http import AsyncRewardClient, Input

T = TypeVar("T")


class RewardClient:
    """See `AsyncRewardClient`, whose arguments and methods these are. May be used by several threads.

    Example:
        >>> with RewardClient("http://127.0.0.1:8000") as client:  # doctest: +SKIP
        ...     client.rewards("What is 2 + 2?", ["4.", "5."])
        [2.1, -0.7]
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="palate-client", daemon=True)
        self._thread.start()
        self._client = self._wait(_made(url, options))

    def score(
        self,
        inputs: Sequence[Input],
        *,
        scale: Literal["raw", "zscore", "prob"] = "raw",
        on_overlong: Literal["error", "truncate_left", "null"] = "error",
    ) -> list[Score]:
        """See `AsyncRewardClient.score`."""
        return self._wait(self._client.score(inputs, scale=scale, on_overlong=on_overlong))

    def rewards(self, prompt: str | Sequence[Input], responses: Sequence[str | Sequence[Input]]) -> list[float]:
        """See `AsyncRewardClient.rewards`."""
        return self._wait(self._client.rewards(prompt, responses))

    def contract(self) -> dict[str, Any]:
        """See `AsyncRewardClient.contract`."""
        return self._wait(self._client.contract())

    def close(self) -> None:
        """Close the connections and end the thread; once."""
        if self._loop.is_closed():
            return
        self._wait(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _made(url: str, options: dict[str, Any]) -> AsyncRewardClient:
    return AsyncRewardClient(url, **options)
