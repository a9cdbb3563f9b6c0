"""Agreement with votes on what training had, and on what it had not: rows, prompts, annotators.

A split by row leaves the prompts of its held-out rows in training, a split by prompt leaves their annotators. Each
figure here is of the same model on the same held-out votes, divided by what they share with the training data.
Source: Geva, Goldberg and Berant (2019), Are we modeling the task or the annotator?, EMNLP, section 5.

Shape legend: V votes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.auditing.people.votes import SidedVotes
from palate.auditing.scorer import Floats, Scored
from palate.health.corpus import Corpus
from palate.health.leaks.repeats import group_keys
from palate.metrics import Estimate, cluster_bootstrap, cluster_sums, share_estimate

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Division:
    """Votes by whether training had what they are about.

    Attributes:
        name: of what is disjoint where it had not.
        seen, unseen: agreement, with intervals over prompts; None where there are no such votes.
        votes: how many of each.
        gap: agreement on seen minus on unseen; None where either is missing.
    """

    name: str
    seen: Estimate | None
    unseen: Estimate | None
    votes: tuple[int, int]
    gap: Estimate | None


def divisions(votes: SidedVotes, scored: Scored, training: Corpus) -> Iterator[Division]:
    """By row, by prompt, by annotator, and by either of the last two.

    Args:
        votes: of the held-out data.
        scored: that data.
        training: the training data; groups that are there to be compared with do not count.
    """
    ours = ~training.groups.against
    group = scored.corpus.comparisons.group[votes.comparison]
    row = np.isin(group_keys(scored.corpus)[group], group_keys(training)[ours])
    prompt = np.isin(votes.prompt, training.groups.prompt_key[ours])
    yield _division("rows", row, votes)
    yield _division("prompts", prompt, votes)
    cast = ours[training.comparisons.group[training.votes.comparison]]
    known = {training.annotators[code] for code in np.unique(training.votes.annotator[cast]).tolist()}
    if known and not votes.anonymous:
        annotator = np.array([name in known for name in votes.names])[votes.annotator]
        yield _division("annotators", annotator, votes)
        yield _division("prompts or annotators", prompt | annotator, votes)


def _division(name: str, seen: Bools, votes: SidedVotes) -> Division:
    parts = [
        share_estimate(votes.agrees[member], votes.prompt[member].tolist()) if member.any() else None
        for member in (seen, ~seen)
    ]
    gap = gap_of(votes.agrees, seen, votes) if seen.any() and (~seen).any() else None
    return Division(name, parts[0], parts[1], (int(seen.sum()), int((~seen).sum())), gap)


def gap_of(agrees: Floats, seen: Bools, votes: SidedVotes) -> Estimate:
    """Mean of the seen minus mean of the unseen; prompts are resampled, with both kinds of their votes."""
    columns = np.column_stack([agrees * seen, seen, agrees * ~seen, ~seen]).astype(np.float64)
    return cluster_bootstrap(_gap, cluster_sums(columns, votes.prompt.tolist()))


def _gap(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])
