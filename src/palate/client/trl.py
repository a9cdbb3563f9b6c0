"""A reward function for TRL's GRPO and RLOO trainers that asks a palate server.

TRL calls it with prompts and completions, as text or as messages, and waits for it beside other reward functions, since
it is asynchronous. A completion without a reward is None there, and left out of its group.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from palate.client.answers import ClientError
from palate.client.http import AsyncRewardClient, Input

Turns = str | Sequence[Mapping[str, Any]]


class RemoteReward:
    """`GRPOTrainer(reward_funcs=RemoteReward("http://127.0.0.1:8000"), ...)`. It can be pickled.

    Args:
        url: root of the server.
        api_key: its key.
        name: what the trainer calls the reward in its logs.
        max_unscored: share of a batch that may lack a reward, such as over-long completions, before training stops.
        on_overlong: see `AsyncRewardClient.score`; `truncate_left` cuts the prompt.
        options: further arguments of `AsyncRewardClient`.

    Raises:
        ClientError: by a call: the server cannot be reached or refuses, or too many completions have no reward.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        name: str = "palate",
        max_unscored: float = 0.1,
        on_overlong: Any = "error",
        **options: Any,
    ) -> None:
        self.__name__ = name
        self.url = url
        self._max_unscored = max_unscored
        self._on_overlong = on_overlong
        self._options = {"api_key": api_key, **options}
        self._client: AsyncRewardClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(
        self,
        prompts: Sequence[Turns],
        completions: Sequence[Turns],
        *,
        log_metric: Callable[[str, float], object] | None = None,
        **_columns: Any,
    ) -> list[float | None]:
        """Raw rewards, None where there is none; one a completion.

        Args:
            prompts: text or messages, one for each completion.
            completions: likewise.
            log_metric: of the trainer; is told the share without a reward.
        """
        inputs = [_input(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
        scores = await self._of_this_loop().score(inputs, on_overlong=self._on_overlong)
        errors = [score.error or "over-long" for score in scores if score.score is None]
        share = len(errors) / max(1, len(scores))
        if log_metric is not None:
            log_metric(f"{self.__name__}/unscored", share)
        if share > self._max_unscored:
            raise ClientError(
                f"{len(errors)} of {len(scores)} completions have no reward, first: {errors[0]}. Mend that, or raise "
                f"max_unscored, which is {self._max_unscored:g}"
            )
        return [score.score for score in scores]

    def _of_this_loop(self) -> AsyncRewardClient:
        """Connections belong to the event loop that opened them."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = AsyncRewardClient(self.url, **self._options), loop
        return self._client

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_client": None, "_loop": None}


def _input(prompt: Turns, completion: Turns) -> Input:
    return {"prompt": _turns(prompt), "response": _turns(completion)}


def _turns(turns: Turns) -> Any:
    """Text, or messages without what no reward model reads."""
    if isinstance(turns, str):
        return turns
    return [{"role": turn["role"], "content": turn.get("content") or ""} for turn in turns]
