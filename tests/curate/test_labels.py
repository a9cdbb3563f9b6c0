"""Majority and soft labels by hand."""

import numpy as np
import pytest

from palate.curate.labels import Labels, majority, most_likely, soft
from palate.curate.tally import HIGH, LOW, TIE, Tally


def counted(*counts: tuple[int, int, int]) -> Tally:
    nobody = np.zeros(0, np.int64)
    places = np.arange(len(counts))
    return Tally(nobody, nobody, nobody, nobody, np.array(counts), 2 * places, 2 * places + 1, 1)


def rows(labels: Labels) -> list[tuple[int, float, float]]:
    columns = (labels.verdict.tolist(), labels.probability.tolist(), labels.weight.round(3).tolist())
    return list(zip(*columns, strict=True))


VOTES = ((3, 0, 0), (1, 2, 0), (2, 1, 2), (0, 1, 4), (2, 2, 1), (1, 1, 3), (0, 0, 3), (1, 1, 0))


def test_majority_by_hand() -> None:
    assert rows(majority(counted(*VOTES))) == [
        (LOW, 1.0, 1.0),
        (HIGH, 1.0, 0.667),
        (LOW, 1.0, 0.6),  # two for it, two ties at a half each
        (HIGH, 1.0, 0.6),
        (TIE, 0.5, 0.6),  # undecided: each side is half for a tie
        (TIE, 0.5, 0.8),
        (TIE, 0.5, 1.0),
        (TIE, 0.5, 0.5),
    ]


def test_soft_by_hand() -> None:
    assert rows(soft(counted(*VOTES))) == [
        (LOW, 1.0, 1.0),
        (HIGH, pytest.approx(2 / 3), 1.0),
        (LOW, pytest.approx(0.6), 1.0),
        (HIGH, pytest.approx(0.6), 1.0),
        (TIE, 0.5, 1.0),
        (TIE, 0.5, 1.0),
        (TIE, 0.5, 1.0),
        (TIE, 0.5, 1.0),
    ]


def test_the_likeliest_verdict() -> None:
    posterior = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])
    assert rows(most_likely(posterior)) == [(LOW, 1.0, 0.7), (HIGH, 1.0, 0.6), (TIE, 0.5, 0.5), (TIE, 0.5, 0.4)]
