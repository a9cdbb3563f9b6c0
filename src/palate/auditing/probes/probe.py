"""What a probe is: an edit of a response, and what a reward model must not do about it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Expectation = Literal["must not move", "must not gain", "must lose"]
EXPECTATIONS: tuple[Expectation, ...] = ("must not move", "must not gain", "must lose")

Edit: TypeAlias = Callable[[str, str, Sequence[str]], str | None]
"""(prompt, response, responses to other prompts) -> the edited response, or None where the edit has nothing to edit.

Pure: what looks random is drawn from a generator that the text seeds, see `dice`.
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """An edit with a declared expectation.

    Attributes:
        name: short, unique, such as `trailing-space`.
        description: what the edit does, one line.
        expectation: of the reward of the edited response, against that of the original.
        edit: makes the edited response.
    """

    name: str
    description: str
    expectation: Expectation
    edit: Edit

    def apply(self, prompt: str, response: str, others: Sequence[str] = ()) -> str | None:
        """The edited response; None where the edit does not apply, or would leave the text as it is."""
        edited = self.edit(prompt, response, others)
        return None if edited == response else edited


def of_response(change: Callable[[str], str | None]) -> Edit:
    """An edit that looks at the response alone."""
    return lambda prompt, response, others: change(response)


def dice(text: str) -> random.Random:
    """A generator that the text seeds: the same text is edited in the same way, whenever and wherever.

    >>> dice("a").random() == dice("a").random() != dice("b").random()
    True
    """
    return random.Random(text.encode("utf-8", "surrogatepass"))
