"""Simulated annotators: people of stated accuracy and stated bias, who vote on comparisons.

An annotator looks at two responses, the one with the lower index first. Now and then a bias decides: the
longer one, or the one shown first. Otherwise the annotator reads. Of competence c, they prefer the better
response with probability c once the gap in quality is clear, and less surely below that, down to a coin toss
where there is no gap:

    P(right) = 1/2 + (c - 1/2) * min(1, gap / CLEAR)

A "no difference" is likelier the smaller the gap.
"""

from dataclasses import dataclass
from random import Random

from palate.data.simulate.truth import ComparisonTruth, Flaws
from palate.errors import ConfigError
from palate.records import Comparison, Vote

CLEAR = 0.25
"""Gap in quality from which an annotator's stated competence holds."""
NO_DIFFERENCE = 0.2
"""Probability of a "no difference" where there is none; a twentieth of it where the gap is clear."""


@dataclass(frozen=True, slots=True)
class Annotators:
    """Who votes, how well, and with which leanings.

    Attributes:
        count: how many there are: `ann-01` and so on.
        competence: of the first and of the last, each in [0.5, 1]; the others lie evenly between.
        votes: cast on each comparison, by different annotators, at most `count`.
        position_bias: probability that the response shown first gets the vote unread.
        length_bias: probability that the longer response gets the vote unread.

    Raises:
        ConfigError: a value is out of range.
    """

    count: int = 5
    competence: tuple[float, float] = (0.85, 0.98)
    votes: int = 3
    position_bias: float = 0.02
    length_bias: float = 0.02

    def __post_init__(self) -> None:
        if not 1 <= self.votes <= self.count:
            raise ConfigError(f"votes is {self.votes}; it must lie between 1 and the {self.count} annotators")
        if not all(0.5 <= value <= 1 for value in self.competence):
            raise ConfigError(f"competence is {self.competence}; both values must lie between 0.5 and 1")
        if min(self.position_bias, self.length_bias) < 0 or self.position_bias + self.length_bias > 1:
            raise ConfigError("position-bias and length-bias must not be negative and must not exceed 1 together")

    @property
    def names(self) -> tuple[str, ...]:
        """`ann-01`, `ann-02`, ..."""
        return tuple(f"ann-{number:02d}" for number in range(1, self.count + 1))

    def competence_of(self, name: str) -> float:
        """Probability that this annotator, reading, prefers the better response when the gap is clear."""
        low, high = self.competence
        place = self.names.index(name)
        return low + (high - low) * place / max(1, self.count - 1)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to be compared, the first shown first: indices, qualities and lengths in characters."""

    first: int
    second: int
    qualities: tuple[float, float]
    lengths: tuple[int, int]

    @property
    def better(self) -> int:
        """Index of the response of higher quality; the first on equality."""
        return self.first if self.qualities[0] >= self.qualities[1] else self.second

    @property
    def longer(self) -> int | None:
        """Index of the longer response, if one is."""
        if self.lengths[0] == self.lengths[1]:
            return None
        return self.first if self.lengths[0] > self.lengths[1] else self.second

    @property
    def gap(self) -> float:
        """Difference in quality, >= 0."""
        return abs(self.qualities[0] - self.qualities[1])


@dataclass(frozen=True, slots=True)
class Label:
    """A comparison as the data shows it, and what lies behind it."""

    comparison: Comparison
    truth: ComparisonTruth


def label(rng: Random, pair: Pair, annotators: Annotators, flaws: Flaws) -> Label:
    """Have a pair voted on; the probability is the winner's share of the votes, a tied vote counting half."""
    flipped = rng.random() < flaws.flipped
    votes: list[Vote] = []
    length_votes = 0
    for name in _voters(rng, annotators, flaws.dominant):
        if pair.longer is not None and rng.random() < flaws.length_bias:
            votes.append(Vote(name, pair.longer))
            length_votes += 1
        else:
            votes.append(Vote(name, _read(rng, pair, annotators, name)))
    if flipped:
        exchanged = {pair.first: pair.second, pair.second: pair.first, None: None}
        votes = [Vote(vote.annotator, exchanged[vote.preferred]) for vote in votes]
    share = sum(0.5 if vote.preferred is None else float(vote.preferred == pair.first) for vote in votes) / len(votes)
    winner, loser = (pair.first, pair.second) if share >= 0.5 else (pair.second, pair.first)
    return Label(
        Comparison(winner, loser, probability=max(share, 1 - share), votes=tuple(votes)),
        ComparisonTruth(pair.better, round(pair.gap, 4), strength(pair.gap), flipped, length_votes),
    )


def strength(gap: float) -> str:
    """A gap in quality in the words of a questionnaire.

    >>> [strength(gap) for gap in (0.1, 0.4, 0.8)]
    ['slightly better', 'better', 'much better']
    """
    return "slightly better" if gap < CLEAR else "better" if gap < 0.6 else "much better"


def _read(rng: Random, pair: Pair, annotators: Annotators, name: str) -> int | None:
    """One annotator's vote: a bias, a shrug, or a judgement."""
    whim = rng.random()
    if whim < annotators.length_bias and pair.longer is not None:
        return pair.longer
    if annotators.length_bias <= whim < annotators.length_bias + annotators.position_bias:
        return pair.first
    clarity = min(1.0, pair.gap / CLEAR)
    if rng.random() < NO_DIFFERENCE * max(0.05, 1 - clarity):
        return None
    worse = pair.second if pair.better == pair.first else pair.first
    return pair.better if rng.random() < 0.5 + (annotators.competence_of(name) - 0.5) * clarity else worse


def _voters(rng: Random, annotators: Annotators, dominant: float) -> tuple[str, ...]:
    """Who votes on one comparison.

    With a dominant annotator, a share q of the comparisons is voted on by that one alone and the rest by V of
    the others, so that q / (q + V (1 - q)) is the wanted share s of all votes: q = V s / (1 - s + V s).
    """
    if not dominant:
        return tuple(rng.sample(annotators.names, annotators.votes))
    first, *rest = annotators.names
    votes = min(annotators.votes, len(rest))
    alone = votes * dominant / (1 - dominant + votes * dominant)
    return (first,) if not rest or rng.random() < alone else tuple(rng.sample(rest, votes))
