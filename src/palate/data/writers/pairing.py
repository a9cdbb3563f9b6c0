"""The comparisons of a group one by one, for formats whose rows hold two responses.

A ranking of K responses becomes its K (K - 1) / 2 pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from palate.data.writers.target import Job, Row, RowsOf, own_id
from palate.records import Comparison, Conversation, PreferenceGroup


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of a group."""

    group: PreferenceGroup
    comparison: Comparison

    @property
    def id(self) -> str:
        """The data's own id; pairs of a larger group add which of its responses they are."""
        whole = own_id(self.group)
        return whole if len(self.group.responses) == 2 or not whole else f"{whole}#{self.first}-{self.second}"

    @property
    def first(self) -> int:
        """Index of the response that comes first in the group."""
        return min(self.comparison.winner, self.comparison.loser)

    @property
    def second(self) -> int:
        """Index of the other."""
        return max(self.comparison.winner, self.comparison.loser)

    @property
    def chosen(self) -> Conversation:
        """The preferred response."""
        return self.group.responses[self.comparison.winner]

    @property
    def rejected(self) -> Conversation:
        """The other response."""
        return self.group.responses[self.comparison.loser]

    @property
    def alone(self) -> PreferenceGroup:
        """A group of these two responses, in their order, with this comparison alone."""
        place = {self.first: 0, self.second: 1}
        one = self.comparison
        votes = tuple(
            replace(
                vote,
                preferred=None if vote.preferred is None else place[vote.preferred],
                first=None if vote.first is None else place[vote.first],
            )
            for vote in one.votes
        )
        return replace(
            self.group,
            id=self.group.id if len(self.group.responses) == 2 else f"{self.group.id}#{self.first}-{self.second}",
            responses=(self.group.responses[self.first], self.group.responses[self.second]),
            comparisons=(replace(one, winner=place[one.winner], loser=place[one.loser], votes=votes),),
            models=(self.model(self.first), self.model(self.second)) if self.group.models else (),
        )

    def model(self, index: int) -> str:
        """Who wrote that response, or nothing."""
        return self.group.models[index] if self.group.models else ""


def pairwise(write: Callable[[Pair, Job], Row | None], *, ties: bool = False) -> RowsOf:
    """Rows of a group from rows of its pairs.

    Args:
        write: the row of a pair; None after it has said to the job why there is none.
        ties: whether the format can say that neither is better.
    """

    def rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
        if not group.comparisons:
            job.leave_out("no-comparisons")
        written: set[int] = set()
        number = 0
        for comparison in group.comparisons:
            if comparison.is_tie and not ties:
                job.leave_out("tie")
                continue
            row = write(Pair(group, comparison), job)
            if row is not None:
                written |= {comparison.winner, comparison.loser}
                number += 1
                job.wrote(comparison)
                yield row
        if written:
            job.wrote_group(group)
            job.lose("unpaired-response", len(group.responses) - len(written))
            job.lose("split-group", int(number > 1))

    return rows


def one_by_one(group: PreferenceGroup, job: Job) -> Iterator[PreferenceGroup]:
    """The comparisons of a group as groups of two responses each, for what cannot be said of the group as a whole."""
    job.lose("split-group", int(len(group.comparisons) > 1))
    compared = {index for one in group.comparisons for index in (one.winner, one.loser)}
    job.lose("unpaired-response", len(group.responses) - len(compared))
    rewards = job.rewards
    for comparison in group.comparisons:
        pair = Pair(group, comparison)
        job.rewards = None if rewards is None else (rewards[pair.first], rewards[pair.second])
        yield pair.alone
    job.rewards = rewards
