"""What `palate data split` promised is checked by whoever trains on it."""

from pathlib import Path

import pytest

from palate.curate.split import split
from palate.data.simulate import simulate, write_jsonl
from palate.errors import DataError
from palate.testing.runs import tiny_run
from palate.training.display import QuietDisplay
from palate.training.prepare import read


class Lines(QuietDisplay):
    def __init__(self) -> None:
        super().__init__(warn=False)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    write_jsonl(simulate(60), tmp_path / "prefs.jsonl")
    split(str(tmp_path / "prefs.jsonl"), out=str(tmp_path / "split"))
    return tmp_path / "split"


def test_disjoint_sides_are_confirmed(sides: Path, tmp_path: Path) -> None:
    show = Lines()
    read(tiny_run(tmp_path, data=str(sides / "train.jsonl"), eval_data=str(sides / "dev.jsonl")), show)
    assert show.said[0] == "split.json: training and held-out data share no prompt and no near-duplicate of one"


def test_training_on_the_held_out_side_is_warned_of(sides: Path, tmp_path: Path) -> None:
    show = Lines()
    read(tiny_run(tmp_path, data=str(sides / "dev.jsonl")), show)
    assert show.said[0].startswith("warning: ")
    assert "'dev'" in show.said[0]


def test_a_file_that_changed_since_the_split_is_refused(sides: Path, tmp_path: Path) -> None:
    path = sides / "train.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match="has changed since"):
        read(tiny_run(tmp_path, data=str(path)), Lines())
