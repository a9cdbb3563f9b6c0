"""Conversations as texts, and when two texts are the same."""

import unicodedata
from hashlib import blake2b

from palate.records import Conversation


def plain_text(conversation: Conversation) -> str:
    r"""The contents for people and for word counts: of one message as it is, of several with their roles.

    >>> from palate.records import Message
    >>> plain_text((Message("user", "Hi"),)), plain_text((Message("user", "Hi"), Message("assistant", "Yes?")))
    ('Hi', 'user: Hi\n\nassistant: Yes?')
    """
    if len(conversation) == 1:
        return conversation[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in conversation)


def normalised(text: str) -> str:
    r"""Unicode form NFKC, lower case, single spaces: what two equal texts may differ in.

    >>> normalised("  What\u00a0IS\n2? ")
    'what is 2?'
    """
    return " ".join(normalised_form(text).split())


def normalised_form(text: str) -> str:
    """The same without touching white space."""
    return unicodedata.normalize("NFKC", text).lower()


def text_key(text: str) -> int:
    """64 bits that are equal for texts that are equal once normalised."""
    return exact_key(normalised(text))


def exact_key(text: str) -> int:
    """64 bits that are equal for equal texts."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
