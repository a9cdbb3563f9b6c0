"""Suspicious labels: turned-round ones come first, shares are estimated, and votes are listened to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palate.data.simulate import Flaws, SimulatedSet, simulate
from palate.health.corpus import Corpus, build_corpus
from palate.health.noise.check import check_noise, vote_minority
from palate.health.shortcuts.baseline import fit_baseline
from palate.health.tables import Floats
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup, Vote
from palate.report.findings import Check

Make = Callable[[float], tuple[SimulatedSet, Corpus]]


@pytest.fixture
def flipped(tmp_path: Path) -> Make:
    """A set of 2,000 pairs with a share of its labels turned round, and its corpus."""

    def make(rate: float) -> tuple[SimulatedSet, Corpus]:
        made = simulate(2000, responses=(2, 2), flaws=Flaws(flipped=rate))
        return made, build_corpus(made.groups, tmp_path)

    return make


def gaps(made: SimulatedSet, corpus: Corpus) -> Floats:
    """[C], how much better the labelled winner truly is than the loser."""
    quality = np.array([one.quality for truth in made.truth for one in truth.responses])
    return quality[corpus.comparisons.winner] - quality[corpus.comparisons.loser]


def oracle(made: SimulatedSet, corpus: Corpus, noise: float = 1.0) -> Floats:
    """What a good reward model could say: four times the gap in quality, and noise."""
    return 4 * gaps(made, corpus) + np.random.default_rng(0).normal(0, noise, len(corpus.comparisons.group))


def recall(check: Check, corpus: Corpus, wrong_C: Floats) -> float:
    """Share of the wrong labels among as many of the first suspects as there are, all listed ones at most."""
    suspects = check.facts["noise.suspects"]
    assert isinstance(suspects, list)
    group = {corpus.id(row): row for row in range(len(corpus.groups.prompt_key))}
    rows = [group[one["id"]] for one in suspects]  # type: ignore[index,call-overload]
    number = min(len(rows), int(wrong_C.sum()))
    return float(wrong_C[rows[:number]].sum()) / number


@pytest.mark.parametrize("rate", [0.02, 0.05])
def test_a_good_models_suspects_are_mostly_wrong(flipped: Make, rate: float) -> None:
    made, corpus = flipped(rate)
    wrong = gaps(made, corpus) < 0
    done = check_noise(corpus, Thresholds(), oracle(made, corpus), "an oracle")
    found = recall(done, corpus, wrong)
    by_chance = wrong.mean()
    assert found > 0.6 > 8 * by_chance / 2
    share = done.facts["noise.wrong"]
    assert share == pytest.approx(wrong.mean(), abs=0.015)
    assert done.facts["noise.wrong_low"] <= wrong.mean() <= done.facts["noise.wrong_high"] + 0.005  # type: ignore[operator]


def test_many_wrong_labels_are_a_finding_and_few_are_none(flipped: Make) -> None:
    made, corpus = flipped(0.15)
    (finding,) = check_noise(corpus, Thresholds(), oracle(made, corpus), "an oracle").findings
    assert (finding.id, finding.severity) == ("label-noise", "warn")
    assert finding.measure.value == pytest.approx((gaps(made, corpus) < 0).mean(), abs=0.03)
    assert len(finding.examples) == 10
    made, corpus = flipped(0.0)
    assert check_noise(corpus, Thresholds(), oracle(made, corpus)).findings == ()


def test_the_baseline_does_better_than_chance_and_far_worse_than_an_oracle(flipped: Make) -> None:
    made, corpus = flipped(0.05)
    baseline = fit_baseline(corpus)
    assert baseline is not None
    wrong = gaps(made, corpus) < 0
    done = check_noise(corpus, Thresholds(), baseline.margins, "the n-gram baseline")
    assert 3 * wrong.mean() < recall(done, corpus, wrong) < 0.6
    assert done.facts["noise.without_margin"] == 0


def voted(number: int, pro: int, contra: int) -> PreferenceGroup:
    votes = tuple(Vote(f"w{n}", 0 if n < pro else 1) for n in range(pro + contra))
    return PreferenceGroup(
        id=str(number),
        prompt=(Message("user", f"question {number}"),),
        responses=((Message("assistant", "a"),), (Message("assistant", "b"),)),
        comparisons=(Comparison(0, 1, probability=0.9, votes=votes),),
        where=f"made:{number + 1}",
    )


def test_without_margins_votes_rank(tmp_path: Path) -> None:
    corpus = build_corpus([voted(0, 5, 0), voted(1, 2, 1), voted(2, 3, 2), voted(3, 9, 1)], tmp_path)
    done = check_noise(corpus, Thresholds())
    assert [one["id"] for one in done.facts["noise.suspects"]] == ["2", "1", "0", "3"]  # type: ignore[union-attr,index,call-overload]
    assert done.findings == ()
    assert "noise.wrong" not in done.facts


def test_of_equal_margins_the_more_contested_label_is_suspected(tmp_path: Path) -> None:
    """A model contradicts 20 of 100 labels with votes of three to two, and 5 of 100 that five agreed on."""
    corpus = build_corpus([voted(n, 5, 0) if n % 2 else voted(n, 3, 2) for n in range(200)], tmp_path)
    doubted = np.r_[0:40:2, 1:11:2]
    margins = np.full(200, 3.0)
    margins[doubted] = -3.0
    done = check_noise(corpus, Thresholds(), margins)
    assert done.facts["noise.wrong_contested"] > 0.03  # type: ignore[operator]
    suspects = done.facts["noise.suspects"]
    first = [int(one["id"]) for one in suspects[:25]]  # type: ignore[index,call-overload,arg-type,union-attr]
    assert set(first) == set(doubted.tolist())
    assert [one % 2 for one in first] == [0] * 20 + [1] * 5


def test_votes_for_a_tie_are_for_neither_side(tmp_path: Path) -> None:
    group = voted(0, 2, 1)
    tied = replace(group.comparisons[0], votes=(*group.comparisons[0].votes, Vote("w9", None)))
    unvoted = replace(group, comparisons=(Comparison(0, 1),))
    corpus = build_corpus([group, replace(group, comparisons=(tied,)), unvoted], tmp_path)
    minority = vote_minority(corpus)
    assert minority[0] == minority[1] == pytest.approx(5 / 16)
    assert np.isnan(minority[2])


def test_nothing_to_go_by_is_skipped(tmp_path: Path) -> None:
    corpus = build_corpus([replace(voted(n, 1, 0), comparisons=(Comparison(0, 1),)) for n in range(9)], tmp_path)
    assert check_noise(corpus, Thresholds()).skipped
    assert check_noise(corpus, Thresholds(), np.zeros(9)).skipped
    assert check_noise(corpus, Thresholds(), np.full(9, np.nan)).skipped


def test_labels_without_a_margin_are_counted(tmp_path: Path) -> None:
    corpus = build_corpus([voted(n, 1, 0) for n in range(50)], tmp_path)
    margins = np.where(np.arange(50) % 5 == 0, np.nan, 1.0 + np.arange(50) / 50)
    margins[42] = -3
    facts = check_noise(corpus, Thresholds(), margins).facts
    assert (facts["noise.labels"], facts["noise.without_margin"]) == (40, 10)
    suspects = facts["noise.suspects"]
    assert [one["id"] for one in suspects[:3]] == ["42", "1", "2"]  # type: ignore[union-attr,index,call-overload]
