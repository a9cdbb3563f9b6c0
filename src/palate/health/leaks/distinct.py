"""Texts that occur more than once, as one: which there are, on which sides of the data, and which are alike.

Shape legend: N rows (groups or responses), D distinct texts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.texts.neighbours import Neighbours, neighbours

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Distinct:
    """Distinct texts, in the order of their keys.

    Attributes:
        rows: [D], how many rows of the data proper hold each.
        first: [D], the first row, one of the data proper where there is one.
        against: [D], the first row of the other data, -1 where it has none.
        text: [N], the number of each row's text, -1 of rows that do not count.
    """

    rows: Ints
    first: Ints
    against: Ints
    text: Ints

    @property
    def in_data(self) -> Bools:
        """[D]."""
        return self.rows > 0

    @property
    def in_against(self) -> Bools:
        """[D]."""
        return self.against >= 0


def distinct(keys: Keys, against: Bools, counted: Bools) -> Distinct:
    """The distinct texts of some rows.

    Args:
        keys: [N], equal for equal texts.
        against: [N], whether the row belongs to the other data, which comes last.
        counted: [N], the rows to look at.

    >>> found = distinct(np.array([7, 5, 7, 9, 5], np.uint64), np.arange(5) > 2, np.ones(5, bool))
    >>> found.rows.tolist(), found.first.tolist(), found.against.tolist(), found.text.tolist()
    ([1, 2, 0], [1, 0, 3], [4, -1, 3], [1, 0, 1, 2, 0])
    """
    row = np.flatnonzero(counted)
    _, at, which = np.unique(keys[row], return_index=True, return_inverse=True)
    other = against[row]
    first_against = np.full(len(at), -1)
    # backwards, so that the first of each text is written last
    first_against[which[other][::-1]] = row[other][::-1]
    text = np.full(len(keys), -1)
    text[row] = which
    return Distinct(np.bincount(which[~other], minlength=len(at)), row[at], first_against, text)


@dataclass(frozen=True, slots=True)
class TextIndex:
    """The distinct prompts and responses of a corpus, and their neighbours, rows of which are distinct texts.

    Groups without a prompt and responses without a word have no part in it.
    """

    prompts: Distinct
    responses: Distinct
    near_prompts: Neighbours
    near_responses: Neighbours


def index_texts(corpus: Corpus) -> TextIndex:
    """Index all prompts and responses."""
    groups, responses = corpus.groups, corpus.responses
    prompts = distinct(groups.prompt_key, groups.against, groups.turns > 0)
    replies = distinct(responses.key, groups.against[responses.group], responses.words > 0)
    return TextIndex(
        prompts,
        replies,
        neighbours(groups.prompt_bands[prompts.first], lambda row: corpus.prompt(int(prompts.first[row]))),
        neighbours(responses.bands[replies.first], lambda row: corpus.response(int(replies.first[row]))),
    )
