"""The settings of `palate serve`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Serve a reward model over HTTP: many clients, one model, the rewards that it had in training."""

    model: Annotated[str, Positional, arg(metavar="RM")]
    """Reward model: a directory or a hub id."""
    host: str = "127.0.0.1"
    """Address to listen on; any that other machines reach asks for --api-key-file."""
    port: int = 8000
    """Port to listen on; 0 takes a free one and says which."""
    api_key_file: str | None = None
    """File with one key a line, any of which opens every route; without it no key is asked for."""
    name: str | None = None
    """What the model is called in answers; the last part of its path by default."""
    dtype: Literal["auto", "fp32", "bf16", "int8"] = "fp32"
    """Precision of the body's arithmetic; int8 is for CPUs, and what it changes is measured on the golden texts."""
    layout: Literal["auto", "tree", "padded"] = "auto"
    """As in training."""
    max_length: int | None = None
    """Most tokens of an input; the model's own limit by default."""
    tokens_per_pack: int = 4096
    """Token budget of one forward pass: more for throughput on large devices, less for latency."""
    max_wait_ms: float = 5.0
    """How long a pack that is not full waits for company."""
    max_waiting: int = 4096
    """Inputs accepted and not yet answered; more are refused with 429."""
    max_requests: int = 512
    """Requests at once; more are refused with 429."""
    max_items: int = 256
    """Inputs of one request; more are refused with 413."""
    max_body_mb: float = 8.0
    """Size of one request's body; more is refused with 413."""
    cache_size: int = 100_000
    """Rewards kept by content; 0 keeps none."""
    timeout_s: float = 300.0
    """How long a request may take before it is answered with 504."""
    grace_s: float = 30.0
    """After SIGTERM, how long accepted requests have to be answered."""
    replicas: int = 1
    """Processes with a model each, behind one port."""
    log_text: bool = False
    """Also log the texts that are scored."""
