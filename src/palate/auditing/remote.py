"""A reward server as a scorer: palate's own, vLLM's `/classify`, or OpenRLHF's `/get_reward`.

Which of them answers is found by asking. The last two take rendered text, so a tokenizer with the template is needed
to render it; palate's takes messages.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np

from palate.auditing.scorer import Floats
from palate.data.render import Tokenizer, render
from palate.errors import ModelError
from palate.records import Conversation, PreferenceGroup

_TRIES, _TIMEOUT, _BATCH, _AT_ONCE = 4, 120, 32, 4
_ITEMS = 256  # that palate's server takes in one request by default

Ask = Callable[[list[tuple[Conversation, Conversation]]], list[float]]


class RemoteScorer:
    """A server at an address.

    Args:
        url: its root, such as `http://127.0.0.1:8000`.
        tokenizer: renders text for servers that take text; None for palate's own.
        api_key: sent as a bearer token.
        model: the name that vLLM serves it under; asked of the server by default.
        on_progress: told how many groups are done.

    Raises:
        ModelError: nothing that gives rewards answers there.
    """

    def __init__(
        self,
        url: str,
        *,
        tokenizer: Tokenizer | None = None,
        api_key: str | None = None,
        model: str | None = None,
        on_progress: Callable[[int], object] = lambda _done: None,
    ) -> None:
        self._url = url.rstrip("/")
        self._tokenizer = tokenizer
        self._key = api_key
        self._model = model
        self._on_progress = on_progress
        self.protocol, self._ask = self._find_protocol()

    @property
    def name(self) -> str:
        """The address."""
        return self._url

    def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        """See `Scorer`; groups are sent whole, several requests at once."""
        batches = [groups[at : at + _BATCH] for at in range(0, len(groups), _BATCH)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [rewards for batch in pool.map(self._score_batch, batches) for rewards in batch]

    def _score_batch(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        flat = [(group.prompt, response) for group in groups for response in group.responses]
        rewards = np.array(self._ask(flat), np.float64)
        if len(rewards) != len(flat):
            raise ModelError(f"{self._url} gave {len(rewards)} rewards for {len(flat)} texts")
        self._on_progress(len(groups))
        return np.split(rewards, np.cumsum([len(group.responses) for group in groups])[:-1])

    def _find_protocol(self) -> tuple[str, Ask]:
        """The first protocol whose address exists there."""
        protocols: tuple[tuple[str, str, Ask], ...] = (
            ("palate", "/v1/reward", self._ask_palate),
            ("vllm", "/classify", self._ask_vllm),
            ("openrlhf", "/get_reward", self._ask_openrlhf),
        )
        for name, path, ask in protocols:
            if self._exists(path):
                if name != "palate" and self._tokenizer is None:
                    raise ModelError(f"{self._url} speaks {name}, which takes rendered text: give --tokenizer too")
                return name, ask
        tried = ", ".join(path for _, path, _ in protocols)
        raise ModelError(f"no reward server answers at {self._url} (tried {tried}); check address and port")

    def _exists(self, path: str) -> bool:
        try:
            self._post(path, {}, tries=1)
        except HTTPError as error:
            if error.code in (401, 403):
                raise ModelError(f"{self._url}{path} refuses the key ({error.code}); give --api-key-file") from error
            return error.code != 404  # an empty request is wrong wherever there is somebody to say so
        except URLError as error:
            raise ModelError(f"nothing answers at {self._url} ({error.reason}); check address and port") from error
        return True

    def _ask_palate(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        inputs = [{"prompt": _messages(prompt), "response": _messages(response)} for prompt, response in flat]
        options = {"scale": "raw", "on_overlong": "null"}
        requests = [inputs[at : at + _ITEMS] for at in range(0, len(inputs), _ITEMS)]
        answers = [self._post("/v1/reward", {"inputs": part, "options": options}) for part in requests]
        items = [item for answer in answers for item in answer["data"]]
        return [_score(item) for item in items]

    def _ask_vllm(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        body = {"model": self._served_name(), "input": self._texts(flat), "use_activation": False}
        answer = self._post("/classify", body | {"add_special_tokens": False})
        ordered = sorted(answer["data"], key=lambda item: item["index"])
        return [float(item["probs"][0]) for item in ordered]

    def _ask_openrlhf(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        answer = self._post("/get_reward", {"query": self._texts(flat), "prompts": [], "labels": []})
        return [float(value) for value in answer["rewards"]]

    def _texts(self, flat: list[tuple[Conversation, Conversation]]) -> list[str]:
        return [render(self._tokenizer, prompt, response).text for prompt, response in flat]

    def _served_name(self) -> str:
        if self._model is None:
            with urlopen(Request(f"{self._url}/v1/models", headers=self._headers()), timeout=_TIMEOUT) as answer:
                self._model = str(json.load(answer)["data"][0]["id"])
        return self._model

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Content-Type": "application/json", **key}

    def _post(self, path: str, body: dict[str, Any], *, tries: int = _TRIES) -> Any:
        """The answer as JSON; busy and failing servers are asked again, mistakes are not repeated."""
        request = Request(f"{self._url}{path}", json.dumps(body).encode(), self._headers(), method="POST")
        for left in reversed(range(tries)):
            try:
                with urlopen(request, timeout=_TIMEOUT) as answer:
                    return json.load(answer)
            except HTTPError as error:
                again = error.code >= 500 or error.code == 429
                if tries == 1:
                    raise
                if not left or not again:
                    raise ModelError(f"{self._url}{path} answers {error.code}: {error.read(500)!r}") from error
            except (URLError, TimeoutError) as error:
                if not left and tries > 1:
                    raise ModelError(f"{self._url}{path} does not answer ({error})") from error
                if not left:
                    raise
            time.sleep(2.0 ** (tries - left) / 4)
        raise AssertionError


def _score(item: dict[str, Any]) -> float:
    """NaN for what was not scored; infinity for a reward that is no finite number, which palate's server withholds."""
    if item.get("score") is not None:
        return float(item["score"])
    return np.inf if (item.get("error") or {}).get("type") == "non-finite" else np.nan


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation]
