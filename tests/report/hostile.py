"""A report in which every text, whatever it is for, tries to take over the page that shows it."""

import dataclasses
from collections.abc import Mapping
from itertools import count
from typing import Any, TypeVar

Noun = TypeVar("Noun")

TAKE = "document.title='taken';document.body.id='taken'"
ATTACKS = (
    f"<script>{TAKE}</script>",
    f'"><img src=x onerror="{TAKE}">',
    f'\'><svg onload="{TAKE}"></svg>',
    f"</script><script>{TAKE}</script>",
    f"</pre></td></details></style><script>{TAKE}</script><style>body{{display:none}}",
    f'" onfocus="{TAKE}" autofocus tabindex="0',
    f"javascript:{TAKE}",
    f"-->]]><iframe srcdoc='<script>parent.{TAKE}</script>'>",
    "{{ 7 * 191 }}{% raw %}${7 * 191}",
    "\x00\x01\x1b[31m\x7f\x85\ud800\udfff\u202e\u2066 \r\n\ufeff&lt;&#60;&amp;",
)
ATTACK = " ".join(ATTACKS)


def poison(noun: Noun) -> Noun:
    """The same noun with every text in it replaced, at any depth; no two of them are alike."""
    numbers = count()

    def replace(value: Any) -> Any:
        if isinstance(value, str):
            return f"{ATTACK} no. {next(numbers)}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fixed = {"severity"}
            changes = {
                f.name: replace(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name not in fixed
            }
            return dataclasses.replace(value, **changes)
        if isinstance(value, Mapping):
            return {replace(key): replace(one) for key, one in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(map(replace, value))
        return value

    return replace(noun)
