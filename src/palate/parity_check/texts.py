"""What is sent: golden texts that fit, and a few long ones, because short texts show no truncation."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from palate.data.render import Tokenizer, render, tokenize
from palate.errors import ModelError
from palate.golden import NUM_TEXTS, conversations
from palate.model.reward_model import RewardModel
from palate.records import Message, PreferenceGroup, TokenizedGroup

_POOL = 200  # prompts to choose from: in a small vocabulary many are too long
_FRACTIONS = (1, 2, 4, 8)  # the long texts have the longest length, a half, a quarter and an eighth of it
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class Text:
    """One conversation.

    Attributes:
        group: prompt and the one response.
        rendered: by the model's own template.
        tokens: of the rendered text.
    """

    group: PreferenceGroup
    rendered: str
    tokens: TokenizedGroup

    @property
    def ids(self) -> NDArray[np.int64]:
        """int64 [T]."""
        return self.tokens.sequences[0]


def texts_for(model: RewardModel, longest: int) -> list[Text]:
    """Up to 64 texts of at most `longest` tokens, nothing cut, the long ones last.

    Raises:
        ModelError: hardly any text fits.
    """
    limit = min(longest, model.max_length)
    short = _fitting(list(conversations(_POOL)), model.tokenizer, limit)
    if len(short) < _FEWEST:
        raise ModelError(f"only {len(short)} of the golden texts fit into {limit} tokens, too few to compare by")
    long = list(_long(short, model.tokenizer, limit))
    return short[: NUM_TEXTS - len(long)] + long


def _fitting(groups: Sequence[PreferenceGroup], tokenizer: Tokenizer, limit: int) -> list[Text]:
    rows = {row.id: row for row in tokenize(groups, tokenizer, max_length=limit).groups}
    kept = (group for group in groups if group.id in rows)
    return [
        Text(group, render(tokenizer, group.prompt, group.responses[0]).text, rows[group.id])
        for group in islice(kept, NUM_TEXTS)
    ]


def _long(short: Sequence[Text], tokenizer: Tokenizer, limit: int) -> Iterator[Text]:
    """Many questions in one prompt, as near to each wanted length as whole questions come; shortest first."""
    asked = max(len(text.ids) for text in short)
    for fraction in reversed(_FRACTIONS):
        wanted = limit // fraction

        def fitting(count: int, wanted: int = wanted, fraction: int = fraction) -> list[Text]:
            questions = "\n\n".join(short[at % len(short)].group.prompt[-1].content for at in range(count))
            group = PreferenceGroup(f"long.{fraction}", (Message("user", questions),), short[0].group.responses)
            return _fitting([group], tokenizer, wanted)

        if wanted <= asked:
            continue
        count = bisect_left(range(wanted), True, key=lambda count: not fitting(count)) - 1
        if count > 0:
            yield from fitting(count)
