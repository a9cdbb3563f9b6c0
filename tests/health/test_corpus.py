"""Columns must say exactly what the groups say, whatever the chunks and processes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from palate.data.simulate import simulate
from palate.errors import DataError
from palate.health import columns
from palate.health.corpus import Corpus, build_corpus
from palate.health.texts.forms import plain_text, text_key
from palate.records import Comparison, Message, PreferenceGroup, Vote

MADE = simulate(60).groups


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.health.corpus.CHUNK", 7)


def read_back(corpus: Corpus, group: int) -> tuple[object, ...]:
    """One group from the columns alone, slowly."""
    start, end = corpus.groups.start[group : group + 2].tolist()
    labels = np.flatnonzero(corpus.comparisons.group == group)
    votes = [
        (
            int(np.flatnonzero(labels == corpus.votes.comparison[v])[0]),
            corpus.annotators[corpus.votes.annotator[v]],
            None if corpus.votes.preferred[v] < 0 else int(corpus.votes.preferred[v]) - start,
            None if corpus.votes.first[v] < 0 else int(corpus.votes.first[v]) - start,
            None if np.isnan(corpus.votes.seconds[v]) else float(corpus.votes.seconds[v]),
        )
        for v in np.flatnonzero(np.isin(corpus.votes.comparison, labels))
    ]
    rows = [
        (int(c.winner[i]) - start, int(c.loser[i]) - start, c.margin[i], c.probability[i], c.weight[i])
        for c in [corpus.comparisons]
        for i in labels
    ]
    texts = [corpus.response(row) for row in range(start, end)]
    return corpus.id(group), corpus.where(group), corpus.prompt(group), texts, rows, votes


def expected(group: PreferenceGroup) -> tuple[object, ...]:
    votes = [
        (number, vote.annotator, vote.preferred, vote.first, vote.seconds)
        for number, label in enumerate(group.comparisons)
        for vote in label.votes
    ]
    rows = [(c.winner, c.loser, c.margin, c.probability, c.weight) for c in group.comparisons]
    texts = [plain_text(response) for response in group.responses]
    return group.id, group.where, plain_text(group.prompt), texts, rows, votes


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("workers", [1, 2])
def test_columns_give_the_groups_back(tmp_path: Path, workers: int) -> None:
    odd = PreferenceGroup(
        id="\ud800 lone",
        prompt=(),
        responses=(said("a"), said("b"), said("c")),
        comparisons=(
            Comparison(2, 0, margin=0.5, probability=0.75, weight=2.0),
            Comparison(0, 1, probability=0.5, votes=(Vote("x", None), Vote("y", 1, first=0, seconds=1.5))),
        ),
        source="here",
        models=("m1", "m2", "m1"),
    )
    unlabelled = PreferenceGroup("only", (Message("user", "?"),), (said("alone"),))
    groups = [*MADE[:20], odd, unlabelled, *MADE[20:]]
    done: list[int] = []
    corpus = build_corpus(groups, tmp_path, workers=workers, on_progress=done.append)
    assert [read_back(corpus, number) for number in range(len(groups))] == [expected(group) for group in groups]
    assert done == [7] * 8 + [6]
    assert [corpus.sources[code] for code in corpus.groups.source[[0, 20]]] == ["", "here"]
    assert [corpus.models[code] for code in corpus.responses.model[corpus.responses.group == 20]] == ["m1", "m2", "m1"]
    assert list(corpus.prompts()) == [plain_text(group.prompt) for group in groups]
    texts = [plain_text(response) for group in groups for response in group.responses]
    assert corpus.responses.characters.tolist() == [len(text) for text in texts]
    assert corpus.responses.words.tolist() == [len(text.split()) for text in texts]
    assert corpus.groups.prompt_characters.tolist() == [len(plain_text(group.prompt)) for group in groups]
    assert corpus.groups.turns.tolist() == [len(group.prompt) for group in groups]
    assert list(corpus.all_responses()) == [plain_text(r) for group in groups for r in group.responses]
    assert corpus.comparisons.decided.sum() == sum(not c.is_tie for group in groups for c in group.comparisons)
    assert corpus.responses.group.tolist() == [n for n, group in enumerate(groups) for _ in group.responses]


@pytest.mark.usefixtures("small_chunks")
def test_the_other_side_is_marked(tmp_path: Path) -> None:
    corpus = build_corpus(MADE[:10], tmp_path, against=MADE[10:13])
    assert corpus.groups.against.tolist() == [False] * 10 + [True] * 3


def test_no_data_at_all(tmp_path: Path) -> None:
    corpus = build_corpus([], tmp_path)
    assert (len(corpus.texts), len(corpus.responses.key), len(corpus.votes.comparison)) == (0, 0, 0)
    assert list(corpus.prompts()) == []
    assert corpus.groups.start.tolist() == [0]


def test_keys_are_those_of_equal_texts(tmp_path: Path) -> None:
    groups = [
        PreferenceGroup("1", (Message("user", "What  is it?"),), (said("Yes."), said("No."))),
        PreferenceGroup("2", (Message("user", "what is it?"),), (said("yes. "), said("Maybe."))),
        PreferenceGroup("3", (Message("system", "what is it?"),), (said("no"), said("Maybe"))),
    ]
    corpus = build_corpus(groups, tmp_path)
    one, two, three = corpus.groups.prompt_key.tolist()
    assert one == two != three
    assert [int(key) for key in corpus.responses.key] == [
        text_key(text) for text in ("yes.", "no.", "yes.", "maybe.", "no", "maybe")
    ]


def test_examples_are_for_people(tmp_path: Path) -> None:
    corpus = build_corpus(MADE, tmp_path)
    label = MADE[3].comparisons[0]
    number = sum(len(group.comparisons) for group in MADE[:3])
    example = corpus.example(number, "why")
    assert example.where == MADE[3].where
    assert dict(example.texts) == {
        "prompt": plain_text(MADE[3].prompt),
        "chosen": plain_text(MADE[3].responses[label.winner]),
        "rejected": plain_text(MADE[3].responses[label.loser]),
    }
    assert example.note == "why"


def test_a_fault_of_the_reader_comes_through(tmp_path: Path) -> None:
    def broken() -> Iterator[PreferenceGroup]:
        yield MADE[0]
        raise DataError("torn", reason="broken-json", where="a:2")

    with pytest.raises(DataError, match="a:2: torn"):
        build_corpus(broken(), tmp_path)


def test_the_schema_is_what_a_batch_holds() -> None:
    assert columns.to_batch(MADE[:3]).schema == columns.SCHEMA
