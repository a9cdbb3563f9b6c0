"""What the training loop runs on: tokenized groups on both sides, the plan, and how a step is packed."""

from collections.abc import Sequence
from dataclasses import dataclass

from palate.data.store import Ints, TokenStore
from palate.packing.bins import Indices, pack, pack_padded
from palate.packing.plan import Plan, StepPlan, fill
from palate.records import DroppedRow


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What the loop runs on.

    Attributes:
        training: tokenized groups with at least one comparison.
        evaluation: held-out groups, possibly none.
        steps: which groups each optimiser step takes.
        costs: tokens that each training group adds to a pack; alone, with its padding, in the padded layout.
        opening: tokens that a pack holds besides, since all groups begin with them.
        shared: whether the layout shares prompts; without it, what a pack holds is padded to its longest row.
        dropped: every row and group left out, of both sides.
        truncated: groups whose prompt was cut.
        ignored_labels: groups with weights, margins or shared labels, of which the loss sees nothing.
        fingerprint: of the training comparisons.
        resume_key: what a resumed run must find unchanged: the fingerprint, and the number of processes where the
            plan depends on it.
    """

    training: TokenStore
    evaluation: TokenStore
    steps: Plan
    costs: Ints
    opening: int
    shared: bool
    dropped: tuple[DroppedRow, ...]
    truncated: int
    ignored_labels: int
    fingerprint: str
    resume_key: str

    def packs(self, step: StepPlan, budget: int, *, num_ranks: int) -> tuple[Indices, ...]:
        """Positions in the step's groups of each pack: as the plan has them, or else as many as the budget allows."""
        if step.packs:
            return step.packs
        groups = list(step.groups)
        if self.shared:
            return pack(self.costs[groups].tolist(), budget - self.opening, num_ranks=num_ranks)
        columns = self.training.columns
        return pack_padded(
            columns.responses[groups].tolist(), columns.longest[groups].tolist(), budget, num_ranks=num_ranks
        )

    def tokens(self, groups: Sequence[int]) -> int:
        """Of one pack of these training groups, padding included."""
        chosen = list(groups)
        if self.shared:
            return self.opening + int(self.costs[chosen].sum())
        columns = self.training.columns
        return int(columns.responses[chosen].sum() * columns.longest[chosen].max(initial=0))

    def fill(self, budget: int, *, num_ranks: int) -> float:
        """Share of the packs' token budget that is used, over the first steps; padding uses nothing."""
        if self.shared:
            return fill(self.steps, self.costs, budget - self.opening, num_ranks=num_ranks)
        unshared = self.training.columns.unshared
        return fill(self.steps, unshared, budget, pack_step=lambda step: self.packs(step, budget, num_ranks=num_ranks))
