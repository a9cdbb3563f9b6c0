"""palate's own protocol: `POST /v1/reward`, every form of input, many at once, everything about each score."""

from time import time
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel, Discriminator, Field, Tag

from palate.records import Message
from palate.serving.bodies import Strict, Text
from palate.serving.inputs import Conversation, Input, OnOverlong, Outcome, Rendered
from palate.serving.scale import Scale, ScaleName, scale_of
from palate.serving.service import Service


class Turn(Strict):
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text


class _Item(Strict):
    id: Text | None = Field(None, max_length=256, description="Comes back with the score.")


class WholeConversation(_Item):
    """A whole conversation; the last message is the response."""

    messages: Annotated[list[Turn], Field(min_length=1)]

    def read(self) -> Input:
        """As the engine takes it."""
        return Conversation(_turns(self.messages))


class PromptAndResponse(_Item):
    """A prompt (text of the user, or messages) and a response (text of the assistant, or messages)."""

    prompt: Text | list[Turn]
    response: Text | Annotated[list[Turn], Field(min_length=1)]

    def read(self) -> Input:
        """As the engine takes it."""
        return _joined(self.prompt, self.response)


class PromptAndCompletion(_Item):
    """The same under TRL's names."""

    prompt: Text | list[Turn]
    completion: Text | Annotated[list[Turn], Field(min_length=1)]

    def read(self) -> Input:
        """As the engine takes it."""
        return _joined(self.prompt, self.completion)


class RenderedText(_Item):
    """Text that the client rendered, and the hash of the template it used, which must be the model's own."""

    text: Text
    rendered_with: Text = Field(description="`template_hash` of `GET /v1/contract`.")

    def read(self) -> Input:
        """As the engine takes it."""
        return Rendered(self.text, self.rendered_with)


def _form(item: Any) -> str | None:
    """Which form an item has, so that what is wrong with it is said of that form alone."""
    names = item if isinstance(item, dict) else vars(item) if isinstance(item, BaseModel) else ()
    return next((name for name in ("messages", "response", "completion", "text") if name in names), None)


Item = Annotated[
    Annotated[WholeConversation, Tag("messages")]
    | Annotated[PromptAndResponse, Tag("response")]
    | Annotated[PromptAndCompletion, Tag("completion")]
    | Annotated[RenderedText, Tag("text")],
    Discriminator(
        _form,
        custom_error_type="form",
        custom_error_message="give messages, prompt and response, prompt and completion, or text and rendered_with",
    ),
]


class Options(Strict):
    """How to score."""

    scale: ScaleName = "raw"
    on_overlong: OnOverlong = "error"


class RewardRequest(Strict):
    """Inputs of any forms, and how to score them."""

    inputs: list[Item]
    options: Options = Options()
    model: Text | None = Field(None, description="Refused where it is not the served model's name.")
    deadline_ms: int | None = Field(None, gt=0, le=3_600_000, description="After which nobody waits any more.")


class ItemError(BaseModel):
    """Why an input has no score."""

    type: str
    message: str
    code: int


class Score(BaseModel):
    """What came of one input."""

    index: int
    id: str | None
    score: float | None
    tokens: int
    truncated: bool
    ends_with_eos: bool
    error: ItemError | None


class ScaleUsed(BaseModel):
    """(reward - center) / width, through a sigmoid for prob."""

    name: ScaleName
    center: float
    width: float


class Usage(BaseModel):
    """Tokens of the inputs, each counted whole."""

    prompt_tokens: int
    total_tokens: int


class RewardAnswer(BaseModel):
    """One score an input, in order."""

    id: str
    object: Literal["reward.list"] = "reward.list"
    created: int
    model: str
    revision: str
    scale: ScaleUsed
    data: list[Score]
    usage: Usage


def router(service: Service) -> APIRouter:
    """`POST /v1/reward`."""
    routes = APIRouter(tags=["rewards"])

    @routes.post("/v1/reward", summary="Rewards of any number of inputs")
    async def reward(body: RewardRequest, request: Request) -> RewardAnswer:
        """Scores in the order of the inputs.

        An input that cannot be scored has its error in its place, and the others have their scores: the answer is 200.
        """
        service.check_model(body.model)
        scale = scale_of(service.contract, body.options.scale)
        outcomes = await service.score(
            request,
            [item.read() for item in body.inputs],
            on_overlong=body.options.on_overlong,
            deadline_ms=body.deadline_ms,
        )
        tokens = sum(outcome.tokens for outcome in outcomes)
        return RewardAnswer(
            id=f"rwd-{uuid4().hex}",
            created=int(time()),
            model=service.settings.name,
            revision=service.revision,
            scale=ScaleUsed(name=scale.name, center=scale.center, width=scale.width),
            data=[_score(at, body.inputs[at].id, outcome, scale) for at, outcome in enumerate(outcomes)],
            usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
        )

    return routes


def _score(at: int, name: str | None, outcome: Outcome, scale: Scale) -> Score:
    failure = outcome.error
    error = None
    if failure is not None:
        error = ItemError(type=failure.fault.value, message=failure.message, code=failure.fault.status)
    return Score(
        index=at,
        id=name,
        score=None if outcome.score is None else scale.apply(outcome.score),
        tokens=outcome.tokens,
        truncated=outcome.truncated,
        ends_with_eos=outcome.ends_with_eos,
        error=error,
    )


def _joined(prompt: Text | list[Turn], response: str | list[Turn]) -> Conversation:
    asked = (Message("user", prompt),) if isinstance(prompt, str) else _turns(prompt)
    answered = (Message("assistant", response),) if isinstance(response, str) else _turns(response)
    return Conversation(asked + answered, len(answered))


def _turns(turns: list[Turn]) -> tuple[Message, ...]:
    return tuple(Message(turn.role, turn.content) for turn in turns)
