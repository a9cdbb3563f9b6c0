"""What a server allows and who may use it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits and names of one server; the engine has its own.

    Attributes:
        name: what the model is called.
        keys: any of them opens every route; none leaves all routes open.
        max_items: inputs of a request.
        max_characters: of one input.
        max_body_bytes: of a request.
        max_requests: at once.
        body_seconds: for a request's body to arrive.
        answer_seconds: for an answer, whatever deadline the request itself names.
        log_text: whether texts are logged.
        check_first: whether the boot check has to pass before the server listens at all.
    """

    name: str = "reward-model"
    keys: tuple[str, ...] = field(default=(), repr=False)
    max_items: int = 256
    max_characters: int = 1_000_000
    max_body_bytes: int = 8 * 2**20
    max_requests: int = 512
    body_seconds: float = 30.0
    answer_seconds: float = 300.0
    log_text: bool = False
    check_first: bool = False
