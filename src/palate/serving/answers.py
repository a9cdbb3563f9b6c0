"""JSON answers: safe for any content, and one shape for every error."""

import json
import math
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from palate.serving.faults import Fault, ServeError


class JsonResponse(Response):
    """ASCII, so that half a surrogate pair in an echoed name is no crash; never NaN, which is no JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


class ErrorBody(BaseModel):
    """What went wrong."""

    type: str
    message: str
    param: str | None = None
    code: int


class ErrorAnswer(BaseModel):
    """The body of every answer that is not 200."""

    error: ErrorBody


def error_response(error: ServeError) -> JsonResponse:
    """A refusal as an answer."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if error.fault.status == 401:
        headers["www-authenticate"] = "Bearer"
    body = ErrorBody(type=error.fault.value, message=str(error), param=error.param, code=error.fault.status)
    return JsonResponse(ErrorAnswer(error=body).model_dump(), status_code=error.fault.status, headers=headers)


def internal_error() -> JsonResponse:
    """The answer to a fault of the server's own; its log has the rest."""
    return error_response(ServeError(Fault.INTERNAL, "the server failed; its log says why under this request's id"))
