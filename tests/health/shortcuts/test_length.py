"""Length by counting on hand-made pairs, on published data, and with votes of known bias."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from palate.data.read import read_preferences
from palate.data.simulate import Annotators, Flaws, simulate
from palate.health.corpus import build_corpus
from palate.health.shortcuts.length import check_length, rank_correlation, vote_lean
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup, Vote
from palate.report.findings import Check
from palate.report.plots import Bars, Lines


def pair(number: int, chosen: int, rejected: int, *, source: str = "", probability: float = 1.0) -> PreferenceGroup:
    """A pair of responses of so many characters."""
    return PreferenceGroup(
        id=str(number),
        prompt=(Message("user", f"question {number}"),),
        responses=tuple((Message("assistant", "x" * length),) for length in (chosen, rejected)),
        comparisons=(Comparison(0, 1, probability=probability),),
        where=f"made:{number + 1}",
        source=source,
    )


def check(folder: Path, groups: list[PreferenceGroup] | tuple[PreferenceGroup, ...]) -> Check:
    return check_length(build_corpus(groups, folder), Thresholds())


def test_longer_wins_are_counted_with_ties_half_and_undecided_left_out(tmp_path: Path) -> None:
    groups = [pair(0, 9, 3), pair(1, 9, 4), pair(2, 3, 9), pair(3, 5, 5), pair(4, 9, 1, probability=0.5)]
    facts = check(tmp_path, groups).facts
    assert facts["length.longer_wins"] == 2.5 / 4
    assert (facts["length.pairs"], facts["length.undecided"], facts["length.equal"]) == (4, 1, 0.25)
    # each response is one word
    assert facts["length.longer_wins_words"] == 0.5


@pytest.mark.parametrize(("longer", "name"), [(True, "longer"), (False, "shorter")])
def test_both_directions_are_a_bias(tmp_path: Path, longer: bool, name: str) -> None:
    groups = [pair(n, 9, 3) if (n % 5 != 0) == longer else pair(n, 3, 9) for n in range(200)]
    (finding,) = check(tmp_path, groups).findings
    assert (finding.id, finding.severity, finding.count) == ("length-bias", "fail", 160)
    assert finding.title.startswith(f"The {name} response is preferred in 80.0% of 200")
    assert finding.measure.value == pytest.approx(0.8)
    assert 0.7 < (finding.measure.low or 0) < 0.8 < (finding.measure.high or 0) < 0.9
    assert len(finding.examples) == 5
    assert "6 characters" in finding.examples[0].note


def test_few_pairs_prove_nothing(tmp_path: Path) -> None:
    """Four of five is the same share; so are forty of fifty, of a single prompt each ten."""
    assert check(tmp_path, [pair(n, 9, 3) if n else pair(n, 3, 9) for n in range(5)]).findings == ()
    clustered = [
        replace(pair(n, *((9, 3) if n < 40 else (3, 9))), prompt=(Message("user", str(n // 10)),)) for n in range(50)
    ]
    assert check(tmp_path, clustered).findings == ()


def test_nothing_decided_is_skipped(tmp_path: Path) -> None:
    assert check(tmp_path, [pair(0, 3, 9, probability=0.5)]).skipped


def test_sources_and_differences_are_shown(tmp_path: Path) -> None:
    groups = [pair(n, 100 + n, 90, source="a") for n in range(60)] + [
        pair(n, 90, 99 + n, source="b") for n in range(40)
    ]
    done = check(tmp_path, groups)
    bars = next(block for block in done.section.blocks if isinstance(block, Bars))
    assert (bars.names, bars.values) == (("a", "b"), (1.0, 0.0))
    lines = next(block for block in done.section.blocks if isinstance(block, Lines))
    assert len(lines.lines[0].x) == 5
    assert list(lines.lines[0].x) == sorted(lines.lines[0].x)


def test_rank_correlation_is_spearmans_over_both_orders() -> None:
    rng = np.random.default_rng(0)
    difference = rng.integers(-20, 40, 300)
    both = np.concatenate([difference, -difference])
    expected = spearmanr(both, np.repeat([1, -1], 300)).statistic
    assert rank_correlation(difference) == pytest.approx(expected)
    assert rank_correlation(-difference) == pytest.approx(-expected)


def vote_lean_of(folder: Path, made: tuple[PreferenceGroup, ...]) -> tuple[float, float, float]:
    lean = vote_lean(build_corpus(made, folder))
    assert lean is not None
    return lean.value, lean.low, lean.high


def test_the_share_of_votes_that_length_decides_is_found(tmp_path: Path) -> None:
    """Annotators who never look at length, and ones of whom a known share of the votes is blind.

    Some of the votes that a vote is held against are blind, too, and the share comes out too small: the more of them
    are blind, the more so.
    """
    found = {}
    for rate in (0.0, 0.1, 0.3):
        made = simulate(3000, responses=(2, 2), annotators=Annotators(length_bias=0), flaws=Flaws(length_bias=rate))
        found[rate] = vote_lean_of(tmp_path, made.groups)
    assert found[0.0][1] < 0 < found[0.0][2]
    assert 0.04 < found[0.1][1] < found[0.1][0] < 0.1
    assert 0.15 < found[0.3][1] < found[0.3][2] < 0.3


def test_votes_are_held_against_the_others_by_hand(tmp_path: Path) -> None:
    """Of the votes whose fellows agree on the longer one 1 of 5 parts from them; of those on the shorter one 1 of 4."""

    def voted(number: int, longer: bool, votes: list[int | None]) -> PreferenceGroup:
        group = pair(number, *((9, 3) if longer else (3, 9)))
        cast = tuple(Vote(f"w{n}", vote) for n, vote in enumerate(votes))
        return replace(group, comparisons=(Comparison(0, 1, probability=0.9, votes=cast),))

    groups = [voted(0, True, [0, 0, 1]), voted(1, True, [0, 0, 0, 0]), voted(2, False, [0, 0, None, 1])]
    groups += [voted(3, False, [0, 0, 0]), voted(4, True, [0]), voted(5, False, [0, 0])]
    # two more of the others than against them are seen in row 0 by the 1, in 1 by all, in 2 by the 1, in 3 by all
    lean = vote_lean(build_corpus(groups, tmp_path))
    assert lean is not None
    assert lean.value == pytest.approx(1 / 4 - 1 / 5)
    assert lean.count == 9


def test_planted_bias_of_votes_is_a_finding_and_clean_sets_have_none(tmp_path: Path) -> None:
    planted = {one.id for one in check(tmp_path, simulate(2000, flaws=Flaws(length_bias=0.1)).groups).findings}
    assert "length-votes" in planted
    for seed in range(5):
        assert check(tmp_path, simulate(1100, seed=seed).groups).findings == ()


@pytest.mark.parametrize(
    ("name", "share"), [("helpful-base", 0.598), ("helpful-rejection-sampled", 0.568), ("harmless-base", 0.446)]
)
def test_published_transcripts(real_data: Path, tmp_path: Path, name: str, share: float) -> None:
    """The README's 0.567 of helpful-rejection-sampled counts its 32 identical pairs as halves."""
    data = read_preferences(str(real_data / f"hh_rlhf/{name}/test.jsonl.gz"), on_bad_row="skip")
    done = check(tmp_path, data.groups)
    assert done.facts["length.longer_wins"] == pytest.approx(share, abs=5e-4)
    assert [one.id for one in done.findings] == ["length-bias"]


def test_published_arguments(real_data: Path, tmp_path: Path) -> None:
    """By the majority of the votes, which is what palate reads, 0.719; by the published labels 0.745, in characters."""
    source = real_data / "ukpconvarg1/pairs.jsonl.gz"
    read = read_preferences(str(source)).groups
    done = check(tmp_path, read)
    assert done.facts["length.longer_wins"] == pytest.approx(0.719, abs=5e-4)
    assert {one.id: one.severity for one in done.findings} == {"length-bias": "fail", "length-votes": "warn"}
    with gzip.open(source, "rt", encoding="utf-8") as file:
        gold = [json.loads(line)["gold"] for line in file]
    side = {"a1": Comparison(0, 1), "a2": Comparison(1, 0)}
    labelled = [
        replace(group, comparisons=(side[label],)) for group, label in zip(read, gold, strict=True) if label in side
    ]
    facts = check(tmp_path, labelled).facts
    assert facts["length.pairs"] == 12_792
    assert facts["length.longer_wins"] == pytest.approx(0.745, abs=5e-4)
    assert facts["length.longer_wins_words"] == pytest.approx(0.734, abs=5e-4)
