"""Small files that are there whole or not at all: written beside their place, then renamed into it."""

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8; folders above it are made.

    A lone surrogate, which UTF-8 cannot hold, is written as its escape: a report about broken text must not fail on it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    draft.replace(path)
