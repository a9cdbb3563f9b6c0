"""Text that a trainer rendered, made to begin and end as the model's own template has it.

Trainers that send text mostly lose what is invisible: one strips the BOS, since the engine it knows adds one; another
decodes up to the end-of-turn token and not the line break after it. Both move the reward of every text, so both are put
right here, and nothing else is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palate.data.render import render
from palate.errors import DataError
from palate.records import Message
from palate.serving.inputs import Rendered

_QUESTION = (Message("user", "a"),)


@dataclass(frozen=True, slots=True)
class Edges:
    """How the template begins and ends a conversation.

    Attributes:
        opening: the BOS, where the template writes one; else empty.
        ending: what follows every finished response, such as `<|im_end|>` and a line break.
    """

    opening: str
    ending: str

    def mend(self, text: str) -> Rendered:
        r"""The text with one BOS in front, where training had one, and with a begun ending finished.

        >>> Edges("<s>", "</s>\n").mend("Hi</s>").text
        '<s>Hi</s>\n'
        >>> Edges("", "</s>\n").mend("Hi").text  # cut off: it has no ending, and gets none
        'Hi'
        """
        opened = text if text.startswith(self.opening) else self.opening + text
        return Rendered(opened + self._missing(opened))

    def _missing(self, text: str) -> str:
        for length in range(len(self.ending), 0, -1):
            if text.endswith(self.ending[:length]) and (length == len(self.ending) or self._says_end(length)):
                return self.ending[length:]
        return ""

    def _says_end(self, length: int) -> bool:
        """Whether so much of the ending is more than white space, and what is missing is no more than that."""
        return bool(self.ending[:length].strip()) and not self.ending[length:].strip()


def edges_of(tokenizer: Any) -> Edges:
    """Read off two renderings; empty where the template refuses them."""
    one, other = two_renderings(tokenizer)
    bos = getattr(tokenizer, "bos_token", None) or ""
    return Edges(bos if bos and one.startswith(bos) else "", one[len(one) - shared_end(one, other) :])


def two_renderings(tokenizer: Any) -> tuple[str, str]:
    """One prompt with two responses that end differently, as the template has them; empty where it refuses them."""
    try:
        one, other = (render(tokenizer, _QUESTION, (Message("assistant", text),)).text for text in ("b", "3 d"))
    except DataError:
        return "", ""
    return one, other


def shared_end(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many last elements two sequences have in common.

    >>> shared_end("answer", "other"), shared_end([1, 2], [])
    (2, 0)
    """
    same = 0
    while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
        same += 1
    return same
