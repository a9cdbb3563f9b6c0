"""Which of two models is right more often, and whether the difference may be chance."""

import numpy as np

from palate.auditing.scorer import Floats
from palate.auditing.versus.matched import SIDES, Matched
from palate.metrics import McNemar, accuracy_difference, mcnemar, share_estimate, sign_flip_p_value
from palate.report.findings import Block, Check, Fact, Paragraph, Section, Table
from palate.report.plots import Scatter

_WHY = (
    "Both models judged the same pairs, so what both get right and what both get wrong tells nothing: the difference "
    "is in the pairs that one of them alone gets right. How sure one can be of it depends on how many of those there "
    "are, not on how many pairs were scored."
)
_POINTS, _EXCERPT = 1000, 60


def check_accuracy(matched: Matched) -> Check:
    """Accuracy of both with intervals, their paired difference, McNemar's test, and the test of mean margins.

    Facts: `accuracy.incumbent`, `accuracy.candidate` and `accuracy.difference`, each with `_low` and `_high`;
    `accuracy.mcnemar_p` with the counts `accuracy.better` and `accuracy.worse`; `accuracy.margin_p`, a sign-flip test
    over prompts of the mean difference of standardised margins; scales, and the pairs that were left out.
    """
    usable_C, prompt = matched.usable_C, matched.prompt_C[matched.usable_C]
    margins = [side.margin_C[usable_C] for side in matched.sides]
    found = accuracy_difference(margins[1], margins[0], prompt)
    shares = [share_estimate((np.sign(margin) + 1) / 2, prompt) for margin in margins]
    test = mcnemar(margins[1], margins[0])
    facts: dict[str, Fact] = {}
    for name, one in (*zip(SIDES, shares, strict=True), ("difference", found.difference)):
        facts |= {f"accuracy.{name}": one.value, f"accuracy.{name}_low": one.low, f"accuracy.{name}_high": one.high}
    facts |= {
        "accuracy.interval": found.method,
        "accuracy.better": test.better,
        "accuracy.worse": test.worse,
        "accuracy.discordance": test.discordance,
        "accuracy.mcnemar_p": test.p_value,
        **_margin_facts(matched),
        **_counts(matched),
    }
    rows = tuple((name, one.value, one.low, one.high) for name, one in zip(SIDES, shares, strict=True))
    rows += (("candidate minus incumbent", found.difference.value, found.difference.low, found.difference.high),)
    caption = f"Accuracy on {found.pairs:,} pairs of {len(np.unique(prompt)):,} prompts; 95 % intervals over prompts"
    blocks: tuple[Block, ...] = (
        Table(("model", "accuracy", "low", "high"), rows, caption),
        Paragraph(_say(test, facts)),
        *_scatter(matched),
    )
    return Check(Section("accuracy", "Accuracy on the same pairs", _WHY, blocks), (), facts)


def _margin_facts(matched: Matched) -> dict[str, Fact]:
    """Scales, and whether one model separates chosen from rejected by more of its own scale than the other."""
    names = ("incumbent_margin_scale", "candidate_margin_scale")
    facts: dict[str, Fact] = {f"accuracy.{name}": scale for name, scale in zip(names, matched.scales, strict=True)}
    mean: float | None = None
    p_value: float | None = None
    if matched.has_scales:
        incumbent, candidate = matched.standardised(matched.usable_C)
        mean = float((candidate - incumbent).mean())
        p_value = sign_flip_p_value(candidate - incumbent, matched.prompt_C[matched.usable_C])
    return facts | {"accuracy.margin_difference": mean, "accuracy.margin_p": p_value}


def _counts(matched: Matched) -> dict[str, Fact]:
    return {
        "accuracy.pairs": int(matched.usable_C.sum()),
        "accuracy.prompts": len(np.unique(matched.prompt_C[matched.usable_C])),
        "accuracy.label_ties": int((~matched.corpus.comparisons.decided).sum()),
        "accuracy.unscored_by_candidate": matched.only_incumbent,
        "accuracy.unscored_by_incumbent": matched.only_candidate,
        "accuracy.unscored_by_both": matched.neither,
    }


def _say(test: McNemar, facts: dict[str, Fact]) -> str:
    said = (
        f"The candidate does better on {test.better:,} pairs and worse on {test.worse:,}; McNemar's exact test, which "
        f"takes pairs for independent, gives p = {test.p_value:.3g}. "
    )
    if facts["accuracy.margin_p"] is None:
        return said + "Margins cannot be put on one scale: the median margin of one model is 0."
    return said + (
        f"In units of each model's median margin, the candidate's mean margin differs by "
        f"{facts['accuracy.margin_difference']:+.3f}; flipping signs prompt by prompt gives p = "
        f"{facts['accuracy.margin_p']:.3g}."
    )


def _scatter(matched: Matched) -> tuple[Scatter, ...]:
    """Margins of both; who points at a pair reads how it begins."""
    if not matched.has_scales:
        return ()
    rows = np.flatnonzero(matched.usable_C)
    drawn = ""
    if len(rows) > _POINTS:
        drawn = f" ({_POINTS:,} of {len(rows):,}, drawn at random)"
        rows = np.sort(np.random.default_rng(0).choice(rows, _POINTS, replace=False))
    incumbent, candidate = (_at(matched, side, rows) for side in (0, 1))
    return (
        Scatter(
            f"Margins of both models{drawn}",
            "incumbent's margin, in its median margins",
            "candidate's margin, in its own",
            tuple(incumbent.tolist()),
            tuple(candidate.tolist()),
            labels=tuple(_label(matched, row) for row in rows.tolist()),
        ),
    )


def _at(matched: Matched, side: int, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    return np.asarray(matched.sides[side].margin_C[rows] / matched.scales[side])


def _label(matched: Matched, row: int) -> str:
    example = matched.corpus.example(row)
    lines = [f"{what}: {_begin(text)}" for what, text in example.texts]
    return "\n".join([example.where, *lines])


def _begin(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _EXCERPT else flat[:_EXCERPT] + "..."
