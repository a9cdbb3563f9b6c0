"""Words for how strongly a response is preferred, as margins from 0 to 1 in steps of a third.

Two scales share the table. Llama 2's four labels (Touvron et al. 2023, arXiv:2307.09288, section 3.2.2 and table 27,
small margins) run from "negligibly better" to "significantly better"; the other runs from "slight" to "very strong".
For any other mapping give numbers in `margin`.
"""

from collections.abc import Mapping
from types import MappingProxyType

STRENGTH_MARGINS: Mapping[str, float] = MappingProxyType(
    {
        "unsure": 0.0,
        "negligibly better": 0.0,
        "slightly better": 1 / 3,
        "better": 2 / 3,
        "significantly better": 1.0,
        "much better": 1.0,
        "slight": 0.0,
        "moderate": 1 / 3,
        "strong": 2 / 3,
        "very strong": 1.0,
    }
)
"""Margin by label; case, hyphens and underscores do not count."""
