"""Rewards find their groups by id, and where an id is not one group's nothing is guessed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palate.errors import DataError
from palate.health.corpus import Corpus, build_corpus
from palate.health.scores import read_margins
from palate.records import Comparison, Message, PreferenceGroup


def pair(id: str, where: str) -> PreferenceGroup:
    responses = tuple((Message("assistant", f"{word} {where}"),) for word in ("good", "poor"))
    return PreferenceGroup(id, (Message("user", where),), responses, (Comparison(0, 1),), where=where)


def corpus_of(ids: Sequence[str], folder: Path, against: Sequence[str] = ()) -> Corpus:
    groups = [pair(id, f"a.jsonl:{n}") for n, id in enumerate(ids)]
    return build_corpus(groups, folder, against=[pair(id, f"b.jsonl:{n}") for n, id in enumerate(against)])


def scores(folder: Path, *rows: tuple[str, list[float] | None]) -> Path:
    path = folder / "scores.jsonl"
    path.write_text("".join(json.dumps({"id": id, "rewards": rewards}) + "\n" for id, rewards in rows))
    return path


def test_rewards_go_to_the_group_of_their_id(tmp_path: Path) -> None:
    found = read_margins(scores(tmp_path, ("2", [5.0, 1.0]), ("1", [0.0, 2.0])), corpus_of(["1", "2"], tmp_path))
    assert found.tolist() == [-2.0, 4.0]


def test_an_id_of_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:2: the id '1' is there twice"):
        read_margins(scores(tmp_path, ("1", [0.0, 2.0]), ("2", [5.0, 1.0])), corpus_of(["1", "2", "1"], tmp_path))


def test_two_lines_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores\.jsonl:2: the id '1' is there twice"):
        read_margins(scores(tmp_path, ("1", [0.0, 2.0]), ("1", [5.0, 1.0])), corpus_of(["1"], tmp_path))


def test_what_is_only_compared_against_may_have_any_id(tmp_path: Path) -> None:
    found = read_margins(scores(tmp_path, ("1", [0.0, 2.0])), corpus_of(["1"], tmp_path, against=["1", "1"]))
    assert found[0] == -2.0


@pytest.mark.parametrize("rewards", [0.5, ["x", "y"], [True, False], {}])
def test_what_are_no_rewards_is_refused(tmp_path: Path, rewards: Any) -> None:
    with pytest.raises(DataError, match=r"scores\.jsonl:1: .*no list of numbers"):
        read_margins(scores(tmp_path, ("1", rewards)), corpus_of(["1"], tmp_path))
