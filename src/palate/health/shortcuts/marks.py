"""Single marks of style: how often the response with more of one is preferred, and whether that can be chance.

Shape legend: A decided comparisons, D those whose responses differ in a mark, M prompts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from palate.health.corpus import Corpus
from palate.health.pairs import DecidedPairs, Share, half_for_ties, share_of
from palate.health.tables import Floats, Ints
from palate.health.texts.style import OPENINGS, ORNAMENTS, STYLE, opening_of

FREQUENT = 50
"""So many of the most frequent openings are looked at, of one word and of two."""
_FEWEST = 8  # pairs: below it not even a mark that always wins is significant among a dozen others
_STRATA, _STRATUM = 20, 50
_EXACT = 400  # prompts up to which the sign-flip distribution is computed, not approximated


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of style, over the pairs whose responses differ in it.

    Attributes:
        name: of `STYLE`, or an opening in quotation marks.
        wins: how often the response with more of it is preferred.
        expected: how often it would be by its length alone.
        p_value: the probability of so uneven a result if nobody cared, adjusted for the number of marks.
        rows: the pairs [D], rows of A.
        won: whether more of it won, [D].
    """

    name: str
    wins: Share
    expected: float
    p_value: float
    rows: Ints
    won: NDArray[np.bool_]

    @property
    def beyond_length(self) -> Share:
        """`wins` less what length explains: 0.5 where nothing is left."""
        shares = (self.wins.value, self.wins.low, self.wins.high)
        value, low, high = (min(1.0, max(0.0, share - self.expected + 0.5)) for share in shares)
        return Share(value, low, high, self.wins.count)


def marks_of(corpus: Corpus, pairs: DecidedPairs, names: Sequence[str]) -> tuple[Mark, ...]:
    """Those of the marks in which at least eight pairs differ, the surest first; adjusted among each other.

    Args:
        corpus: the data.
        pairs: its decided comparisons.
        names: of `STYLE`; `ornaments` stands for all of `ORNAMENTS` together.
    """
    longer_A = longer_advantage(corpus, pairs)
    found = []
    for name in names:
        columns = [STYLE.index(one) for one in (ORNAMENTS if name == "ornaments" else (name,))]
        count_R = corpus.responses.style[:, columns].sum(axis=1)
        found.append(_mark(name, count_R[pairs.winner] - count_R[pairs.loser], longer_A, pairs.prompt))
    return adjusted(mark for mark in found if mark is not None)


def openings_of(corpus: Corpus, pairs: DecidedPairs) -> tuple[Mark, ...]:
    """The frequent first words and first two words, as marks that a response has or has not."""
    longer_A = longer_advantage(corpus, pairs)
    found = []
    for words, name in enumerate(OPENINGS):
        column = corpus.responses.style[:, STYLE.index(name)]
        for code in frequent_codes(column, pairs):
            has = (column == code).astype(np.float64)
            mark = _mark("", has[pairs.winner] - has[pairs.loser], longer_A, pairs.prompt)
            text = opening_of(corpus.response(int(np.argmax(has))))[words]
            # a response of one word opens with the same one word and two
            if mark is not None and len(text.split()) > words:
                found.append(replace(mark, name=f'"{text}"'))
    return adjusted(found)


def frequent_codes(column_R: NDArray[np.float32], pairs: DecidedPairs, number: int = FREQUENT) -> list[float]:
    """The classes that most compared responses are in, without the empty one."""
    codes, counts = np.unique(column_R[np.concatenate([pairs.winner, pairs.loser])], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [float(code) for code in codes[order] if code][:number]


def longer_advantage(corpus: Corpus, pairs: DecidedPairs) -> Floats:
    """[A], with its sign: how much the winner's length speaks for it, P(wins | length) - 1/2.

    How often the longer response wins is counted in strata of the difference in characters, equally many pairs each.
    """
    length = corpus.responses.characters.astype(np.int64)
    difference = length[pairs.winner] - length[pairs.loser]
    size = np.abs(difference)
    count = min(_STRATA, max(1, len(pairs) // _STRATUM))
    edges = np.unique(np.quantile(size, np.linspace(0, 1, count + 1)[1:-1]))
    stratum = np.searchsorted(edges, size, side="right")
    wins = np.bincount(stratum, weights=half_for_ties(difference))
    rate = (wins + 1) / (np.bincount(stratum) + 2)
    advantage: Floats = np.sign(difference) * (rate[stratum] - 0.5)
    return advantage


def _mark(name: str, difference_A: NDArray[np.floating], longer_A: Floats, prompt_A: Ints) -> Mark | None:
    rows = np.flatnonzero(difference_A)
    if len(rows) < _FEWEST:
        return None
    side_D = np.sign(difference_A[rows]).astype(np.int64)
    return Mark(
        name,
        wins=share_of(side_D > 0, prompt_A[rows]),
        # the winner's length speaks for it by so much; for the response with more of the mark, by that or its negative
        expected=0.5 + float((longer_A[rows] * side_D).mean()),
        p_value=sign_flip_p(side_D, prompt_A[rows]),
        rows=rows,
        won=side_D > 0,
    )


def sign_flip_p(side_D: Ints, prompt_D: Ints) -> float:
    """Two-sided p-value of sum(side) if all pairs of a prompt could as well have gone the other way together.

    With one pair a prompt it is the sign test. The distribution of the sum of +-n_m over prompts, n_m a prompt's
    surplus, is computed by convolution for up to 400 prompts, and by its normal limit above.
    Source: Fisher's randomization test (Good 2005, Permutation, Parametric and Bootstrap Tests, section 3.2).

    Args:
        side_D: 1 or -1.
        prompt_D: which pairs go together.

    >>> sign_flip_p(np.ones(8, int), np.arange(8)), sign_flip_p(np.ones(8, int), np.zeros(8, int))
    (0.0078125, 1.0)
    """
    _, prompt = np.unique(prompt_D, return_inverse=True)
    net_M = np.bincount(prompt, weights=side_D).astype(np.int64)
    total = abs(int(net_M.sum()))
    if len(net_M) > _EXACT:
        return float(2 * norm.sf(total / max(1.0, math.sqrt(float(np.square(net_M).sum())))))
    chance = np.ones(1)  # of every sum, from -n to n in steps of one
    for net in np.abs(net_M):
        moved = np.zeros(len(chance) + 2 * int(net))
        moved[: len(chance)] += chance / 2
        moved[2 * int(net) :] += chance / 2
        chance = moved
    reach = len(chance) // 2
    return min(1.0, float(2 * chance[reach + total :].sum())) if total else 1.0


def adjusted(marks: Iterator[Mark] | Sequence[Mark]) -> tuple[Mark, ...]:
    """The marks with p-values adjusted by Holm (1979), and the smallest first.

    Under 0.05, any chance result among them has a probability of at most 0.05.
    """
    ordered = sorted(marks, key=lambda mark: (mark.p_value, -abs(mark.wins.value - 0.5)))
    result, at_least = [], 0.0
    for place, mark in enumerate(ordered):
        at_least = max(at_least, min(1.0, mark.p_value * (len(ordered) - place)))
        result.append(replace(mark, p_value=at_least))
    return tuple(result)
