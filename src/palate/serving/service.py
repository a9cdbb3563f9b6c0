"""What every protocol needs of the rest: checks that hold for all of them, then the engine."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from fastapi import Request

from palate.serving.engine import Engine
from palate.serving.faults import Fault, ServeError
from palate.serving.inputs import Conversation, Input, OnOverlong, Outcome, Rendered
from palate.serving.settings import Settings

State = Literal["checking", "ready", "failed", "draining"]
_LOG = logging.getLogger("palate.serving")


class Service:
    """One model behind any number of protocols.

    Args:
        engine: scores.
        settings: limits.

    Attributes:
        contract: of the model as it is now.
        revision: hash of the contract: equal for equal rewards.
        state: whether requests are taken, see `why`.
        why: what keeps it from being ready.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.contract = engine.model.describe()
        named = f"{asdict(self.contract)}{engine.model.compute_dtype}{engine.model.layout}"
        self.revision = f"sha256:{hashlib.sha256(named.encode()).hexdigest()[:16]}"
        self.created = int(time.time())
        self.state: State = "checking"
        self.why = "the boot check is running"

    def check_model(self, name: str | None) -> None:
        """Refuse requests that name another model.

        Raises:
            ServeError: `name` is neither None nor the served model's.
        """
        if name is not None and name != self.settings.name:
            message = f"there is no model of that name here; this server has {self.settings.name!r}"
            raise ServeError(Fault.UNKNOWN_MODEL, message, param="model")

    async def score(
        self,
        request: Request,
        inputs: Sequence[Input],
        *,
        on_overlong: OnOverlong = "error",
        deadline_ms: int | None = None,
    ) -> list[Outcome]:
        """One outcome an input, in order; none for none.

        Args:
            request: of the client, whose turn this takes.
            inputs: in any forms.
            on_overlong: see `OnOverlong`.
            deadline_ms: after which the client no longer waits, counted from now.

        Raises:
            ServeError: nothing of it is scored, see `Fault`.
        """
        self._check_ready()
        self._check_limits(inputs)
        self._check_templates(inputs)
        if self.settings.log_text:
            texts = [asdict(item) for item in inputs]
            _LOG.info("inputs", extra={"fields": {"request_id": request.state.request_id, "inputs": texts}})
        own = self.settings.answer_seconds
        seconds = own if deadline_ms is None else min(own, deadline_ms / 1000)
        try:
            outcomes = await self.engine.score(
                inputs, client=request.state.client, on_overlong=on_overlong, deadline=time.monotonic() + seconds
            )
        except ServeError as error:
            if error.fault is Fault.DEADLINE and seconds == own:
                raise ServeError(Fault.TIMEOUT, f"there was no answer within {own:g} s", retry_after=5) from error
            raise
        self.engine.metrics.outcomes(outcomes)
        request.state.log |= _facts(outcomes)
        return outcomes

    def _check_ready(self) -> None:
        if self.state == "ready":
            return
        fault = Fault.DRAINING if self.state == "draining" else Fault.NOT_READY
        raise ServeError(fault, f"this server is not ready: {self.why}", retry_after=5)

    def _check_limits(self, inputs: Sequence[Input]) -> None:
        most, longest = self.settings.max_items, self.settings.max_characters
        if len(inputs) > most:
            message = f"{len(inputs)} inputs in one request, more than the {most} allowed"
            raise ServeError(Fault.TOO_MANY_ITEMS, message, param="inputs")
        for at, item in enumerate(inputs):
            if _characters(item) > longest:
                message = f"input {at} has more than the {longest} characters allowed"
                raise ServeError(Fault.TEXT_TOO_LONG, message, param=f"inputs.{at}")

    def _check_templates(self, inputs: Sequence[Input]) -> None:
        """Text by another template has another reward, by about a standard deviation and without any sign of it."""
        own = self.contract.template_hash
        texts = [item for item in inputs if isinstance(item, Rendered)]
        for text in texts:
            if text.rendered_with is not None and text.rendered_with.removeprefix("sha256:") != own:
                message = (
                    f"rendered_with is not {own}, the template of this model: render with that one, or send messages"
                )
                raise ServeError(Fault.TEMPLATE_MISMATCH, message, param="rendered_with")
        self.engine.metrics.unverified(sum(text.rendered_with is None for text in texts))


def _characters(item: Input) -> int:
    if isinstance(item, Conversation):
        return sum(len(message.content) for message in item.messages)
    return len(item.text) if isinstance(item, Rendered) else len(item.ids)


def _facts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What the log says of a request's items."""
    return {
        "items": len(outcomes),
        "tokens": sum(outcome.tokens for outcome in outcomes),
        "truncated": sum(outcome.truncated for outcome in outcomes),
        "unscored": sum(outcome.score is None for outcome in outcomes),
    }
