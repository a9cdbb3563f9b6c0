"""Protocols of two trainers that send samples: slime's, and LLaMA-Factory's `POST /v1/score/evaluation`.

slime posts one sample to whatever address it was given, here `/rm`, and takes the whole answer for the reward. Its
prompt is a list of messages, or text that the policy's template has rendered.
"""

from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from palate.records import Message
from palate.serving.bodies import Strict, Text
from palate.serving.faults import Fault, ServeError
from palate.serving.inputs import Conversation, Input
from palate.serving.rendering import edges_of
from palate.serving.routes.classify import ChatTurn
from palate.serving.routes.whole import rewards, scored
from palate.serving.service import Service


class Sample(Strict):
    """Prompt and response; the label is not needed."""

    prompt: Text | Annotated[list[ChatTurn], Field(min_length=1)]
    response: Text
    label: object = None


class ScoreBody(Strict):
    """Whole rendered texts."""

    model: Text | None = None
    messages: list[Text]
    max_length: int | None = Field(None, ge=1)


class ScoreAnswer(BaseModel):
    """Raw rewards."""

    id: str
    object: Literal["score.evaluation"] = "score.evaluation"
    model: str
    scores: list[float]


def router(service: Service) -> APIRouter:
    """Both routes."""
    routes = APIRouter(tags=["slime", "LLaMA-Factory"])
    tokenizer = service.engine.model.tokenizer
    edges = edges_of(tokenizer)

    def read(sample: Sample) -> Input:
        if not isinstance(sample.prompt, str):
            turns = tuple(Message(turn.role, turn.content) for turn in sample.prompt)
            return Conversation((*turns, Message("assistant", sample.response)))
        if any(token in sample.prompt for token in tokenizer.all_special_tokens):
            return edges.mend(sample.prompt + sample.response)
        return Conversation((Message("user", sample.prompt), Message("assistant", sample.response)))

    @routes.post("/rm", summary="slime: the reward of one sample")
    async def sample(body: Sample, request: Request) -> float:
        """The answer is the raw reward and nothing else."""
        (reward,) = rewards(await scored(service, request, [read(body)]))
        return reward

    @routes.post("/v1/score/evaluation", summary="LLaMA-Factory: rewards of texts")
    async def score(body: ScoreBody, request: Request) -> ScoreAnswer:
        """Texts of more tokens than `max_length` are refused; the trainer would have them cut at the end."""
        outcomes = await scored(service, request, [edges.mend(text) for text in body.messages])
        limit = body.max_length
        longest = max((outcome.tokens for outcome in outcomes), default=0)
        if limit is not None and longest > limit:
            message = f"a text has {longest} tokens, more than the max_length of {limit} asked for"
            raise ServeError(Fault.OVER_LONG, message, param="messages")
        return ScoreAnswer(id=f"scoreval-{uuid4().hex}", model=service.settings.name, scores=rewards(outcomes))

    return routes
