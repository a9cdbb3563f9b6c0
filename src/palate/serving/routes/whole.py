"""What the protocols of other engines have in common: one number an input, or the whole request is refused.

They have no place for the error of a single input, and a made-up number would be a wrong reward. Rewards are raw unless
a request asks for something else: a sigmoid that nobody asked for is the commonest fault of reward servers.
"""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from fastapi import Request
from pydantic import Field

from palate.serving.bodies import Text
from palate.serving.faults import ServeError
from palate.serving.inputs import Input, OnOverlong, Outcome, Rendered, TokenIds
from palate.serving.rendering import Edges
from palate.serving.service import Service

Ids: TypeAlias = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
Texts: TypeAlias = Text | Ids | list[Text] | list[Ids]
"""One text, the ids of one, or several of either."""


async def scored(
    service: Service, request: Request, inputs: Sequence[Input], *, on_overlong: OnOverlong = "error"
) -> list[Outcome]:
    """Outcomes that all have a score.

    Raises:
        ServeError: an input has none; the message says which.
    """
    outcomes = await service.score(request, inputs, on_overlong=on_overlong)
    for at, outcome in enumerate(outcomes):
        if outcome.error is not None:
            raise ServeError(outcome.error.fault, f"input {at}: {outcome.error.message}", param=str(at))
    return outcomes


def rewards(outcomes: Sequence[Outcome]) -> list[float]:
    """The raw rewards of outcomes that all have one."""
    return [outcome.score for outcome in outcomes if outcome.score is not None]


def inputs_of(texts: Texts, edges: Edges, *, exact: bool = False) -> list[Input]:
    """Texts or ids as the engine takes them.

    Args:
        texts: see `Texts`.
        edges: of the model's template; texts are mended by them.
        exact: the client said that the text is complete: it is taken as it is.
    """
    if isinstance(texts, str):
        return [Rendered(texts) if exact else edges.mend(texts)]
    if texts and isinstance(texts[0], int):
        return [TokenIds(tuple(one for one in texts if isinstance(one, int)))]
    found: list[Input] = []
    for one in texts:
        if isinstance(one, str):
            found.append(Rendered(one) if exact else edges.mend(one))
        elif isinstance(one, list):
            found.append(TokenIds(tuple(one)))
    return found


def is_single(texts: Texts) -> bool:
    """Whether the client sent one text, not a list of texts."""
    return isinstance(texts, str) or bool(texts and isinstance(texts[0], int))
