"""The two sides of a comparison of distributions, as columns.

Shape legend: R responses of one side, G prompts of it, F features, D the model's hidden size.
"""

from dataclasses import dataclass

import numpy as np

from palate.auditing.local import States
from palate.auditing.scorer import Floats
from palate.health.corpus import Corpus
from palate.health.tables import Ints, Keys
from palate.health.texts.style import OPENINGS, STYLE, style_of
from palate.report.findings import Example

MARKS = tuple(name for name in STYLE if name not in OPENINGS)
"""Marks of style that are counts."""
_COLUMNS = [STYLE.index(name) for name in MARKS]


@dataclass(frozen=True, slots=True)
class Side:
    """Responses that have a reward.

    Attributes:
        corpus: where they come from.
        row: [R], rows of its responses.
        reward: [R].
        state: [R, D], what the reward is read from; None where the model does not show it.
        unscored: responses of the corpus that are left out, for want of a reward.
        undrawn: groups that were not scored, since there are so many.
    """

    corpus: Corpus
    row: Ints
    reward: Floats
    state: States | None
    unscored: int
    undrawn: int = 0

    @property
    def prompt(self) -> Keys:
        """[R], equal for responses to the same prompt."""
        return self.corpus.groups.prompt_key[self.corpus.responses.group[self.row]]

    def features(self) -> dict[str, Floats]:
        """What can be told of a response without its state: [R] each."""
        responses = self.corpus.responses
        style = responses.style[self.row][:, _COLUMNS].astype(np.float64)
        marks = dict(zip(MARKS, style.T, strict=True))
        return {"reward": self.reward, "characters": responses.characters[self.row].astype(np.float64), **marks}

    def prompts(self) -> tuple[Keys, dict[str, Floats]]:
        """Keys of the distinct prompts, and what can be told of each: [G] each."""
        groups = self.corpus.groups
        scored = np.unique(self.corpus.responses.group[self.row])
        keys, place = np.unique(groups.prompt_key[scored], return_index=True)
        first = scored[place]
        wanted = set(first.tolist())
        counted = [style_of(text) for group, text in enumerate(self.corpus.prompts()) if group in wanted]
        # `first` is in the order of keys, the texts are in that of groups
        style = np.array(counted, np.float64)[np.argsort(np.argsort(first))][:, _COLUMNS]
        columns = {
            "characters": groups.prompt_characters[first].astype(np.float64),
            "messages": groups.turns[first].astype(np.float64),
        }
        return keys, columns | dict(zip(MARKS, style.T, strict=True))

    def example(self, place: int, note: str) -> Example:
        """A response for people, by its place in the columns."""
        row = int(self.row[place])
        group = int(self.corpus.responses.group[row])
        texts = (("prompt", self.corpus.prompt(group)), ("response", self.corpus.response(row)))
        return Example(self.corpus.where(group), texts, note)


def side_of(corpus: Corpus, reward: Floats, state: States | None, *, undrawn: int = 0) -> Side:
    """The responses of a corpus that have a finite reward and state.

    Args:
        corpus: all of whose responses were scored.
        reward: one a response.
        state: [responses, D], or None.
        undrawn: groups that the corpus does not hold, since there are so many.
    """
    kept = np.isfinite(reward)
    if state is not None:
        kept &= np.isfinite(state).all(axis=1)
    row = np.flatnonzero(kept)
    return Side(corpus, row, reward[row], None if state is None else state[row], int((~kept).sum()), undrawn)
