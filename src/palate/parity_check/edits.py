"""The same texts with one fault in their tokens: what a server that has this fault would score."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.render import FALLBACK_TEMPLATE, Tokenizer
from palate.parity_check.texts import Text
from palate.records import Message, TokenizedGroup
from palate.serving.rendering import edges_of

Ints = NDArray[np.int64]

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)
_DIALOGUE = (
    "{% for m in messages %}\n\n{{ 'Human' if m['role'] == 'user' else 'Assistant' }}: {{ m['content'] }}{% endfor %}"
)
_BARE = "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}\n{% endif %}{% endfor %}"
_SYSTEM = Message("system", "You are a helpful assistant.")


@dataclass(frozen=True, slots=True)
class Edit:
    """A fault in the tokens.

    Attributes:
        fault: its name.
        message: what the server does.
        remedy: what to do about it.
        apply: the tokens that such a server scores; None where the fault cannot be put on this text.
    """

    fault: str
    message: str
    remedy: str
    apply: Callable[[Text], TokenizedGroup | None]


def edges(tokenizer: Any) -> Iterator[Edit]:
    """Faults at the beginning and the end of a text."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is not None:
        yield Edit(
            "double-bos",
            f"the server puts {tokenizer.bos_token!r} in front of text, where the template has decided already",
            "tell it to add no special tokens: add_special_tokens: false in vLLM's requests",
            lambda text: _with(text, np.concatenate(([bos], text.ids)), 1),
        )
        yield Edit(
            "missing-bos",
            f"the {tokenizer.bos_token!r} that the template writes is lost",
            "send text as the template renders it, with its first token",
            lambda text: _with(text, text.ids[1:], -1) if text.ids[0] == bos else None,
        )
    yield Edit(
        "special-tokens",
        "the server adds the tokenizer's special tokens to text that the template has finished already",
        "tell it to add no special tokens: add_special_tokens: false in vLLM's requests",
        lambda text: _retokenized(text, tokenizer),
    )
    ending = tokenizer(edges_of(tokenizer).ending, add_special_tokens=False)["input_ids"]
    for cut in range(len(ending), 0, -1):
        lost = tokenizer.decode(ending[len(ending) - cut :])
        yield Edit(
            "missing-end",
            f"the end of the turn is lost: {lost!r}, which the template writes after every response",
            "send text as the template renders it, to its last character, and let nothing strip it",
            lambda text, cut=cut: _with(text, text.ids[:-cut], 0),  # type: ignore[misc]
        )
    if eos is not None:
        yield Edit(
            "extra-eos",
            f"the server appends {tokenizer.eos_token!r} to a text that is finished",
            "tell it to add no special tokens",
            lambda text: _with(text, np.concatenate((text.ids, [eos])), 0),
        )


def cuts(texts: Sequence[Text], low: int, high: int) -> Iterator[Edit]:
    """Truncation to every power of two that cuts texts of `high` tokens and leaves those of `low` alone."""
    for length in (2**n for n in range(2, 20)):
        if low <= length < high:
            for side, cut in (("end", slice(None, length)), ("beginning", slice(-length, None))):
                yield Edit(
                    "truncation",
                    f"the server cuts texts to {length} tokens at the {side}, without a word",
                    f"give it room for {max(len(text.ids) for text in texts)} tokens, and let it refuse what is longer",
                    lambda text, cut=cut: _cut(text, cut),  # type: ignore[misc]
                )


def templates(tokenizer: Any) -> Iterator[Edit]:
    """Renderings by other hands: templates that are often met, and the own one used differently."""
    known: dict[str, dict[str, Any]] = {
        "a 'User: ... Assistant: ...' template": {"chat_template": FALLBACK_TEMPLATE},
        "ChatML": {"chat_template": _CHATML},
        "a 'Human: ... Assistant: ...' template": {"chat_template": _DIALOGUE},
        "the bare words without any template": {"chat_template": _BARE},
        "the model's own template with a prompt for one more answer at the end": {"add_generation_prompt": True},
    }
    for name, options in known.items():
        yield _template(tokenizer, name, options, ())
    yield _template(tokenizer, "the model's own template with a system prompt", {}, (_SYSTEM,))


def _template(tokenizer: Any, name: str, options: dict[str, Any], before: tuple[Message, ...]) -> Edit:
    def render(text: Text) -> TokenizedGroup | None:
        messages = before + text.group.prompt + text.group.responses[0]
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            rendered = tokenizer.apply_chat_template(turns, tokenize=False, **options)
        except Exception:  # templates raise whatever their author chose
            return None
        return _with(text, tokenizer(rendered, add_special_tokens=False)["input_ids"], 0)

    return Edit(
        "other-template",
        f"the rewards are those of text that is rendered by {name}",
        "let the server use the chat template that was saved with the model, or send rendered text",
        render,
    )


def _retokenized(text: Text, tokenizer: Tokenizer) -> TokenizedGroup | None:
    ids = tokenizer(text.rendered)["input_ids"]
    added = len(ids) - len(text.ids)
    return _with(text, ids, int(added > 0)) if added else None


def _cut(text: Text, part: slice) -> TokenizedGroup | None:
    ids = text.ids[part]
    lost = len(text.ids) - len(ids)
    return _with(text, ids, -lost if part.stop is None else 0)


def _with(text: Text, ids: Any, shift: int) -> TokenizedGroup | None:
    """The text's tokens replaced, its response beginning `shift` tokens later; None where nothing is changed."""
    found = np.asarray(ids, dtype=np.int64)
    if not len(found) or np.array_equal(found, text.ids):
        return None
    start = min(max(text.tokens.response_starts[0] + shift, 0), len(found) - 1)
    return replace(text.tokens, sequences=(found,), response_starts=(start,))
