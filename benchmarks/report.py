"""What every benchmark here shares: where it ran, taking turns, medians, targets, and one file that says it all.

A report is its JSON. The Markdown beside it is rendered from that JSON alone, so the two cannot tell different stories.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]
_PACKAGES = ("torch", "transformers", "trl", "palate")


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that was promised, and what was measured.

    Attributes:
        what: the figure.
        sense: `at least` or `at most`.
        wanted: the promise.
        measured: None where the run did not measure it; shown as such.
    """

    what: str
    sense: str
    wanted: float
    measured: float | None

    @property
    def verdict(self) -> str:
        """`reached`, `not reached` or `not measured`.

        >>> Target("speed-up", "at least", 4.0, 3.9).verdict
        'not reached'
        """
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.wanted if self.sense == "at least" else self.measured <= self.wanted
        return "reached" if met else "not reached"


@dataclass(slots=True)
class Report:
    """What a benchmark found.

    Attributes:
        name: of its files.
        title: what is compared with what.
        settings: everything that was asked of it.
        notes: how the comparison is kept fair, and whatever was skipped or cut.
        tables: rows by the table's title; all rows of a table have the same keys.
        targets: judged in full runs; a quick run has none.
    """

    name: str
    title: str
    settings: Row
    notes: list[str] = field(default_factory=list)
    tables: dict[str, list[Row]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def add(self, table: str, **row: Any) -> None:
        """One more row, shown at once: a long run should not be silent."""
        self.tables.setdefault(table, []).append(row)
        print(f"{table}: " + "  ".join(f"{key} {_shown(value)}" for key, value in row.items()), flush=True)

    def write(self, folder: Path = RESULTS) -> Path:
        """Write NAME.json and NAME.md; returns the JSON's path."""
        content = {
            "title": self.title,
            "environment": environment(),
            "settings": self.settings,
            "notes": self.notes,
            "targets": [{**asdict(target), "verdict": target.verdict} for target in self.targets],
            "tables": self.tables,
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        markdown = render(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".md").write_text(markdown, encoding="utf-8")
        for target in self.targets:
            print(f"{target.verdict}: {target.what}: {_shown(target.measured)}, wanted {target.sense} {target.wanted}")
        print(f"written: {path} and {path.with_suffix('.md').name}")
        return path


def render(content: Row) -> str:
    """Markdown of a report's JSON: targets first, then the tables, then where and how."""
    parts = [f"# {content['title']}"]
    if content["targets"]:
        parts += ["## Targets", _table(content["targets"])]
    for title, rows in content["tables"].items():
        parts += [f"## {title}", _table(rows)]
    if content["notes"]:
        parts += ["## How to read it", "\n".join(f"- {note}" for note in content["notes"])]
    for title in ("settings", "environment"):
        parts += [f"## {title.capitalize()}", "\n".join(f"- {k}: {_shown(v)}" for k, v in content[title].items())]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> str:
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([_shown(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _shown(value: Any) -> str:
    """Four digits of what was measured.

    >>> _shown(0.00012345), _shown(1234.567), _shown(None), _shown([1, 2])
    ('0.0001234', '1235', '-', '1 2')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(_shown(item) for item in value)
    return str(value)


Name = TypeVar("Name", str, int)


def alternate(
    subjects: Mapping[Name, Callable[[], float]], rounds: int, *, warm_up: int = 1
) -> dict[Name, list[float]]:
    """Measure A B A B ...: whatever else the machine does meets all subjects alike.

    Args:
        subjects: each measures itself once and returns seconds.
        rounds: how often each is kept.
        warm_up: rounds before those, thrown away.

    >>> alternate({"a": lambda: 1.0, "b": lambda: 2.0}, 2)
    {'a': [1.0, 1.0], 'b': [2.0, 2.0]}
    """
    kept: dict[Name, list[float]] = {name: [] for name in subjects}
    for turn in range(warm_up + rounds):
        for name, measure in subjects.items():
            seconds = measure()
            if turn >= warm_up:
                kept[name].append(seconds)
    return kept


def timed(task: Callable[[], object]) -> Callable[[], float]:
    """The task as a measurement: runs it once and returns the seconds, waiting for a GPU where there is one."""

    def measure() -> float:
        from torch import cuda

        started = time.perf_counter()
        task()
        if cuda.is_available():
            cuda.synchronize()
        return time.perf_counter() - started

    return measure


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times faster we are: the median over turns of their seconds by ours, measured side by side.

    >>> median_ratio([1.0, 2.0, 1.0], [4.0, 8.0, 2.0])
    4.0
    """
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def peak_memory() -> int:
    """Bytes that this process had resident at most.

    Linux keeps `ru_maxrss` across exec, so that a process would report the peak of whoever started it;
    /proc has the figure of this program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def environment() -> Row:
    """The machine, the versions and the command: what a figure means nothing without."""
    import torch

    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_when_written": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "revision": _revision(),
        "command": " ".join(["python", "-m", _module(), *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec is not None else Path(sys.argv[0]).stem


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision() -> str | None:
    """The commit, with a mark where the tree differs from it; None outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
