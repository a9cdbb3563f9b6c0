"""What a split promised, written beside its files, and verified by whoever uses them.

`split.json` names the files of a split with their SHA-256, how they were made, and on which side each prompt (or
annotator, or source) is:

    {"format": "palate-split/1",
     "palate": "0.2.0",
     "data": "prefs.jsonl", "data_sha256": "...",        of all groups, as rows, in the order they were read
     "settings": {"by": "prompt", "near_duplicates": true, "stratify": null, "seed": 0,
                  "fractions": {"train": 0.9, "dev": 0.1}},
     "previous_sha256": null,                            of the split.json that this one goes on from
     "files": {"train": {"name": "train.jsonl", "sha256": "...", "groups": 9, "comparisons": 9, "prompts": 9}, ...},
     "shared_prompts": 0,                                prompts that are on several sides
     "sides": {"train": "...", "dev": "..."},            base64 of the sorted keys, 8 bytes each, little-endian
     "cuts": []}                                         for a split by time, where each later side begins

The key of a prompt is its `prompt_hash`; that of a name the first 8 bytes of its SHA-256, as one number.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from palate.atomic import write_text
from palate.errors import ConfigError, DataError

Keys = NDArray[np.uint64]
By = Literal["prompt", "annotator", "source", "time"]

NAME = "split.json"
FORMAT = "palate-split/1"


@dataclass(frozen=True, slots=True)
class SideFile:
    """One file of a split."""

    name: str
    sha256: str
    groups: int
    comparisons: int
    prompts: int


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How a split was made; see `palate.curate.split.split`."""

    by: By
    near_duplicates: bool
    stratify: Literal["source"] | None
    seed: int
    fractions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A split; see the module. The first side is the one to train on."""

    palate: str
    data: str
    data_sha256: str
    settings: SplitSettings
    previous_sha256: str | None
    files: Mapping[str, SideFile]
    shared_prompts: int
    sides: Mapping[str, Keys]
    cuts: tuple[float, ...]

    @property
    def training(self) -> str:
        """The side to train on."""
        return next(iter(self.files))

    def write(self, folder: Path) -> None:
        """Write `split.json`, whole or not at all."""
        fields = {name: getattr(self, name) for name in ("palate", "data", "data_sha256")}
        text = json.dumps(
            {
                "format": FORMAT,
                **fields,
                "settings": asdict(self.settings),
                "previous_sha256": self.previous_sha256,
                "files": {side: asdict(file) for side, file in self.files.items()},
                "shared_prompts": self.shared_prompts,
                "sides": {side: _packed(keys) for side, keys in self.sides.items()},
                "cuts": self.cuts,
            },
            indent=1,
        )
        write_text(folder / NAME, text + "\n")


@dataclass(frozen=True, slots=True)
class Verified:
    """A file that is as the split left it: the manifest, its place, and the file's side."""

    manifest: Manifest
    folder: Path
    side: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say, and whether it is a warning."""

    text: str
    warning: bool = False


def read_manifest(path: Path) -> Manifest:
    """Read a `split.json`.

    Raises:
        DataError: it is not there, or is no manifest of this format.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            raise ValueError("format")
        fields["settings"] = SplitSettings(**fields["settings"])
        fields["files"] = {side: SideFile(**file) for side, file in fields["files"].items()}
        fields["sides"] = {side: _unpacked(text) for side, text in fields["sides"].items()}
        fields["cuts"] = tuple(fields["cuts"])
        return Manifest(**fields)
    except FileNotFoundError as error:
        raise DataError("there is no such split.json", reason="no-manifest", where=str(path)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"not a manifest of format {FORMAT} ({error!r}); split the data again"
        raise DataError(message, reason="broken-manifest", where=str(path)) from error


def verify(path: Path) -> Verified | None:
    """The side of a data file by the `split.json` beside it, or None where it belongs to no split.

    Raises:
        ConfigError: it is the folder of a split.
        DataError: the file, or the manifest, is not as the split left it.
    """
    if (path / NAME).is_file() and _is_manifest(path / NAME):
        files = ", ".join(str(path / file.name) for file in read_manifest(path / NAME).files.values())
        raise ConfigError(f"{path} holds a split, whose sides must not be read together; name one of {files}")
    beside = path.parent / NAME
    if not (path.is_file() and beside.is_file() and _is_manifest(beside)):
        return None
    manifest = read_manifest(beside)
    for side, file in manifest.files.items():
        if file.name == path.name:
            if file_sha256(path) != file.sha256:
                message = (
                    f"the file has changed since {beside} was written, so nothing is known of what it shares with the "
                    f"other sides; split the data again, or delete {NAME} if the change was meant"
                )
                raise DataError(message, reason="changed-after-split", where=str(path))
            return Verified(manifest, beside.parent.resolve(), side)
    return None


def verify_training(data: str, eval_data: str | None = None) -> tuple[Remark, ...]:
    """What the manifests beside training and held-out data say about using them together.

    Args:
        data: as `--data`; what is no file is of no split.
        eval_data: as `--eval-data`.

    Raises:
        ConfigError: one of them is the folder of a split.
        DataError: one of them is not as its split left it.
    """
    training = verify(Path(data).expanduser())
    evaluation = None if eval_data is None else verify(Path(eval_data).expanduser())
    remarks = []
    if training is not None and training.side != training.manifest.training:
        text = f"{data} is the side {training.side!r} of a split, and meant to be held out, not to be trained on"
        remarks.append(Remark(text, warning=True))
    if training is None or evaluation is None or training.folder != evaluation.folder:
        return tuple(remarks)
    if training.side == evaluation.side:
        return (*remarks, Remark(f"{data} and {eval_data} are one side of a split: nothing is held out", warning=True))
    return (*remarks, _disjoint(training))


def _disjoint(training: Verified) -> Remark:
    settings, shared = training.manifest.settings, training.manifest.shared_prompts
    if settings.by == "prompt":
        what = "no prompt and no near-duplicate of one" if settings.near_duplicates else "no prompt"
        return Remark(f"split.json: training and held-out data share {what}")
    what = {"annotator": "share no annotator", "source": "share no source", "time": "are of different times"}[
        settings.by
    ]
    text = f"split.json: training and held-out data {what}"
    said = f"{text}, but {shared:,} prompts are on several sides" if shared else text
    return Remark(said, warning=shared > 0 and settings.by != "annotator")


def file_sha256(path: Path) -> str:
    """Of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_manifest(path: Path) -> bool:
    """Whether it says that it is one: any other file may have that name."""
    with path.open("rb") as file:
        return b'"palate-split/' in file.read(100)


def _packed(keys: Keys) -> str:
    return base64.b64encode(np.sort(keys).astype("<u8").tobytes()).decode()


def _unpacked(text: str) -> Keys:
    keys: Any = np.frombuffer(base64.b64decode(text, validate=True), "<u8").astype(np.uint64)
    unpacked: Keys = keys
    return unpacked
