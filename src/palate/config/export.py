"""The settings of `palate export` and `palate parity`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from palate.errors import ConfigError

EngineName = Literal["vllm", "hf", "tei", "onnx"]
ProtocolName = Literal["palate", "vllm", "vllm-chat", "sglang", "openrlhf", "tei"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """Write a reward model as another engine loads it, with what is needed to check and to run it there."""

    model: Annotated[str, Positional, arg(metavar="RM")]
    """Reward model: a directory or a hub id."""
    to: EngineName
    """What shall load it: vLLM (and SGLang), transformers, text-embeddings-inference, or ONNX Runtime."""
    out: str
    """Directory to write."""
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the body's weights in the files; onnx takes fp32 alone."""
    calibrated: bool = False
    """With vllm: a command line that answers probabilities by the fitted temperature instead of raw rewards."""
    overwrite: bool = False
    """Replace what lies in the directory."""

    def __post_init__(self) -> None:
        if self.calibrated and self.to != "vllm":
            raise ConfigError(f"--calibrated is a setting of vLLM's server; with --to {self.to} leave it out")
        if self.to == "onnx" and self.dtype != "fp32":
            raise ConfigError(f"--to onnx is checked in float32, which --dtype {self.dtype} is not: leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityConfig:
    """Send 64 texts to a server and compare its rewards with those of the model in this process, in float32.

    Exit code 0: they agree, to half precision at least; 1: they do not, and what is wrong is named; 2: could not run.
    """

    model: Annotated[str, Positional, arg(metavar="RM")]
    """Reward model: a directory or a hub id."""
    url: str
    """Root of the server, such as http://127.0.0.1:8000."""
    protocol: Literal["auto", ProtocolName] = "auto"
    """What it speaks; auto asks in turn. vllm-chat sends messages, so that the server's own template renders them."""
    api_key_file: str | None = None
    """File whose first line is sent as a bearer token."""
    json: str | None = None
    """Also write the figures here."""
    longest: int = 2048
    """Tokens of the longest text that is sent, if the model takes so many: shorter ones show no truncation."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"url is {self.url!r}; it must begin with http:// or https://")
        if self.longest < 16:
            raise ConfigError(f"longest is {self.longest}; the texts need at least 16 tokens")
