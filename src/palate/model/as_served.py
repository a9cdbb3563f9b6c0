"""A checkpoint's rewards as transformers' own classifier gives them, padded as it would pad.

Other loaders find the last token by looking for padding ids; where configuration and tokenizer disagree about those,
rewards depend on what a text is batched with. palate reads the attention mask and would not notice: this is how it
looks through their eyes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from palate.data.render import first_token
from palate.errors import ModelError
from palate.model.backbone import quiet_transformers


@dataclass(frozen=True, slots=True)
class Declared:
    """What the files of a checkpoint tell other loaders.

    Attributes:
        problem_type: `regression` gives raw rewards; anything else a sigmoid, in vLLM, TEI and pipelines.
        pad, config_pad: pad token ids of the tokenizer and of config.json; None where there is none.
        eos: the EOS token's id, or None.
        adds_bos: whether tokenizing a rendered text with default settings puts a second BOS in front.
        has_template: whether there is a chat template.
        dropout: the largest dropout rate that config.json names.
    """

    problem_type: str | None
    pad: int | None
    config_pad: int | None
    eos: int | None
    adds_bos: bool
    has_template: bool
    dropout: float


def read_declared(directory: Path) -> Declared:
    """Read configuration and tokenizer as they lie there, nothing settled.

    Raises:
        ModelError: they cannot be read.
    """
    try:
        with quiet_transformers():
            config, tokenizer = AutoConfig.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"cannot read configuration and tokenizer of {directory}: {error}") from error
    rates = [value for name, value in config.to_dict().items() if "drop" in name and isinstance(value, float)]
    return Declared(
        problem_type=config.problem_type,
        pad=tokenizer.pad_token_id,
        config_pad=config.pad_token_id,
        eos=tokenizer.eos_token_id,
        adds_bos=_adds_bos(tokenizer),
        has_template=bool(tokenizer.chat_template),
        dropout=max(rates, default=0.0),
    )


def _adds_bos(tokenizer: Any) -> bool:
    first = first_token(tokenizer)
    if first is None or not tokenizer.chat_template:
        return False
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    return bool(tokenizer(text)["input_ids"][:2] == [first] * 2)


class ServedClassifier:
    """`AutoModelForSequenceClassification` of a directory, with its own tokenizer's padding.

    Raises:
        ModelError: transformers cannot load it as a classifier of one label.
    """

    def __init__(self, directory: Path) -> None:
        try:
            with quiet_transformers():
                self.tokenizer = AutoTokenizer.from_pretrained(directory)
                self.classifier: Any = AutoModelForSequenceClassification.from_pretrained(
                    directory, dtype=torch.float32, use_safetensors=True
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise ModelError(f"transformers cannot load {directory} as a classifier: {error}") from error
        if self.classifier.config.num_labels != 1:
            raise ModelError(f"{directory} has {self.classifier.config.num_labels} labels, not 1")
        self.classifier.eval()

    @torch.no_grad()
    def rewards(
        self, sequences: Sequence[Sequence[int]], *, side: Literal["left", "right"] | None
    ) -> NDArray[np.float64]:
        """Logits [N] of token sequences: in one batch padded on that side, or each on its own where `side` is None.

        Raises:
            ModelError: it cannot be done, such as a batch without a pad token.
        """
        if side is None:
            return np.concatenate([self.rewards([sequence], side="right") for sequence in sequences])
        self.tokenizer.padding_side = side
        try:
            batch = self.tokenizer.pad({"input_ids": [list(s) for s in sequences]}, return_tensors="pt")
            logits_N1 = self.classifier(**batch).logits
        except (ValueError, RuntimeError) as error:
            raise ModelError(str(error)) from error
        found: NDArray[np.float64] = logits_N1[:, 0].double().numpy()
        return found
