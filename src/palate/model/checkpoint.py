"""Reading reward models: an ordinary `*ForSequenceClassification` directory, with `palate.json` beside it.

What is written, and under which names, is in `palate.model.saving`. Reading is strict: safetensors only, a missing
head is an error and never a fresh random one.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
)

from palate.config import PoolingName
from palate.errors import MissingHeadError, ModelError
from palate.model.backbone import load_backbone
from palate.model.contract import FILE_NAME, Contract, check
from palate.model.head import RewardHead

HEAD = "score.weight"
"""Name of the head's tensor where transformers' classifiers have it."""
OWN_HEAD = "palate_head.weight"
"""Name of it for poolings other than the last token: no other loader may take it for its own."""
POOLING = "palate_pooling."
"""What the names of the pooling's tensors begin with."""


@dataclass(frozen=True, slots=True)
class LoadedParts:
    """What a directory held: the parts of a `RewardModel`, and remarks that its user should see."""

    backbone: nn.Module
    tokenizer: Any
    head: RewardHead
    pooling: PoolingName
    pooling_state: dict[str, Tensor]
    contract: Contract | None
    remarks: tuple[str, ...]


def load_parts(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    trust_remote_code: bool = False,
    check_contract: bool = True,
) -> LoadedParts:
    """Read a reward model from a directory or hub id: palate's own, or any one-label sequence classifier.

    Raises:
        ModelError: not a reward model (no head, several labels), not in safetensors, or with a head that reads another
            pooling than the last token and no contract to name it.
        ContractError: template, tokenizer or head are not those of the contract.
    """
    directory = local_directory(path, revision, trust_remote_code=trust_remote_code)
    tensors = _tensor_files(directory)
    contract = Contract.read(directory / FILE_NAME) if (directory / FILE_NAME).exists() else None
    found = [name for name in (HEAD, OWN_HEAD) if name in tensors]
    if not found:
        return _foreign_classifier(directory, tensors, dtype=dtype, trust_remote_code=trust_remote_code)
    if contract is None and found[0] == OWN_HEAD:
        raise ModelError(f"{path} has no {FILE_NAME}, which alone says how its head is to be read: restore that file")
    head, remarks = _read_head(directory, tensors, found[0])
    loaded = load_backbone(str(directory), dtype=dtype, trust_remote_code=trust_remote_code)
    if contract is None:
        remarks.append(f"{path} has no {FILE_NAME}: its template, length limit and pooling could not be verified")
    elif check_contract:
        check(contract, tokenizer=loaded.tokenizer, head_weight=head.score.weight, where=str(path))
    pooling_state = {
        name.removeprefix(POOLING): _read(directory, tensors, name) for name in tensors if name.startswith(POOLING)
    }
    pooling: PoolingName = contract.pooling if contract is not None else "last"  # type: ignore[assignment]
    remarks += loaded.remarks
    return LoadedParts(loaded.backbone, loaded.tokenizer, head, pooling, pooling_state, contract, tuple(remarks))


