"""What is served: `GET /v1/contract` and `GET /v1/models`."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from palate.serving.answers import JsonResponse
from palate.serving.service import Service


class Limits(BaseModel):
    """Of a request and of the server."""

    max_length: int
    max_items: int
    max_characters: int
    max_body_bytes: int
    max_waiting: int


class ContractAnswer(BaseModel):
    """What a reward of this server means: the checkpoint's own contract, and how it runs here."""

    model: str
    revision: str
    rendered_with: str
    dtype: str
    layout: str
    limits: Limits
    contract: dict[str, Any]


class ModelCard(BaseModel):
    """As OpenAI's list of models has it."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "palate"
    max_model_len: int


class ModelList(BaseModel):
    """The one model."""

    object: str = "list"
    data: list[ModelCard]


def router(service: Service) -> APIRouter:
    """Both routes."""
    routes = APIRouter(tags=["model"])
    model, settings = service.engine.model, service.settings

    @routes.get("/v1/contract", summary="Template, tokenizer, head, limits", response_model=ContractAnswer)
    async def contract() -> Response:
        """All that has to be equal for a reward to mean the same elsewhere."""
        known = ContractAnswer(
            model=settings.name,
            revision=service.revision,
            rendered_with=service.contract.template_hash,
            dtype=str(model.compute_dtype).removeprefix("torch."),
            layout=model.layout,
            limits=Limits(
                max_length=model.max_length,
                max_items=settings.max_items,
                max_characters=settings.max_characters,
                max_body_bytes=settings.max_body_bytes,
                max_waiting=service.engine.max_waiting,
            ),
            contract=asdict(service.contract),
        )
        return JsonResponse(known.model_dump())

    @routes.get("/v1/models", summary="The served model")
    async def models() -> ModelList:
        """A list of one."""
        card = ModelCard(id=settings.name, created=service.created, max_model_len=model.max_length)
        return ModelList(data=[card])

    return routes
