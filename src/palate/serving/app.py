"""The application: every protocol's routes behind one gate, in front of one engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from palate import __version__
from palate.errors import ModelError
from palate.serving import boot
from palate.serving.answers import ErrorAnswer, JsonResponse, error_response, internal_error
from palate.serving.engine import Engine
from palate.serving.faults import Fault, ServeError
from palate.serving.gate import OPEN, Gate
from palate.serving.routes import about, classify, health, openrlhf, page, predict, reward, samples, vectors
from palate.serving.service import Service
from palate.serving.settings import Settings

_PROTOCOLS = tuple(
    module.router for module in (reward, about, health, page, openrlhf, classify, vectors, predict, samples)
)
_REFUSALS = (400, 401, 404, 405, 408, 409, 413, 415, 422, 429, 503, 504)


def create_app(engine: Engine, settings: Settings) -> FastAPI:
    """The application around an engine that has not been started.

    Its lifespan starts the engine, runs the boot check beside the server, and stops the engine. The service is in
    `app.state.service`.

    Args:
        engine: with the model.
        settings: limits, names, keys.
    """
    service = Service(engine, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        check = boot.begin(service)
        try:
            if settings.check_first:
                await check
                if service.state == "failed":
                    raise ModelError(service.why)
            yield
        finally:
            check.cancel()
            engine.stop()

    app = FastAPI(
        title="palate",
        version=__version__,
        summary="Rewards of prompts and responses, as they were in training.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own page loads scripts from elsewhere; `routes.page` is ours
        redoc_url=None,
        responses={code: {"model": ErrorAnswer, "description": _described(code)} for code in _REFUSALS},
    )
    app.state.service = service
    for protocol in _PROTOCOLS:
        app.include_router(protocol(service))
    app.add_exception_handler(ServeError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(Gate, settings=settings, metrics=engine.metrics)
    if settings.keys:
        _describe_key(app)
    return app


def _described(code: int) -> str:
    return ", ".join(fault.value for fault in Fault if fault.status == code)


def _describe_key(app: FastAPI) -> None:
    """Say in the OpenAPI document that every route but those on health asks for a key."""
    schema = app.openapi()
    schema.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            operation["security"] = [] if path in OPEN else [{"key": []}]


async def _refused(_request: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, ServeError)
    _request.state.log["error"] = error.fault.value
    return error_response(error)


async def _invalid(request: Request, error: Exception) -> JsonResponse:
    """What is wrong and where, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return await _refused(request, ServeError(Fault.MALFORMED, f"the body is no JSON: {first['ctx']['error']}"))
    param = ".".join(str(part) for part in first["loc"][1:])[:200]
    more = len(error.errors()) - 1
    message = f"{param or 'body'}: {first['msg']}" + (f" (and {more} more)" if more else "")
    return await _refused(request, ServeError(Fault.INVALID, message, param=param or None))


async def _no_route(request: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _refused(request, ServeError(Fault.UNKNOWN_ROUTE, "there is no such route; /openapi.json has all"))
    if error.status_code == 405:
        answer = await _refused(request, ServeError(Fault.WRONG_METHOD, "this route has another method"))
        answer.headers.update(error.headers or {})
        return answer
    return await _refused(request, ServeError(Fault.MALFORMED, "the body cannot be read: is it nested very deeply?"))


async def _failed(_request: Request, _error: Exception) -> JsonResponse:
    return internal_error()
