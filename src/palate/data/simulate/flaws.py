"""The planted flaws that change text or repeat it; those of voting are in `annotators`."""

from dataclasses import replace
from random import Random

from palate.data.simulate.truth import Entry

MARKS = ("I hope this helps!", "**Answer**", "- ")
"""What `decorate` adds: an eager ending, a bold heading, a list mark."""


def decorate(rng: Random, text: str) -> str:
    """The text with one mark of style that says nothing.

    >>> decorate(Random(0), "It is 12.")
    '**Answer** It is 12.'
    """
    mark = rng.choice(MARKS)
    return f"{text} {mark}" if mark.endswith("!") else f"{mark.strip()} {text}"


def duplicate(entry: Entry, identity: str) -> Entry:
    """The same group word for word under another id; its truth names the original."""
    truth = replace(entry.truth, id=identity, duplicate_of=entry.group.id)
    return Entry(replace(entry.group, id=identity), truth)
