"""Fixtures that all tests share."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is loaded: on bodies this tiny, threads that wait for each other cost many times the arithmetic.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Runs cache what they tokenize; the user's own cache is none of the tests' business. Gone when the tests have ended.
_cache = tempfile.TemporaryDirectory(prefix="palate-test-cache-")
os.environ["PALATE_CACHE"] = _cache.name


@pytest.fixture(autouse=True)
def own_precision() -> Iterator[None]:
    """accelerate keeps the precision of the first trainer of a process; TRL's is not that of the next test."""
    yield
    state = sys.modules.get("accelerate.state")
    if state is not None and state.AcceleratorState._shared_state.get("_mixed_precision", "no") != "no":
        state.AcceleratorState._reset_state()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real preference data, which the project may use but not carry."""
    named = os.environ.get("PALATE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real preference data not found: set PALATE_DATA")
    return folder
