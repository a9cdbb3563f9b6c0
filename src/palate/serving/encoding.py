"""Inputs to token ids, through the model's own contract: the code that made its training text makes its served text.

Messages go through `palate.data.render`. Rendered text and token ids are taken as they are; whether they end as the
template ends a finished response is looked at, since another template mostly shows there.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.render import OverLong, first_token, tokenize_each
from palate.errors import DataError
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup, TokenizedGroup
from palate.serving.faults import Fault
from palate.serving.inputs import Conversation, Failure, Input, OnOverlong, Outcome, Rendered
from palate.serving.rendering import shared_end, two_renderings

Ints = NDArray[np.int64]

_NO_TEXT = "this is no text: it holds half of a surrogate pair"
_READS_RESPONSE = ("mean-response", "attention")  # poolings that have to know where the response begins


@dataclass(frozen=True, slots=True)
class Encoded:
    """One input as the model reads it.

    Attributes:
        ids: int64 [T].
        response_start: index of the response's first token; of the last token where nobody reads it.
        truncated: whether tokens were cut from the left.
        ends_with_eos: see `Outcome`.
    """

    ids: Ints
    response_start: int
    truncated: bool
    ends_with_eos: bool


class Encoder:
    """Not safe in several threads at once: a fast tokenizer is borrowed by one call at a time.

    Args:
        model: gives tokenizer, template, pooling and length limit.
    """

    def __init__(self, model: RewardModel) -> None:
        self._tokenizer: Any = model.tokenizer
        self._max_length = model.max_length
        self._vocabulary = int(model.backbone.config.vocab_size)  # type: ignore[union-attr, arg-type]
        self._pooling = model.pooling_name if model.pooling_name in _READS_RESPONSE else None
        self._bos = first_token(self._tokenizer)
        self._ending = _ending(self._tokenizer)

    def encode(self, inputs: Sequence[Input], on_overlong: OnOverlong) -> list[Encoded | Outcome]:
        """Token ids of each input, or the outcome of one that cannot be scored."""
        talks = self._talks([item for item in inputs if isinstance(item, Conversation)], on_overlong)
        texts = {
            special: self._texts(
                [item.text for item in inputs if isinstance(item, Rendered) and item.add_special_tokens is special],
                on_overlong,
                special=special,
            )
            for special in (False, True)
        }
        results: list[Encoded | Outcome] = []
        for item in inputs:
            if isinstance(item, Conversation):
                results.append(next(talks))
            elif isinstance(item, Rendered):
                results.append(next(texts[item.add_special_tokens]))
            else:
                results.append(self._raw(item.ids, on_overlong))
        return results

    def _texts(self, texts: list[str], on_overlong: OnOverlong, *, special: bool) -> Iterator[Encoded | Outcome]:
        good = [text if is_text(text) else "" for text in texts]
        rows = self._tokenizer(good, add_special_tokens=special, verbose=False, truncation=False)["input_ids"]
        for text, ids in zip(texts, rows, strict=True):
            yield self._raw(ids, on_overlong) if is_text(text) else _refused(Fault.INVALID, _NO_TEXT)

    def _talks(self, talks: list[Conversation], on_overlong: OnOverlong) -> Iterator[Encoded | Outcome]:
        faults = [_fault_of(talk) for talk in talks]
        groups = [_group(talk) for talk, fault in zip(talks, faults, strict=True) if fault is None]
        whole = iter(self._tokenize(groups, "drop", sys.maxsize))
        for talk, fault in zip(talks, faults, strict=True):
            result = next(whole) if fault is None else _refused(Fault.INVALID, fault)
            if isinstance(result, Outcome):
                yield result
                continue
            ids = result.sequences[0]
            if len(ids) <= self._max_length:
                yield Encoded(ids, result.response_starts[0], False, self._ends(ids))
            elif on_overlong != "truncate_left":
                yield self._over_long(len(ids), on_overlong)
            else:  # by the code that truncates in training, which knows what may be cut
                (cut,) = self._tokenize([_group(talk)], "truncate-prompt", self._max_length)
                if isinstance(cut, Outcome):
                    yield cut
                else:
                    yield Encoded(cut.sequences[0], cut.response_starts[0], True, self._ends(cut.sequences[0]))

    def _tokenize(
        self, groups: list[PreferenceGroup], over_long: OverLong, max_length: int
    ) -> list[TokenizedGroup | Outcome]:
        """All at once, and one by one where the template refuses any."""
        try:
            results = list(tokenize_each(groups, self._tokenizer, max_length=max_length, over_long=over_long))
        except DataError as error:
            if len(groups) == 1:
                return [_refused(Fault.TEMPLATE_REFUSED, str(error))]
            return [result for group in groups for result in self._tokenize([group], over_long, max_length)]
        return [
            result if isinstance(result, TokenizedGroup) else _refused(Fault.OVER_LONG, result.message)
            for result in results
        ]

    def _raw(self, found: Sequence[int], on_overlong: OnOverlong) -> Encoded | Outcome:
        """Ids without knowledge of where the response begins."""
        if not len(found):
            return _refused(Fault.EMPTY, "there is not one token to score")
        ids = np.asarray(found, dtype=np.int64)
        if ids.min() < 0 or ids.max() >= self._vocabulary:
            return _refused(Fault.UNKNOWN_TOKEN, f"token ids must lie in 0 to {self._vocabulary - 1}")
        if self._pooling is not None:
            message = f"pooling {self._pooling!r} has to know where the response begins: send messages"
            return _refused(Fault.NEEDS_MESSAGES, message)
        excess = len(ids) - self._max_length
        if excess > 0 and on_overlong != "truncate_left":
            return self._over_long(len(ids), on_overlong)
        if excess > 0:
            front = int(ids[0] == self._bos)
            ids = np.concatenate((ids[:front], ids[front + excess :]))
        return Encoded(ids, len(ids) - 1, excess > 0, self._ends(ids))

    def _over_long(self, tokens: int, on_overlong: OnOverlong) -> Outcome:
        message = f"{tokens} tokens, more than the maximum of {self._max_length}"
        return Outcome(None, tokens, error=None if on_overlong == "null" else Failure(Fault.OVER_LONG, message))

    def _ends(self, ids: Ints) -> bool:
        return tuple(ids[-len(self._ending) :].tolist()) == self._ending


def is_text(text: str) -> bool:
    r"""Whether a string has an encoding: half a surrogate pair, which JSON can spell, has none.

    >>> is_text("naïve 🙂"), is_text("\ud83d")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(fault: Fault, message: str) -> Outcome:
    return Outcome(None, error=Failure(fault, message))


def _fault_of(talk: Conversation) -> str | None:
    """What keeps a conversation from being one prompt and one response."""
    if not all(is_text(message.content) for message in talk.messages):
        return _NO_TEXT
    if not talk.messages or talk.messages[-1].role != "assistant":
        return "the last message must be the assistant's: it is what is scored"
    if not 1 <= talk.response_turns <= len(talk.messages):
        return f"{talk.response_turns} of {len(talk.messages)} messages cannot be the response"
    return None


def _group(talk: Conversation) -> PreferenceGroup:
    start = len(talk.messages) - talk.response_turns
    return PreferenceGroup("", talk.messages[:start], (talk.messages[start:],))


def _ending(tokenizer: Any) -> tuple[int, ...]:
    """The tokens that the template writes after every response; EOS where it writes none."""
    one, other = tokenizer(list(two_renderings(tokenizer)), add_special_tokens=False, verbose=False)["input_ids"]
    return tuple(one[len(one) - shared_end(one, other) :]) or (getattr(tokenizer, "eos_token_id", None) or 0,)
