"""Code blocks of the documentation: found, and prepared so that they run on tiny models."""

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"", "sh", "python", "json", "yaml", "text"}
"""What a block may be; `text` is what something printed."""
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\s*$")
_NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<reason>.+) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, where it begins, and why it is not run where it says so."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What the reader types: lines after `$ ` where there are such, else all of a block of commands."""
        if self.language not in ("", "sh"):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")]
        if not typed and (self.language == "sh" or self.text.startswith("palate ")):
            typed = [line for line in lines if line.strip() and not line.startswith("#")]
        return _without_column(typed)


def _without_column(lines: list[str]) -> list[str]:
    """Lines without the column of remarks beside them, which the longest line may come near."""
    starts = Counter(wide.end() for line in lines if (wide := re.search(r"\S\s{3,}(?=\S)", line)))
    column, count = starts.most_common(1)[0] if starts else (0, 0)
    if count < 5:  # a few that begin alike are no table
        return lines
    return [line[:column].rstrip() if line[column - 1 : column] == " " else line for line in lines]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
        ValueError: a fence is not closed.
    """
    found, lines, at = [], page.read_text(encoding="utf-8").splitlines(), 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        indent = fence["indent"]
        end = next((k for k in range(at + 1, len(lines)) if lines[k].rstrip() == f"{indent}```"), None)
        if end is None:
            raise ValueError(f"{page}:{at + 1}: the block is not closed")
        marked = _NOT_RUN.match(lines[at - 1]) if at else None
        text = "".join(line.removeprefix(indent) + "\n" for line in lines[at + 1 : end])
        found.append(Block(page, at + 1, fence["language"], text, marked["reason"] if marked else None))
        at = end + 1
    return found


def without_remarks(command: str) -> list[str]:
    """Words of a command: what stands behind it (wide space, `#`, redirection, another command) is not of it.

    >>> without_remarks("palate eval RM --data d.jsonl   accuracy with intervals")
    ['palate', 'eval', 'RM', '--data', 'd.jsonl']
    >>> without_remarks("palate export RM --to vllm|hf [--dtype fp32]")
    ['palate', 'export', 'RM', '--to', 'vllm']
    >>> without_remarks("palate completion bash >> ~/.bashrc")
    ['palate', 'completion', 'bash']
    """
    command = re.sub(r"\[.*?\]", "", re.split(r"\s{3,}|\s#\s", command)[0])
    command = re.sub(r"(\w+)(?:\|\w+)+", r"\1", command)  # of alternatives the first
    words = [word for part in shlex.split(command) for word in re.split(r"(;)$", part) if word]
    return words[: next((k for k, word in enumerate(words) if word in _AFTER), len(words))]


_AFTER = {">", ">>", "|", ";", "&&", "||", "&"}
