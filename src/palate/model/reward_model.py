"""The reward model: r(x, y) = w . pool(f([x; y])), on one page.

    batch --backbone--> hidden states --pooling--> one vector a sequence --head--> one float32 reward a sequence

`layout` says how batches are built: `tree` computes every shared prompt once and pads nothing; `padded` gives each
sequence a row of its own, for bodies that cannot share. The rewards are the same, which is what the self-check
and the tests hold.
"""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from huggingface_hub import HfApi
from numpy.typing import NDArray
from torch import Tensor, nn

from palate.config import PoolingName
from palate.data.render import render, tokenize
from palate.errors import DataError, PalateWarning
from palate.model import backbone as body
from palate.model import checkpoint, last_layer, saving
from palate.model.adapters import merged_state
from palate.model.contract import Contract, head_hash, package_versions, template_hash, tokenizer_hash
from palate.model.head import RewardHead
from palate.model.kernels import avoid_cudnn_attention
from palate.model.pooling import make_pooling
from palate.model.products import speed_up_products
from palate.packing.attention import TREE, TREE_DENSE
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_padded, collate_tree, read_only
from palate.records import Message, PreferenceGroup, TokenizedGroup

Layout = Literal["tree", "padded"]


class RewardModel(nn.Module):
    """A body, a pooling and a float32 head, with the tokenizer that renders their text.

    Args:
        backbone: a transformers body without LM head; its last hidden states are [B, T, D].
        tokenizer: with a chat template and a pad token distinct from EOS.
        head: [N, D] -> [N]; a zero head by default.
        pooling: name of the pooling, or the body's classifier decides when the subclass says so.
        layout: `tree` or `padded`; None takes `tree` wherever the body can share.
        compute_dtype: torch.bfloat16 runs the body under autocast; head and loss stay float32.
        contract: what was loaded with the checkpoint, None for a new model.
        max_length: tokens of a sequence; fewer where the body has no positions for so many.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: Any,
        *,
        head: RewardHead | None = None,
        pooling: PoolingName = "last",
        layout: Layout | None = None,
        compute_dtype: torch.dtype = torch.float32,
        contract: Contract | None = None,
        max_length: int = 1024,
    ) -> None:
        super().__init__()
        hidden_size = int(backbone.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pooling = make_pooling(pooling, hidden_size)
        self.head = head if head is not None else RewardHead(hidden_size)
        self.pooling_name: PoolingName = pooling
        self.sharing_obstacle = body.sharing_obstacle(backbone)
        self.layout: Layout = layout or ("padded" if self.sharing_obstacle else "tree")
        self._last_layer = self._read_last_layer_in_part()
        self._by_onednn = speed_up_products(backbone)
        avoid_cudnn_attention()
        attention = str(backbone.config._attn_implementation)  # type: ignore[union-attr]
        # A configuration object shared with another reward model may have been switched by it already.
        self.own_attention = "sdpa" if attention in (TREE, TREE_DENSE) else attention
        self.compute_dtype = compute_dtype
        self.contract = contract
        self.position_limit = body.position_limit(backbone)
        self.max_length = min(max_length, self.position_limit or max_length)
        self.adapter: Any = None
        self.remarks: tuple[str, ...] = ()

    def _read_last_layer_in_part(self) -> int | None:
        """Index of the last layer, now computed only where a batch says that it is read; None where it cannot be."""
        layers = body.decoder_layers(self.backbone)
        if layers is None or self.sharing_obstacle:
            return None
        last_layer.install(layers[-1])
        return len(layers) - 1

    @property
    def products(self) -> str:
        """Which library multiplies the body's matrices, see `palate.model.products`."""
        if self._by_onednn and self.device.type == "cpu" and self.compute_dtype is torch.float32:
            return f"oneDNN in {self._by_onednn} linear layers, the faster on this processor"
        return "PyTorch's choice"

    def limit_to(self, max_length: int) -> None:
        """Take at most so many tokens a sequence; fewer, with a remark, where the body has no positions for so many."""
        self.max_length = min(max_length, self.position_limit or max_length)
        if self.max_length < max_length:
            self.remarks += (
                f"the body has positions for {self.max_length} tokens: max-length is that, and not {max_length}",
            )

    @property
    def device(self) -> torch.device:
        """Where the head's weights lie."""
        return self.head.score.weight.device

    def forward(self, batch: RewardBatch) -> Tensor:
        """Rewards, float32 [N], of the batch's sequences."""
        rewards: Tensor = self.head(self.pool(batch))
        return rewards

    def pool(self, batch: RewardBatch) -> Tensor:
        """The pooled vectors [N, D] that the head reads."""
        attention = TREE if batch.layout is not None else self.own_attention
        mixed = self.compute_dtype is not torch.float32
        with torch.autocast(batch.input_ids_BT.device.type, dtype=self.compute_dtype, enabled=mixed):
            hidden_BTD = body.hidden_states(self.backbone, batch, attention=attention)
        pooled: Tensor = self.pooling(hidden_BTD, batch)
        return pooled

    def collate(self, groups: Sequence[TokenizedGroup], *, layout: Layout | None = None) -> RewardBatch:
        """A batch of whole groups on this model's device, in its own layout unless another is named."""
        if (layout or self.layout) == "padded":
            return collate_padded(groups, pad_token_id=self.tokenizer.pad_token_id).to(self.device)
        batch = collate_tree(groups)
        row_R = self.pooling.rows(batch)
        if self._last_layer is not None and row_R is not None:
            batch = read_only(batch, row_R, layer=self._last_layer)
        return batch.to(self.device)

    def cost(self, group: TokenizedGroup) -> int:
        """Tokens that this model computes for a group."""
        return group.computed_tokens if self.layout == "tree" else group.unshared_tokens

    @torch.no_grad()
    def score(self, prompt: str | Sequence[Message | dict[str, str]], responses: Sequence[str]) -> NDArray[np.float32]:
        """Rewards of the responses to one prompt, float32 [K], in their order.

        Args:
            prompt: the user's text, or the whole conversation before the response.
            responses: the assistant's texts.

        Raises:
            DataError: no responses, or a sequence longer than `max_length` tokens.
        """
        if not responses:
            raise DataError("there is no response to score", reason="too-few-responses")
        turns = (Message("user", prompt),) if isinstance(prompt, str) else tuple(_message(turn) for turn in prompt)
        group = PreferenceGroup("score", turns, tuple((Message("assistant", text),) for text in responses))
        data = tokenize([group], self.tokenizer, max_length=self.max_length, over_long="error")
        training = self.training
        self.eval()
        rewards: NDArray[np.float32] = self(self.collate(data.groups)).cpu().numpy()
        self.train(training)
        return rewards

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        layout: Layout | None = None,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> Self:
        """Load a reward model from a directory or hub id; safetensors only, remote code off unless asked.

        What had to be said about it is in `remarks`, and warned of as `PalateWarning`. See
        `palate.model.checkpoint.load_parts` for the other options (`revision`, `trust_remote_code`,
        `check_contract`) and the errors.
        """
        parts = checkpoint.load_parts(path, dtype=dtype, **options)
        contract = parts.contract
        model = cls(
            parts.backbone,
            parts.tokenizer,
            head=parts.head,
            pooling=parts.pooling,
            layout=layout,
            contract=contract,
            max_length=contract.max_length if contract else _declared_length(parts.backbone),
        )
        model.pooling.load_state_dict(parts.pooling_state)
        model.remarks = parts.remarks
        for remark in parts.remarks:
            warnings.warn(f"{path}: {remark}", PalateWarning, stacklevel=2)
        return model.to(device).eval()

    def save_pretrained(self, path: str | Path, **known: Any) -> str:
        """Save as an ordinary sequence-classification directory with `palate.json`; returns who can load it.

        Args:
            path: the directory; see `palate.model.saving.write` for how it is replaced.
            known: fields of the contract that the model cannot know itself, such as `reward_mean`.
        """
        contract = self.describe(**known)
        loads = saving.write(
            Path(path),
            backbone=self.backbone,
            body_state=merged_state(self.backbone),
            head=self.head,
            pooling=self.pooling,
            tokenizer=self.tokenizer,
            contract=contract,
        )
        self.contract = contract
        return loads

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, **known: Any) -> str:
        """Save to a temporary directory and upload it; returns the address of the commit."""
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "model"
            self.save_pretrained(directory, **known)
            hub = HfApi()
            hub.create_repo(repo_id, private=private, exist_ok=True)
            old = ["model*.safetensors", "model*.safetensors.index.json"]  # which other loaders would take for these
            return str(hub.upload_folder(repo_id=repo_id, folder_path=directory, delete_patterns=old).commit_url)

    def describe(self, **known: Any) -> Contract:
        """The contract of the model as it is now, carrying over what an earlier contract knew."""
        carried = asdict(self.contract) if self.contract else {}
        current = {
            "template_hash": template_hash(self.tokenizer),
            "tokenizer_hash": tokenizer_hash(self.tokenizer),
            "head_hash": head_hash(self.head.score.weight),
            "head_bias": self.head.score.bias is not None,
            "hidden_size": self.head.score.in_features,
            "pooling": self.pooling_name,
            "max_length": self.max_length,
            "scored_token": self._scored_token(),
            "versions": package_versions(),
        }
        return Contract(**{**carried, **current, **known})

    def _scored_token(self) -> str:
        if self.pooling_name != "last":
            return ""
        rendered = render(self.tokenizer, (Message("user", "a"),), (Message("assistant", "b"),))
        ids = self.tokenizer(rendered.text, add_special_tokens=False)["input_ids"]
        return str(self.tokenizer.decode(ids[-1:]))


def _declared_length(backbone: nn.Module) -> int:
    limit = getattr(backbone.config, "max_position_embeddings", None)
    return int(limit) if isinstance(limit, int) else 4096


def _message(turn: Message | dict[str, str]) -> Message:
    return turn if isinstance(turn, Message) else Message(turn["role"], turn["content"])  # type: ignore[arg-type]
