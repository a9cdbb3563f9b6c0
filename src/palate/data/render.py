"""Groups to token ids, with the chat template and nothing else.

Each conversation is rendered whole with the tokenizer's own chat template (`add_generation_prompt=False`) and
tokenized whole, without adding special tokens: the template has written them already, and a second BOS would
make training and serving differ. The prompt is never tokenized on its own, because merges across its end would
then differ from what the unshared sequence holds. Where the response begins is found on the text (where it would
differ for another response) and carried to tokens through their offsets.

The template's last token is the one that last-token pooling scores, so truncation only ever cuts the prompt,
from the left.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from os.path import commonprefix
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from palate.errors import DataError, ModelError
from palate.records import Conversation, DroppedRow, PreferenceGroup, TokenizedGroup

OverLong = Literal["drop", "truncate-prompt", "error"]
Tokenizer: TypeAlias = Any
"""A transformers tokenizer. Only `apply_chat_template` and `__call__` are used, so nothing is imported here."""

FALLBACK_TEMPLATE = (
    "{{ bos_token or cls_token or '' }}{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] }}"
    "{% if loop.last and message['role'] == 'assistant' %}{{ eos_token or sep_token or '' }}"
    "{% else %}{{ '\n\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}"
)
"""Used, with a warning, for checkpoints without a chat template; encoders' [CLS] and [SEP] stand for BOS and EOS."""

_OTHER = "\0"  # a response that begins like no other

CHUNK = 256  # groups rendered and tokenized in one call: enough for the tokenizer's threads, small in memory


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of one response's whole conversation, and the character at which the response begins."""

    text: str
    response_start: int


def render(tokenizer: Tokenizer, prompt: Conversation, response: Conversation, where: str = "") -> Rendered:
    """Render one conversation with the chat template.

    Raises:
        DataError: the template refuses the conversation (reason `template-refused`), or yields no text.
    """
    turns = [{"role": message.role, "content": message.content} for message in (*prompt, *response)]
    text = _apply(tokenizer, turns, where)
    if not text:
        raise DataError("the chat template renders nothing", reason="template-refused", where=where)
    # Where the rendering begins to depend on the response: templates trim, and add headers that may contain its words.
    turns[len(prompt)] = {**turns[len(prompt)], "content": _OTHER}
    other = _apply(tokenizer, turns, where)
    return Rendered(text, len(commonprefix((text, other))))  # noqa: RUF071 - character by character is what is meant


def _apply(tokenizer: Tokenizer, turns: list[dict[str, str]], where: str) -> str:
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False))
    except Exception as error:  # templates raise whatever their author chose
        message = f"the chat template refuses this conversation ({error}); mend the roles or drop the row"
        raise DataError(message, reason="template-refused", where=where) from error


@dataclass(frozen=True, slots=True)
class TokenizedData:
    """What became of a set of groups: `groups` fit, `dropped` did not, `truncated` lost prompt tokens."""

    groups: tuple[TokenizedGroup, ...]
    dropped: tuple[DroppedRow, ...]
    truncated: int


def tokenize(
    groups: Iterable[PreferenceGroup],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    over_long: OverLong = "drop",
) -> TokenizedData:
    """Tokenize every group and apply the rule for sequences of more than `max_length` tokens.

    Raises:
        DataError: the template refuses a row, or a group is over-long and the rule is `error`.
        ModelError: the tokenizer cannot say which characters a token covers.
    """
    kept: list[TokenizedGroup] = []
    dropped: list[DroppedRow] = []
    for group in tokenize_each(groups, tokenizer, max_length=max_length, over_long=over_long):
        if isinstance(group, DroppedRow):
            dropped.append(group)
        else:
            kept.append(group)
    return TokenizedData(tuple(kept), tuple(dropped), sum(group.truncated_tokens > 0 for group in kept))


def first_token(tokenizer: Tokenizer) -> int | None:
    """The token that a body expects in front, which no cut may take away: BOS, or what encoders have in its place."""
    bos: int | None = getattr(tokenizer, "bos_token_id", None)
    return bos if bos is not None else getattr(tokenizer, "cls_token_id", None)


def tokenize_each(
    groups: Iterable[PreferenceGroup],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    over_long: OverLong = "drop",
) -> Iterator[TokenizedGroup | DroppedRow]:
    """Stream of results in the order of `groups`, one for each; see `tokenize`."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("this tokenizer gives no character offsets; palate needs a fast tokenizer (tokenizer.json)")
    bos = first_token(tokenizer)
    stream = iter(groups)
    while chunk := list(islice(stream, CHUNK)):
        rendered = [render(tokenizer, g.prompt, r, g.where) for g in chunk for r in g.responses]
        encoded = tokenizer(
            [r.text for r in rendered], add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        cursor = 0
        for group in chunk:
            rows = range(cursor, cursor + len(group.responses))
            cursor = rows.stop
            sequences = [np.asarray(encoded["input_ids"][row], dtype=np.int64) for row in rows]
            starts = [_first_token(encoded["offset_mapping"][row], rendered[row].response_start) for row in rows]
            yield _fit(group, sequences, starts, max_length=max_length, over_long=over_long, bos=bos)


def _first_token(offsets: Sequence[tuple[int, int]], character: int) -> int:
    for index, (_, end) in enumerate(offsets):
        if end > character:
            return index
    return len(offsets) - 1  # an empty response: the template's last token stands for it


def _fit(
    group: PreferenceGroup,
    sequences: list[NDArray[np.int64]],
    starts: list[int],
    *,
    max_length: int,
    over_long: OverLong,
    bos: int | None,
) -> TokenizedGroup | DroppedRow:
    longest = max(len(sequence) for sequence in sequences)
    excess = max(longest - max_length, 0)
    if excess and over_long != "truncate-prompt":
        message = f"{longest} tokens, more than the maximum of {max_length}"
        if over_long == "error":
            mend = "; raise --max-length, or let --over-long drop or truncate-prompt"
            raise DataError(message + mend, reason="over-long", where=group.where)
        return DroppedRow(group.where, "over-long", None, message)
    if excess:
        front = int(bos is not None and all(sequence[0] == bos for sequence in sequences))
        if excess > min(starts) - front:
            message = f"the response alone leaves no room for a prompt within {max_length} tokens"
            return DroppedRow(group.where, "response-over-long", None, message)
        sequences = [np.concatenate((sequence[:front], sequence[front + excess :])) for sequence in sequences]
        starts = [start - excess for start in starts]
    return TokenizedGroup(
        id=group.id,
        prompt_hash=group.prompt_hash,
        sequences=tuple(sequences),
        response_starts=tuple(starts),
        comparisons=group.comparisons,
        where=group.where,
        truncated_tokens=excess,
    )
