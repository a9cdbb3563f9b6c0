"""How far it decides who wrote a response.

Shape legend: A decided comparisons of two known authors, N authors.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from palate.health.corpus import Corpus
from palate.health.pairs import DecidedPairs, Share, half_for_ties, share_of, thinned
from palate.health.shortcuts.held_out import enough, held_out_margins
from palate.health.tables import Codes, Ints

MOST_PAIRS = 100_000
_FEWEST_PAIRS = 10  # of all, and of an author that is named


@dataclass(frozen=True, slots=True)
class Authors:
    """What the names of the responses' authors say by themselves.

    Attributes:
        pairs: decided comparisons of two different, known authors.
        wins: of each author, its name and how often it is preferred; most pairs first.
        better_wins: how often "the better author" is right, by strengths fitted on other prompts; None for too few
            prompts to hold some out.
    """

    pairs: int
    wins: tuple[tuple[str, Share], ...]
    better_wins: Share | None


def authors_of(corpus: Corpus, pairs: DecidedPairs) -> Authors | None:
    """What the authors' names predict; None where hardly any comparison has two known and different ones.

    "Better" is by strengths that are fitted to the other prompts: the model of Bradley and Terry (1952) with one
    parameter an author, slightly regularised.
    """
    model = corpus.responses.model
    known = np.array([name != "" for name in corpus.models], np.bool_)
    winner, loser = model[pairs.winner], model[pairs.loser]
    pairs = pairs.at(np.flatnonzero(known[winner] & known[loser] & (winner != loser)))
    if len(pairs) < _FEWEST_PAIRS:
        return None
    winner, loser = model[pairs.winner], model[pairs.loser]
    codes, counts = np.unique(np.concatenate([winner, loser]), return_counts=True)
    wins = []
    for code in codes[np.argsort(-counts, kind="stable")]:
        own = np.flatnonzero((winner == code) | (loser == code))
        if len(own) >= _FEWEST_PAIRS:
            wins.append((corpus.models[code], share_of(winner[own] == code, pairs.prompt[own])))
    return Authors(len(pairs), tuple(wins), _better_wins(model, thinned(pairs, MOST_PAIRS)))


def _better_wins(model_R: Codes, pairs: DecidedPairs) -> Share | None:
    if not enough(pairs.prompt):
        return None
    margins = held_out_margins(_one_hot(model_R, pairs.winner) - _one_hot(model_R, pairs.loser), pairs.prompt, _fit)
    return share_of(half_for_ties(margins), pairs.prompt)


def _one_hot(model_R: Codes, response_A: Ints) -> sparse.csr_matrix:
    """[A, N]."""
    rows = np.arange(len(response_A))
    shape = (len(rows), int(model_R.max()) + 1)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, model_R[response_A])), shape=shape)


def _fit() -> LogisticRegression:
    return LogisticRegression(fit_intercept=False)
