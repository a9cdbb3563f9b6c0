"""The settings of `palate audit`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """Prove that a reward model is sound, or show exactly how it is not: one page, one JSON, an exit code.

    Exit code 0: nothing found that fails; 1: a finding is above its threshold; 2: the audit could not run.
    """

    model: Annotated[str, Positional, arg(metavar="RM")]
    """Reward model: a directory, a hub id, or the address of a server (http://...)."""
    data: str
    """Held-out preferences, which the model was not trained on."""
    out: str
    """Directory for audit.html, audit.json and audit.md."""
    train_data: str | None = None
    """What it was trained on: looks for leaks into the held-out data, and at the annotators."""
    candidates: str | None = None
    """Samples of a policy, several a prompt: how far choosing the best of them by reward can be trusted."""
    gold: str | None = None
    """What says how good those are: labels (numbers under gold in the file), simulator, or another reward model."""
    policy_outputs: str | None = None
    """Responses of the policy that trains against it, labelled or not: looks how far they are from the data."""
    split: str = "train"
    """Split to read where data is a hub dataset."""
    max_groups: int | None = None
    """Read at most this many held-out prompts."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A broken row: stop with an error, or leave it out, counted and listed."""
    probes: int = 60
    """Texts that each probe edits; 0 leaves the probes out."""
    battery: Literal["all", "quick", "none"] = "all"
    """Hand-written pairs: all of them, two fifths, or none."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the body's arithmetic; auto takes bf16 where the machine multiplies it natively."""
    tokenizer: str | None = None
    """Renders text for servers that take text: the reward model's directory or id."""
    api_key_file: str | None = None
    """File that holds the key of a server."""
    threshold: tuple[str, ...] = ()
    """Value from which a finding fails, such as length-bias=0.4; several may follow."""
    save_temperature: bool = False
    """Write the fitted temperature into the model's contract (palate.json)."""
    cache: bool = True
    """Keep rewards, by a hash of model and text, so that another audit computes only what is new."""
    seed: int = 0
    """Of samples and resampling."""
