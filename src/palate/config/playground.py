"""The settings of `palate playground`."""

from dataclasses import dataclass

from palate.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaygroundConfig:
    """One page to play with what a reward model is made of: loss, layers, shared prompts, one step, length, best of n.

    The page is a single file that needs no network.
    """

    out: str | None = None
    """File to write, .html; without it the page lies in a temporary folder."""
    open: bool = True
    """Show the page in the browser."""

    def __post_init__(self) -> None:
        if self.out is not None and not self.out.lower().endswith((".html", ".htm")):
            raise ConfigError(f"out is {self.out!r}; it must end in .html, or browsers will not show it as a page")
