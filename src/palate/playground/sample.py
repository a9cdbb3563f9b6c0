"""Made-up answers for the section on length: how long each is, and what is good about it besides."""

import math
from dataclasses import dataclass

import numpy as np

RESPONSES = 120
LOG_MEAN, LOG_SPREAD = math.log(140), 0.75
"""Of the tokens of an answer: a median of 140, most between 30 and 650."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Two columns of mean 0 and variance 1 without correlation, so that a correlation of any size can be mixed of them.

    Attributes:
        length: logarithm of the tokens, standardised; neighbours (0 and 1, 2 and 3) answer one question.
        rest: what does not go with length.
    """

    length: tuple[float, ...]
    rest: tuple[float, ...]


def draw_sample(seed: int = 4) -> Sample:
    """The same sample for the same seed.

    >>> sample = draw_sample()
    >>> abs(round(float(np.corrcoef(sample.length, sample.rest)[0, 1]), 4)), round(float(np.var(sample.rest)), 4)
    (0.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    length = rng.normal(size=RESPONSES).clip(-2.4, 2.4)
    rest = rng.normal(size=RESPONSES)
    length -= length.mean()
    length /= length.std()
    rest -= rest.mean()
    rest -= (rest @ length) / RESPONSES * length
    rest /= rest.std()
    return Sample(*(tuple(column.round(6).tolist()) for column in (length, rest)))
