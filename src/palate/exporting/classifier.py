"""A sequence-classification directory with everything settled that makes other loaders give another reward."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from palate.errors import ModelError
from palate.exporting.golden_file import Golden
from palate.model import saving
from palate.model.adapters import merged_state
from palate.model.as_served import Declared, ServedClassifier, read_declared
from palate.model.checkpoint import WholeClassifier
from palate.model.reward_model import RewardModel

_LOADED = 16  # golden texts that are scored by transformers' own class, from the files
_SIZE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.01}


def write_classifier(model: RewardModel, directory: Path, dtype: torch.dtype) -> None:
    """Write weights, configuration and tokenizer; the head stays float32, which vLLM keeps.

    Args:
        model: last-token pooled, or a foreign classifier with a head of its own.
        directory: empty.
        dtype: of the body's weights.
    """
    if isinstance(model.backbone, WholeClassifier):
        _write_foreign(model.backbone.classifier, model.tokenizer, directory, dtype)
        return
    config: Any = model.backbone.config
    before, config.dtype = config.dtype, dtype
    try:
        saving.write(
            directory,
            backbone=model.backbone,
            body_state={name: _cast(tensor, dtype) for name, tensor in merged_state(model.backbone).items()},
            head=model.head,
            pooling=model.pooling,
            tokenizer=model.tokenizer,
            contract=model.describe(),
        )
    finally:
        config.dtype = before


def _write_foreign(classifier: Any, tokenizer: Any, directory: Path, dtype: torch.dtype) -> None:
    config = classifier.config
    settled = {
        "problem_type": "regression",
        "id2label": {0: "reward"},
        "label2id": {"reward": 0},
        "pad_token_id": tokenizer.pad_token_id,
        "dtype": dtype,
    }
    before = {name: getattr(config, name) for name in settled}
    state = {name: _cast(tensor, dtype) for name, tensor in classifier.state_dict().items()}
    try:
        for name, value in settled.items():
            setattr(config, name, value)
        classifier.save_pretrained(directory, state_dict=state)
    finally:
        for name, value in before.items():
            setattr(config, name, value)
    tokenizer.save_pretrained(directory)


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def check_classifier(directory: Path, golden: list[Golden], dtype: torch.dtype) -> tuple[Declared, float]:
    """Look at the files as another loader does, and score golden texts with them.

    Args:
        directory: what was written.
        golden: what the rewards should be.
        dtype: of the weights in the files; the arithmetic is float32.

    Returns:
        What the files declare, and the largest difference.

    Raises:
        ModelError: the files would make others score something else.
    """
    declared = read_declared(directory)
    if declared.pad is None or declared.pad == declared.eos or declared.pad != declared.config_pad:
        raise ModelError(
            f"pad token {declared.pad}, {declared.config_pad} in config.json, EOS {declared.eos}: other loaders would "
            "not find the last token; give the tokenizer a pad token of its own and save the model again"
        )
    if declared.problem_type != "regression" or not declared.has_template:
        raise ModelError(f"{directory} lost its problem_type or its chat template; this is a bug of palate")
    some = golden[:_LOADED]
    expected = np.array([text.reward for text in some])
    found = ServedClassifier(directory).rewards([text.ids for text in some], side="right")
    difference = float(np.abs(found - expected).max())
    allowed = _SIZE[dtype] * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:
        raise ModelError(
            f"transformers scores the written files {difference:.3g} away from the model, more than {allowed:.2g}"
        )
    return declared, difference
