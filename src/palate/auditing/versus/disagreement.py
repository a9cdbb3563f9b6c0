"""How far two models agree on responses to the same prompt, and the pairs on which they do not.

Shape legend: R responses, C comparisons, G prompts.
"""

import numpy as np
from numpy.typing import NDArray

from palate.auditing.scorer import Floats
from palate.auditing.versus.matched import Matched
from palate.metrics import Estimate, cluster_bootstrap, cluster_codes, kendall_tau, share_estimate
from palate.report.findings import Check, Example, Fact, Finding, Measure, Paragraph, Section, Table

_WHY = (
    "Two models may be right equally often and still be different models: a policy follows the one it is trained "
    "against. The pairs on which they part most are the quickest way to see what the candidate has learned instead."
)
_EXAMPLES = 10


def check_disagreement(matched: Matched) -> Check:
    """Rank correlations within prompts, the share of pairs that they order differently, and those pairs.

    The share counts every comparison, also one without a right answer; a tie of one model alone counts half. Examples
    are labelled pairs, those first whose margins differ most, each in units of its own model's median margin.

    Facts: `disagreement.spearman`, `disagreement.kendall` and `disagreement.share`, with intervals;
    `disagreement.gained`, `disagreement.lost`: pairs that one model alone gets right.
    """
    spearman, kendall = rank_agreement(matched)
    share = _share(matched)
    named = (
        ("spearman", "Spearman's rank correlation within prompts", spearman),
        ("kendall", "Kendall's tau-b within prompts", kendall),
        ("share", "share of pairs ordered differently", share),
    )
    facts: dict[str, Fact] = {}
    for name, _, one in named:
        facts |= {f"disagreement.{name}": one.value} | {
            f"disagreement.{name}_low": one.low,
            f"disagreement.{name}_high": one.high,
        }
    findings = _findings(matched)
    facts |= {"disagreement.gained": 0, "disagreement.lost": 0}
    facts |= {f"disagreement.{finding.id.removesuffix('-pairs')}": finding.count for finding in findings}
    rows = tuple((title, one.value, one.low, one.high) for _, title, one in named)
    text = "The findings gained-pairs and lost-pairs show the pairs on which they part most."
    blocks = (Table(("figure", "value", "low", "high"), rows, "95 % intervals over prompts"), Paragraph(text))
    return Check(Section("disagreement", "Where they disagree", _WHY, blocks), findings, facts)


def rank_agreement(matched: Matched) -> tuple[Estimate, Estimate]:
    """Spearman's rho and Kendall's tau-b of the two rewards, the mean over prompts that both models tell apart.

    With two responses to each prompt, both are the share of equal orders minus that of opposite ones. Ranks alone
    count, so the units of the rewards do not matter.
    """
    responses, groups = matched.corpus.responses, matched.corpus.groups
    both_R = np.isfinite(matched.incumbent.reward_R)
    code_R = cluster_codes(groups.prompt_key[responses.group[both_R]], int(both_R.sum()))
    ranks = [ranks_within(side.reward_R[both_R], code_R) for side in matched.sides]
    tau_G = kendall_tau(ranks[1], ranks[0], code_R)
    rho_G, told_G = _correlations(ranks[0], ranks[1], code_R)
    return _mean(rho_G[told_G]), _mean(tau_G[told_G])


def ranks_within(reward_R: Floats, code_R: NDArray[np.int64]) -> Floats:
    """[R], rank among the responses to the same prompt, lowest 1; equal rewards share the mean of their ranks.

    >>> ranks_within(np.array([5.0, 1.0, 1.0, 9.0]), np.array([0, 0, 0, 1])).tolist()
    [3.0, 1.5, 1.5, 1.0]
    """
    order_R = np.lexsort((reward_R, code_R))
    size_G = np.bincount(code_R)
    place_R = np.arange(1, len(code_R) + 1) - np.repeat(np.cumsum(size_G) - size_G, size_G)
    sorted_R, owner_R = reward_R[order_R], code_R[order_R]
    tied_R = np.cumsum((np.diff(owner_R, prepend=-1) != 0) | (np.diff(sorted_R, prepend=np.nan) != 0)) - 1
    shared_R = (np.bincount(tied_R, weights=place_R) / np.bincount(tied_R))[tied_R]
    ranks_R = np.empty(len(code_R))
    ranks_R[order_R] = shared_R
    return ranks_R


