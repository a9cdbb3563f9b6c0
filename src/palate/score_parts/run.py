"""`palate score` into a folder: plan, go on with what is left, and write down the state of every part."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate import lock
from palate.config import ScoreConfig, resolve
from palate.errors import ConfigError
from palate.model.contract import package_versions
from palate.score_parts.inputs import Input, Inputs, Stamp, find_inputs, take_stamp
from palate.score_parts.manifest import FILE_NAME, Manifest, PartResult, Totals, go_on, read_manifest, settings_of
from palate.score_parts.on_ray import on_ray
from palate.score_parts.plan import DROPPED, plan_parts
from palate.score_parts.process import Engine, in_process
from palate.score_parts.progress import Progress, Tracker
from palate.score_parts.worker import PARTIAL

_UNREADABLE = "unreadable"  # the digest of a file that cannot be opened: its part says why
_LOCK = ".lock"
_SHOW_EVERY = 0.2  # seconds: on_progress sums over all parts


@dataclass(frozen=True, slots=True)
class FilesResult:
    """What a run over many files did.

    Attributes:
        out: the folder.
        totals: over all parts, those of earlier runs included.
        failed: what went wrong with parts that have no file, by name.
        resumed: prompts that earlier runs had scored.
        computed_tokens, unshared_tokens: of this run, see `ScoringRun`.
        seconds: from the loaded model to the last part.
    """

    out: Path
    totals: Totals
    failed: dict[str, str]
    resumed: int
    computed_tokens: int
    unshared_tokens: int
    seconds: float


def is_folder(out: str) -> bool:
    """Whether parts are to be written below `out`: it is a folder, ends like one, or has no ending.

    >>> [is_folder(out) for out in ("scores", "scores/", "runs/v1.2/", "scores.jsonl", "scores.csv")]
    [True, True, True, False, False]
    """
    return out.endswith("/") or not Path(out).suffix or Path(out).is_dir()


def score_files(
    config: ScoreConfig | None = None,
    /,
    *,
    say: Callable[[str], object] = lambda _line: None,
    on_progress: Callable[[Progress], object] = lambda _progress: None,
    **settings: Any,
) -> FilesResult:
    """Score every prompt of many files, a part a file or row group, each exactly once whatever happens on the way.

    A part that cannot be scored for a fault of its data does not stop the others: it is in the result's `failed`, and
    taken up again by the next run.

    Args:
        config: all settings at once; or give them by name.
        say: gets lines about the data and the model.
        on_progress: gets how far the run is.
        settings: fields of `ScoreConfig`, overriding `config`.

    Raises:
        ConfigError: `out` is another job's or in use, the data is not that of the earlier run, or settings contradict.
        PalateError: the data is not there, or the model cannot be used.
    """
    config = resolve(ScoreConfig, config, settings)
    _refuse(config)
    out = Path(config.out)
    inputs = find_inputs(config.data, out)
    _refuse_overlap(out, inputs)
    out.mkdir(parents=True, exist_ok=True)
    if inputs.ignored:
        say(f"warning: files passed over, as palate reads no such ending: {inputs.ignored}")
    if inputs.own:
        say(f"files passed over, as palate wrote them (summaries, left-out rows, what lies below {out}): {inputs.own}")
    with lock.held(out / _LOCK):
        old = _earlier(out)
        known = {part.input: part.stamp for part in old.parts.values()} if old and not config.overwrite else {}
        say(f"{len(inputs.files):,} files in the data; each is read once before it is scored, to know it again")
        manifest = _plan(config, old, _stamps(inputs, known))
        missing = manifest.missing()
        say(f"{len(manifest.parts):,} parts, {len(manifest.parts) - len(missing):,} of them done by an earlier run")
        start = on_ray if config.engine == "ray" else in_process
        with start(config, len(missing), say) as engine:
            for remark in engine.loaded.remarks:
                say(f"warning: {remark}")
            _admit(manifest, config.model, engine.loaded.model_hash)
            if old is not None:
                _make_room(old, manifest, overwrite=config.overwrite)
            manifest.write()
            return _score(config, manifest, engine, say, on_progress)


def _refuse(config: ScoreConfig) -> None:
    if not is_folder(config.out):
        raise ConfigError(f"out is {config.out}; for many files it must be a folder")
    for name, wrong in (("max-groups", config.max_groups is not None), ("split", config.split != "train")):
        if wrong:
            raise ConfigError(f"{name} has no meaning for many files; leave it out, or write one file")
    for name, given in (("ray-address", config.ray_address), ("ray-workers", config.ray_workers)):
        if given is not None and config.engine != "ray":
            raise ConfigError(f"{name} is for --engine ray; add that, or leave --{name} out")
    if config.ray_workers is not None and config.ray_workers < 1:
        raise ConfigError(f"ray-workers is {config.ray_workers}; it must be at least 1")


def _refuse_overlap(out: Path, inputs: Inputs) -> None:
    folder = out.resolve()
    inside = [file.path for file in inputs.files if Path(file.path).resolve().is_relative_to(folder)]
    if inside:
        raise ConfigError(f"{inside[0]} of the data lies in out, {out}; choose another folder for the rewards")


def _plan(config: ScoreConfig, old: Manifest | None, stamps: dict[Input, Stamp]) -> Manifest:
    """Anew, or what is left of an earlier run."""
    if old is not None and not config.overwrite:
        return go_on(old, stamps, config)
    parts = {part.name: part for part in plan_parts(stamps, f".{config.part_format or 'jsonl'}")}
    return Manifest(Path(config.out) / FILE_NAME, settings_of(config), parts, {}, config.model)


def _earlier(out: Path) -> Manifest | None:
    path = out / FILE_NAME
    if path.exists():
        return read_manifest(path)
    if any(not file.name.startswith(".") for file in out.iterdir()):
        raise ConfigError(f"{out} holds files and no {FILE_NAME} of palate score; choose an empty folder, or a new one")
    return None


def _stamps(inputs: Inputs, known: dict[str, Stamp]) -> dict[Input, Stamp]:
    stamps = {}
    for file in inputs.files:
        try:
            stamps[file] = take_stamp(Path(file.path), known.get(file.path))
        except OSError:
            stamps[file] = Stamp(0, 0, _UNREADABLE, None)
    return stamps


def _admit(manifest: Manifest, model: str, model_hash: str) -> None:
    if manifest.model_hash not in ("", model_hash):
        raise ConfigError(
            f"{manifest.path} was begun with another model ({manifest.model}); go on with that, choose another --out, "
            "or --overwrite to score everything again"
        )
    manifest.model, manifest.model_hash = model, model_hash


def _make_room(old: Manifest, new: Manifest, *, overwrite: bool) -> None:
    """Delete what earlier runs wrote for parts that are done again, after the manifest has ceased to speak of it."""
    stale = [
        name
        for name, part in old.parts.items()
        if overwrite or name not in new.parts or new.parts[name].stamp.digest != part.stamp.digest
    ]
    for name in stale:
        if old.state(name) == "done":
            del old.results[name]
    if stale:
        old.write()
    for name in stale:
        partial = old.path.parent / f"{name}{PARTIAL}"
        if partial.exists():  # a worker that survived its run may still write it, and would put it in place
            with lock.held(partial, patience=lock.PATIENCE):
                partial.unlink()
    _delete(old, stale, ("", DROPPED))


def _delete(manifest: Manifest, names: Iterable[str], suffixes: Iterable[str]) -> None:
    for name in names:
        for suffix in suffixes:
            (manifest.path.parent / f"{name}{suffix}").unlink(missing_ok=True)


def _score(
    config: ScoreConfig,
    manifest: Manifest,
    engine: Engine,
    say: Callable[[str], object],
    on_progress: Callable[[Progress], object],
) -> FilesResult:
    start = time.perf_counter()
    done = {name: result for name, result in manifest.results.items() if result.error is None}
    tracker, fresh, shown = Tracker(manifest.parts.values(), done), dict[str, PartResult](), -math.inf
    remarks, settled = list(engine.loaded.remarks), list(done)  # whose partial files can go, once the manifest says so
    try:
        for part, event in engine.score(manifest.missing()):
            if isinstance(event, str):
                if event not in remarks:  # each worker finds the same
                    remarks.append(event)
                    say(event)
                continue
            tracker.tell(part, event)
            if isinstance(event, PartResult):
                manifest.results[part.name] = fresh[part.name] = event
                settled += [part.name] if event.error is None else []
                if manifest.write(force=False):
                    _delete(manifest, settled, (PARTIAL,))
                    settled.clear()
            if time.perf_counter() - shown > _SHOW_EVERY:
                shown = time.perf_counter()
                on_progress(tracker.now())
    finally:
        seconds = round(time.perf_counter() - start, 3)
        manifest.run = _facts(config, engine, fresh, remarks) | {"seconds": seconds}
        manifest.write()
        _delete(manifest, settled, (PARTIAL,))
    on_progress(tracker.now())
    return FilesResult(
        out=manifest.path.parent,
        totals=manifest.totals(),
        failed={name: error for name, result in manifest.results.items() if (error := result.error) is not None},
        resumed=sum(result.prompts for result in done.values()) + sum(result.resumed for result in fresh.values()),
        computed_tokens=sum(result.computed_tokens for result in fresh.values()),
        unshared_tokens=sum(result.unshared_tokens for result in fresh.values()),
        seconds=seconds,
    )


def _facts(config: ScoreConfig, engine: Engine, fresh: dict[str, PartResult], remarks: list[str]) -> dict[str, Any]:
    return {
        "data": list(config.data),
        "engine": config.engine,
        "workers": engine.workers,
        "parts": len(fresh),
        "computed_tokens": sum(result.computed_tokens for result in fresh.values()),
        "unshared_tokens": sum(result.unshared_tokens for result in fresh.values()),
        **engine.loaded.facts,
        "remarks": remarks,
        "versions": package_versions(),
    }
