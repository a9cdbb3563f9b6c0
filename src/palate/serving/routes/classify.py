"""`POST /classify`, which vLLM and SGLang both have, with different bodies: told apart by their fields.

vLLM: `input` or `messages`, an answer with `data[i].probs`. Here `use_activation` is false unless it is asked for; vLLM
itself puts a sigmoid on a reward model that does not say `problem_type: regression`. SGLang: `text` or `input_ids`, an
answer with `embedding`, one object for one text. verl calls the first.
"""

from time import time
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel, Discriminator, Field, Tag

from palate.records import Message
from palate.serving.bodies import Strict, Text
from palate.serving.faults import Fault, ServeError
from palate.serving.inputs import Conversation, Input, OnOverlong, Outcome
from palate.serving.rendering import Edges, edges_of
from palate.serving.routes.whole import Ids, Texts, inputs_of, is_single, rewards, scored
from palate.serving.scale import Scale
from palate.serving.service import Service

_RAW, _SIGMOID = Scale("raw"), Scale("prob")


class ChatTurn(Strict):
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text


class _VllmBody(Strict):
    model: Text | None = None
    use_activation: bool | None = None
    activation: bool | None = Field(None, description="What older clients call use_activation.")
    truncate_prompt_tokens: int | None = Field(None, description="-1 cuts from the left what is too long.")
    truncation_side: Literal["left"] | None = None
    priority: int = 0
    request_id: Text | None = None
    user: Text | None = None
    cache_salt: Text | None = None

    def scale(self) -> Scale:
        """A sigmoid where it is asked for."""
        return _SIGMOID if (self.activation if self.use_activation is None else self.use_activation) else _RAW

    def on_overlong(self, limit: int) -> OnOverlong:
        """What `truncate_prompt_tokens` asks for.

        Raises:
            ServeError: it asks for another length than the model's.
        """
        if self.truncate_prompt_tokens is None:
            return "error"
        if self.truncate_prompt_tokens not in (-1, limit):
            message = (
                f"truncate_prompt_tokens is {self.truncate_prompt_tokens}; this model cuts to -1, which is {limit}"
            )
            raise ServeError(Fault.INVALID, message, param="truncate_prompt_tokens")
        return "truncate_left"


class VllmTexts(_VllmBody):
    """Rendered texts, or ids."""

    input: Texts
    add_special_tokens: bool = Field(True, description="True puts one BOS in front, where training had one.")

    def read(self, edges: Edges) -> list[Input]:
        """As the engine takes it."""
        return inputs_of(self.input, edges, exact=not self.add_special_tokens)


class VllmChat(_VllmBody):
    """One conversation; the last message is the response."""

    messages: Annotated[list[ChatTurn], Field(min_length=1)]
    add_generation_prompt: Literal[False] = False
    continue_final_message: Literal[False] = False
    add_special_tokens: Literal[False] = False
    chat_template: None = None
    chat_template_kwargs: dict[str, Any] | None = Field(None, max_length=0)

    def read(self, _edges: Edges) -> list[Input]:
        """As the engine takes it."""
        return [Conversation(tuple(Message(turn.role, turn.content) for turn in self.messages))]


class SglangTexts(Strict):
    """Rendered texts."""

    text: Text | list[Text]
    rid: Text | list[Text] | None = None
    model: Text | None = None


class SglangIds(Strict):
    """Token ids."""

    input_ids: Ids | list[Ids]
    rid: Text | list[Text] | None = None
    model: Text | None = None


def _form(body: Any) -> str | None:
    names = body if isinstance(body, dict) else vars(body) if isinstance(body, BaseModel) else ()
    return next((name for name in ("input", "messages", "text", "input_ids") if name in names), None)


Body = Annotated[
    Annotated[VllmTexts, Tag("input")]
    | Annotated[VllmChat, Tag("messages")]
    | Annotated[SglangTexts, Tag("text")]
    | Annotated[SglangIds, Tag("input_ids")],
    Discriminator(
        _form,
        custom_error_type="form",
        custom_error_message="give input or messages, as for vLLM, or text or input_ids, as for SGLang",
    ),
]


class Class(BaseModel):
    """vLLM's answer to one text: the raw reward in a field called probs, as there."""

    index: int
    label: str = "LABEL_0"
    probs: list[float]
    num_classes: int = 1


class Usage(BaseModel):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: None = None


class Classes(BaseModel):
    """vLLM's answer."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Class]
    usage: Usage


class Meta(BaseModel):
    """What SGLang says of a text besides."""

    id: str
    prompt_tokens: int


class Embedded(BaseModel):
    """SGLang's answer to one text: the raw reward in a field called embedding, as there."""

    embedding: list[float]
    meta_info: Meta


def router(service: Service) -> APIRouter:
    """`POST /classify`."""
    routes = APIRouter(tags=["vLLM", "SGLang"])
    edges, limit = edges_of(service.engine.model.tokenizer), service.engine.model.max_length

    @routes.post("/classify", summary="vLLM and SGLang: rewards of texts, ids or a conversation")
    async def classify(body: Body, request: Request) -> Classes | Embedded | list[Embedded]:
        """The answer has the form of the engine whose body it was."""
        if isinstance(body, VllmTexts | VllmChat):
            service.check_model(body.model)
            outcomes = await scored(service, request, body.read(edges), on_overlong=body.on_overlong(limit))
            scale = body.scale()
            data = [Class(index=at, probs=[scale.apply(one)]) for at, one in enumerate(rewards(outcomes))]
            return Classes(
                id=f"classify-{uuid4().hex}",
                created=int(time()),
                model=service.settings.name,
                data=data,
                usage=usage_of(outcomes),
            )
        service.check_model(body.model)
        texts: Texts = body.text if isinstance(body, SglangTexts) else body.input_ids
        outcomes = await scored(service, request, inputs_of(texts, edges))
        answers = [
            Embedded(embedding=[reward], meta_info=Meta(id=uuid4().hex, prompt_tokens=outcome.tokens))
            for reward, outcome in zip(rewards(outcomes), outcomes, strict=True)
        ]
        return answers[0] if is_single(texts) else answers

    return routes


def usage_of(outcomes: list[Outcome]) -> Usage:
    """Each input counted whole."""
    tokens = sum(outcome.tokens for outcome in outcomes)
    return Usage(prompt_tokens=tokens, total_tokens=tokens)
