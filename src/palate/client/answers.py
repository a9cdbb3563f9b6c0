"""What a server says of each input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palate.errors import PalateError


class ClientError(PalateError):
    """The server cannot be reached, or refuses what it is asked.

    Attributes:
        status: HTTP status of the refusal; None where there was no answer.
        kind: the server's name for it, such as `over-long`; empty where it gave none.
    """

    def __init__(self, message: str, *, status: int | None = None, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one input.

    Attributes:
        score: on the scale that was asked for; None where there is none.
        tokens: of prompt and response as they were scored.
        truncated: whether the prompt was cut from the left.
        ends_with_eos: whether the text ends as a finished response does.
        error: why there is no score; empty where there is one, and for over-long inputs under `on_overlong="null"`.
        kind: the server's name for the error.
    """

    score: float | None
    tokens: int = 0
    truncated: bool = False
    ends_with_eos: bool = False
    error: str = ""
    kind: str = ""


def read_score(item: Mapping[str, Any]) -> Score:
    """One entry of the answer's `data`."""
    error = item.get("error") or {}
    return Score(
        score=item["score"],
        tokens=item["tokens"],
        truncated=item["truncated"],
        ends_with_eos=item["ends_with_eos"],
        error=error.get("message", ""),
        kind=error.get("type", ""),
    )


def read_scores(answer: Any, wanted: int, url: str) -> list[Score]:
    """All of them, in order.

    Raises:
        ClientError: this is no answer of a palate server to so many inputs.
    """
    try:
        scores = [read_score(item) for item in answer["data"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ClientError(f"{url} does not answer as a palate server does: {error!r}") from error
    if len(scores) != wanted:
        raise ClientError(f"{url} gave {len(scores)} scores for {wanted} inputs")
    return scores


def refusal(status: int, body: Any, url: str) -> ClientError:
    """A refusal in the server's own words, where it has any."""
    error = body.get("error") if isinstance(body, dict) else None
    said = error if isinstance(error, dict) else {}
    kind, message = str(said.get("type", "")), str(said.get("message", "")) or "no reason given"
    return ClientError(f"{url} answers {status}: {message}", status=status, kind=kind)