def _correlations(one_R: Floats, other_R: Floats, code_R: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Pearson's correlation of ranks [G] in each prompt, and whether both vary there."""
    size_G = np.bincount(code_R)
    centred = [column - (np.bincount(code_R, weights=column) / size_G)[code_R] for column in (one_R, other_R)]
    squares = [np.bincount(code_R, weights=column**2) for column in centred]
    told_G = (squares[0] > 0) & (squares[1] > 0)
    product_G = np.bincount(code_R, weights=centred[0] * centred[1])
    return product_G / np.sqrt(np.where(told_G, squares[0] * squares[1], 1.0)), told_G


def _mean(values_G: Floats) -> Estimate:
    if not len(values_G):
        return Estimate(np.nan, np.nan, np.nan)
    if np.ptp(values_G) == 0:  # all prompts alike: resampling them shows nothing
        scaled = share_estimate((values_G + 1) / 2, np.arange(len(values_G)))
        return Estimate(float(values_G[0]), 2 * scaled.low - 1, 2 * scaled.high - 1)
    sums_G2 = np.column_stack([values_G, np.ones_like(values_G)])
    return cluster_bootstrap(lambda sums: sums[..., 0] / sums[..., 1], sums_G2)


def _share(matched: Matched) -> Estimate:
    """Of all comparisons with rewards from both, the share that they order differently."""
    incumbent, candidate = (np.sign(side.margin_C) for side in matched.sides)
    both_C = np.isfinite(incumbent)
    return share_estimate(np.abs(incumbent - candidate)[both_C] / 2, matched.prompt_C[both_C])


def examples_of(matched: Matched, member_C: NDArray[np.bool_], *, lost: bool) -> tuple[Example, ...]:
    """The first pairs by how far the two standardised margins lie apart.

    Args:
        matched: both models.
        member_C: labelled pairs with rewards from both.
        lost: those first that the incumbent ranks higher than the candidate does, or the other way round.
    """
    rows = np.flatnonzero(member_C)
    if matched.has_scales:
        incumbent, candidate = matched.standardised(member_C)
        rows = rows[np.argsort((candidate - incumbent) * (1 if lost else -1), kind="stable")]
    return tuple(_example(matched, row) for row in rows[:_EXAMPLES].tolist())


def parted(matched: Matched) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Labelled pairs [C] on which the candidate does worse than the incumbent, and those on which it does better."""
    incumbent, candidate = (np.sign(np.where(matched.usable_C, side.margin_C, 0.0)) for side in matched.sides)
    return candidate < incumbent, candidate > incumbent


def _findings(matched: Matched) -> tuple[Finding, ...]:
    """What one model alone gets right is worth knowing, in both directions."""
    found = []
    named = (("lost-pairs", "incumbent", "candidate"), ("gained-pairs", "candidate", "incumbent"))
    for (id, better, worse), member_C in zip(named, parted(matched), strict=True):
        count = int(member_C.sum())
        share = count / int(matched.usable_C.sum())
        if count:
            found.append(
                Finding(
                    id,
                    "info",
                    f"The {better} does better than the {worse} on {count:,} pairs ({share:.1%}).",
                    Measure(share, "share of pairs"),
                    cure=f"Read them: what does the {worse} see in the other response?",
                    count=count,
                    examples=examples_of(matched, member_C, lost=id == "lost-pairs"),
                )
            )
    return tuple(found)


def _example(matched: Matched, row: int) -> Example:
    margins = [
        f"{side.margin_C[row] / scale:+.2f} of the {name}"
        for side, scale, name in zip(matched.sides, matched.scales, ("incumbent", "candidate"), strict=True)
        if scale > 0
    ]
    note = f"margin in median margins: {', '.join(margins)}" if margins else ""
    return matched.corpus.example(row, note)
