"""Single annotators against loops over their votes, and how often odd ones are found and even ones accused."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from scipy.stats import binomtest

from palate.health.annotators.ballots import TIE, Ballots
from palate.health.annotators.voters import (
    ENOUGH,
    agreement_with_rest,
    first_share,
    preference_for_first,
    shrunk,
    time_per_vote,
)
from palate.metrics import vote_counts

Cast = tuple[int, int, int]
"""Item, annotator, choice."""


def ballots(cast: Iterable[Cast], first: Iterable[int] = (), seconds: Iterable[float] = ()) -> Ballots:
    item, annotator, choice = (np.array(column) for column in zip(*cast, strict=True))
    return Ballots(
        comparison=np.arange(item.max() + 1),
        item=item,
        annotator=annotator,
        choice=choice,
        first=np.array(list(first) or [-1] * len(item)),
        seconds=np.array(list(seconds) or [np.nan] * len(item)),
        counts=vote_counts(item, choice, int(item.max()) + 1, 3),
        names=tuple(f"ann-{who}" for who in range(annotator.max() + 1)),
    )


def crowd(accuracies: list[float], items: int = 300, votes: int = 5, seed: int = 0) -> list[Cast]:
    """Votes on which side is right, by annotators who are right that often; ties are rare."""
    rng = np.random.default_rng(seed)
    cast = []
    for item in range(items):
        right = int(rng.integers(2))
        for who in rng.choice(len(accuracies), votes, replace=False).tolist():
            choice = right if rng.random() < accuracies[who] else 1 - right
            cast.append((item, who, TIE if rng.random() < 0.02 else choice))
    return cast


def rest_by_hand(cast: list[Cast]) -> dict[int, list[bool]]:
    """For each annotator, whether each vote is for the only most frequent choice of the others."""
    found: dict[int, list[bool]] = {}
    for item, who, choice in cast:
        others = Counter(c for i, w, c in cast if i == item and w != who).most_common()
        if others and (len(others) == 1 or others[0][1] > others[1][1]):
            found.setdefault(who, []).append(choice == others[0][0])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_agreement_with_the_rest_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # now and then somebody votes twice on the same item: none of their own votes belong to the rest
    cast = [(int(rng.integers(25)), int(rng.integers(6)), int(rng.integers(3))) for _ in range(120)]
    cast += [(25, 5, 0), (26, 0, 1), (26, 1, 1)]
    assert len({vote[:2] for vote in cast}) < len(cast)
    found = agreement_with_rest(ballots(cast))
    expected = rest_by_hand(cast)
    assert found is not None
    for who in range(6):
        assert (found.judged[who], found.agreed[who]) == (len(expected[who]), sum(expected[who]))
    assert found.usual == pytest.approx(np.mean([hit for hits in expected.values() for hit in hits]))


def test_without_a_second_opinion_nobody_is_judged() -> None:
    assert agreement_with_rest(ballots([(0, 0, 1), (1, 1, 0)])) is None


def test_somebody_who_guesses_is_found_and_nobody_else() -> None:
    found = agreement_with_rest(ballots(crowd([0.9] * 9 + [0.5])))
    assert found is not None
    assert found.odd.tolist() == [False] * 9 + [True]


def test_even_crowds_are_not_accused() -> None:
    """20 crowds of 30 people between 0.8 and 0.95: not one of 600 is called odd."""
    accused = 0
    for seed in range(20):
        found = agreement_with_rest(ballots(crowd(np.linspace(0.8, 0.95, 30).tolist(), items=200, seed=seed)))
        assert found is not None
        accused += int(found.odd.sum())
    assert accused == 0


def test_few_votes_are_not_enough_to_be_odd() -> None:
    cast = crowd([0.95] * 5, items=100)
    wrong = {
        item: 1 - Counter(choice for i, _, choice in cast if i == item).most_common(1)[0][0] for item in range(100)
    }
    few = [(item, 5, wrong[item]) for item in range(ENOUGH - 1) if wrong[item] >= 0]
    enough = [(item, 5, wrong[item]) for item in range(ENOUGH + 5) if wrong[item] >= 0]
    for more, odd in ((few, False), (enough, True)):
        found = agreement_with_rest(ballots(cast + more))
        assert found is not None
        assert bool(found.odd[5]) is odd


def test_shrinking_makes_estimates_better() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(30, 10, 400)
    trials = rng.integers(1, 40, 400)
    hits = rng.binomial(trials, truth)
    raw, drawn = np.abs(hits / trials - truth).mean(), np.abs(shrunk(hits, trials) - truth).mean()
    assert drawn < 0.6 * raw


def test_shrinking_draws_the_least_known_furthest() -> None:
    hits, trials = np.array([1, 50, 180, 500]), np.array([2, 100, 200, 1000])
    drawn = np.abs(shrunk(hits, trials) - hits / trials)
    assert drawn[0] > drawn[1] > drawn[3]
    assert shrunk([5, 10], [10, 20]).tolist() == [0.5, 0.5]  # no variance between them
    assert np.isfinite(shrunk([0, 5, 10], [0, 10, 10])).all()


def test_preference_for_the_first_by_hand() -> None:
    cast = [(0, 0, 0), (0, 1, 1), (1, 0, TIE), (1, 1, 1), (2, 0, 0), (3, 1, 1)]
    found = preference_for_first(ballots(cast, first=[0, 0, 0, 1, -1, 0]))
    assert found is not None
    assert found.items.tolist() == [[1, 1], [1, 0], [0, 1]]  # item 2 does not say
    assert (found.seen.tolist(), found.chosen.tolist()) == ([1, 3], [1, 1])
    assert float(first_share(found.items, np.ones(3))) == 0.5
    assert preference_for_first(ballots(cast)) is None


def test_somebody_who_always_takes_the_first_is_found() -> None:
    cast = crowd([0.9] * 10, items=400)
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2, len(cast)).tolist()
    lazy = [(item, who, side if who == 3 else choice) for (item, who, choice), side in zip(cast, first, strict=True)]
    found = preference_for_first(ballots(lazy, first=first))
    assert found is not None
    assert found.odd.tolist() == [who == 3 for who in range(10)]
    mine, usual = (found.chosen[3], found.seen[3]), found.chosen.sum() / found.seen.sum()
    assert binomtest(int(mine[0]), int(mine[1]), usual + 0.1, alternative="greater").pvalue < 0.01


@pytest.mark.parametrize("seed", range(10))
def test_a_leaning_that_all_share_is_nobodys_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cast = [(item, who, int(rng.random() < 0.3)) for item in range(100) for who in range(10)]
    found = preference_for_first(ballots(cast, first=[0] * len(cast)))
    assert found is not None
    assert not found.odd.any()


def test_medians_of_time_by_hand() -> None:
    rng = np.random.default_rng(0)
    cast = crowd([0.9] * 6, items=60)
    seconds = rng.lognormal(3, 0.5, len(cast))
    seconds[::7] = np.nan
    found = time_per_vote(ballots(cast, seconds=seconds))
    assert found is not None
    for who in range(6):
        own = [s for (_, voter, _), s in zip(cast, seconds, strict=True) if voter == who and not np.isnan(s)]
        assert len(own) >= ENOUGH
        assert found.median[who] == pytest.approx(np.median(own))
    assert not found.odd.any()


def test_somebody_in_a_hurry_is_found() -> None:
    rng = np.random.default_rng(0)
    cast = crowd([0.9] * 12, items=200)
    pace = np.append(rng.uniform(15, 40, 11), 2.0)
    found = time_per_vote(ballots(cast, seconds=[pace[who] * rng.lognormal(0, 0.4) for _, who, _ in cast]))
    assert found is not None
    assert found.odd.tolist() == [False] * 11 + [True]


def test_a_little_faster_than_people_who_are_all_alike_is_not_hasty() -> None:
    cast = crowd([0.9] * 12, items=200)
    pace = [20 + 0.1 * who for who in range(11)] + [14.0]
    found = time_per_vote(ballots(cast, seconds=[pace[who] for _, who, _ in cast]))
    assert found is not None
    assert not found.odd.any()


def test_people_who_differ_a_lot_in_pace_are_not_hasty() -> None:
    cast = crowd([0.9] * 12, items=200)
    pace = np.geomspace(4, 120, 12)
    found = time_per_vote(ballots(cast, seconds=[float(pace[who]) for _, who, _ in cast]))
    assert found is not None
    assert not found.odd.any()


@pytest.mark.parametrize("seconds", [(), (5.0, 5.0, 5.0)])
def test_too_few_times_say_nothing(seconds: tuple[float, ...]) -> None:
    assert time_per_vote(ballots([(0, 0, 1), (0, 1, 1), (0, 2, 0)], seconds=seconds)) is None
