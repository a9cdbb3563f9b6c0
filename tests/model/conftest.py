"""A saved reward model, for tests that load or damage one."""

import shutil
from pathlib import Path

import pytest

from palate.testing.separate import sharp_reward_model


@pytest.fixture(scope="session")
def saved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("saved") / "rm"
    sharp_reward_model("llama").save_pretrained(directory)
    return directory


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    """A saved model of the test's own, to damage."""
    return Path(shutil.copytree(saved_once, tmp_path / "rm"))
