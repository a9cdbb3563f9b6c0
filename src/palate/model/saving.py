"""Writing reward models: an ordinary `*ForSequenceClassification` directory, with `palate.json` beside it.

A last-token model is written under the names that transformers' own classifier of that body uses, so whatever
loads a sequence classifier loads it as it is: `num_labels: 1`, `problem_type: "regression"` (raw rewards instead
of a sigmoid), one bias-free `score` layer. Other poolings keep the head under a name of palate's own, so that a
loader that would pool the last token finds no head rather than a wrong reward.
"""

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from palate.errors import ModelError
from palate.model.checkpoint import HEAD, OWN_HEAD, POOLING, WholeClassifier
from palate.model.contract import FILE_NAME, Contract
from palate.model.head import RewardHead


def write(
    directory: Path,
    *,
    backbone: nn.Module,
    body_state: Mapping[str, Tensor],
    head: RewardHead,
    pooling: nn.Module,
    tokenizer: Any,
    contract: Contract,
) -> str:
    """Write a reward model so that a kill at any moment leaves what was there before; returns who can load it.

    Everything goes to a sibling directory first. A new directory then appears by one rename; into an existing one
    the files are moved one by one, `palate.json` last, whose head hash tells a half-replaced model from a whole.

    Args:
        directory: where it shall lie.
        backbone: gives configuration and prefix.
        body_state: the body's tensors, adapters merged.
        head: the reward head.
        pooling: its parameters, if any, are saved too.
        tokenizer: saved with its chat template.
        contract: becomes `palate.json`.

    Raises:
        ModelError: the body is a foreign classifier that palate can only score.
    """
    if isinstance(backbone, WholeClassifier):
        raise ModelError("a foreign classifier that keeps its own head can be scored but not saved again")
    config: Any = backbone.config
    kind = classifier_class(config) if contract.pooling == "last" and not contract.head_bias else None
    prefix = f"{kind.base_model_prefix}." if kind is not None else ""  # type: ignore[attr-defined]
    state = {f"{prefix}{name}": tensor for name, tensor in body_state.items()}
    own = HEAD if contract.pooling == "last" else OWN_HEAD
    state |= {own.replace("weight", name): tensor for name, tensor in head.score.state_dict().items()}
    state |= {f"{POOLING}{name}": tensor for name, tensor in pooling.state_dict().items()}

    staging = directory.with_name(f".{directory.name}.saving")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    tokenizer.save_pretrained(staging)
    _classifier_config(config, kind).save_pretrained(staging)
    save_torch_state_dict(
        {name: t.detach().cpu().contiguous() for name, t in state.items()}, staging, metadata={"format": "pt"}
    )
    (staging / FILE_NAME).write_text(contract.to_json(), encoding="utf-8")
    _move_into_place(staging, directory)
    if kind is not None:
        return f"{kind.__name__}: transformers, vLLM and others load it as it is"
    return f"pooling {contract.pooling!r}: only palate loads it"


def _move_into_place(staging: Path, directory: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    for file in staging.iterdir():
        file.chmod(0o666 & ~mask)  # safetensors writes 0600, which a server under another user could not read
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if not directory.exists():
        staging.rename(directory)
        return
    # Until the new one is there, nothing loads: of a mixture of old and new files no other sign would tell.
    (directory / FILE_NAME).write_text('{"saving": true}', encoding="utf-8")
    new = {file.name for file in staging.iterdir()}
    for stale in directory.glob("model*.safetensors*"):
        if stale.name not in new:
            stale.unlink()
    for file in sorted(staging.iterdir(), key=lambda file: file.name == FILE_NAME):
        file.replace(directory / file.name)
    staging.rmdir()


def classifier_class(config: Any) -> type[nn.Module] | None:
    """The transformers class that loads this body with one bias-free `score` layer, or None."""
    kind: type[nn.Module] | None = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    if kind is None:
        return None
    with torch.device("meta"):
        model = kind(_classifier_config(config, kind))
    outside = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
    return kind if outside == {HEAD} else None


def _classifier_config(config: Any, kind: type[nn.Module] | None) -> Any:
    ours = copy.deepcopy(config)
    ours.num_labels = 1
    ours.id2label, ours.label2id = {0: "reward"}, {"reward": 0}
    ours.problem_type = "regression"
    ours.architectures = [kind.__name__] if kind is not None else ["PalateRewardModel"]
    return ours
