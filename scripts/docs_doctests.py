"""Doctests in docstrings as blocks of code: Markdown would take `>>>` for quotations and brackets for links."""

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"(?:^(?P<indent> *)>>> .*\n?)(?:^ *\S.*\n?)*", re.MULTILINE)


def fence(text: str) -> str:
    r"""The docstring with each doctest fenced.

    >>> fence("Adds.\n\n>>> 1 + 1\n2").splitlines()
    ['Adds.', '', '```python', '>>> 1 + 1', '2', '```']
    """

    def fenced(found: re.Match[str]) -> str:
        indent = found["indent"]
        return f"{indent}```python\n{found[0].rstrip()}\n{indent}```\n"

    return _DOCTEST.sub(fenced, re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)).rstrip()


class Doctests(griffe.Extension):
    """Called for whatever is documented."""

    def on_object(self, *, obj: griffe.Object, **_of_griffe: Any) -> None:
        """Change the docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = fence(obj.docstring.value)
