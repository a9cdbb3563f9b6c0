"""What votes are worth, against drawing them, and how they are spread."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.metrics import accuracy_of_majorities, accuracy_of_votes, effective_number, gini


@pytest.mark.parametrize("accuracy", [0.5, 0.6, 0.75, 0.9, 1.0])
def test_accuracy_is_found_from_the_agreement_that_it_makes(accuracy: float) -> None:
    assert accuracy_of_votes(accuracy**2 + (1 - accuracy) ** 2) == pytest.approx(accuracy)


def test_the_accuracy_is_a_bound_where_items_differ() -> None:
    mixed = np.array([0.55, 0.75, 0.95])
    agreement = float((mixed**2 + (1 - mixed) ** 2).mean())
    assert accuracy_of_votes(agreement) > mixed.mean()


@pytest.mark.parametrize("votes", range(1, 8))
def test_majorities_against_every_outcome(votes: int) -> None:
    right = wrong = Fraction(0)
    for outcome in product((True, False), repeat=votes):
        chance = Fraction(4, 5) ** sum(outcome) * Fraction(1, 5) ** (votes - sum(outcome))
        right += chance * (2 * sum(outcome) > votes)
        wrong += chance * (2 * sum(outcome) < votes)
    assert accuracy_of_majorities(0.8, [votes])[0] == pytest.approx(float(right / (right + wrong)))


def test_many_votes_are_no_overflow() -> None:
    assert accuracy_of_majorities(0.6, [5000, 1, 5001]).round(6).tolist() == [1.0, 0.6, 1.0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=15).filter(any))
def test_gini_is_half_the_relative_mean_difference(amounts: list[int]) -> None:
    mean = sum(amounts) / len(amounts)
    difference = sum(abs(a - b) for a in amounts for b in amounts) / len(amounts) ** 2
    assert gini(amounts) == pytest.approx(difference / (2 * mean))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=15).filter(any))
def test_the_effective_number_inverts_the_chance_to_meet_the_same_one(amounts: list[int]) -> None:
    shares = [amount / sum(amounts) for amount in amounts]
    assert effective_number(amounts) == pytest.approx(1 / sum(share**2 for share in shares))
    assert 1 - 1e-9 <= effective_number(amounts) <= len(amounts) + 1e-9
