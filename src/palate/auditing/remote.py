"""A reward server as a scorer: palate's own, vLLM's `/classify`, or OpenRLHF's `/get_reward`.

Which of them answers is found by asking. The last two take rendered text, so a tokenizer with the template is needed
to render it; palate's takes messages.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from threading import Lock
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
_LONGEST_PAUSE = 60.0
_MISTAKES = (400, 413, 422)  # statuses that one text may bring upon all of its request
_ABOUT_LENGTH = re.compile(
    r"maximum (?:\w+ )*length|context length|max_model_len|too[ -]long|longer than", re.IGNORECASE
)
_BROKEN = (HTTPException, ConnectionError)  # a connection that was there and is not any more

Ask = Callable[[list[tuple[Conversation, Conversation]]], list[float]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Texts that a server refused for another reason than their length.

    Attributes:
        count: of the texts.
        reason: what the server said of the first.
    """

    count: int
    reason: str


class _RefusedError(ModelError):
    """A request that the server calls a mistake."""

    def __init__(self, where: str, code: int, body: str) -> None:
        super().__init__(f"{where} answers {code}: {body[:500]}")
        self.may_be_one_text = code in _MISTAKES
        self.is_about_length = code == 413 or _ABOUT_LENGTH.search(body) is not None


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
        self._lock = Lock()
        self.refusals: dict[str, Refusal] = {}
        """By kind, over all that was asked."""
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
        rewards = np.array(self._ask_in_parts(flat), np.float64)
        if len(rewards) != len(flat):
            raise ModelError(f"{self._url} gave {len(rewards)} rewards for {len(flat)} texts")
        self._on_progress(len(groups))
        return np.split(rewards, np.cumsum([len(group.responses) for group in groups])[:-1])

    def _ask_in_parts(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        """All at once; where that is refused, in halves, until it is known for which texts. NaN for those too long."""
        try:
            return self._ask(flat)
        except _RefusedError as error:
            if not error.may_be_one_text:
                raise
            if len(flat) > 1:
                half = len(flat) // 2
                return [*self._ask_in_parts(flat[:half]), *self._ask_in_parts(flat[half:])]
            if not error.is_about_length:
                raise
            return [np.nan]
        except (ValueError, LookupError, TypeError) as error:
            raise ModelError(f"{self._url} does not answer as {self.protocol} does: {error!r}") from error

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
            self._fetch(path, {}, lambda error: isinstance(error, _BROKEN))
        except HTTPError as error:
            if error.code in (401, 403):
                raise ModelError(f"{self._url}{path} refuses the key ({error.code}); give --api-key-file") from error
            return error.code != 404  # an empty request is wrong wherever there is somebody to say so
        except (OSError, HTTPException) as error:
            why = error.reason if isinstance(error, URLError) else error
            raise ModelError(f"nothing answers at {self._url} ({why}); check address and port") from error
        except ValueError:
            return False  # a page of some other server
        return True

    def _ask_palate(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        inputs = [{"prompt": _messages(prompt), "response": _messages(response)} for prompt, response in flat]
        options = {"scale": "raw", "on_overlong": "null"}
        requests = [inputs[at : at + _ITEMS] for at in range(0, len(inputs), _ITEMS)]
        answers = [self._json("/v1/reward", {"inputs": part, "options": options}) for part in requests]
        items = [item for answer in answers for item in answer["data"]]
        return [self._score(item) for item in items]

    def _score(self, item: dict[str, Any]) -> float:
        """NaN for what was not scored; infinity for a reward that is no finite number, which palate's server withholds.

        A text that is too long has no error, since it was asked for so.
        """
        if item.get("score") is not None:
            return float(item["score"])
        error = item.get("error") or {}
        kind = str(error.get("type", ""))
        if kind == "non-finite":
            return np.inf
        if kind not in ("", "over-long"):
            with self._lock:
                known = self.refusals.get(kind, Refusal(0, str(error.get("message", ""))))
                self.refusals[kind] = Refusal(known.count + 1, known.reason)
        return np.nan

    def _ask_vllm(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        body = {"model": self._served_name(), "input": self._texts(flat), "use_activation": False}
        answer = self._json("/classify", body | {"add_special_tokens": False})
        ordered = sorted(answer["data"], key=lambda item: item["index"])
        return [_number(item["probs"][0]) for item in ordered]

    def _ask_openrlhf(self, flat: list[tuple[Conversation, Conversation]]) -> list[float]:
        answer = self._json("/get_reward", {"query": self._texts(flat), "prompts": [], "labels": []})
        return [_number(value) for value in answer["rewards"]]

    def _texts(self, flat: list[tuple[Conversation, Conversation]]) -> list[str]:
        return [render(self._tokenizer, prompt, response).text for prompt, response in flat]

    def _served_name(self) -> str:
        if self._model is None:
            self._model = str(self._json("/v1/models", None)["data"][0]["id"])
        return self._model

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Content-Type": "application/json", **key}

    def _json(self, path: str, body: dict[str, Any] | None) -> Any:
        """What is there, or the answer to a body; busy and failing servers are asked again, mistakes not repeated."""
        try:
            return self._fetch(path, body, _may_pass)
        except HTTPError as error:
            raise _RefusedError(f"{self._url}{path}", error.code, error.read(4000).decode(errors="replace")) from error
        except (OSError, HTTPException) as error:
            raise ModelError(f"{self._url}{path} does not answer ({error})") from error

    def _fetch(self, path: str, body: dict[str, Any] | None, again: Callable[[Exception], bool]) -> Any:
        """The same; the last error as it comes, after as many tries as `again` allows."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._url}{path}", data, self._headers())
        for left in reversed(range(_TRIES)):
            try:
                with urlopen(request, timeout=_TIMEOUT) as answer:
                    return json.load(answer)
            except (OSError, HTTPException) as error:
                if not left or not again(error):
                    raise
                time.sleep(max(2.0 ** (_TRIES - left) / 4, min(_LONGEST_PAUSE, _asked_to_wait(error))))
        raise AssertionError


def _number(value: float) -> float:
    """Infinity for whatever is no finite number, since NaN stands for what was not scored."""
    number = float(value)
    return number if np.isfinite(number) else np.inf


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, HTTPError) or error.code >= 500 or error.code == 429


def _asked_to_wait(error: Exception) -> float:
    """Seconds, where a server names them; a date, which is allowed too, is left to our own patience."""
    asked = (error.headers.get("Retry-After") or "").strip() if isinstance(error, HTTPError) else ""
    return float(asked) if asked.isdecimal() else 0.0


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation]
