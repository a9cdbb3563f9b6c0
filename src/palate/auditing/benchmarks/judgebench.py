"""JudgeBench (Tan et al. 2024, section 4): which of two responses to a hard question is right?

Rules, as in ScalerLab/JudgeBench, `run_judge.py` and `utils/metrics.py` (`compute_final_metrics`): every pair is
judged in both orders, and counts as right if more verdicts are right than wrong. A reward model is asked "A or B?"
and says B where the rewards are equal (`utils/judges.py`), so that equal rewards give one right and one wrong
verdict, which is not right. In a single game, which its README allows for reward models, they are right where B is:
`one order` below. Categories go by the beginning of the source, and the score is the mean over pairs (micro). Some
reports give the mean over categories (macro): both are shown.

Pairs by GPT-4o and by Claude 3.5 Sonnet are two sets with a score of their own each.
"""

from collections.abc import Sequence

import numpy as np

from palate.auditing.benchmarks.items import Item
from palate.auditing.benchmarks.lines import Cell, Sheet, mean

CATEGORIES = {
    "Knowledge": "mmlu-pro",
    "Reasoning": "livebench-reasoning",
    "Math": "livebench-math",
    "Coding": "livecodebench",
}
"""What sources of a category begin with."""

GPT_4O, CLAUDE = "gpt-4o-2024-05-13", "claude-3-5-sonnet-20240620"
PUBLISHED: dict[str, tuple[int, dict[str, int]]] = {
    GPT_4O: (350, {"Knowledge": 154, "Reasoning": 98, "Math": 56, "Coding": 42}),
    CLAUDE: (270, {}),
}
"""Sizes of the two sets, and of their categories where they are published."""

_ALL = "all pairs"
_ONE = "all pairs, one order"
_MEAN = "mean of the four categories"


def judgebench(items: Sequence[Item]) -> tuple[Sheet, ...]:
    """One table for each model that wrote responses, in order of appearance."""
    authors = tuple(dict.fromkeys(item.author for item in items))
    return tuple(_sheet(author, [item for item in items if item.author == author]) for author in authors)


def _sheet(author: str, items: Sequence[Item]) -> Sheet:
    sources = [item.subset for item in items]
    category = np.array([_category(source) for source in sources])
    margin = np.array([item.chosen[0] - item.rejected[0] for item in items])
    right = np.where(np.isfinite(margin), margin > 0, np.nan)
    # equal rewards are called for B
    second_right = np.array([not item.first_is_chosen for item in items])
    one_order = np.where(margin == 0, second_right, right)
    total, sizes = PUBLISHED.get(author, (None, {}))
    everything = np.ones(len(items), np.bool_)
    unknown = int((category == "").sum())
    reason = "their source begins like none of the four categories; they count among all pairs alone"
    return Sheet(
        key={GPT_4O: "judgebench", CLAUDE: "judgebench_claude"}.get(author, f"judgebench_{author or 'unnamed'}"),
        title=f"JudgeBench, responses by {author}" if author else "JudgeBench, nobody named as author",
        rule="The right response must have the higher reward, whichever stands first; equal rewards are not right. "
        "Rules: Tan et al. 2024, section 4, and ScalerLab/JudgeBench.",
        prompt_I=tuple(item.prompt for item in items),
        tied_I=(margin == 0).astype(np.int64),
        cells=(
            *(Cell(name, category == name, right, sizes.get(name)) for name in CATEGORIES),
            Cell(_ALL, everything, right, total),
            Cell(_ONE, everything, one_order, total, _ALL),
        ),
        lines=(mean(_MEAN, *CATEGORIES),),
        shown=(*CATEGORIES, _ONE),
        compared=(*CATEGORIES, _MEAN, _ALL),
        macro=_MEAN,
        micro=_ALL,
        official="micro",
        left_out={reason: unknown} if unknown else {},
    )


def _category(source: str) -> str:
    return next((name for name, beginning in CATEGORIES.items() if source.startswith(beginning)), "")
