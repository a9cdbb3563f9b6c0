"""The check of annotators: known figures of real data, planted flaws found, clean data left in peace."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from palate.data.read import read_preferences
from palate.data.simulate import Annotators, Flaws, simulate
from palate.health.annotators.check import check_annotators, dominance
from palate.health.corpus import build_corpus
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup, Vote
from palate.report.findings import Check, Finding, Measure, Paragraph, Table
from palate.report.plots import Histogram, Lines, Scatter


def checked(groups: Iterable[PreferenceGroup], folder: Path, **against: Iterable[PreferenceGroup]) -> Check:
    folder.mkdir(exist_ok=True)
    return check_annotators(build_corpus(groups, folder, **against), Thresholds())


def found(check: Check, id: str) -> Finding | None:
    return next((finding for finding in check.findings if finding.id == id), None)


def voted(votes: Sequence[Sequence[Vote]]) -> list[PreferenceGroup]:
    """One pair for each list of votes, labelled by the majority of those that take a side."""
    groups = []
    for row, cast in enumerate(votes):
        lead = sum(0 if vote.preferred is None else 1 - 2 * vote.preferred for vote in cast)
        winner = 0 if lead >= 0 else 1
        label = Comparison(winner, 1 - winner, probability=1.0 if lead else 0.5, votes=tuple(cast))
        texts = (Message("assistant", f"One {row}."),), (Message("assistant", f"Other {row}."),)
        groups.append(
            PreferenceGroup(f"g{row}", (Message("user", f"{row}?"),), texts, (label,), f"data.jsonl:{row + 1}")
        )
    return groups


def by_coin(
    annotators: Sequence[str], items: int, accuracy: float, seed: int = 0, votes: int = 3
) -> list[PreferenceGroup]:
    rng = Random(seed)
    rows = []
    for _ in range(items):
        right, who = rng.randrange(2), rng.sample(annotators, votes)
        rows.append([Vote(name, right if rng.random() < accuracy else 1 - right) for name in who])
    return voted(rows)


def test_figures_of_ukpconvarg1(real_data: Path, tmp_path: Path) -> None:
    check = checked(read_preferences(str(real_data / "ukpconvarg1/pairs.jsonl.gz")).groups, tmp_path)
    facts = check.facts
    assert (facts["annotators.votes"], facts["annotators.annotators"]) == (84_445, 3815)
    assert facts["annotators.comparisons"] == 16_927
    assert facts["annotators.agreement"] == pytest.approx(0.524, abs=5e-4)
    assert facts["annotators.agreement_without_ties"] == pytest.approx(0.731, abs=5e-4)
    assert (facts["annotators.busiest"], facts["annotators.busiest_votes"]) == ("w0081", 4218)
    assert facts["annotators.busiest_share"] == pytest.approx(0.04995, abs=5e-5)
    assert facts["annotators.alpha_low"] < facts["annotators.alpha"] < facts["annotators.alpha_high"]
    assert facts["annotators.vote_accuracy"] == pytest.approx(0.840, abs=5e-4)
    assert facts["annotators.fleiss_kappa"] is None  # 190 pairs have four votes
    assert [finding.id for finding in check.findings] == []
    kinds = [type(block) for block in check.section.blocks]
    assert {Histogram, Lines, Scatter, Table, Paragraph} <= set(kinds)


def test_figures_of_pandalm(real_data: Path, tmp_path: Path) -> None:
    check = checked(read_preferences(str(real_data / "pandalm/testset-v1.json.gz")).groups, tmp_path)
    facts = check.facts
    assert facts["annotators.agreement"] == pytest.approx(0.920, abs=5e-4)
    assert facts["annotators.fleiss_kappa"] == pytest.approx(facts["annotators.alpha"], abs=1e-3)
    assert facts["annotators.dominance"] == 0.0
    assert check.findings == ()


def test_clean_sets_raise_no_finding(tmp_path: Path) -> None:
    for seed in range(20):
        check = checked(simulate(120, seed=seed).groups, tmp_path / str(seed))
        assert check.findings == (), seed


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_dominant_annotator_is_found(tmp_path: Path, seed: int) -> None:
    check = checked(simulate(600, seed=seed, flaws=Flaws(dominant=0.5)).groups, tmp_path)
    finding = found(check, "dominant-annotator")
    assert finding is not None
    assert "ann-01 cast" in finding.title
    assert check.facts["annotators.busiest_share"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("votes", "flagged"),
    [
        ([1000], True),  # one person's taste
        ([100, 100], False),
        ([90, 10], True),
        ([100] * 5, False),  # each holds 20 %
        ([130, 100, 100, 100, 70], False),
        ([400, 100, 100, 100, 100], True),
        ([4218] + [21] * 3814, False),  # as in ukpconvarg1: 5 %, though 190 times an even share
        ([300] + [1] * 700, True),
    ],
)
def test_dominance_spares_small_teams(votes: list[int], flagged: bool) -> None:
    excess = Measure(dominance(np.array(votes)), "share")
    assert bool(Thresholds().find("dominant-annotator", "", excess, cure="")) is flagged


def test_people_who_agree_by_chance_fail(tmp_path: Path) -> None:
    check = checked(by_coin(["a", "b", "c", "d"], 300, 0.52), tmp_path)
    finding = found(check, "low-agreement")
    assert finding is not None
    assert finding.severity == "fail"
    assert finding.measure.low < finding.measure.value < finding.measure.high < 0.56
    assert finding.examples
    assert finding.examples[0].where.startswith("data.jsonl:")
    assert finding.examples[0].note == "votes 2 to 1, 0 ties"


def test_ties_are_left_out_where_it_says_so(tmp_path: Path) -> None:
    votes = [[Vote("a", 0), Vote("b", None)], [Vote("a", 1), Vote("b", 1)]]
    facts = checked(voted(votes), tmp_path).facts
    assert (facts["annotators.agreement"], facts["annotators.agreement_without_ties"]) == (0.5, 1.0)
    assert facts["annotators.tie_votes"] == 0.25


def test_a_handful_of_split_votes_is_no_low_agreement(tmp_path: Path) -> None:
    """Six pairs of votes that agree half of the time: the interval reaches far above the limit."""
    votes = [[Vote("a", 0), Vote("b", row % 2), Vote("c", 0)] for row in range(4)]
    assert found(checked(voted(votes), tmp_path), "low-agreement") is None


@pytest.mark.parametrize("accuracy", [0.65, 0.8, 0.95])
@pytest.mark.parametrize("votes", [1, 2, 3, 5])
def test_the_ceiling_is_what_an_oracle_reaches(tmp_path: Path, accuracy: float, votes: int) -> None:
    """A model that knows the truth agrees with the labels as often as the ceiling says, give or take its interval."""
    rng = Random(votes)
    truth = [rng.randrange(2) for _ in range(1500)]
    rows = [[Vote(f"ann-{n}", t if rng.random() < accuracy else 1 - t) for n in range(votes)] for t in truth]
    if votes == 1:  # what two people say on a tenth of the data is all there is to judge the rest by
        rows = [
            [*cast, Vote("ann-9", t if rng.random() < accuracy else 1 - t)] if row % 4 == 0 else cast
            for row, (cast, t) in enumerate(zip(rows, truth, strict=True))
        ]
    groups = voted(rows)
    check = checked(groups, tmp_path)
    hits = [
        group.comparisons[0].winner == t
        for group, t in zip(groups, truth, strict=True)
        if not group.comparisons[0].is_tie
    ]
    low, high = check.facts["annotators.ceiling_low"], check.facts["annotators.ceiling_high"]
    assert low - 0.02 < sum(hits) / len(hits) < high + 0.02
    assert check.facts["annotators.vote_accuracy"] == pytest.approx(accuracy, abs=0.05)


def test_few_votes_are_said(tmp_path: Path) -> None:
    check = checked(simulate(60, annotators=Annotators(votes=2)).groups, tmp_path)
    finding = found(check, "few-votes")
    assert finding is not None
    assert (finding.severity, finding.measure.value) == ("warn", 1.0)
    assert finding.count == check.facts["annotators.comparisons"]
    assert finding.command.startswith("palate data aggregate")


def test_deviants_are_named_in_a_table(tmp_path: Path) -> None:
    rng = Random(0)
    names = [f"ann-{n}" for n in range(8)]
    rows = []
    for _ in range(400):
        right = rng.randrange(2)
        who = rng.sample(names, 4)
        rows.append([Vote(n, right if rng.random() < (0.5 if n == "ann-3" else 0.92) else 1 - right) for n in who])
    check = checked(voted(rows), tmp_path)
    finding = found(check, "deviant-annotators")
    assert finding is not None
    assert (finding.count, check.facts["annotators.deviants"]) == (1, 1)
    (table,) = [block for block in check.section.blocks if isinstance(block, Table) and "Least" in block.caption]
    assert (table.rows[0][0], table.rows[0][-1]) == ("ann-3", "deviant")
    assert [row[-1] for row in table.rows[1:]] == [""] * 7


def shown_first(groups: Sequence[PreferenceGroup], lean: float, seed: int = 0) -> list[PreferenceGroup]:
    """Groups whose responses were shown in drawn order, and some of whose votes go to the first one unread."""
    rng = Random(seed)

    def cast(vote: Vote, first: int) -> Vote:
        return replace(vote, first=first, preferred=first if rng.random() < lean else vote.preferred)

    shown = []
    for group in groups:
        (one,) = group.comparisons
        first = rng.randrange(2)
        shown.append(replace(group, comparisons=(replace(one, votes=tuple(cast(vote, first) for vote in one.votes)),)))
    return shown


@pytest.mark.parametrize(("lean", "severity"), [(0.0, None), (0.15, "warn"), (0.4, "fail")])
def test_position_bias_is_found(tmp_path: Path, lean: float, severity: str | None) -> None:
    check = checked(shown_first(by_coin(["a", "b", "c", "d"], 2000, 0.9), lean), tmp_path)
    finding = found(check, "position-bias")
    assert (finding and finding.severity) == severity
    expected = lean + (1 - lean) / 2
    assert check.facts["annotators.first_wins"] == pytest.approx(expected, abs=0.03)
    assert check.facts["annotators.first_wins_low"] < expected < check.facts["annotators.first_wins_high"]


def test_small_sets_raise_no_position_bias_by_chance(tmp_path: Path) -> None:
    for seed in range(20):
        groups = shown_first(by_coin(["a", "b", "c", "d"], 60, 0.9, seed), 0.0, seed)
        assert found(checked(groups, tmp_path / str(seed)), "position-bias") is None, seed


def test_a_preference_for_the_second_is_one_too(tmp_path: Path) -> None:
    rows = [[Vote("a", 1, first=0), Vote("b", row % 3 and 1, first=0)] for row in range(120)]
    finding = found(checked(voted(rows), tmp_path), "position-bias")
    assert finding is not None
    assert "shown second" in finding.title


def test_hasty_annotators_are_found(tmp_path: Path) -> None:
    rng = Random(0)
    names = [f"ann-{n}" for n in range(8)]
    rows = []
    for _ in range(300):
        who = rng.sample(names, 3)
        rows.append([Vote(n, 0, seconds=(1.5 if n == "ann-5" else 20) * rng.lognormvariate(0, 0.3)) for n in who])
    finding = found(checked(voted(rows), tmp_path), "hasty-annotators")
    assert finding is not None
    assert finding.count == 1


def test_cohens_kappa_where_there_are_two(tmp_path: Path) -> None:
    """20 and 15 alike, 5 and 10 not: 0.4, whichever way round the sides are called."""
    pairs = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15
    votes = [[Vote("b", second), Vote("a", first)] for first, second in pairs]
    votes += [[Vote("a", 0)], [Vote("a", 0), Vote("a", 1)]]  # not judged by both
    check = checked(voted(votes), tmp_path)
    kappa = check.facts["annotators.cohen_kappa"]
    assert 0.35 < kappa < 0.45


def test_data_without_votes_is_skipped(tmp_path: Path) -> None:
    groups = [replace(group, comparisons=(Comparison(0, 1),)) for group in voted([[Vote("a", 0)]] * 3)]
    check = checked(groups, tmp_path)
    assert (check.skipped, check.findings, dict(check.facts)) == ("no votes in the data", (), {})


def test_votes_of_the_other_side_do_not_count(tmp_path: Path) -> None:
    ours, theirs = by_coin(["a", "b", "c"], 30, 0.9), by_coin(["x", "y", "z"], 50, 0.9)
    check = checked(ours, tmp_path, against=theirs)
    assert (check.facts["annotators.votes"], check.facts["annotators.annotators"]) == (90, 3)


def test_unnamed_annotators_are_not_taken_for_people(tmp_path: Path) -> None:
    rows = [[Vote(f"data.jsonl:{row}#{n}", 0) for n in range(3)] for row in range(40)]
    check = checked(voted(rows), tmp_path)
    assert check.facts["annotators.named"] is False
    assert "annotators.busiest_share" not in check.facts
    assert check.facts["annotators.agreement"] == 1.0


@pytest.mark.parametrize(
    "votes",
    [
        [[Vote("a", 0)]],
        [[Vote("a", None), Vote("b", None)]],
        [[Vote("a", 0), Vote("b", 1)]],
        [[Vote("a", 0, first=0, seconds=0.0)], [Vote("a", None, first=1, seconds=2.0)]],
        [[Vote("a", 0)], [Vote("b", 1)], [Vote("c", None)]],
        [[Vote("a", 0)] * 60],
    ],
)
def test_the_smallest_data_is_no_accident(tmp_path: Path, votes: list[list[Vote]]) -> None:
    check = checked(voted(votes), tmp_path)
    assert check.facts["annotators.votes"] == sum(map(len, votes))
    assert all(value is None or value == value for value in check.facts.values())  # NaN is no JSON
