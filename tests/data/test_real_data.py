"""Published preference data, read as it is: the figures that their authors, or a plain count, give."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from palate.data.read import PreferenceData, read_preferences
from palate.records import Conversation, PreferenceGroup


def length(response: Conversation) -> int:
    return sum(len(message.content) for message in response)


def longer_wins(groups: tuple[PreferenceGroup, ...]) -> float:
    """Share of decided comparisons that the longer response wins, equal lengths counting half."""
    points = []
    for group in groups:
        for one in group.comparisons:
            if not one.is_tie:
                gap = length(group.responses[one.winner]) - length(group.responses[one.loser])
                points.append(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0)
    return sum(points) / len(points)


def reasons(data: PreferenceData) -> Counter[str]:
    return Counter(row.reason for row in data.dropped)


def test_harmless_base_loads_whole(real_data: Path) -> None:
    data = read_preferences(str(real_data / "hh_rlhf/harmless-base/test.jsonl.gz"), on_bad_row="error")
    assert (data.rows, len(data.groups), data.formats) == (2312, 2312, {"hh-transcript": 2312})
    assert data.notes == {"repeated-role": 9, "parted-early": 5, "empty-response-in-transcript": 4}
    assert longer_wins(data.groups) == pytest.approx(0.446, abs=5e-4)


def test_helpful_base_has_two_bad_rows(real_data: Path) -> None:
    source = str(real_data / "hh_rlhf/helpful-base/test.jsonl.gz")
    data = read_preferences(source, on_bad_row="skip")
    assert [row.where for row in data.dropped] == [f"{source}:722", f"{source}:2169"]
    assert reasons(data) == {"identical-pair": 2}
    assert data.notes == {
        "repeated-role": 15,
        "parted-early": 9,
        "empty-response-in-transcript": 4,
        "empty-turn": 1,
    }
    assert longer_wins(data.groups) == pytest.approx(0.598, abs=5e-4)
    assert data.summary() == (
        "2,354 rows of format hh-transcript -> 2,352 groups, 2,352 comparisons; dropped: identical-pair 2; "
        "notes: repeated-role 15, parted-early 9, empty-response-in-transcript 4, empty-turn 1"
    )


def test_helpful_base_begins_with_200_good_rows(real_data: Path) -> None:
    data = read_preferences(str(real_data / "hh_rlhf/helpful-base/test.jsonl.gz"), max_groups=200)
    assert (len(data.groups), data.rows, data.dropped) == (200, 200, ())


def test_rejection_sampled_has_32_identical_pairs(real_data: Path) -> None:
    source = str(real_data / "hh_rlhf/helpful-rejection-sampled/test.jsonl.gz")
    data = read_preferences(source, on_bad_row="skip")
    assert (data.rows, len(data.groups), reasons(data)) == (2749, 2717, {"identical-pair": 32})


@pytest.mark.parametrize("name", ["harmless-base", "helpful-base", "helpful-rejection-sampled"])
def test_transcripts_lose_no_text(real_data: Path, name: str) -> None:
    """Written out again, prompt and response hold the same words as the file."""
    import gzip
    import json

    source = real_data / f"hh_rlhf/{name}/test.jsonl.gz"
    with gzip.open(source, "rt", encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file]
    speakers = {"user": "Human:", "assistant": "Assistant:"}
    for group in read_preferences(str(source), on_bad_row="skip").groups:
        row = rows[int(group.where.rpartition(":")[2]) - 1]
        for response, column in zip(group.responses, ("chosen", "rejected"), strict=True):
            turns = [f"{speakers[turn.role]} {turn.content}" for turn in group.prompt + response]
            assert " ".join(turns).split() == row[column].split()


def test_ukpconvarg1_loads_as_votes(real_data: Path) -> None:
    data = read_preferences(str(real_data / "ukpconvarg1/pairs.jsonl.gz"))
    assert (len(data.groups), data.formats) == (16_927, {"votes-ukpconvarg": 16_927})
    assert data.notes["identical-responses"] == 15
    comparisons = [group.comparisons[0] for group in data.groups]
    votes = [vote for one in comparisons for vote in one.votes]
    assert (len(votes), len({vote.annotator for vote in votes})) == (84_445, 3815)
    assert Counter(vote.preferred for vote in votes) == {0: 32_849, 1: 32_491, None: 19_105}
    assert sum(one.is_tie for one in comparisons) == 1704
    assert len({group.prompt_hash for group in data.groups}) == 32
    assert longer_wins(data.groups) == pytest.approx(0.719, abs=5e-4)


def test_oasst_trees_give_211_ranked_prompts(real_data: Path) -> None:
    data = read_preferences(str(real_data / "oasst/en_100_tree.jsonl.gz"))
    assert (data.rows, len(data.groups), data.formats) == (100, 211, {"oasst-tree": 100})
    sizes = Counter(len(group.responses) for group in data.groups)
    assert sizes == {2: 57, 3: 116, 4: 27, 5: 3, 6: 6, 8: 1, 9: 1}
    assert sum(len(group.comparisons) for group in data.groups) == 751
    assert all(group.prompt[0].role == group.prompt[-1].role == "user" for group in data.groups)
    assert len({group.id for group in data.groups}) == 211
    assert data.notes == {"unranked-replies": 2}


def test_pandalm_loads_whole(real_data: Path) -> None:
    data = read_preferences(str(real_data / "pandalm/testset-v1.json.gz"))
    assert (len(data.groups), data.formats) == (999, {"votes-pandalm": 999})
    assert data.notes["empty-response-kept"] == 54
    assert data.notes["truth-value-as-text"] == 6
    comparisons = [group.comparisons[0] for group in data.groups]
    assert sum(one.is_tie for one in comparisons) == 85
    pairs = [pair for one in comparisons for pair in combinations(one.votes, 2)]
    agreement = sum(a.preferred == b.preferred for a, b in pairs) / len(pairs)
    assert agreement == pytest.approx(0.920, abs=5e-4)


def test_pandalm_people_prefer_an_answer_to_none(real_data: Path) -> None:
    """Guards the direction of the votes."""
    outcomes: Counter[str] = Counter()
    for group in read_preferences(str(real_data / "pandalm/testset-v1.json.gz")).groups:
        (one,) = group.comparisons
        if any(length(response) == 0 for response in group.responses) and not one.is_tie:
            outcomes["won" if length(group.responses[one.winner]) == 0 else "lost"] += 1
    assert outcomes == {"lost": 52, "won": 1}
