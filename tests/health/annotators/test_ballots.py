"""Votes on comparisons as columns, whatever the order of rows, responses and labels."""

from pathlib import Path

from palate.health.annotators.ballots import TIE, ballots_of
from palate.health.corpus import build_corpus
from palate.records import Comparison, Message, PreferenceGroup, Vote


def pair(row: int, votes: tuple[Vote, ...], texts: tuple[str, str], winner: int = 0) -> PreferenceGroup:
    return PreferenceGroup(
        id=f"g{row}",
        prompt=(Message("user", f"Question {row}?"),),
        responses=tuple((Message("assistant", text),) for text in texts),
        comparisons=(Comparison(winner, 1 - winner, votes=votes),),
        where=f"data.jsonl:{row + 1}",
    )


def test_ballots_know_a_response_by_its_text(tmp_path: Path) -> None:
    """The same pair in both orders, with the labels both ways, gives the same counts."""
    forth = (Vote("a", 0, first=0, seconds=3.0), Vote("b", 0), Vote("c", None, first=1))
    back = (Vote("a", 1, first=1, seconds=3.0), Vote("b", 1), Vote("c", None, first=0))
    groups = [
        pair(0, forth, ("Yes.", "No.")),
        pair(1, back, ("No.", "Yes."), winner=1),
        pair(2, forth, ("Yes.", "No."), winner=1),
    ]
    corpus = build_corpus(groups, tmp_path, against=[pair(3, forth, ("Yes.", "No."))])
    found = ballots_of(corpus)
    assert found.counts.tolist() == [found.counts[0].tolist()] * 3
    assert sorted(found.counts[0].tolist()) == [0, 1, 2]
    assert found.counts[0, TIE] == 1
    assert (found.choice[0], found.first[0]) == (found.choice[3], found.first[3])
    assert found.first[0] == found.choice[0] != found.first[2]
    assert found.first[1] == -1
    assert found.names == ("a", "b", "c")
    assert found.per_annotator.tolist() == [3, 3, 3]
    assert not found.anonymous


def test_chosen_first_files_are_not_one_sided(tmp_path: Path) -> None:
    """Where the file puts the winner first, half of the winners are still called *one*: chance stays chance."""
    votes = (Vote("a", 0), Vote("b", 0))
    found = ballots_of(
        build_corpus([pair(row, votes, (f"Good {row}.", f"Bad {row}.")) for row in range(200)], tmp_path)
    )
    assert 70 < found.counts[:, 0].sum() / 2 < 130