def local_directory(
    path: str | Path, revision: str | None, *, only_names: bool = False, trust_remote_code: bool = False
) -> Path:
    """The directory itself, or a hub id's files in the local cache.

    `only_names` fetches no weights beside those that no index lists; code comes only where it may be run.
    """
    directory = Path(path).expanduser()
    if directory.is_dir():
        return directory
    if str(path).startswith((".", "/", "~")) or str(path).count("/") != 1:
        raise ModelError(f"no such directory: {path}")
    try:
        patterns = ["*.json", "*.jinja", "*.model", "*.txt", "model.safetensors" if only_names else "*.safetensors"]
        patterns += ["*.py"] if trust_remote_code else []
        return Path(snapshot_download(str(path), revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub client raises its own, requests' and OS errors
        raise ModelError(f"{path} is neither a directory nor to be had from the hub: {error}") from error


def has_head(directory: Path) -> bool:
    """Whether the directory holds a reward head, by the tensor names of its files or their index."""
    index = directory / "model.safetensors.index.json"
    if index.exists():
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].keys()
        return not {HEAD, OWN_HEAD}.isdisjoint(names)
    single = directory / "model.safetensors"
    return single.exists() and not {HEAD, OWN_HEAD}.isdisjoint(_tensor_files(directory))


def _tensor_files(directory: Path) -> dict[str, Path]:
    """Tensor name -> file, over all safetensors files of the directory."""
    names: dict[str, Path] = {}
    for file in sorted(directory.glob("*.safetensors")):
        if file.name.startswith("adapter"):
            continue
        try:
            with safe_open(file, framework="pt") as handle:
                names.update(dict.fromkeys(handle.keys(), file))
        except SafetensorError as error:
            raise ModelError(f"{file} is damaged ({error}); restore it from the last whole checkpoint") from error
    if not names:
        raise ModelError(f"{directory} holds no safetensors file; palate reads no other format (pickles run code)")
    return names


def _read(directory: Path, tensors: Mapping[str, Path], name: str) -> Tensor:
    with safe_open(tensors[name], framework="pt") as handle:
        tensor: Tensor = handle.get_tensor(name)
    return tensor


def _read_head(directory: Path, tensors: Mapping[str, Path], name: str) -> tuple[RewardHead, list[str]]:
    weight = _read(directory, tensors, name).float()
    if weight.shape[0] != 1:
        raise MissingHeadError(f"{directory} has a head of {weight.shape[0]} labels; a reward model has exactly 1")
    bias_name = name.replace("weight", "bias")
    head = RewardHead(weight.shape[1], bias=bias_name in tensors)
    remarks: list[str] = []
    with torch.no_grad():
        head.score.weight.copy_(weight)
        if bias_name in tensors:
            bias = _read(directory, tensors, bias_name).float()
            head.score.bias.copy_(bias)
            remarks.append(
                f"the head has a bias of {bias.item():+.4g}: a constant on every reward, without effect on margins"
            )
    return head, remarks


class WholeClassifier(nn.Module):
    """A foreign classifier with a head of its own kind, seen as a body of hidden size 1 that emits its logit."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        config: Any = copy.deepcopy(classifier.config)
        config.hidden_size = 1
        self.config = config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_unused: Any) -> SimpleNamespace:
        """The logit at every position of its row, so that any pooling reads it."""
        logits_B1 = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits
        return SimpleNamespace(last_hidden_state=logits_B1[:, None, :].expand(-1, input_ids.shape[1], -1))


def _foreign_classifier(
    directory: Path, tensors: Mapping[str, Path], *, dtype: torch.dtype, trust_remote_code: bool
) -> LoadedParts:
    """A classifier whose head is not one `score` layer (BERT, RoBERTa, ...): run whole, scored only."""
    config = AutoConfig.from_pretrained(directory, trust_remote_code=trust_remote_code)
    kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    if kind is None:
        raise MissingHeadError(
            f"{directory} has no reward head ({HEAD} is missing), and {config.model_type} no classifier"
        )
    if config.num_labels != 1:
        raise MissingHeadError(
            f"{directory} has no reward head: {HEAD} is missing from the file and its classifier has "
            f"{config.num_labels} labels; a reward model has exactly 1"
        )
    model, info = AutoModelForSequenceClassification.from_pretrained(
        directory,
        dtype=dtype,
        output_loading_info=True,
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
    )
    if missing := sorted(info["missing_keys"]):
        raise MissingHeadError(f"{directory} has no reward head: {', '.join(missing)} missing from the file")
    loaded = load_backbone(str(directory), dtype=dtype, trust_remote_code=trust_remote_code)
    head = RewardHead(1)
    nn.init.ones_(head.score.weight)
    remark = f"{type(model).__name__} keeps its own head and pooling: palate scores it as it is"
    return LoadedParts(WholeClassifier(model), loaded.tokenizer, head, "last", {}, None, (remark, *loaded.remarks))
