"""`import palate` and `palate --help` cost nothing: what is heavy is imported when it is used."""

import os
import subprocess
import sys
import time

import palate

HEAVY = ("torch", "transformers", "numpy", "datasets", "pyarrow", "tyro", "rich", "yaml")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=True)


def test_importing_palate_imports_nothing_heavy() -> None:
    code = f"import sys, palate; print([name for name in {HEAVY} if name in sys.modules])"
    assert run("-c", code).stdout.strip() == "[]"


def test_the_help_imports_nothing_heavy_and_lists_every_command() -> None:
    code = (
        "import sys; from palate.cli.main import main, COMMANDS; main(['--help']);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    lines = run("-c", code).stdout.splitlines()
    assert lines[-1] == "[]"
    for name in ("train", "eval", "score", "compare", "poolings", "demo", "walkthrough", "data simulate"):
        assert any(line.strip().startswith(f"{name} ") for line in lines), name


def test_the_help_takes_less_than_half_a_second() -> None:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        run("-m", "palate", "--help")
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5, seconds


def test_reading_settings_and_data_imports_no_torch() -> None:
    code = (
        "import sys, palate.config, palate.metrics, palate.data.load, palate.data.render, palate.packing.plan;"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pyarrow') if name in sys.modules])"
    )
    assert run("-c", code).stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in palate.__all__:
        assert getattr(palate, name).__name__ == name
    assert set(palate.__all__) <= set(dir(palate))
    assert "OMP_NUM_THREADS" in os.environ  # the tests' own setting, which subprocesses inherit
