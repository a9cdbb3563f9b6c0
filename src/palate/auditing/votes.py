"""How right a reward model is against single votes, and how right anybody could be.

People who judge the same two responses disagree, so nothing agrees with all of them. A reward model is therefore held
to three standards: the best that can be done against these very votes, what one annotator achieves against the others,
and how often labels made of so few votes can be right at all.

Shape legend: C comparisons, V votes for one of two sides (votes for a tie are left out).
"""

import math
from dataclasses import dataclass

import numpy as np

from palate.auditing.scorer import Floats, Scored
from palate.health.annotators.agreement import label_ceiling
from palate.health.annotators.ballots import TIE, ballots_of
from palate.health.parts import Part
from palate.health.tables import Ints, Keys
from palate.metrics import (
    Estimate,
    cluster_bootstrap,
    cluster_sums,
    item_bootstrap,
    pairwise_agreement,
    share_estimate,
)
from palate.report.findings import Block, Fact, Paragraph, Table
from palate.report.plots import Bars


@dataclass(frozen=True, slots=True)
class SidedVotes:
    """Votes for a side of comparisons that have two rewards, columns [V].

    Attributes:
        comparison: row of the comparison.
        prompt: what dependent votes have in common.
        model: which side the rewards are on: 1 for the winner, -1 for the loser, 0 where they are equal.
        vote: which side the annotator is on, 1 or -1.
        lead: how many votes more the winner has than the loser, this vote included.
        others: the side of the majority of the other annotators; 0 where there are none or they are split evenly.
        unanimous: whether nobody voted for the other side or for a tie, two at least having voted.
    """

    comparison: Ints
    prompt: Keys
    model: Floats
    vote: Floats
    lead: Floats
    others: Floats
    unanimous: np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Standard:
    """The model against something that could be done.

    Attributes:
        model: how often the model is right.
        best: how often something else is: the standard.
        share: the first over the second.
    """

    model: Estimate
    best: Estimate
    share: Estimate


def agreement_ceiling(scored: Scored) -> Part:
    """Accuracy against single votes and against the others' majority, with their ceilings; unanimous and split votes.

    Facts: `votes.*` against single votes, whose ceiling is a model that always says what most of these votes say;
    `annotator.*` against the majority of the others, where the standard is one annotator; `ceiling*`, the bound on the
    accuracy against labels by majority, see `palate.health.annotators.agreement.label_ceiling`; `unanimous.*` and
    `split.*`. Nothing where there are no votes.
    """
    votes = sided_votes(scored)
    if not len(votes.vote):
        return Part()
    single = against_votes(votes)
    facts = _facts("votes", single) | {"votes.votes": len(votes.vote)}
    rows = [_row("single votes", single, "what most of these votes say")]
    if (votes.others != 0).any():
        human = against_others(votes)
        facts |= _facts("annotator", human) | {"annotator.votes": int((votes.others != 0).sum())}
        rows.append(_row("what most of the others say", human, "one annotator"))
    bound = _bound(scored)
    if not math.isnan(bound.value):
        facts |= _ends("ceiling", bound)
    names = ("judged against", "model", "low", "high", "standard", "is right", "low", "high", "share reached")
    table = Table(names, tuple(rows), "How right the model is, beside how right anybody can be; ties left out")
    split_facts, bars = _by_unity(votes)
    return Part((table, *_explained(bound), *bars), (), facts | split_facts)


def sided_votes(scored: Scored) -> SidedVotes:
    """The votes for a side of every comparison whose responses both have a reward."""
    corpus, margin_C = scored.corpus, scored.margin_C
    votes, labels = corpus.votes, corpus.comparisons
    known_V = np.isfinite(margin_C[votes.comparison]) & ~corpus.groups.against[labels.group[votes.comparison]]
    comparison_V, preferred_V = votes.comparison[known_V], votes.preferred[known_V]
    vote_V = np.where(preferred_V < 0, 0.0, np.where(preferred_V == labels.winner[comparison_V], 1.0, -1.0))
    size = len(margin_C)
    lead_C = np.bincount(comparison_V, weights=vote_V, minlength=size)
    cast_C = np.bincount(comparison_V, minlength=size)
    sided = vote_V != 0
    comparison_V, vote_V = comparison_V[sided], vote_V[sided]
    lead_V = lead_C[comparison_V]
    return SidedVotes(
        comparison=comparison_V,
        prompt=corpus.groups.prompt_key[labels.group[comparison_V]],
        model=np.sign(margin_C[comparison_V]),
        vote=vote_V,
        lead=lead_V,
        others=np.sign(lead_V - vote_V),
        unanimous=(np.abs(lead_V) == cast_C[comparison_V]) & (cast_C[comparison_V] > 1),
    )


