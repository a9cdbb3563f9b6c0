"""`palate parity`: ask, compare, and say what is wrong."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import httpx2
import numpy as np
from numpy.typing import NDArray

from palate.atomic import write_text
from palate.config import ParityConfig
from palate.config.export import ProtocolName
from palate.config.keys import first_key
from palate.errors import ModelError
from palate.golden import rewards_alone
from palate.model.contract import template_hash
from palate.model.loading import load_reward_model
from palate.model.reward_model import RewardModel
from palate.parity_check.asking import Served, ask, find_protocol, template_of
from palate.parity_check.diagnosis import Case, Finding, diagnose, sample_of
from palate.parity_check.figures import Figures, compare
from palate.parity_check.noise import exact_tolerance, measure_noise
from palate.parity_check.protocols import PROTOCOLS, Protocol
from palate.parity_check.texts import Text, texts_for

Floats = NDArray[np.float64]
Say = Callable[[str], object]
Verdict = Literal["parity", "half-precision", "differs"]

_TIMEOUT = 300.0
_ALONE = 8  # texts asked for a second time, each in a request of its own


@dataclass(frozen=True, slots=True)
class Parity:
    """What was found.

    Attributes:
        url: of the server.
        protocol: by which it was asked.
        verdict: `half-precision` is parity as far as bf16 goes on this model.
        figures: the comparison.
        findings: what is wrong, in the order in which to mend it.
        longest: tokens of the longest text.
    """

    url: str
    protocol: ProtocolName
    verdict: Verdict
    figures: Figures
    findings: tuple[Finding, ...]
    longest: int

    @property
    def agrees(self) -> bool:
        """Whether the server can be used for this model."""
        return self.verdict != "differs"


def parity(config: ParityConfig, *, say: Say = lambda _line: None) -> Parity:
    """Compare a server with a model, and write the figures where `config.json` says.

    Raises:
        ConfigError: the key's file cannot be used.
        ModelError: the model or the server cannot give rewards at all.
    """
    headers = {"Authorization": f"Bearer {first_key(config.api_key_file)}"} if config.api_key_file else {}
    model = load_reward_model(config.model)
    for remark in model.remarks:
        say(f"warning: {remark}")

    async def run() -> Parity:
        async with httpx2.AsyncClient(base_url=config.url.rstrip("/"), headers=headers, timeout=_TIMEOUT) as client:
            return await check_parity(model, client, protocol=config.protocol, longest=config.longest, say=say)

    found = asyncio.run(run())
    if config.json is not None:
        write_text(Path(config.json), json.dumps(asdict(found), indent=2) + "\n")
    return found


async def check_parity(
    model: RewardModel,
    client: httpx2.AsyncClient,
    *,
    protocol: Literal["auto"] | ProtocolName = "auto",
    longest: int = 2048,
    say: Say = lambda _line: None,
) -> Parity:
    """The same for a model and a client that are there already.

    Raises:
        ModelError: no rewards on either side, or on ours nothing that could be compared.
    """
    texts = texts_for(model, longest)
    spoken = await find_protocol(client, texts[0]) if protocol == "auto" else PROTOCOLS[protocol]
    say(f"{len(texts)} texts of {_lengths(texts)} tokens by protocol {spoken.name}, against float32 in this process")
    ours_N = rewards_alone(model, [text.tokens for text in texts])
    _check_ours(ours_N)
    served = await ask(client, spoken, texts)
    verdict, findings = await _judge(model, client, spoken, texts, ours_N, served)
    longest_sent = max(len(text.ids) for text in texts)
    return Parity(str(client.base_url), spoken.name, verdict, compare(ours_N, served.reward_N), findings, longest_sent)


async def _judge(
    model: RewardModel, client: httpx2.AsyncClient, spoken: Protocol, texts: list[Text], ours_N: Floats, served: Served
) -> tuple[Verdict, tuple[Finding, ...]]:
    findings = [_unscored(served)] if not np.isfinite(served.reward_N).all() else []
    there = np.flatnonzero(np.isfinite(served.reward_N))
    if np.abs(served.reward_N - ours_N)[there].max() <= exact_tolerance(ours_N):
        return ("differs" if findings else "parity"), tuple(findings)
    if spoken.name == "palate" and (found := await _other_contract(model, client)):
        return "differs", (*findings, found)
    kept = [texts[at] for at in there]
    noise = measure_noise(model, kept, ours_N[there], sample_of(kept))
    alone = await _alone(client, spoken, kept, ours_N[there], served.reward_N[there])
    case = Case(model, kept, ours_N[there], served.reward_N[there], alone, noise)
    found_here = diagnose(case)
    if not found_here:
        return ("differs" if findings else "half-precision"), tuple(findings)
    if spoken.careful and await _careful_agrees(client, spoken, kept, case):
        asked = ", ".join(f"{name}: {json.dumps(value)}" for name, value in spoken.careful.items())
        found_here.append(Finding("request", f"asked with {asked}, the server agrees", "let the client send these"))
    return "differs", (*findings, *found_here)


async def _alone(
    client: httpx2.AsyncClient, spoken: Protocol, texts: list[Text], ours_N: Floats, served_N: Floats
) -> Floats:
    """The texts that differ most, each in a request of its own; where requests hold one anyway, nothing is learned."""
    alone_N = np.full(len(texts), np.nan)
    if spoken.batch > 1:
        worst = np.argsort(-np.abs(served_N - ours_N), kind="stable")[:_ALONE]
        alone_N[worst] = (await ask(client, spoken, [texts[at] for at in worst], batch=1)).reward_N
    return alone_N


async def _careful_agrees(client: httpx2.AsyncClient, spoken: Protocol, texts: list[Text], case: Case) -> bool:
    try:
        again = await ask(client, spoken, texts, extra=spoken.careful)
    except ModelError:  # the server does not know these fields
        return False
    apart = again.reward_N - case.ours_N
    return bool(np.isfinite(apart).all() and case.noise.is_half(apart))


async def _other_contract(model: RewardModel, client: httpx2.AsyncClient) -> Finding | None:
    """A palate server says which template it renders with."""
    own, theirs = template_hash(model.tokenizer), await template_of(client)
    if theirs is None or theirs == own:
        return None
    message = f"the server renders with template {theirs}, and this model's is {own}"
    return Finding("other-template", message, "serve this directory, or compare with the one that is served")


def _unscored(served: Served) -> Finding:
    count = int((~np.isfinite(served.reward_N)).sum())
    why = f": {'; '.join(served.refusals)}" if served.refusals else ""
    remedy = "give the server the model's whole length, or send what it takes"
    return Finding("unscored", f"{count} texts get no reward{why}", remedy)


def _check_ours(ours_N: Floats) -> None:
    if not np.isfinite(ours_N).all():
        raise ModelError(f"the model itself gives {int((~np.isfinite(ours_N)).sum())} rewards that are no numbers")
    if not np.ptp(ours_N):
        raise ModelError(f"the model itself gives every text {ours_N[0]:.6g}: train it before it is compared")


def _lengths(texts: list[Text]) -> str:
    lengths = [len(text.ids) for text in texts]
    return f"{min(lengths)} to {max(lengths)}"
