"""The settings of `palate compare`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig:
    """May one reward model replace another? Both score the same held-out data: one page, one JSON, an exit code.

    Exit code 0: the gate lets the candidate pass; 1: it does not, or the data is too little to tell; 2: the comparison
    could not run.
    """

    incumbent: Annotated[str, Positional, arg(metavar="INCUMBENT")]
    """Reward model that is in use: a directory, a hub id, or the address of a server (http://...)."""
    candidate: Annotated[str, Positional, arg(metavar="CANDIDATE")]
    """Reward model that would replace it, likewise."""
    data: str
    """Held-out preferences, which neither was trained on."""
    out: str
    """Directory for compare.html, compare.json and compare.md."""
    margin: float = 0.01
    """Accuracy that the candidate may lose; the gate asks that it surely loses no more."""
    require_better: bool = False
    """Ask that the candidate is surely more accurate, which also shows that it is no worse."""
    battery: Literal["all", "quick", "none"] = "quick"
    """Hand-written pairs put to both: all of them, two fifths, or none."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    max_groups: int | None = None
    """Read at most this many held-out prompts."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the bodies' arithmetic; auto takes bf16 where the machine multiplies it natively."""
    tokenizer: tuple[str, ...] = ()
    """Renders text for servers that take text: a directory or id for every server, or one each."""
    api_key_file: tuple[str, ...] = ()
    """File that holds the key of a server: one for every server, or one each."""
    threshold: tuple[str, ...] = ()
    """Value from which a finding fails, such as longer-bias=0.1; several may follow."""
    cache: bool = True
    """Keep rewards, by a hash of model and text, so that another comparison or audit computes only what is new."""
