"""Proof, before the first answer, that served rewards are those of the process.

Golden texts are scored twice: each alone, in a padded batch of one, by the model in this process; and through the
engine, as many at once as may wait, from several clients, as messages, as rendered text and as token ids by turns, so
that they meet in shared packs. Until the two agree, no request is taken, and `/readyz` says why.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from palate.data.render import render
from palate.errors import ModelError
from palate.golden import golden_texts, rewards_alone
from palate.model.quantize import Int8Linear
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup, TokenizedGroup
from palate.serving.engine import Engine
from palate.serving.inputs import Conversation, Input, Outcome, Rendered, TokenIds
from palate.serving.service import Service

_CLIENTS = 4
_EXACT, _ROUNDED = 1e-4, 0.05  # of the largest reward: in float32; where bf16 or int8 round by what a pack holds
_LOG = logging.getLogger("palate.serving")


@dataclass(frozen=True, slots=True)
class BootCheck:
    """What was found.

    Attributes:
        texts: compared.
        difference: the largest, in raw rewards; infinite where one side is no number.
        tolerance: allowed.
    """

    texts: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether served rewards can be believed."""
        return self.difference <= self.tolerance


def begin(service: Service) -> "asyncio.Task[None]":
    """Check beside the server's first requests, which are refused until it is done."""
    return asyncio.get_running_loop().create_task(_check(service))


async def _check(service: Service) -> None:
    try:
        result = await check(service.engine)
    except Exception as error:  # whatever keeps the model from scoring keeps the server from being ready
        if service.state != "checking":  # the server was told to stop meanwhile
            return
        _LOG.error("boot check failed", exc_info=error)
        service.state, service.why = "failed", f"the boot check failed: {type(error).__name__}: {error}"
        return
    if service.state != "checking":
        return
    found = f"{result.texts} texts, largest difference {result.difference:.2g}, allowed {result.tolerance:.2g}"
    if result.passed:
        service.state, service.why = "ready", f"served rewards are those of the process ({found})"
    else:
        service.state, service.why = "failed", f"served rewards differ from those of the process ({found})"
    level = logging.INFO if result.passed else logging.ERROR
    _LOG.log(level, "boot check", extra={"fields": {"state": service.state, "why": service.why}})


async def check(engine: Engine) -> BootCheck:
    """Compare; nothing else may be scored meanwhile.

    Raises:
        PalateError: the golden texts cannot be rendered or scored.
    """
    texts = golden_texts(engine.model)
    if not texts:
        raise ModelError(f"none of the golden texts fits into {engine.model.max_length} tokens: raise --max-length")
    rows = [tokens for _, tokens in texts]
    expected = await asyncio.to_thread(rewards_alone, engine.model, rows, engine.model.compute_dtype)
    inputs = [_form(engine.model, group, tokens, at) for at, (group, tokens) in enumerate(texts)]
    clients = min(_CLIENTS, engine.max_waiting)
    parts = [range(client, len(inputs), clients) for client in range(clients)]
    answers = await asyncio.gather(
        *(
            _ask(engine, [inputs[at] for at in part], f"boot {n}", engine.max_waiting // clients)
            for n, part in enumerate(parts)
        )
    )
    served = np.full(len(inputs), np.nan)
    for part, outcomes in zip(parts, answers, strict=True):
        for at, outcome in zip(part, outcomes, strict=True):
            served[at] = np.nan if outcome.score is None else outcome.score
    difference = np.abs(served - expected).max()
    size = max(1.0, float(np.abs(expected).max()))
    tolerance = size * (_EXACT if _is_exact(engine.model) else _ROUNDED)
    return BootCheck(len(inputs), float(difference) if np.isfinite(difference) else float("inf"), tolerance)


async def _ask(engine: Engine, inputs: Sequence[Input], client: str, most: int) -> list[Outcome]:
    """At most so many at a time: the clients together never ask for more than may wait."""
    outcomes: list[Outcome] = []
    for at in range(0, len(inputs), most):
        outcomes += await engine.score(inputs[at : at + most], client=client, on_overlong="truncate_left")
    return outcomes


def _is_exact(model: RewardModel) -> bool:
    rounded = any(isinstance(module, Int8Linear) for module in model.backbone.modules())
    weights = next(model.backbone.parameters()).dtype
    return not rounded and weights is model.compute_dtype is torch.float32


def _form(model: RewardModel, group: PreferenceGroup, tokens: TokenizedGroup, at: int) -> Input:
    """The three forms in turn; poolings that have to know the response only take messages, cut text only ids."""
    if tokens.truncated_tokens or model.pooling_name in ("mean-response", "attention") or at % 3 == 0:
        return Conversation(group.prompt + group.responses[0])
    if at % 3 == 1:
        return Rendered(render(model.tokenizer, group.prompt, group.responses[0]).text)
    return TokenIds(tuple(tokens.sequences[0].tolist()))
