"""Annotators in the reward: findings, tables and plots."""

from dataclasses import asdict

import numpy as np

from palate.auditing.local import States
from palate.auditing.people.ability import Ability, ability_of
from palate.auditing.people.reading import Probe, probe_annotators, votes_to_tell
from palate.auditing.people.unseen import Division, divisions
from palate.auditing.people.votes import SidedVotes, sided_votes
from palate.auditing.scorer import Scored
from palate.health.corpus import Corpus
from palate.health.parts import Part, joined
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate
from palate.report.findings import Block, Check, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars

_KEY, _TITLE = "people", "Annotators in the reward"
_WHY = (
    "A reward model is meant to learn what people in general prefer, but it may learn the habits of those who labelled "
    "the most, and be worse for everybody else. Agreement with each annotator, and with those it has never seen, shows "
    "which."
)
_ENOUGH, _SHOWN, _BARS = 20, 10, 25


def check_people(
    scored: Scored,
    thresholds: Thresholds,
    *,
    state: States | None = None,
    training: Corpus | None = None,
    seed: int = 0,
) -> Check:
    """Agreement by annotator, on seen and unseen rows, prompts and annotators, and annotators in hidden states.

    Args:
        scored: held-out data with votes.
        thresholds: for `annotator-gap`, `annotators-seen` and `annotator-in-state`.
        state: [R, D] of its responses; None where the model does not show them.
        training: the training data, None where it is not given.
        seed: of draws.
    """
    votes = sided_votes(scored)
    if not len(votes.annotator):
        why = "no votes in the held-out data" if not votes.left_out else "no vote took a side between two rewards"
        return Check(Section(_KEY, _TITLE, _WHY, ()), skipped=why)
    parts = [_sizes(votes)]
    if votes.anonymous:
        text = "No annotator voted twice, or the data does not name them: nothing can be said about single ones."
        parts.append(Part((Paragraph(text),), (), {"named": False}))
    else:
        parts.append(_abilities(votes, ability_of(votes, seed=seed), thresholds))
    if training is not None:
        parts.append(_unseen(tuple(divisions(votes, scored, training)), thresholds))
    if not votes.anonymous:
        parts.append(_probe(votes, state, thresholds, seed))
    return joined(_KEY, _TITLE, _WHY, parts)


def _sizes(votes: SidedVotes) -> Part:
    text = (
        f"{len(votes.annotator):,} votes of {len(votes.names):,} annotators take a side; the reward agrees with "
        f"{votes.agrees.mean():.1%} of them. {votes.left_out:,} votes are ties or on responses without a reward."
    )
    facts: dict[str, Fact] = {
        "votes": len(votes.annotator),
        "annotators": len(votes.names),
        "left_out": votes.left_out,
        "agreement": float(votes.agrees.mean()),
    }
    return Part((Paragraph(text),), (), facts)


def _abilities(votes: SidedVotes, ability: Ability, thresholds: Thresholds) -> Part:
    usual, p = ability.prior.mean, ability.p_value
    order = np.argsort(ability.shrunk, kind="stable")
    busy = order[ability.votes[order] >= _ENOUGH].tolist()
    known = f"p = {p:.3f}" if np.isfinite(p) else "not testable: no two votes on a pair differ"
    text = (
        "Whether annotators differ by more than chance and by more than the pairs that they were given: "
        f"{known}. Shares of few votes are drawn towards the common one, "
        f"which weighs as much as {ability.prior.weight:,.0f} votes; {len(busy):,} annotators have {_ENOUGH} or more."
    )
    shown = busy if len(busy) <= 2 * _SHOWN else [*busy[:_SHOWN], *busy[-_SHOWN:]]
    rows = tuple(
        (
            votes.names[one],
            int(ability.votes[one]),
            float(ability.share[one]),
            float(ability.shrunk[one]),
            float(ability.low[one]),
            float(ability.high[one]),
            _number(float(ability.others[one])),
        )
        for one in shown
    )
    names = ("annotator", "votes", "agreement", "drawn in", "low", "high", "others on the same pairs")
    caption = "The reward's agreement with each annotator, the worst first"
    blocks: tuple[Block, ...] = (
        Paragraph(text),
        Table(names, rows, caption, omitted=len(busy) - len(shown)),
        *_bars(votes, ability, busy),
    )
    facts: dict[str, Fact] = {
        "named": True,
        "spread_p": _number(p),
        "prior_mean": usual,
        "prior_weight": ability.prior.weight,
        "by_annotator": {
            votes.names[one]: {
                "votes": int(ability.votes[one]),
                "agreement": float(ability.share[one]),
                "shrunk": float(ability.shrunk[one]),
                "low": float(ability.low[one]),
                "high": float(ability.high[one]),
                "others": _number(float(ability.others[one])),
            }
            for one in shown
        },
    }
    return Part(blocks, _gap(votes, ability, busy, thresholds), facts)


def _gap(votes: SidedVotes, ability: Ability, busy: list[int], thresholds: Thresholds) -> tuple[Finding, ...]:
    """The annotator whom the model serves worst, against others on the same pairs."""
    if not busy or ability.p_value > 0.05:
        return ()
    people = np.array(busy)
    trials = ability.votes[people].astype(np.float64)
    hits = ability.share[people] * trials
    # so many are looked at that the worst of them is judged at a level that allows for all
    best = ability.prior.quantile(hits, trials, 1 - 0.025 / len(people))
    least = ability.prior.quantile(hits, trials, 0.025 / len(people))
    known = np.isfinite(ability.others[people])
    others = np.where(known, ability.others[people], ability.prior.mean)
    worst = int(np.argmax(others - best))
    one, rival = int(people[worst]), "those of others on the same pairs" if known[worst] else "all"
    return thresholds.find(
        "annotator-gap",
        f"The reward agrees with {ability.share[one]:.0%} of the {ability.votes[one]:,} votes of {votes.names[one]}, "
        f"and with {others[worst]:.0%} of {rival}.",
        Measure(
            float(others[worst] - ability.shrunk[one]),
            "agreement below that with others",
            float(others[worst] - best[worst]),
            float(others[worst] - least[worst]),
        ),
        cure="Read this annotator's votes. Where they are careless, leave them out or let an aggregation weigh them "
        "down; where they stand for people who want something else, the model does not serve these.",
        command="palate data aggregate PREFS --method mace --out FILE",
        count=int((others - best > 0).sum()),
    )


