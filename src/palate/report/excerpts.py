"""Long texts on a page: the beginning at once, the rest on demand, and no page of a gigabyte."""

from dataclasses import dataclass

SHOWN = 600
"""Characters of a text that are shown at once."""
BUDGET = 2_000_000
"""Bytes of such rests that one page keeps; what is beyond stands in the JSON alone."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text in two parts.

    Attributes:
        shown: its beginning.
        rest: what follows, empty where the page has no room for it.
        more: how many characters follow, whether the page keeps them or not.
    """

    shown: str
    rest: str
    more: int


class Excerpts:
    """Cuts the texts of one page, and counts what it had no room for.

    >>> cut = Excerpts(shown=3, budget=4)
    >>> cut("abcdef"), cut("abcdef"), cut.left_out
    (Excerpt(shown='abc', rest='def', more=3), Excerpt(shown='abc', rest='', more=3), 1)
    """

    def __init__(self, shown: int = SHOWN, budget: int = BUDGET) -> None:
        self.shown = shown
        self.budget = budget
        self.left_out = 0
        self._used = 0

    def __call__(self, text: str) -> Excerpt:
        """Cut a text; the rest is kept while the budget lasts, so the worst findings have to come first."""
        rest = text[self.shown :]
        size = len(rest.encode("utf-8", "surrogatepass"))
        if self._used + size > self.budget:
            self.left_out += 1
            return Excerpt(text[: self.shown], "", len(rest))
        self._used += size
        return Excerpt(text[: self.shown], rest, len(rest))
