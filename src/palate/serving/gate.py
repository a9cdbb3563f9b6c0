"""What holds for every request before any protocol sees it: identity, key, limits, and whether anybody still listens.

Plain ASGI around the whole application, so that no route can forget it. Health routes are let through at once: whoever
watches a server has no key, and has to get an answer from a server that is full.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palate.serving.answers import error_response, internal_error
from palate.serving.faults import Fault, ServeError
from palate.serving.keys import KeyRing
from palate.serving.metrics import Metrics
from palate.serving.settings import Settings

OPEN = ("/healthz", "/livez", "/readyz")
"""Routes that ask for no key."""

_ID = re.compile(r"[!-~]{1,128}")
_GONE = 499  # in log and metrics: the client left before its answer
_DISCARDED = 64 * 2**20  # bytes of a body that is refused which are still read: closing at once, many see no answer
_LOG = logging.getLogger("palate.serving")


class Gate:
    """ASGI middleware; see the module.

    Args:
        app: what is behind it.
        settings: keys and limits.
        metrics: told of every answer.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._keys = KeyRing(settings.keys)
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _Passage(scope, send, self._metrics).run(lambda send: self._enter(scope, receive, send))

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = self._keys.client_of(headers, scope["query_string"].decode("latin-1"))
        peer = key or (scope.get("client") or ("unknown",))[0]
        scope["state"]["client"] = f"{peer}/{headers.get('x-client-id', '')[:128]}"
        if self._requests >= self._settings.max_requests:
            message = f"{self._requests} requests are being answered, and no more may be; ask again later"
            raise ServeError(Fault.OVERLOADED, message, retry_after=1)
        self._requests += 1
        try:
            _check_type(scope, headers)
            body = await self._body(headers, receive)
            await _while_listening(lambda inner: self._app(scope, inner, send), body, receive)
        finally:
            self._requests -= 1

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            ServeError: it is too large, or takes too long to arrive.
        """
        limit = self._settings.max_body_bytes
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                more = True
                while more and size <= limit + _DISCARDED:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Left
                    part = message.get("body", b"")
                    size += len(part)
                    if size <= limit:
                        parts.append(part)
                    else:
                        parts.clear()
                    more = message.get("more_body", False)
        except TimeoutError as error:
            late = f"the body did not arrive within {self._settings.body_seconds:g} s"
            raise ServeError(Fault.SLOW_BODY, late) from error
        if size > limit:
            raise ServeError(Fault.BODY_TOO_LARGE, f"the body has more than the {limit} bytes allowed")
        return b"".join(parts)


class _Left(Exception):
    """The client closed the connection."""


class _Passage:
    """One request on its way: its id goes into every answer, its end into log and metrics."""

    def __init__(self, scope: Scope, send: Send, metrics: Metrics) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self._id = given if _ID.fullmatch(given) else uuid4().hex
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._status: int | None = None
        self._started = time.perf_counter()
        scope.setdefault("state", {}).update(request_id=self._id, log={})

    async def run(self, enter: Callable[[Send], Awaitable[None]]) -> None:
        """Answer, whatever happens."""
        try:
            await enter(self._mark)
        except ServeError as error:
            self._scope["state"]["log"]["error"] = error.fault.value
            await error_response(error)(self._scope, _nothing, self._mark)
        except _Left:
            self._scope["state"]["log"]["error"] = "disconnected"
        except Exception as error:
            fields = {"request_id": self._id, "path": self._scope["path"]}
            _LOG.error("request failed", exc_info=error, extra={"fields": fields})
            if self._status is None:
                await internal_error()(self._scope, _nothing, self._mark)
        finally:
            self._note()

    async def _mark(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = self._id
        await self._send(message)

    def _note(self) -> None:
        seconds = time.perf_counter() - self._started
        status = self._status or _GONE
        route = getattr(self._scope.get("route"), "path", "none")
        self._metrics.answered(route, status, seconds)
        fields: dict[str, Any] = {
            "request_id": self._id,
            "method": self._scope["method"],
            "path": self._scope["path"][:200],
            "status": status,
            "seconds": round(seconds, 4),
            "client": self._scope["state"].get("client"),
        }
        level = logging.DEBUG if route in OPEN else logging.INFO
        _LOG.log(level, "request", extra={"fields": fields | self._scope["state"]["log"]})


def _check_type(scope: Scope, headers: Headers) -> None:
    """JSON alone: a page in a browser cannot send it to another site unasked, so none can use a server on loopback."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["method"] == "POST" and kind != "application/json":
        raise ServeError(Fault.NOT_JSON, f"the body must be application/json, not {kind[:100] or 'without a type'}")


async def _while_listening(answer: Callable[[Receive], Awaitable[None]], body: bytes, receive: Receive) -> None:
    """Answer a request whose body is known.

    Raises:
        _Left: the client left before the answer; the work for it is cancelled.
    """
    gone = asyncio.ensure_future(_departure(receive))
    bodies = [body]

    async def replay() -> Message:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        await asyncio.shield(gone)
        return {"type": "http.disconnect"}

    work = asyncio.ensure_future(answer(replay))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise _Left
        await work
    finally:
        work.cancel()
        gone.cancel()


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
