"""The nouns of serving: what can be scored, and what comes of it. Every protocol is written in terms of these."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from palate.records import Message
from palate.serving.faults import Fault

OnOverlong = Literal["error", "truncate_left", "null"]
"""What to do with more tokens than the model takes: an error in the item's place; cut the prompt from the left, marked;
or no score and no error."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole conversation, rendered with the model's own template.

    Attributes:
        messages: prompt and response, in order.
        response_turns: how many of the last messages are the response; truncation never cuts them.
    """

    messages: tuple[Message, ...]
    response_turns: int = 1


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text that somebody else has rendered.

    Attributes:
        text: prompt and response.
        rendered_with: hash of the template that rendered it, as `GET /v1/contract` names it; None where the protocol
            has no place for it, which is counted.
        add_special_tokens: whether the tokenizer puts its own around it; a template has written them already.
    """

    text: str
    rendered_with: str | None = None
    add_special_tokens: bool = False


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Prompt and response as ids of the model's own tokenizer."""

    ids: tuple[int, ...]


Input: TypeAlias = Conversation | Rendered | TokenIds


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an input has no score."""

    fault: Fault
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input.

    Attributes:
        score: the raw reward, always finite; None where there is none.
        tokens: of the whole input as it was scored, or as it was refused; 0 where it never became tokens.
        truncated: whether tokens were cut from the left.
        ends_with_eos: whether it ends as the template ends a finished response.
        error: why there is no score; None with a score, and for over-long inputs under `on_overlong="null"`.
    """

    score: float | None
    tokens: int = 0
    truncated: bool = False
    ends_with_eos: bool = False
    error: Failure | None = None
