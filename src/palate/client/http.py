"""The client: inputs in, scores out, in order, however many there are."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from palate.client.answers import ClientError, Score, read_scores, refusal
from palate.client.retries import PASSING, Retries

Input = Mapping[str, Any]
"""`{"prompt": ..., "response": ...}`, `{"messages": [...]}`, or `{"text": ..., "rendered_with": ...}`; prompt and
response are text or lists of messages."""


class AsyncRewardClient:
    """Speaks `POST /v1/reward`. One client serves any number of tasks of one event loop.

    Args:
        url: root of the server, such as `http://127.0.0.1:8000`.
        api_key: sent as a bearer token.
        concurrency: requests at once.
        batch: inputs of a request; neighbours stay together, so that responses to one prompt share its computation.
        timeout: seconds for one answer.
        retries: see `Retries`.

    Example:
        >>> async def rank(prompt, responses):
        ...     async with AsyncRewardClient("http://127.0.0.1:8000") as client:
        ...         return await client.rewards(prompt, responses)
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        concurrency: int = 16,
        batch: int = 64,
        timeout: float = 300.0,
        retries: Retries | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._batch = batch
        self._retries = retries or Retries()
        self._turns = asyncio.Semaphore(concurrency)
        self._rng = random.Random()
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(timeout, pool=None),
            limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )

    async def score(
        self,
        inputs: Sequence[Input],
        *,
        scale: Literal["raw", "zscore", "prob"] = "raw",
        on_overlong: Literal["error", "truncate_left", "null"] = "error",
    ) -> list[Score]:
        """One score an input, in order; what cannot be scored has its error in its place.

        Args:
            inputs: see `Input`.
            scale: raw rewards; z-scores over the training data; or probabilities against a response of mean reward.
            on_overlong: of inputs beyond the model's length: an error, a cut prompt, or no score.

        Raises:
            ClientError: the server cannot be reached, or refuses a request as a whole.
        """
        options = {"scale": scale, "on_overlong": on_overlong}
        parts = [inputs[at : at + self._batch] for at in range(0, len(inputs), self._batch)]
        tasks = [asyncio.ensure_future(self._ask(part, options)) for part in parts]
        try:
            answers = await asyncio.gather(*tasks)
        except BaseException:  # the rest would be asked in vain, beside whatever the caller does next
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return [score for answer in answers for score in answer]

    async def rewards(self, prompt: str | Sequence[Input], responses: Sequence[str | Sequence[Input]]) -> list[float]:
        """Raw rewards of responses to one prompt.

        Raises:
            ClientError: a response has none; the message says which and why.
        """
        scores = await self.score([{"prompt": prompt, "response": response} for response in responses])
        for at, score in enumerate(scores):
            if score.score is None:
                raise ClientError(f"response {at} has no reward: {score.error}", kind=score.kind)
        return [score.score for score in scores if score.score is not None]

    async def contract(self) -> dict[str, Any]:
        """Template, tokenizer, head and limits of the served model: `GET /v1/contract`."""
        answer: dict[str, Any] = await self._send("GET", "/v1/contract", None)
        return answer

    async def _ask(self, inputs: Sequence[Input], options: Mapping[str, str]) -> list[Score]:
        async with self._turns:
            answer = await self._send("POST", "/v1/reward", {"inputs": list(inputs), "options": options})
        return read_scores(answer, len(inputs), self.url)

    async def _send(self, method: str, path: str, body: Any) -> Any:
        """The answer as JSON; asked again while the fault may pass."""
        url = f"{self.url}{path}"
        for failed in range(1, self._retries.tries + 1):
            retry_after = None
            try:
                answer = await self._http.request(method, url, json=body)
            except httpx2.TransportError as error:
                fault = ClientError(f"{url} cannot be reached: {error or type(error).__name__}")
            else:
                if answer.status_code == 200:
                    return _answer(answer, url)
                fault = refusal(answer.status_code, _json(answer), url)
                if answer.status_code not in PASSING:
                    raise fault
                retry_after = answer.headers.get("retry-after")
            if failed < self._retries.tries:
                await asyncio.sleep(self._retries.pause(failed, retry_after, self._rng))
        raise ClientError(f"{fault} (asked {self._retries.tries} times)", status=fault.status, kind=fault.kind)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _answer(answer: httpx2.Response, url: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ClientError(f"{url} does not answer as a palate server does: {error}", status=200) from error


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