def against_votes(votes: SidedVotes) -> Standard:
    """How often rewards agree with a vote, and how often the majority of the same votes does, an even split half."""
    model_V, most_V = (_agreed(side, votes.vote) for side in (votes.model, np.sign(votes.lead)))
    return _standard(model_V, most_V, votes.prompt)


def against_others(votes: SidedVotes) -> Standard:
    """How often rewards agree with the majority of all annotators but one, and how often that one does."""
    kept = votes.others != 0
    model_V, one_V = (_agreed(side[kept], votes.others[kept]) for side in (votes.model, votes.vote))
    return _standard(model_V, one_V, votes.prompt[kept])


def _agreed(one: Floats, other: Floats) -> Floats:
    """[V], 1 where two sides are the same, 1/2 where one is undecided."""
    agreed: Floats = (1 + one * other) / 2
    return agreed


def _standard(model_V: Floats, best_V: Floats, prompt_V: Keys) -> Standard:
    sums = cluster_sums(np.column_stack([model_V, best_V]), prompt_V)
    share = cluster_bootstrap(lambda sums: sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan), sums)
    return Standard(share_estimate(model_V, prompt_V), share_estimate(best_V, prompt_V), share)


def _bound(scored: Scored) -> Estimate:
    """Of the accuracy against labels by majority; NaN where no two annotators took a side on the same comparison."""
    ballots = ballots_of(scored.corpus)
    agreement = item_bootstrap(pairwise_agreement, ballots.counts[:, :TIE])
    if math.isnan(agreement.value):
        return agreement
    ends = (label_ceiling(value, ballots) for value in (agreement.value, agreement.low, agreement.high))
    return Estimate(*ends)


def _by_unity(votes: SidedVotes) -> tuple[dict[str, Fact], tuple[Bars, ...]]:
    """Accuracy against the majority where votes are unanimous, and where they are not but have one."""
    _, first = np.unique(votes.comparison, return_index=True)
    decided = first[votes.lead[first] != 0]
    right, together = _agreed(votes.model[decided], np.sign(votes.lead[decided])), votes.unanimous[decided]
    several = np.bincount(votes.comparison)[votes.comparison[decided]] > 1
    facts: dict[str, Fact] = {}
    shown: list[tuple[str, Estimate, int]] = []
    for name, member in (("unanimous", together), ("split", ~together & several)):
        facts[f"{name}.pairs"] = int(member.sum())
        if member.any():
            one = share_estimate(right[member], votes.prompt[decided][member])
            facts |= _ends(f"{name}.accuracy", one)
            shown.append((name, one, int(member.sum())))
    if not shown:
        return facts, ()
    bars = Bars(
        "Accuracy where people are of one mind, and where they are not",
        "accuracy, 95 % intervals",
        tuple(f"{name} votes" for name, _, _ in shown),
        tuple(one.value for _, one, _ in shown),
        tuple((one.low, one.high) for _, one, _ in shown),
        tuple(f"{pairs:,} pairs" for _, _, pairs in shown),
        reference=0.5,
        reference_label="guessing",
    )
    return facts, (bars,)


def _row(name: str, one: Standard, standard: str) -> tuple[str | float, ...]:
    model, best = one.model, one.best
    return (name, model.value, model.low, model.high, standard, best.value, best.low, best.high, one.share.value)


def _facts(name: str, one: Standard) -> dict[str, Fact]:
    return _ends(f"{name}.accuracy", one.model) | _ends(f"{name}.ceiling", one.best) | _ends(f"{name}.share", one.share)


def _ends(name: str, one: Estimate) -> dict[str, Fact]:
    ends = {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return {key: value if math.isfinite(value) else None for key, value in ends.items()}


def _explained(bound: Estimate) -> tuple[Block, ...]:
    if math.isnan(bound.value):
        return ()
    text = (
        "Labels by majority can be wrong too: with so many votes, and annotators who agree so far, a model that always "
        f"knew what most people would say is right about these labels in at most {bound.value:.1%} of the pairs "
        f"({bound.low:.1%} to {bound.high:.1%})."
    )
    return (Paragraph(text),)
