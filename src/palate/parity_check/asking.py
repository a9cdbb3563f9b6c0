"""Requests to the server in question, and what it refused.

One after the other: this is no test of load, and a server that mixes up its answers does so within one request too.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

from palate.client.retries import PASSING, Retries
from palate.errors import ModelError
from palate.parity_check.protocols import AUTO, PROTOCOLS, Protocol
from palate.parity_check.texts import Text

Floats = NDArray[np.float64]

_RETRIES = Retries(tries=4)
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Served:
    """What the server gave.

    Attributes:
        reward_N: NaN where it gave none.
        refusals: its words, once each, for texts that it refused.
    """

    reward_N: Floats
    refusals: tuple[str, ...] = ()


class Refused(Exception):
    """The server does not answer a request with rewards.

    Attributes:
        status: HTTP status; None where the answer was 200 and held no rewards.
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


async def find_protocol(client: httpx2.AsyncClient, text: Text) -> Protocol:
    """The first protocol by which the server gives a reward.

    Raises:
        ModelError: none does, nothing answers, or it wants a key.
    """
    said: list[str] = []
    for name in AUTO:
        protocol = PROTOCOLS[name]
        try:
            await _request(client, protocol, await served_name(client), [text], {})
        except Refused as error:
            if error.status in (401, 403):
                raise ModelError(f"{client.base_url} refuses the key: give --api-key-file ({error})") from error
            said.append(f"{name}: {error}")
            continue
        return protocol
    raise ModelError(f"{client.base_url} gives no reward by any protocol: {'; '.join(said)}")


async def served_name(client: httpx2.AsyncClient) -> str | None:
    """What the server calls its model, which vLLM wants to hear; None where it has no list of models."""
    try:
        answer = await client.get("/v1/models")
        return str(answer.json()["data"][0]["id"]) if answer.status_code == 200 else None
    except (httpx2.TransportError, ValueError, LookupError, TypeError):
        return None


async def template_of(client: httpx2.AsyncClient) -> str | None:
    """Hash of the template that a palate server renders with."""
    try:
        answer = await client.get("/v1/contract")
        return str(answer.json()["rendered_with"]) if answer.status_code == 200 else None
    except (httpx2.TransportError, ValueError, LookupError, TypeError):
        return None


async def ask(
    client: httpx2.AsyncClient,
    protocol: Protocol,
    texts: Sequence[Text],
    *,
    batch: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Served:
    """Rewards of texts.

    Args:
        client: with address, key and time limit.
        protocol: how to ask.
        texts: in any number.
        batch: texts of a request, where not as many as the protocol says.
        extra: further fields of the body.

    Raises:
        ModelError: the server cannot be reached, or refuses everything.
    """
    model, size = await served_name(client), batch or protocol.batch
    rewards: list[float | None] = []
    refusals: list[str] = []
    for at in range(0, len(texts), size):
        part = texts[at : at + size]
        try:
            rewards += await _request(client, protocol, model, part, extra or {})
        except Refused as error:
            # One text that is too long takes its whole request with it.
            for text in part:
                try:
                    rewards += await _request(client, protocol, model, [text], extra or {})
                except Refused as again:
                    rewards.append(None)
                    refusals.append(str(again))
            if len(refusals) == at + len(part):
                raise ModelError(f"{client.base_url} refuses all texts by protocol {protocol.name}: {error}") from error
    reward_N = np.array([np.nan if reward is None else reward for reward in rewards], np.float64)
    return Served(reward_N, tuple(dict.fromkeys(refusals)))


async def _request(
    client: httpx2.AsyncClient, protocol: Protocol, model: str | None, texts: Sequence[Text], extra: Mapping[str, Any]
) -> list[float | None]:
    """Rewards of one request; asked again while the fault may pass."""
    body = {**protocol.body(texts), **({"model": model} if model and protocol.named else {}), **extra}
    rng = random.Random()
    for failed in range(1, _RETRIES.tries + 1):
        try:
            answer = await client.post(protocol.path, json=body)
        except httpx2.TransportError as error:
            raise ModelError(f"nothing answers at {client.base_url}: {error or type(error).__name__}") from error
        if answer.status_code not in PASSING or failed == _RETRIES.tries:
            break
        await asyncio.sleep(_RETRIES.pause(failed, answer.headers.get("retry-after"), rng))
    if answer.status_code != 200:
        raise Refused(f"{protocol.path} answers {answer.status_code}: {_short(answer.text)}", answer.status_code)
    try:
        rewards = protocol.read(answer.json())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Refused(f"{protocol.path} answers without rewards: {_short(answer.text)}", None) from error
    if len(rewards) != len(texts):
        raise Refused(f"{protocol.path} gives {len(rewards)} rewards for {len(texts)} texts", None)
    return rewards


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN] or "nothing"
