"""Votes of a stream as columns."""

from palate.curate.tally import HIGH, LOW, TIE, tally
from palate.records import Comparison, Message, PreferenceGroup, Vote


def group(prompt: str, texts: tuple[str, ...], *comparisons: Comparison) -> PreferenceGroup:
    responses = tuple((Message("assistant", text),) for text in texts)
    return PreferenceGroup(prompt, (Message("user", prompt),), responses, comparisons, "data.jsonl:1")


def cast(*preferred: int | None) -> tuple[Vote, ...]:
    return tuple(Vote(f"ann-{n}", one, first=n % 2 or None) for n, one in enumerate(preferred))


def test_columns_by_hand() -> None:
    groups = [
        group("p", ("x", "y", "z"), Comparison(2, 0, votes=cast(2, 0, None)), Comparison(0, 1, votes=cast(0))),
        group("p", ("y", "X "), Comparison(0, 1, votes=(Vote("new", 0, first=0), Vote("ann-1", 1, first=1)))),
        group("q", ("x", "y"), Comparison(0, 1, votes=cast(1, 1))),
    ]
    seen = tally(groups, min_votes=2)
    found = seen.tally
    assert (seen.comparisons, seen.most_votes, found.annotators) == (4, 3, 4)
    assert found.comparison.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert found.annotator.tolist() == [0, 1, 2, 3, 1, 0, 1]
    assert found.verdict.tolist() == [HIGH, LOW, TIE, LOW, HIGH, HIGH, HIGH]
    assert found.counts.tolist() == [[1, 1, 1], [1, 1, 0], [0, 2, 0]]
    x, z = found.low[0], found.high[0]
    y = found.low[1]
    assert found.high[1] == x  # the same text to the same prompt, but for case and space
    assert len({x, y, z, found.low[2], found.high[2]}) == found.responses == 5  # another prompt, other responses


def test_what_was_shown_first() -> None:
    votes = (Vote("a", 0, first=0), Vote("b", 0, first=1), Vote("c", 0))
    found = tally([group("p", ("x", "y"), Comparison(1, 0, votes=votes))], 1).tally
    assert found.first.tolist() == [LOW, HIGH, -1]


def test_nothing_has_enough_votes() -> None:
    seen = tally([group("p", ("x", "y"), Comparison(0, 1, votes=cast(0, 1)), Comparison(1, 0))], 3)
    assert (seen.comparisons, seen.most_votes, len(seen.tally.counts)) == (2, 2, 0)
