"""`palate.json`: what a reward means, saved beside the weights and checked whenever they are used again.

A reward is a number about a rendered text. Render the text differently, with another template, tokenizer or
truncation, and the numbers shift by about a standard deviation without any error. So the checkpoint records how
its text was rendered and which token was scored, and loading refuses whatever differs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from palate.errors import ContractError

FILE_NAME = "palate.json"
_FORMAT = 1
_PROBE = "A reward of 3.14 is\tgood.\n\n  Été, 東京, naïve — def f(x): return {'a': [1, 2]}  🙂"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Everything that has to be equal, or known, for a reward to mean the same again.

    Attributes:
        template_hash: of the chat template's text.
        tokenizer_hash: of the vocabulary, the special tokens and the ids of a fixed probe text.
        head_hash: of the head's float32 weights.
        pooling: which states are read, see `palate.model.pooling`.
        scored_token: the text of the token that last-token pooling reads; empty for other poolings.
        max_length: tokens of a sequence in training.
        over_long: what training did with longer ones.
        hidden_size: width of the head.
        head_bias: whether a foreign head carries a bias.
        base_model: what the body was initialised from.
        reward_mean, reward_std: over the responses of the training data; None when not measured.
        temperature: fitted calibration temperature; None when not fitted.
        data_fingerprint: hash of the training comparisons.
        evaluation: summary of the last evaluation.
        versions: of the packages that wrote it.
        format: version of this file.
    """

    template_hash: str
    tokenizer_hash: str
    head_hash: str
    pooling: str
    hidden_size: int
    max_length: int
    over_long: str = "drop"
    scored_token: str = ""
    head_bias: bool = False
    base_model: str = ""
    reward_mean: float | None = None
    reward_std: float | None = None
    temperature: float | None = None
    data_fingerprint: str = ""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = _FORMAT

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `palate.json`.

        Raises:
            ContractError: it is not JSON, lacks a field, or was written by a newer palate.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.get("format", 0) > _FORMAT:
                raise ContractError(f"{path} was written by a newer palate (format {values['format']}); update palate")
            known = {f.name for f in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise ContractError(f"{path} is not a readable contract ({error}); save the model again") from error


def check(contract: Contract, *, tokenizer: Any, head_weight: Tensor, where: str) -> None:
    """Compare a contract with what was loaded.

    Raises:
        ContractError: template, tokenizer or head differ; the message names each difference.
    """
    found = {
        "chat template": (contract.template_hash, template_hash(tokenizer)),
        "tokenizer": (contract.tokenizer_hash, tokenizer_hash(tokenizer)),
        "head": (contract.head_hash, head_hash(head_weight)),
    }
    wrong = [f"{what} (contract {a}, found {b})" for what, (a, b) in found.items() if a != b]
    if wrong:
        raise ContractError(
            f"{where}: not what this reward model was trained with: {'; '.join(wrong)}. Restore the files that were "
            "saved with it; rewards would be wrong otherwise. To look at it all the same, load with "
            "check_contract=False."
        )


def template_hash(tokenizer: Any) -> str:
    """16 hex digits of the chat template."""
    return _digest(str(tokenizer.chat_template))


def tokenizer_hash(tokenizer: Any) -> str:
    """16 hex digits of vocabulary, special tokens and behaviour on a probe text."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = sorted((name, str(token)) for name, token in tokenizer.special_tokens_map.items())
    probe = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    return _digest(json.dumps([vocabulary, special, probe], ensure_ascii=True))


def head_hash(weight: Tensor) -> str:
    """16 hex digits of the head's float32 weights."""
    return hashlib.sha256(weight.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """16 hex digits of tensors, bit for bit, with their names; about half a second a gigabyte."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a reward's value."""
    found: dict[str, str] = {}
    for name in ("palate", "torch", "transformers", "accelerate", "peft", "tokenizers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