def _bars(votes: SidedVotes, ability: Ability, busy: list[int]) -> tuple[Bars, ...]:
    if len(busy) < 2:
        return ()
    shown = busy if len(busy) <= _BARS else [*busy[: _BARS // 2], *busy[-_BARS // 2 :]]
    title = "Agreement with each annotator"
    if len(shown) < len(busy):
        title += f", the {_BARS // 2} worst and the best of {len(busy):,}"
    return (
        Bars(
            title,
            "agreement, drawn towards the common one, 95 % intervals",
            tuple(votes.names[one] for one in shown),
            tuple(ability.shrunk[shown].tolist()),
            tuple(zip(ability.low[shown].tolist(), ability.high[shown].tolist(), strict=True)),
            tuple(f"{ability.votes[one]:,} votes" for one in shown),
            reference=ability.prior.mean,
            reference_label="all votes",
        ),
    )


def _unseen(found: tuple[Division, ...], thresholds: Thresholds) -> Part:
    rows: list[tuple[str | float | int | None, ...]] = []
    for one in found:
        for kind, estimate, count in (("in training", one.seen, one.votes[0]), ("not", one.unseen, one.votes[1])):
            cells = (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)
            rows.append((one.name, kind, count, *cells))
    names = ("divided by", "", "votes", "agreement", "low", "high")
    table = Table(names, tuple(rows), "The same held-out votes, by what they share with the training data")
    facts: dict[str, Fact] = {f"unseen.{one.name.replace(' ', '_')}": _division_facts(one) for one in found}
    findings: tuple[Finding, ...] = ()
    by_annotator = next((one for one in found if one.name == "annotators"), None)
    if by_annotator is not None and by_annotator.gap is not None and by_annotator.unseen is not None:
        gap = by_annotator.gap
        findings = thresholds.find(
            "annotators-seen",
            f"The reward agrees with annotators of the training data by {gap.value:.1%} more than with others "
            f"({by_annotator.unseen.value:.1%}).",
            Measure(gap.value, "agreement", gap.low, gap.high),
            cure="What it will do for new people is the lower figure. Hold out annotators, and collect from more of "
            "them, a few labels each.",
            command="palate data split DATA --by annotator --out DIR",
        )
    blocks: tuple[Block, ...] = (table,)
    if by_annotator is None:
        text = "Annotators are not divided: the training data names none, or nobody voted twice here."
        blocks += (Paragraph(text),)
    return Part(blocks, findings, facts)


def _probe(votes: SidedVotes, state: States | None, thresholds: Thresholds, seed: int) -> Part:
    if state is None:
        text = "Whether annotators can be told from hidden states is not known: servers do not show them."
        return Part((Paragraph(text),), (), {"probe_skipped": "no hidden states"})
    rows = votes_to_tell(votes.annotator, seed=seed)
    difference = state[votes.preferred[rows]].astype(np.float64) - state[votes.other[rows]]
    found = probe_annotators(difference, votes.annotator[rows], votes.prompt[rows], seed=seed)
    if isinstance(found, str):
        text = f"Whether annotators can be told from hidden states is not known: {found}."
        return Part((Paragraph(text),), (), {"probe_skipped": found})
    accuracy = found.accuracy
    text = (
        f"A probe tells {found.annotators} annotators apart by the hidden states of {found.votes:,} votes, on prompts "
        f"that it was not fitted to: balanced accuracy {accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]; "
        f"guessing gives {found.chance:.3f}, and up to {found.chance_high:.3f} by chance (p = {found.p_value:.3f})."
    )
    return Part((Paragraph(text),), _in_state(found, thresholds), {"probe": _probe_facts(found), "probe_skipped": ""})


def _in_state(found: Probe, thresholds: Thresholds) -> tuple[Finding, ...]:
    return thresholds.find(
        "annotator-in-state",
        f"Hidden states tell {found.annotators} annotators apart with a balanced accuracy of "
        f"{found.accuracy.value:.0%}; guessing gives {found.chance:.0%}.",
        Measure(
            found.accuracy.value - found.chance,
            "balanced accuracy beyond guessing",
            found.accuracy.low - found.chance_high,
            found.accuracy.high - found.chance,
        ),
        cure="Annotators who judged different kinds of pairs, or wrote the texts, show too. Compare agreement with "
        "seen and unseen annotators (--train-data) before blaming the model, and hold out annotators.",
        command="palate data split DATA --by annotator --out DIR",
    )


def _division_facts(one: Division) -> dict[str, Fact]:
    def known(estimate: Estimate | None) -> Fact:
        return None if estimate is None else {name: _number(value) for name, value in asdict(estimate).items()}

    votes: dict[str, Fact] = {"seen_votes": one.votes[0], "unseen_votes": one.votes[1]}
    return votes | {"seen": known(one.seen), "unseen": known(one.unseen), "gap": known(one.gap)}


def _probe_facts(found: Probe) -> dict[str, Fact]:
    facts: dict[str, Fact] = {name: value for name, value in asdict(found).items() if name != "accuracy"}
    accuracy = found.accuracy
    return facts | {"accuracy": accuracy.value, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
