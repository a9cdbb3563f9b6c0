"""Protocols that give vectors, here of one number: vLLM's `POST /pooling`, and `POST /v1/embeddings`.

verl calls the second of SGLang and reads the last number of `embedding`.
"""

import base64
import struct
from time import time
from typing import Literal
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel

from palate.serving.bodies import Strict, Text
from palate.serving.rendering import edges_of
from palate.serving.routes.classify import Usage, VllmTexts, usage_of
from palate.serving.routes.whole import Texts, inputs_of, rewards, scored
from palate.serving.service import Service

Encoding = Literal["float", "base64"]


class PoolingBody(VllmTexts):
    """Rendered texts or ids, as for /classify."""

    task: Literal["classify"] | None = None
    encoding_format: Encoding = "float"


class EmbeddingsBody(Strict):
    """Rendered texts or ids."""

    model: Text | None = None
    input: Texts
    encoding_format: Encoding = "float"
    user: Text | None = None


class Pooled(BaseModel):
    """The reward of one text."""

    index: int
    object: Literal["pooling"] = "pooling"
    data: list[float] | str


class Embedding(BaseModel):
    """The reward of one text."""

    index: int
    object: Literal["embedding"] = "embedding"
    embedding: list[float] | str


class PoolingAnswer(BaseModel):
    """vLLM's."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Pooled]
    usage: Usage


class EmbeddingsAnswer(BaseModel):
    """OpenAI's."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: Usage


def router(service: Service) -> APIRouter:
    """Both routes."""
    routes = APIRouter(tags=["vLLM", "SGLang"])
    edges, limit = edges_of(service.engine.model.tokenizer), service.engine.model.max_length

    @routes.post("/pooling", summary="vLLM: rewards as vectors of one number")
    async def pooling(body: PoolingBody, request: Request) -> PoolingAnswer:
        """Raw unless `use_activation` is true."""
        service.check_model(body.model)
        outcomes = await scored(service, request, body.read(edges), on_overlong=body.on_overlong(limit))
        scale = body.scale()
        values = [_vector(scale.apply(one), body.encoding_format) for one in rewards(outcomes)]
        return PoolingAnswer(
            id=f"pool-{uuid4().hex}",
            created=int(time()),
            model=service.settings.name,
            data=[Pooled(index=at, data=value) for at, value in enumerate(values)],
            usage=usage_of(outcomes),
        )

    @routes.post("/v1/embeddings", summary="SGLang, verl: rewards as embeddings of one number")
    async def embeddings(body: EmbeddingsBody, request: Request) -> EmbeddingsAnswer:
        """Raw."""
        service.check_model(body.model)
        outcomes = await scored(service, request, inputs_of(body.input, edges))
        values = [_vector(one, body.encoding_format) for one in rewards(outcomes)]
        return EmbeddingsAnswer(
            model=service.settings.name,
            data=[Embedding(index=at, embedding=value) for at, value in enumerate(values)],
            usage=usage_of(outcomes),
        )

    return routes


def _vector(value: float, encoding: Encoding) -> list[float] | str:
    """As numbers, or as float32 in base64, which some clients ask for by default."""
    return [value] if encoding == "float" else base64.b64encode(struct.pack("<f", value)).decode()
