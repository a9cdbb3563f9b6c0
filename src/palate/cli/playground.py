"""`palate playground`."""

import tempfile
import webbrowser
from pathlib import Path

from palate.config import PlaygroundConfig
from palate.errors import ConfigError
from palate.playground.page import write_playground


def run_playground(config: PlaygroundConfig) -> int:
    """Write the page, show it, say where it is.

    Raises:
        ConfigError: the page is neither to be shown nor to be kept.
    """
    if config.out is None and not config.open:  # here, since a file of settings may leave the other half to a flag
        raise ConfigError("--no-open without --out would leave the page where nobody finds it; give --out FILE")
    # A folder of its own: a fixed name in a shared temporary folder could be somebody else's file.
    path = Path(config.out or Path(tempfile.mkdtemp(prefix="palate-"), "playground.html"))
    write_playground(path)
    print(f"playground in {path}")
    if config.open and not webbrowser.open(path.resolve().as_uri()):
        print("no browser could be opened here: open the file in one")
    return 0
