"""`palate data split`: sides that share nothing, and a manifest that says so.

The data is read twice, so that it may be larger than memory: once for what the sides are decided by, once to write
the rows. What is guaranteed when data is added and all of it is split again:

- With `previous`, no prompt (annotator, source) that was there before changes side, whatever else is new.
- Without it, none changes side but by near-duplicates: a cluster goes where its smallest prompt key goes, so that a
  new prompt may take older ones with it. `near_duplicates=False` rules that out. Stratified sides, and cuts in time,
  are shares of what is there, and need `previous` to stay.
- A new prompt that joins prompts of two sides goes to one of them, and the cluster is counted as a conflict. This
  happens with `previous` alone.
- Where so few units are there that a side would be empty, it gets one, which added data may take from it again.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from palate import __version__
from palate.curate.deciders import Decision, by_name, by_prompt, by_source, by_time
from palate.curate.divide import divide_votes
from palate.data.load import stream_groups
from palate.data.manifest import NAME, By, Manifest, SideFile, SplitSettings, file_sha256, read_manifest
from palate.data.read import GroupStream, OnBadRow, ReadReport, write_dropped
from palate.data.rows import group_to_row
from palate.data.writers.files import Write, writing
from palate.errors import ConfigError, DataError
from palate.health.columns import decoded
from palate.health.corpus import Corpus, build_corpus
from palate.records import PreferenceGroup

Told: TypeAlias = Callable[[int], None]

FRACTIONS = {"train": 0.9, "dev": 0.1}
"""The sides, if nothing else is asked for. The first is the one to train on."""
_RESERVED = ("dropped", "split")  # names of files that a split writes beside its sides


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What a split did.

    Attributes:
        folder: where the files are.
        manifest: what `split.json` says.
        report: of reading the data.
        units: how many clusters of prompts, annotators, sources or groups (by time) were divided.
        joined: prompts that are in a cluster with near-duplicates.
        conflicts: clusters that are on several sides, because an earlier split had put them there.
        notes: of a split by annotator: comparisons `divided` among sides, `unvoted`, `margins-dropped`.
    """

    folder: Path
    manifest: Manifest
    report: ReadReport
    units: int
    joined: int
    conflicts: int
    notes: Mapping[str, int]

    def summary(self) -> str:
        """One line for people."""
        sides = ", ".join(f"{side} {file.groups:,} groups" for side, file in self.manifest.files.items())
        said = [
            (self.joined, "prompts joined with near-duplicates"),
            (self.conflicts, "clusters on several sides by the earlier split"),
            (self.manifest.shared_prompts, "prompts on several sides"),
            (self.notes.get("divided", 0), "comparisons whose votes are divided"),
            (self.notes.get("unvoted", 0), f"comparisons without votes, all on {self.manifest.training}"),
            (self.notes.get("margins-dropped", 0), "margins set to 0"),
            (len(self.report.dropped), "rows left out"),
        ]
        return "; ".join(
            [f"split by {self.manifest.settings.by}: {sides}", *(f"{count:,} {what}" for count, what in said if count)]
        )


def split(  # noqa: PLR0913 - one keyword for each setting of the command
    data: str,
    *,
    out: str,
    fractions: Mapping[str, float] | None = None,
    by: By = "prompt",
    near_duplicates: bool = True,
    stratify: Literal["source"] | None = None,
    previous: str | None = None,
    seed: int = 0,
    on_bad_row: OnBadRow = "error",
    on_progress: Told = lambda groups: None,
) -> SplitResult:
    """Split preference data into files of palate's rows, one a side, and `split.json`.

    Args:
        data: preference data, as for training.
        out: the directory.
        fractions: name and share of each side, the one to train on first; they add up to 1. Shares are of clusters of
            prompts, annotators or sources, and of groups by time.
        by: what is never on two sides. By `annotator`, each comparison is on every side that has votes on it, with
            those votes and their label, so that the sides share prompts and responses; by `time`, the first side is
            the oldest.
        near_duplicates: by prompt, keep near-duplicates on one side.
        stratify: by prompt, split each source by the same shares.
        previous: `split.json` of an earlier split, whose sides are kept.
        seed: of the draw.
        on_bad_row: see `palate.data.read.PreferenceStream`; what is left out is listed in `dropped.jsonl`.
        on_progress: told how many more groups were read; each is read twice.

    Raises:
        ConfigError: settings that make no sense, or too little to split.
        DataError: the data cannot be read, or changes while it is read, or `previous` is no manifest.
    """
    settings = SplitSettings(by, near_duplicates and by == "prompt", stratify, seed, dict(fractions or FRACTIONS))
    _check(settings)
    folder = Path(out)
    _check_places(data, folder, settings, previous)
    earlier = None if previous is None else _earlier(Path(previous), settings)
    stream = stream_groups(data, on_bad_row=on_bad_row)
    with TemporaryDirectory(prefix="palate-split-") as temporary:
        look = _look(stream, Path(temporary), on_progress)
        decision = _decide(look, settings, earlier)
        prompts = look.corpus.groups.prompt_key.tolist()
    written = _write(stream, folder, decision, settings.fractions, prompts, on_progress)
    listed = folder / "dropped.jsonl"
    if stream.report.dropped:
        write_dropped(listed, stream.report.dropped)
    else:
        listed.unlink(missing_ok=True)  # of an earlier run
    manifest = Manifest(
        palate=__version__,
        data=data,
        data_sha256=written.digest,
        settings=settings,
        previous_sha256=None if previous is None else file_sha256(Path(previous)),
        files=written.files,
        shared_prompts=written.shared_prompts,
        sides={name: decision.keys[decision.side == n] for n, name in enumerate(settings.fractions)},
        cuts=decision.cuts,
    )
    manifest.write(folder)
    return SplitResult(
        folder, manifest, stream.report, decision.units, decision.joined, decision.conflicts, dict(written.notes)
    )


