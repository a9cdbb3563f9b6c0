"""LLMBar (Zeng et al. 2024, section 4): does a judge tell the output that follows its instruction?

Rules, as in princeton-nlp/LLMBar, `LLMEvaluator/evaluate.py` (evaluators by rating): two outputs are rated, and
judged in both orders. Unequal ratings give the same verdict twice; equal ones give output 1 once and output 2 once,
so that they count half. The adversarial average is the unweighted mean of the four adversarial sets, and the average
that of all five.

The rows do not say which set they are of. It is taken from their source where they have one, else from the names of
the folders and files they lie in, such as `Dataset/LLMBar/Adversarial/GPTInst/dataset.json`.
"""

import re
from collections.abc import Sequence

import numpy as np

from palate.auditing.benchmarks.items import Item
from palate.auditing.benchmarks.lines import Cell, Sheet, mean

SETS = {"Natural": 100, "Neighbor": 134, "GPTInst": 92, "GPTOut": 47, "Manual": 46}
"""Published sizes: 419 in all."""
ADVERSARIAL = ("Neighbor", "GPTInst", "GPTOut", "Manual")

_ALL = "all items"
_MEAN = "mean of the five sets"


def llmbar(items: Sequence[Item]) -> Sheet:
    """The table of LLMBar; items whose set is not known count among all items alone, and are counted."""
    named = np.array([set_of(item) for item in items])
    margin = np.array([item.chosen[0] - item.rejected[0] for item in items])
    right = np.where(np.isfinite(margin), (np.sign(margin) + 1) / 2, np.nan)
    unknown = int((named == "").sum())
    reason = "neither source nor path names one of the five sets; they count among all items alone"
    return Sheet(
        key="llmbar",
        title="LLMBar",
        rule="The output that follows the instruction must have the higher reward; judged in both orders, equal "
        "rewards count half. Rules: Zeng et al. 2024, section 4, and princeton-nlp/LLMBar.",
        prompt_I=tuple(item.prompt for item in items),
        tied_I=(margin == 0).astype(np.int64),
        cells=(
            *(Cell(name, named == name, right, count) for name, count in SETS.items()),
            Cell(_ALL, np.ones(len(items), np.bool_), right, sum(SETS.values())),
        ),
        lines=(mean("adversarial average", *ADVERSARIAL), mean(_MEAN, *SETS)),
        shown=("Natural", *ADVERSARIAL, "adversarial average"),
        compared=("Natural", *ADVERSARIAL, "adversarial average", _MEAN),
        macro=_MEAN,
        micro=_ALL,
        official="macro",
        left_out={reason: unknown} if unknown else {},
    )


def set_of(item: Item) -> str:
    """The set that an item's source or path names; empty where neither does.

    >>> from palate.auditing.benchmarks.items import Item
    >>> import numpy as np
    >>> rows = (("", "LLMBar/Adversarial/GPTInst/dataset.json:3"), ("llmbar-natural", "x.jsonl:1"), ("", "a.jsonl:1"))
    >>> [set_of(Item("", source, "", where, "", np.ones(1), np.ones(1))) for source, where in rows]
    ['GPTInst', 'Natural', '']
    """
    known = {name.lower(): name for name in SETS}
    for text in (item.subset, item.where):
        words = [known[word] for word in re.split(r"[^a-z]+", text.lower()) if word in known]
        if words:
            return words[-1]
    return ""
