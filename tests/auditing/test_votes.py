"""The ceilings of votes, counted by hand and planted."""

from pathlib import Path

import numpy as np
import pytest

from palate.auditing.limits import audit_thresholds
from palate.auditing.ranking import check_ranking
from palate.auditing.scorer import Scored
from palate.auditing.votes import against_others, against_votes, agreement_ceiling, sided_votes
from palate.data.read import read_preferences
from palate.data.votes import judge
from palate.health.corpus import build_corpus
from palate.records import Message, PreferenceGroup, Vote


def pair(name: str, votes: list[int | None], prompt: str = "") -> PreferenceGroup:
    responses = tuple((Message("assistant", f"{side} to {name}"),) for side in "ab")
    cast = [Vote(f"ann-{number}", side) for number, side in enumerate(votes)]
    return PreferenceGroup(name, (Message("user", prompt or name),), responses, (judge(cast),), where=f"x:{name}")


def scored(folder: Path, groups: list[PreferenceGroup], favours: list[int]) -> Scored:
    """A model that favours one response of each pair; -1 favours none."""
    reward = [value for side in favours for value in (float(side == 0), float(side == 1))]
    return Scored(build_corpus(groups, folder), np.array(reward))


def test_three_standards_counted_by_hand(tmp_path: Path) -> None:
    groups = [pair("p", [0, 0, 0]), pair("q", [0, 0, 1]), pair("r", [1, 0]), pair("s", [None, 1, 1])]
    votes = sided_votes(scored(tmp_path, groups, [0, 1, 0, 1]))
    assert len(votes.vote) == 10  # one vote is for a tie
    single = against_votes(votes)
    assert single.model.value == pytest.approx((3 + 1 + 1 + 2) / 10)
    assert single.best.value == pytest.approx((3 + 2 + 1 + 2) / 10)
    assert single.share.value == pytest.approx(7 / 8)
    # p: three times two of two others; q: the others split for either 0, and for the 1 both say 0; r: the other says it
    others = against_others(votes)
    assert int((votes.others != 0).sum()) == 3 + 1 + 2 + 2
    assert others.best.value == pytest.approx((3 + 0 + 0 + 2) / 8)
    assert others.model.value == pytest.approx((3 + 0 + 1 + 2) / 8)


def test_unanimous_and_split_votes_are_told_apart(tmp_path: Path) -> None:
    groups = [pair("p", [0, 0, 0]), pair("q", [0, 0, 1]), pair("r", [1, 0]), pair("s", [None, 1, 1]), pair("t", [1])]
    facts = agreement_ceiling(scored(tmp_path, groups, [0, 1, 0, 1, 0])).facts
    assert (facts["unanimous.pairs"], facts["unanimous.accuracy"]) == (1, 1)
    assert (facts["split.pairs"], facts["split.accuracy"]) == (2, 0.5)  # r has no majority, and t is one opinion


def test_a_model_that_always_knows_the_majority_reaches_the_ceiling_and_equal_rewards_half(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    groups = [pair(str(n), rng.integers(0, 2, 3).tolist()) for n in range(60)]
    favours = [one.comparisons[0].winner for one in groups]
    facts = agreement_ceiling(scored(tmp_path, groups, favours)).facts
    assert facts["votes.share"] == facts["votes.share_low"] == facts["votes.share_high"] == 1
    assert facts["votes.accuracy"] == facts["votes.ceiling"] > 0.7
    nothing = agreement_ceiling(scored(tmp_path, groups, [-1] * 60)).facts
    assert (nothing["votes.accuracy"], nothing["annotator.accuracy"], nothing["split.accuracy"]) == (0.5, 0.5, 0.5)


def test_planted_annotators_are_as_right_as_they_were_made(tmp_path: Path) -> None:
    # everybody is right nine times in ten: one against the majority of two others who agree
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 3000)
    cast = np.where(rng.random((3000, 3)) < 0.9, truth[:, None], 1 - truth[:, None])
    groups = [pair(str(n), votes) for n, votes in enumerate(cast.tolist())]
    facts = agreement_ceiling(scored(tmp_path, groups, truth.tolist())).facts
    assert facts["votes.accuracy"] == pytest.approx(0.9, abs=0.01)
    agree = 0.9 * 0.81 / 0.82 + 0.1 * 0.01 / 0.82
    assert facts["annotator.ceiling_low"] < agree < facts["annotator.ceiling_high"]
    assert facts["annotator.accuracy"] == pytest.approx(0.81 / 0.82, abs=0.01)
    # the bound on accuracy against majorities: of three votes, two are right with probability 0.972
    assert facts["ceiling_low"] < 0.972 < facts["ceiling_high"]


def test_votes_of_a_prompt_are_resampled_together(tmp_path: Path) -> None:
    favours = [int(n % 8 < 4) for n in range(80)]
    width = []
    for prompts in (80, 8):
        groups = [pair(str(n), [0, 0, 1], prompt=f"p{n % prompts}") for n in range(80)]
        facts = agreement_ceiling(scored(tmp_path, groups, favours)).facts
        width.append(facts["votes.accuracy_high"] - facts["votes.accuracy_low"])
    assert width[1] > 2 * width[0]


def test_the_ranking_section_shows_it_where_there_are_votes(tmp_path: Path) -> None:
    groups = [pair(str(n), [0, 0, 1]) for n in range(30)]
    facts = check_ranking(scored(tmp_path, groups, [0] * 30), audit_thresholds()).facts
    assert facts["ranking.votes.accuracy"] == pytest.approx(2 / 3)
    assert facts["ranking.votes.share"] == 1
    bare = [PreferenceGroup(one.id, one.prompt, one.responses, (judge([Vote("", 0)]),)) for one in groups]
    facts = check_ranking(scored(tmp_path, bare, [0] * 30), audit_thresholds()).facts
    assert not any(name.startswith(("ranking.votes", "ranking.ceiling")) for name in facts)


def test_published_votes(real_data: Path, tmp_path: Path) -> None:
    corpus = build_corpus(read_preferences(str(real_data / "pandalm/testset-v1.json.gz")).groups, tmp_path)
    facts = agreement_ceiling(Scored(corpus, corpus.responses.characters.astype(np.float64))).facts
    assert facts["votes.accuracy"] < facts["annotator.ceiling"] < facts["ceiling"] <= 1
    assert facts["annotator.ceiling"] == pytest.approx(0.97, abs=0.01)
    assert facts["unanimous.pairs"] + facts["split.pairs"] <= 999
