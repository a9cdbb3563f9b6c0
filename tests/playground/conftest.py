"""The playground in a browser, and reading it: one browser for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.playground.positions import Playground
from tests.report.browser import Browser

from palate.playground.page import write_playground


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "playground.html"
    write_playground(path)
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Playground:
    """Freshly loaded, at the width of a desk, without motion."""
    playground = Playground(browser, file)
    playground.open()
    return playground
