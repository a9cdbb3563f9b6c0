"""How well groups of more than two responses are ranked: the best one, the top, and the order as far as it is known.

What people say of a group is a partial order: a ranking compares everything, a chain of comparisons only neighbours,
and what follows from it holds too. Where labels run in a circle, the responses on it are in no order.

Shape legend: G groups of equal size, K responses of each, R responses end to end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.auditing.partial_order import Bools, partial_kendall, preferred
from palate.auditing.scorer import Floats, Scored
from palate.health.tables import Ints
from palate.metrics import Estimate, best_found, ndcg, share_estimate
from palate.report.findings import Block, Check, Fact, Paragraph, Section, Table
from palate.report.plots import Bars

_WHY = (
    "A reward model is often used to take the best of many answers, not the better of two. Choosing among more is "
    "harder, because one overrated answer is enough to be taken; so the best of N is told apart from pairs here."
)
_BLOCK = 4_000_000  # cells of [G, K, K] at a time


@dataclass(frozen=True, slots=True)
class RankedGroups:
    """How each group is ranked by its rewards, columns [G] over groups of any size.

    Attributes:
        size: responses.
        prompt: what dependent groups have in common.
        best: share of the responses with the highest reward that no other is preferred to.
        chance: share of all responses that no other is preferred to.
        ndcg: see `palate.metrics.ndcg`, with the number of responses that each is preferred to as its worth.
        ndcg_chance: its expectation for rewards drawn at random.
        kendall: tau-b over the pairs whose order is known, see `palate.auditing.partial_order`.
        unscored: groups left out because a response has no reward.
        undecided: groups left out because no response is preferred to another, or all in circles.
        circular: groups, of those that are not left out, with a circle in their labels.
    """

    size: Ints
    prompt: NDArray[np.uint64]
    best: Floats
    chance: Floats
    ndcg: Floats
    ndcg_chance: Floats
    kendall: Floats
    unscored: int
    undecided: int
    circular: int


def check_groups(scored: Scored) -> Check:
    """Best-of-N accuracy, NDCG and Kendall's tau-b with intervals over prompts, on the whole and by N.

    Facts: `best_of_n.accuracy`, `.chance`, `.ndcg`, `.ndcg_chance`, `.kendall`, their ends `_low` and `_high`,
    `.groups`, `.unscored`, `.undecided`, `.circular`, and `.by_n` with the same for each number of responses.
    """
    section = Section("best_of_n", "Best of N", _WHY, ())
    found = rank_groups(scored)
    if not len(found.size):
        left_out = found.unscored + found.undecided
        why = f"; {left_out} larger ones have no rewards or no order" if left_out else ""
        return Check(section, skipped=f"no group of more than two responses can be ranked: there are only pairs{why}")
    whole = _figures(found, np.ones(len(found.size), np.bool_))
    by_n = {n: _figures(found, found.size == n) for n in np.unique(found.size).tolist()}
    facts: dict[str, Fact] = {f"best_of_n.{name}": value for name, value in whole.items()}
    facts |= {
        "best_of_n.unscored": found.unscored,
        "best_of_n.undecided": found.undecided,
        "best_of_n.circular": found.circular,
        "best_of_n.by_n": {str(n): dict(figures) for n, figures in by_n.items()},
    }
    blocks = (_bars(by_n), _table(whole, by_n), *_left_out(found))
    return Check(Section(section.key, section.title, _WHY, blocks), facts=facts)


def rank_groups(scored: Scored) -> RankedGroups:
    """Every group of more than two responses that has an order and all of its rewards."""
    groups = scored.corpus.groups
    size_G = np.where(groups.against, 0, np.diff(groups.start))
    parts = list(_parts(scored, size_G))
    columns = ("best", "chance", "ndcg", "ndcg_chance", "kendall")
    joined = {name: np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in columns}
    return RankedGroups(
        size=np.concatenate([np.empty(0, np.int64), *(part.size for part in parts)]),
        prompt=np.concatenate([np.empty(0, np.uint64), *(part.prompt for part in parts)]),
        **joined,
        unscored=sum(part.unscored for part in parts),
        undecided=sum(part.undecided for part in parts),
        circular=sum(part.circular for part in parts),
    )


def _parts(scored: Scored, size_G: Ints) -> Iterator[RankedGroups]:
    """The groups, some of equal size at a time."""
    for size in np.unique(size_G[size_G > 2]).tolist():
        same = np.flatnonzero(size_G == size)
        for some in np.array_split(same, 1 + len(same) * size**2 // _BLOCK):
            yield _rank_some(scored, some, size)


def _rank_some(scored: Scored, some: Ints, size: int) -> RankedGroups:
    start = scored.corpus.groups.start[some]
    reward_GK = scored.reward_R[start[:, None] + np.arange(size)]
    beats_GKK, tied_GKK = _labels(scored, some, size)
    order_GKK, circular_G = preferred(beats_GKK)
    has_order_G, has_rewards_G = order_GKK.any(axis=(1, 2)), np.isfinite(reward_GK).all(axis=1)
    kept = has_order_G & has_rewards_G
    reward_GK, order_GKK = reward_GK[kept], order_GKK[kept]
    worth_GK = order_GKK.sum(axis=2).astype(np.float64)
    top_GK = (~order_GKK.any(axis=1)).astype(np.float64)
    name_R = np.repeat(np.arange(len(reward_GK)), size)
    empty = np.empty(0)
    flat_R, worth_R = reward_GK.ravel(), worth_GK.ravel()
    return RankedGroups(
        size=np.full(len(reward_GK), size),
        prompt=scored.corpus.groups.prompt_key[some[kept]],
        best=best_found(flat_R, top_GK.ravel(), name_R) if len(flat_R) else empty,
        chance=top_GK.mean(axis=1),
        ndcg=ndcg(flat_R, worth_R, name_R) if len(flat_R) else empty,
        ndcg_chance=ndcg(np.zeros_like(flat_R), worth_R, name_R) if len(flat_R) else empty,
        kendall=partial_kendall(reward_GK, order_GKK, tied_GKK[kept]),
        unscored=int((~has_rewards_G).sum()),
        undecided=int((has_rewards_G & ~has_order_G).sum()),
        circular=int((circular_G & kept).sum()),
    )


def _labels(scored: Scored, some: Ints, size: int) -> tuple[Bools, Bools]:
    """Of some groups, which response won against which, and which were judged to be equally good; [G, K, K] each."""
    labels, start = scored.corpus.comparisons, scored.corpus.groups.start
    place_G = np.full(len(start) - 1, -1)
    place_G[some] = np.arange(len(some))
    row_C = np.flatnonzero(place_G[labels.group] >= 0)
    group_C = labels.group[row_C]
    cell_C = place_G[group_C], labels.winner[row_C] - start[group_C], labels.loser[row_C] - start[group_C]
    decided_C = labels.decided[row_C]
    beats, tied = (np.zeros((len(some), size, size), np.bool_) for _ in range(2))
    beats[tuple(column[decided_C] for column in cell_C)] = True
    tied[tuple(column[~decided_C] for column in cell_C)] = True
    return beats, tied


def _figures(found: RankedGroups, member: Bools) -> dict[str, Fact]:
    prompt = found.prompt[member]
    estimates = {
        "accuracy": share_estimate(found.best[member], prompt),
        "ndcg": share_estimate(found.ndcg[member], prompt),
        "kendall": _from_shares(share_estimate((1 + found.kendall[member]) / 2, prompt)),
    }
    figures: dict[str, Fact] = {
        "groups": int(member.sum()),
        "chance": float(found.chance[member].mean()),
        "ndcg_chance": float(found.ndcg_chance[member].mean()),
    }
    for name, one in estimates.items():
        figures |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return figures


def _from_shares(one: Estimate) -> Estimate:
    """From [0, 1] back to [-1, 1]."""
    return Estimate(2 * one.value - 1, 2 * one.low - 1, 2 * one.high - 1)


def _bars(by_n: dict[int, dict[str, Fact]]) -> Bars:
    return Bars(
        "How often the response with the highest reward is the best one, by the number of responses",
        "share of groups, 95 % intervals",
        tuple(f"{n} responses" for n in by_n),
        tuple(_number(one["accuracy"]) for one in by_n.values()),
        tuple((_number(one["accuracy_low"]), _number(one["accuracy_high"])) for one in by_n.values()),
        tuple(f"{one['groups']} groups; drawn at random: {_number(one['chance']):.2f}" for one in by_n.values()),
    )


_COLUMNS = (
    "accuracy", "accuracy_low", "accuracy_high", "chance",
    "ndcg", "ndcg_chance",
    "kendall", "kendall_low", "kendall_high",
)  # fmt: skip


def _table(whole: dict[str, Fact], by_n: dict[int, dict[str, Fact]]) -> Table:
    named = [*((str(n), one) for n, one in by_n.items()), ("all", whole)]
    rows: list[tuple[str | float | int | None, ...]] = [
        (name, int(_number(one["groups"])), *(_number(one[key]) for key in _COLUMNS)) for name, one in named
    ]
    names = ("responses", "groups", "best found", "low", "high", "random", "NDCG", "random", "tau-b", "low", "high")
    return Table(names, tuple(rows), "Groups of more than two responses, by their number; 95 % intervals over prompts")


def _number(value: Fact) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _left_out(found: RankedGroups) -> tuple[Block, ...]:
    said = []
    if found.unscored:
        said.append(f"{found.unscored:,} groups are left out because a response has no reward.")
    if found.undecided:
        said.append(f"{found.undecided:,} groups are left out because no response is preferred to another.")
    if found.circular:
        said.append(f"In {found.circular:,} groups labels run in a circle; the responses on it count as in no order.")
    return (Paragraph(" ".join(said)),) if said else ()
