"""`manifest.json`: what is scored with what, and the state of every part.

A part is done when the manifest says so, and not before: its file is there by then, and its partial file is deleted
afterwards. A kill between any two of these steps leaves a part that is taken up again and becomes the same file.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from palate.atomic import write_text
from palate.config import ScoreConfig
from palate.errors import ConfigError
from palate.score_parts.inputs import Input, Stamp
from palate.score_parts.plan import Part, plan_parts

FILE_NAME = "manifest.json"
_FORMAT = 1
_SHARE = 0.05  # of the time that may be spent writing the manifest, which grows with the parts


@dataclass(frozen=True, slots=True)
class PartResult:
    """What became of a part.

    Attributes:
        prompts: lines in its file.
        resumed: how many of them an earlier run had written.
        rows: of the input, the dropped ones included.
        unscored: lines with rewards null, by reason.
        truncated: prompts cut from the left.
        dropped: rows left out, by reason.
        computed_tokens, unshared_tokens: of the run that finished it, see `ScoringRun`.
        seconds: the same.
        error: why there is no file; None where there is one.
    """

    prompts: int = 0
    resumed: int = 0
    rows: int = 0
    unscored: Mapping[str, int] | None = None
    truncated: int = 0
    dropped: Mapping[str, int] | None = None
    computed_tokens: int = 0
    unshared_tokens: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all parts.

    Attributes:
        files: of the input.
        parts, done, failed: parts, and how many are in which state.
        empty: parts without a row.
        prompts, rows, unscored, truncated, dropped: see `PartResult`.
    """

    files: int
    parts: int
    done: int
    failed: int
    empty: int
    prompts: int
    rows: int
    unscored: dict[str, int]
    truncated: int
    dropped: dict[str, int]


def settings_of(config: ScoreConfig) -> dict[str, Any]:
    """The settings that decide what is in the parts."""
    names = ("on_bad_row", "max_length", "over_long", "dtype", "layout")
    return {**{name: getattr(config, name) for name in names}, "part_format": config.part_format or "jsonl"}


@dataclass(slots=True)
class Manifest:
    """All that is known of a run; changed by one process alone.

    Attributes:
        path: of the file.
        settings: see `settings_of`.
        parts: by name, in the order of the data.
        results: of the parts that are done or failed, by name.
        model: as it was named.
        model_hash: of its weights; empty until it has been loaded.
        run: of the last run: how and on what it was done.
    """

    path: Path
    settings: dict[str, Any]
    parts: dict[str, Part]
    results: dict[str, PartResult]
    model: str
    model_hash: str = ""
    run: dict[str, Any] | None = None
    _next_write: float = 0.0

    def state(self, name: str) -> str:
        """`done`, `failed` or `open`."""
        result = self.results.get(name)
        return "open" if result is None else "done" if result.error is None else "failed"

    def missing(self) -> list[Part]:
        """What is still to be scored, in order."""
        return [part for name, part in self.parts.items() if self.state(name) != "done"]

    def totals(self) -> Totals:
        """The sums over all parts."""
        states = Counter(map(self.state, self.parts))
        done = [result for result in self.results.values() if result.error is None]
        unscored: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        for result in done:
            unscored.update(result.unscored or {})
            dropped.update(result.dropped or {})
        return Totals(
            files=len({part.input for part in self.parts.values()}),
            parts=len(self.parts),
            done=states["done"],
            failed=states["failed"],
            empty=sum(result.rows == 0 for result in done),
            prompts=sum(result.prompts for result in done),
            rows=sum(result.rows for result in done),
            unscored=dict(unscored),
            truncated=sum(result.truncated for result in done),
            dropped=dict(dropped),
        )

    def write(self, *, force: bool = True) -> bool:
        """Write the file, whole or not at all; without force only now and then. Returns whether it was written."""
        start = time.monotonic()
        if not force and start < self._next_write:
            return False
        write_text(self.path, json.dumps(self._as_json(), indent=1) + "\n")
        end = time.monotonic()
        self._next_write = end + (end - start) / _SHARE
        return True

    def _as_json(self) -> dict[str, Any]:
        stamps = {part.input: asdict(part.stamp) for part in self.parts.values()}
        parts = {}
        for name, part in self.parts.items():
            plan = {key: value for key, value in asdict(part).items() if key not in ("name", "stamp")}
            result = self.results.get(name)
            parts[name] = {**plan, "state": self.state(name), "result": None if result is None else asdict(result)}
        return {
            "format": _FORMAT,
            "model": self.model,
            "model_hash": self.model_hash,
            "settings": self.settings,
            "totals": asdict(self.totals()),
            "run": self.run,
            "inputs": stamps,
            "parts": parts,
        }


def read_manifest(path: Path) -> Manifest:
    """A manifest that `Manifest.write` wrote.

    Raises:
        ConfigError: it is none.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise ConfigError(f"{path} is of format {told['format']}, which another version of palate writes")
        stamps = {name: Stamp(**stamp) for name, stamp in told["inputs"].items()}
        parts, results = {}, {}
        for name, part in told["parts"].items():
            result = part.pop("result")
            del part["state"]
            parts[name] = Part(name=name, stamp=stamps[part["input"]], **part)
            if result is not None:
                results[name] = PartResult(**result)
        return Manifest(path, told["settings"], parts, results, told["model"], told["model_hash"], told["run"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is no manifest of palate score ({error}); choose another --out"
        raise ConfigError(message) from error


def go_on(old: Manifest, stamps: Mapping[Input, Stamp], config: ScoreConfig) -> Manifest:
    """What is left of an earlier run, with the same input and settings.

    A file with a failed part may have been mended: where it has changed, all of its parts are done again. Rows that
    are now skipped instead of being errors change no part that is done, for such parts have none.

    Raises:
        ConfigError: other settings, or input that is new, gone or changed.
    """
    settings = settings_of(config)
    mend = "choose another --out, or --overwrite to score everything again"
    for name, now in settings.items():
        before = old.settings[name]
        if now != before and (name, before, now) != ("on_bad_row", "error", "skip"):
            flag = name.replace("_", "-")
            raise ConfigError(f"{old.path} was begun with --{flag} {before}, not {now}; go on with that, or {mend}")
    known = {part.input: part.stamp for part in old.parts.values()}
    now_there = {file.path: stamp for file, stamp in stamps.items()}
    failed = {part.input for name, part in old.parts.items() if old.state(name) == "failed"}
    changed = [path for path in known if path in now_there and now_there[path].digest != known[path].digest]
    for what, paths in (
        ("new", [path for path in now_there if path not in known]),
        ("no longer there", [path for path in known if path not in now_there]),
        ("changed", [path for path in changed if path not in failed]),
    ):
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            raise ConfigError(
                f"{paths[0]}{more} of the data: {what} since {old.path} was begun; bring the data back as it was, "
                f"or {mend}"
            )
    planned = plan_parts(stamps, f".{settings['part_format']}") if changed else tuple(old.parts.values())
    parts = {part.name: replace(part, stamp=now_there[part.input]) for part in planned}
    results = {name: result for name, result in old.results.items() if old.parts[name].input not in changed}
    return Manifest(old.path, settings, parts, results, config.model, old.model_hash)
