"""Is it alive, may it be asked, and how is it doing: `/livez`, `/healthz`, `/readyz`, `/metrics`."""

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from palate.serving.answers import JsonResponse
from palate.serving.service import Service, State


class Health(BaseModel):
    """State of the server."""

    status: str
    state: State
    why: str
    waiting: int


def router(service: Service) -> APIRouter:
    """The four routes."""
    routes = APIRouter(tags=["health"])

    def health(well: bool) -> JsonResponse:
        known = Health(
            status="ok" if well else "unavailable",
            state=service.state,
            why=service.why,
            waiting=service.engine.waiting,
        )
        return JsonResponse(known.model_dump(), status_code=200 if well else 503)

    unavailable: dict[int | str, dict[str, Any]] = {503: {"model": Health}}

    @routes.get("/livez", summary="Is the process alive?", response_model=Health)
    async def live() -> Response:
        """200 as long as the process answers at all."""
        return health(True)

    @routes.get("/healthz", summary="Does the model's thread run?", response_model=Health, responses=unavailable)
    async def healthy() -> Response:
        """200, or 503 when the process has to be started anew."""
        return health(service.engine.alive)

    @routes.get("/readyz", summary="Are requests taken?", response_model=Health, responses=unavailable)
    async def ready() -> Response:
        """200, or 503 with the reason: the boot check runs or failed, or the server is about to stop."""
        return health(service.state == "ready")

    @routes.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Text in Prometheus' format."""
        return Response(service.engine.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
