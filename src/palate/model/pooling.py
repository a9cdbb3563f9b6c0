"""From the hidden states of a batch to one vector a sequence. Four rules, one signature.

Every rule reads positions that the collator computed from the real tokens; none looks at token ids, so a pad
token that equals EOS, or padding on either side, changes nothing.
"""

from abc import ABC, abstractmethod
from typing import get_args

import torch
from torch import Tensor, nn

from palate.config import PoolingName
from palate.packing.batch import RewardBatch

POOLING_NAMES: tuple[PoolingName, ...] = get_args(PoolingName)


class Pooling(nn.Module, ABC):
    """hidden_BTD [B, T, D] and its batch -> [N, D]. Subclasses are final and implement `forward` alone."""

    @abstractmethod
    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        """Pool one vector a sequence, in the hidden states' dtype or float32."""

    def rows(self, batch: RewardBatch) -> Tensor | None:
        """Indices into the flattened rows of all that `forward` reads; None for every row, the safe answer.

        What is not read is not computed in the last layer, and holds anything.
        """
        return None


class LastToken(Pooling):
    """The last real token: in a causal body, the only one that has seen everything."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        """[N, D], a gather."""
        return hidden_BTD.flatten(0, 1)[self.rows(batch)]

    def rows(self, batch: RewardBatch) -> Tensor:
        """[N]."""
        return batch.last_index_N


class FirstToken(Pooling):
    """The first token, for encoders trained with one ([CLS]). In a causal body it has seen nothing."""

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        """[N, D], a gather."""
        return hidden_BTD.flatten(0, 1)[self.rows(batch)]

    def rows(self, batch: RewardBatch) -> Tensor:
        """[N]."""
        return batch.token_index_S[batch.sequence_bounds_N1[:-1]]


class MeanTokens(Pooling):
    """Mean over real tokens: of prompt and response, or of the response alone. Summed in float32."""

    def __init__(self, *, response_only: bool) -> None:
        super().__init__()
        self.response_only = response_only

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        """[N, D] float32."""
        index_S, sequence_S = _tokens(batch, response_only=self.response_only)
        tokens_SD = hidden_BTD.flatten(0, 1)[index_S].float()
        total_ND = tokens_SD.new_zeros(batch.num_sequences, tokens_SD.shape[1]).index_add(0, sequence_S, tokens_SD)
        count_N = torch.bincount(sequence_S, minlength=batch.num_sequences)
        mean_ND: Tensor = total_ND / count_N[:, None]
        return mean_ND

    def rows(self, batch: RewardBatch) -> Tensor:
        """The tokens that are averaged."""
        return _tokens(batch, response_only=self.response_only)[0]


class ResponseAttention(Pooling):
    """One head of attention over the response's tokens, with a learned query; zero at first, so a plain mean."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, hidden_BTD: Tensor, batch: RewardBatch) -> Tensor:
        """[N, D] float32: each sequence's softmax-weighted mean."""
        index_S, sequence_S = _tokens(batch, response_only=True)
        tokens_SD = hidden_BTD.flatten(0, 1)[index_S].float()
        score_S = tokens_SD @ self.query.float() / tokens_SD.shape[1] ** 0.5
        # Softmax within each sequence; subtracting its largest score changes nothing but the range.
        largest_N = score_S.new_full((batch.num_sequences,), -torch.inf).scatter_reduce(
            0, sequence_S, score_S.detach(), "amax"
        )
        weight_S = (score_S - largest_N[sequence_S]).exp()
        total_N = weight_S.new_zeros(batch.num_sequences).index_add(0, sequence_S, weight_S)
        weighted_SD = tokens_SD * (weight_S / total_N[sequence_S])[:, None]
        pooled_ND: Tensor = weighted_SD.new_zeros(batch.num_sequences, tokens_SD.shape[1])
        return pooled_ND.index_add_(0, sequence_S, weighted_SD)

    def rows(self, batch: RewardBatch) -> Tensor:
        """The responses' tokens."""
        return _tokens(batch, response_only=True)[0]


def make_pooling(name: PoolingName, hidden_size: int) -> Pooling:
    """The pooling of that name.

    Raises:
        ValueError: there is none.
    """
    match name:
        case "last":
            return LastToken()
        case "cls":
            return FirstToken()
        case "mean":
            return MeanTokens(response_only=False)
        case "mean-response":
            return MeanTokens(response_only=True)
        case "attention":
            return ResponseAttention(hidden_size)
    raise ValueError(f"unknown pooling {name!r}; there are {', '.join(POOLING_NAMES)}")


def _tokens(batch: RewardBatch, *, response_only: bool) -> tuple[Tensor, Tensor]:
    """Index into the flattened rows of the tokens to read, and the sequence that each belongs to."""
    lengths_N = batch.lengths_N
    sequence_N = torch.arange(batch.num_sequences, device=lengths_N.device)
    sequence_S = sequence_N.repeat_interleave(lengths_N, output_size=len(batch.token_index_S))
    if not response_only:
        return batch.token_index_S, sequence_S
    offset_S = torch.arange(len(sequence_S), device=lengths_N.device) - batch.sequence_bounds_N1[sequence_S]
    keep_S = offset_S >= batch.response_start_N[sequence_S]
    return batch.token_index_S[keep_S], sequence_S[keep_S]
