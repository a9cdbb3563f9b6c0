"""Turns that a chat template may refuse, or render as something else than they are."""

import re
from itertools import pairwise

from palate.records import PreferenceGroup

ODDITIES = (
    "text that looks like a special token",
    "empty message before the response",
    "empty response",
    "two messages of one role in a row",
    "prompt that ends with the assistant",
    "system message after the first turn",
    "transcript marks inside a message",
    "responses that part before the last turn",
)
NO_SHARED_PROMPT = len(ODDITIES) - 1
"""The last of them is no fault of a text: the two conversations went different ways, so the prompt that both answer is
only what they have in common."""

"""What can be odd about the turns of a group; the checks count groups by these."""

_SPECIAL = re.compile(
    r"<\|[\w ]{2,40}\|>|</?s>|<(?:bos|eos|pad|unk|mask)>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|\[(?:CLS|SEP|PAD|MASK)\]"
)
_TRANSCRIPT = re.compile(r"\n\n(?:Human|Assistant): ")


def oddities_of(group: PreferenceGroup) -> list[int]:
    """Numbers of `ODDITIES`, each once.

    >>> from palate.records import Message
    >>> prompt = (Message("user", "What does <|im_end|> do?"),)
    >>> oddities_of(PreferenceGroup("1", prompt, ((Message("assistant", " "),),)))
    [0, 2]
    """
    prompt = group.prompt
    texts = [message.content for message in prompt] + [m.content for response in group.responses for m in response]
    found = (
        any(_SPECIAL.search(text) for text in texts),
        any(not message.content.strip() for message in prompt),
        any(not response[-1].content.strip() for response in group.responses),
        any(a.role == b.role for a, b in pairwise(prompt)),
        bool(prompt) and prompt[-1].role == "assistant",
        any(message.role == "system" for message in prompt[1:]),
        any(_TRANSCRIPT.search(text) for text in texts),
        any(len(response) > 1 for response in group.responses),
    )
    return [number for number, is_so in enumerate(found) if is_so]
