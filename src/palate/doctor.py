"""`palate doctor`: what this machine can do, and what is missing, before a run finds out."""

import importlib.metadata
import os
import platform
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from palate.data import cache
from palate.model.loading import resolve_dtype
from palate.packing.attention.choice import choose_path
from palate.packing.attention.scores import Scores

_SIZE, _SECONDS = 1024, 0.3  # of the matrices that are multiplied, and for how long
_HEAD = 64  # size of attention heads, for which the path is named


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of palate: `name` as in `pip install 'palate[name]'`, and the packages it still needs."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` found.

    Attributes:
        python, system, processor: names and versions.
        cores, threads: physical cores, and threads that PyTorch computes with.
        memory_gib, memory_free_gib, cache_free_gib: memory of the machine, and room on the disk of the cache.
        cache: folder of tokenized data and rewards.
        devices: accelerators, with their memory; none on a machine without.
        device: where a model would be put, `cuda` or `cpu`.
        precision: that `--dtype auto` takes there.
        attention: path of the attention over shared prompts, and why.
        gflops: billions of floating-point operations a second in a matrix product, by precision.
        versions: of palate and what it stands on.
        extras: optional parts, and what each still needs.
    """

    python: str
    system: str
    processor: str
    cores: int
    threads: int
    memory_gib: float
    memory_free_gib: float
    cache: str
    cache_free_gib: float
    devices: tuple[str, ...]
    device: str
    precision: str
    attention: str
    gflops: dict[str, float]
    versions: dict[str, str]
    extras: tuple[Extra, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON would hold it."""
        return asdict(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What slows a run down on this machine, and what to do about it."""
        remarks = []
        if self.device == "cpu" and self.threads > self.cores:
            remarks.append(
                f"PyTorch computes with {self.threads} threads on {self.cores} cores: set OMP_NUM_THREADS={self.cores}"
            )
        if self.precision == "float32":
            remarks.append("bf16 is not native here: training runs in float32, about half as fast as it could be")
        if self.device == "cuda" and self.attention.startswith("segments"):
            remarks.append(f"shared prompts take the slow path on this GPU: {self.attention}")
        if self.cache_free_gib < 1:
            remarks.append(f"less than 1 GiB is free under {self.cache}: set PALATE_CACHE to a folder with room")
        return tuple(remarks)


def diagnose() -> Diagnosis:
    """Look at this machine; measuring takes about a second."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = resolve_dtype("auto", device)
    memory, folder = psutil.virtual_memory(), cache.folder()
    return Diagnosis(
        python=platform.python_version(),
        system=platform.platform(),
        processor=_processor(),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_gib=memory.total / 2**30,
        memory_free_gib=memory.available / 2**30,
        cache=str(folder),
        cache_free_gib=shutil.disk_usage(_existing(folder)).free / 2**30,
        devices=tuple(_devices()),
        device=device.type,
        precision=str(dtype).removeprefix("torch."),
        attention=str(choose_path(device, dtype, Scores(scale=1.0), head_size=_HEAD)),
        gflops={str(one).removeprefix("torch."): _gflops(device, one) for one in dict.fromkeys((torch.float32, dtype))},
        versions=_versions(),
        extras=tuple(extras()),
    )


def extras() -> list[Extra]:
    """The optional parts that palate's own metadata names, and the packages that each still needs."""
    wanted: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("palate") or ():
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", requirement)
        if extra is not None:
            name = re.match(r"[A-Za-z0-9._-]+", requirement)
            wanted.setdefault(extra.group(1), []).append(name.group() if name else requirement)
    return [Extra(name, tuple(one for one in packages if not _installed(one))) for name, packages in wanted.items()]


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _versions() -> dict[str, str]:
    names = ("palate", "torch", "transformers", "accelerate", "peft", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def _processor() -> str:
    """The processor's name as the system has it; on Linux `platform.processor` is often empty."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def _devices() -> list[str]:
    if not torch.cuda.is_available():
        return []
    properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [f"{one.name}, {one.total_memory / 2**30:.0f} GiB, compute {one.major}.{one.minor}" for one in properties]


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _gflops(device: torch.device, dtype: torch.dtype) -> float:
    matrix = torch.ones(_SIZE, _SIZE, device=device, dtype=dtype)
    product = matrix @ matrix  # the first one sets things up
    started, times = time.perf_counter(), 0
    while time.perf_counter() - started < _SECONDS:
        product = matrix @ matrix
        times += 1
    float(product[0, 0])  # waits for a GPU
    return 2 * _SIZE**3 * times / (time.perf_counter() - started) / 1e9
