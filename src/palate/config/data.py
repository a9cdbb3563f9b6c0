"""The settings of the `palate data` commands that check and change data."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """Check preference data before anyone trains on it: leaks, contradictions, length, style, annotators, noise.

    Exit code 0: nothing found that fails; 1: a finding is above its threshold; 2: the check could not run.
    """

    data: Annotated[tuple[str, ...], Positional, arg(metavar="DATA...")]
    """Files, folders or hub ids to check, taken together."""
    against: tuple[str, ...] = ()
    """Held-out data that must share nothing with the rest: dev and test sets."""
    benchmark: tuple[str, ...] = ()
    """Benchmark files to look for, by overlap of words."""
    out: tuple[str, ...] = ()
    """Reports to write, by their ending: .html, .json, .md."""
    tokenizer: str | None = None
    """Also count tokens and try the chat template: a model's directory, hub id or alias."""
    max_length: int = 1024
    """The sequence length that the token section is about."""
    scores: str | None = None
    """Rewards of a model for this very data, written by palate score: ranks labels that look wrong by them."""
    threshold: tuple[str, ...] = ()
    """Value from which a finding fails, such as length-bias=0.7; several may follow."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    max_groups: int | None = None
    """Read at most this many prompts of each file."""
    workers: int = 0
    """Processes that measure; 0: one a core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """Split preference data so that nothing is on both sides: by prompt, annotator, source or time."""

    data: Annotated[str, Positional, arg(metavar="DATA")]
    """Preference data, as for training."""
    out: str
    """Directory for one file a side and split.json, which palate train and palate data check verify."""
    fractions: tuple[str, ...] = ("train=0.9", "dev=0.1")
    """Sides and their shares."""
    by: Literal["prompt", "annotator", "source", "time"] = "prompt"
    """What never lies on two sides."""
    near_duplicates: bool = True
    """Keep prompts that differ in a few words on one side."""
    stratify: Literal["none", "source"] = "none"
    """Split each source by the same shares."""
    previous: str | None = None
    """split.json of an earlier split of part of this data, whose sides are kept."""
    seed: int = 0
    """Of the draw."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateConfig:
    """Make one label of several annotators' votes; the votes stay in the file."""

    data: Annotated[str, Positional, arg(metavar="DATA")]
    """Preference data with votes."""
    out: str
    """File to write, .jsonl."""
    method: Literal["majority", "dawid-skene", "mace", "bradley-terry", "soft"] = "majority"
    """Majority, a model of how reliable each annotator is, or the share of votes as a soft label."""
    min_votes: int = 3
    """Comparisons with fewer votes are left out, counted."""
    seed: int = 0
    """Of the methods that draw."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceConfig:
    """Take the length bias out of preference data, keeping as many pairs as possible."""

    data: Annotated[str, Positional, arg(metavar="DATA")]
    """Preference data, as for training."""
    out: str
    """File to write, .jsonl."""
    mode: Literal["subset", "weights"] = "subset"
    """Leave pairs out, or weigh them, until the longer response wins half the time."""
    unit: Literal["characters", "words"] = "characters"
    """What length is measured in."""
    by_source: bool = True
    """Balance each source for itself."""
    seed: int = 0
    """Of the draw."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertConfig:
    """Write preference data in another format; what that format cannot carry is counted and said."""

    data: Annotated[str, Positional, arg(metavar="DATA")]
    """Preference data in any format that palate reads."""
    to: str
    """Name of the format to write."""
    out: str
    """File to write; its ending says how: .jsonl, .json, .csv or .parquet."""
    predictions: str | None = None
    """Rewards written by palate score for this very data, to go along where the format can carry them."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    max_groups: int | None = None
    """Read at most this many prompts."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed."""
