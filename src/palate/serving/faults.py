"""What can go wrong while serving, each with the name that clients see and the HTTP status that carries it."""

from enum import StrEnum

from palate.errors import PalateError


class Fault(StrEnum):
    """Kinds of failure; the value is the `type` of the error in an answer."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    KEY_IN_URL = "key-in-url"
    NO_KEY = "no-key"
    WRONG_KEY = "wrong-key"
    UNKNOWN_ROUTE = "unknown-route"
    UNKNOWN_MODEL = "unknown-model"
    WRONG_METHOD = "wrong-method"
    SLOW_BODY = "slow-body"
    DEADLINE = "deadline"
    TEMPLATE_MISMATCH = "template-mismatch"
    BODY_TOO_LARGE = "body-too-large"
    TOO_MANY_ITEMS = "too-many-items"
    TEXT_TOO_LONG = "text-too-long"
    NOT_JSON = "not-json"
    OVER_LONG = "over-long"
    TEMPLATE_REFUSED = "template-refused"
    EMPTY = "empty"
    UNKNOWN_TOKEN = "unknown-token"
    NEEDS_MESSAGES = "needs-messages"
    NO_SCALE = "no-scale"
    OVERLOADED = "overloaded"
    NON_FINITE = "non-finite"
    INTERNAL = "internal"
    NOT_READY = "not-ready"
    DRAINING = "draining"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"

    @property
    def status(self) -> int:
        """The HTTP status of an answer that is this failure and nothing else."""
        return _STATUS[self]


_STATUS = {
    Fault.MALFORMED: 400,
    Fault.KEY_IN_URL: 400,
    Fault.NO_KEY: 401,
    Fault.WRONG_KEY: 401,
    Fault.UNKNOWN_ROUTE: 404,
    Fault.UNKNOWN_MODEL: 404,
    Fault.WRONG_METHOD: 405,
    Fault.SLOW_BODY: 408,
    Fault.DEADLINE: 408,
    Fault.TEMPLATE_MISMATCH: 409,
    Fault.BODY_TOO_LARGE: 413,
    Fault.TOO_MANY_ITEMS: 413,
    Fault.TEXT_TOO_LONG: 413,
    Fault.NOT_JSON: 415,
    Fault.INVALID: 422,
    Fault.OVER_LONG: 422,
    Fault.TEMPLATE_REFUSED: 422,
    Fault.EMPTY: 422,
    Fault.UNKNOWN_TOKEN: 422,
    Fault.NEEDS_MESSAGES: 422,
    Fault.NO_SCALE: 422,
    Fault.OVERLOADED: 429,
    Fault.NON_FINITE: 500,
    Fault.INTERNAL: 500,
    Fault.NOT_READY: 503,
    Fault.DRAINING: 503,
    Fault.TIMEOUT: 504,
    Fault.OUT_OF_MEMORY: 507,
}


class ServeError(PalateError):
    """A whole request is refused.

    Attributes:
        fault: the kind, which has the status.
        param: the field at fault, or None.
        retry_after: seconds after which asking again makes sense, or None.
    """

    def __init__(
        self, fault: Fault, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.param = param
        self.retry_after = retry_after