def _check(settings: SplitSettings) -> None:
    fractions = settings.fractions
    if len(fractions) < 2:
        raise ConfigError(f"fractions name {len(fractions)} side; a split needs two or more, such as train and dev")
    bad = [name for name in fractions if not re.fullmatch(r"[\w-]+", name) or name in _RESERVED]
    if bad:
        raise ConfigError(f"{bad[0]!r} cannot name a side, which is a file too: use letters, digits, - and _")
    if min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ConfigError(f"fractions are {dict(fractions)}; they must be positive and add up to 1")
    if settings.stratify and settings.by != "prompt":
        raise ConfigError(f"stratify goes with by=prompt alone, and by is {settings.by!r}")


def _check_places(data: str, folder: Path, settings: SplitSettings, previous: str | None) -> None:
    source = Path(data).expanduser().resolve()
    if source.is_dir() and folder.resolve().is_relative_to(source):
        raise ConfigError(f"out is {folder}, inside the folder {data} that is to be split; choose another one")
    if any(source == (folder / f"{name}.jsonl").resolve() for name in settings.fractions):
        raise ConfigError(f"the split would replace {data} itself; choose another --out")
    if previous is None and (folder / NAME).exists():
        raise ConfigError(
            f"{folder} holds a split already; choose another --out, or go on from it with --previous {folder / NAME}"
        )


def _earlier(path: Path, settings: SplitSettings) -> Manifest:
    earlier = read_manifest(path)
    if earlier.settings.by != settings.by:
        raise ConfigError(f"{path} is a split by {earlier.settings.by}, and this one is by {settings.by}")
    missing = [name for name in earlier.files if name not in settings.fractions]
    if missing:
        raise ConfigError(f"{path} has a side {missing[0]!r}, which this split has not; name it in the fractions")
    if settings.by == "time" and list(earlier.files) != list(settings.fractions):
        raise ConfigError(f"{path} cuts time into {', '.join(earlier.files)}; name the same sides")
    return earlier


@dataclass(frozen=True, slots=True)
class _Look:
    """The first reading: a corpus of prompts without responses, and the names of all annotators."""

    corpus: Corpus
    annotators: tuple[str, ...]


def _look(stream: GroupStream, folder: Path, on_progress: Told) -> _Look:
    annotators: dict[str, None] = {}

    def prompts() -> Iterator[PreferenceGroup]:
        for group in stream:
            annotators.update((vote.annotator, None) for label in group.comparisons for vote in label.votes)
            yield replace(group, responses=(), comparisons=(), models=())

    corpus = build_corpus(prompts(), folder, on_progress=on_progress)
    return _Look(corpus, tuple(annotators))


def _decide(look: _Look, settings: SplitSettings, earlier: Manifest | None) -> Decision:
    corpus = look.corpus
    if settings.by == "annotator":
        return by_name(look.annotators, "annotator", settings, earlier)
    if settings.by == "source":
        return by_source(corpus, settings, earlier)
    if settings.by == "time":
        times, places = ([*map(decoded, _cells(corpus, name))] for name in ("time", "where"))
        return by_time(times, places, settings, earlier)
    return by_prompt(corpus, settings, earlier)


def _cells(corpus: Corpus, column: str) -> Iterator[bytes]:
    for array in corpus.texts.column(column):
        yield from array.to_pylist()


@dataclass(slots=True)
class _Side:
    """A file that is being written, and what is in it."""

    path: Path
    write: Write
    groups: int = 0
    comparisons: int = 0
    prompts: set[int] = field(default_factory=set)

    def add(self, group: PreferenceGroup, prompt: int) -> None:
        self.write(group_to_row(group))
        self.groups += 1
        self.comparisons += len(group.comparisons)
        self.prompts.add(prompt)

    def finished(self) -> SideFile:
        return SideFile(self.path.name, file_sha256(self.path), self.groups, self.comparisons, len(self.prompts))


@dataclass(frozen=True, slots=True)
class _Written:
    files: dict[str, SideFile]
    digest: str
    shared_prompts: int
    notes: Counter[str]


def _write(
    stream: GroupStream, folder: Path, decision: Decision, names: Iterable[str], prompts: list[int], on_progress: Told
) -> _Written:
    """The second reading: each row to its side."""
    notes: Counter[str] = Counter()
    digest = hashlib.sha256()
    with ExitStack() as files:
        paths = [folder / f"{name}.jsonl" for name in names]
        sides = [_Side(path, files.enter_context(writing(path, (), plain=True))) for path in paths]
        for number, (group, prompt) in enumerate(zip_longest(stream, prompts)):
            if group is None or prompt is None or int(group.prompt_hash, 16) != prompt:
                raise DataError("the data changed while it was being split; split it again", reason="changed")
            on_progress(1)
            digest.update(json.dumps(group_to_row(group), sort_keys=True).encode() + b"\n")
            parts = (
                [(int(decision.group[number]), group)]
                if len(decision.group)
                else divide_votes(group, decision.annotator, notes)
            )
            for side, part in parts:
                sides[side].add(part, prompt)
    several = Counter(prompt for side in sides for prompt in side.prompts)
    shared = sum(count > 1 for count in several.values())
    return _Written({side.path.stem: side.finished() for side in sides}, digest.hexdigest(), shared, notes)
