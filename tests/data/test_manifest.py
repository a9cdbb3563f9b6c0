"""A file that is not what its split left is not trusted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from palate.curate.split import split
from palate.data.manifest import NAME, Manifest, SideFile, SplitSettings, read_manifest, verify, verify_training
from palate.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    split("simulated:60", out=str(tmp_path / "split"), fractions={"train": 0.6, "dev": 0.2, "test": 0.2})
    return tmp_path / "split"


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    keys = np.array([2**64 - 1, 0, 7], np.uint64)
    manifest = Manifest(
        palate="1",
        data="x\u00e9",
        data_sha256="ab",
        settings=SplitSettings("time", False, "source", 3, {"train": 0.5, "dev": 0.5}),
        previous_sha256="cd",
        files={"train": SideFile("train.jsonl", "ef", 1, 2, 3), "dev": SideFile("dev.jsonl", "01", 4, 5, 6)},
        shared_prompts=9,
        sides={"train": keys, "dev": keys[:0]},
        cuts=(0.1, 1714521600.0),
    )
    manifest.write(tmp_path)
    read = read_manifest(tmp_path / NAME)
    assert read.sides["train"].tolist() == sorted(keys.tolist())
    assert read.sides["dev"].tolist() == []
    for name in ("palate", "data", "data_sha256", "settings", "previous_sha256", "files", "shared_prompts", "cuts"):
        assert getattr(read, name) == getattr(manifest, name)
    assert read.training == "train"


def test_a_file_as_the_split_left_it_is_known(folder: Path) -> None:
    for side in ("train", "dev", "test"):
        found = verify(folder / f"{side}.jsonl")
        assert found is not None
        assert (found.side, found.folder) == (side, folder.resolve())


def test_files_of_no_split_are_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text("{}")
    (folder / "stray.jsonl").write_text("{}")
    assert verify(tmp_path / "other.jsonl") is verify(folder / "stray.jsonl") is verify(Path("owner/name")) is None
    assert verify(tmp_path) is verify(folder / "missing.jsonl") is None


def test_a_changed_file_is_refused(folder: Path) -> None:
    with (folder / "dev.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(DataError, match=r"dev\.jsonl: the file has changed since .*split\.json.*split the data again"):
        verify(folder / "dev.jsonl")
    verify(folder / "train.jsonl")
    with pytest.raises(DataError, match="has changed"):
        verify_training(str(folder / "train.jsonl"), str(folder / "dev.jsonl"))


def test_the_folder_of_a_split_is_no_data(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a split.*train\.jsonl.*dev\.jsonl"):
        verify(folder)
    with pytest.raises(ConfigError, match="holds a split"):
        verify_training(str(folder))


def test_another_file_of_that_name_is_nobodys_business(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"train": 1}')
    (tmp_path / "train.jsonl").write_text("{}")
    assert verify(tmp_path / "train.jsonl") is verify(tmp_path) is None


@pytest.mark.parametrize("broken", ["cut", "field", "key"])
def test_a_broken_manifest_is_an_error(folder: Path, broken: str) -> None:
    text = (folder / NAME).read_text()
    fields = json.loads(text)
    if broken == "field":
        del fields["files"]
    if broken == "key":
        fields["sides"]["dev"] = "###"
    (folder / NAME).write_text(text[:300] if broken == "cut" else json.dumps(fields))
    with pytest.raises(DataError, match=r"split\.json: not a manifest of format palate-split/1.*split the data again"):
        verify(folder / "train.jsonl")


def test_what_training_is_told(folder: Path, tmp_path: Path) -> None:
    train, dev, test = (str(folder / f"{name}.jsonl") for name in ("train", "dev", "test"))
    (said,) = verify_training(train, dev)
    assert (said.warning, said.text) == (
        False,
        "split.json: training and held-out data share no prompt and no near-duplicate of one",
    )
    assert (
        verify_training(train) == verify_training("simulated", dev) == verify_training("simulated", "owner/name") == ()
    )
    held_out, disjoint = verify_training(dev, test)
    assert held_out.warning
    assert "is the side 'dev' of a split" in held_out.text
    assert not disjoint.warning
    (same,) = verify_training(train, train)
    assert same.warning
    assert "nothing is held out" in same.text
    shutil.copytree(folder, tmp_path / "copy")
    assert verify_training(train, str(tmp_path / "copy" / "dev.jsonl")) == ()


def test_sides_that_share_prompts_say_so(tmp_path: Path) -> None:
    out = tmp_path / "people"
    split("simulated:60", out=str(out), by="annotator")
    (said,) = verify_training(str(out / "train.jsonl"), str(out / "dev.jsonl"))
    assert not said.warning  # it is meant to be so
    shared = read_manifest(out / NAME).shared_prompts
    assert shared > 0
    assert said.text == (
        f"split.json: training and held-out data share no annotator, but {shared:,} prompts are on several sides"
    )
