"""Tiny random bodies and a byte tokenizer: real transformers classes, built in milliseconds, nothing downloaded."""

import copy
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM, PreTrainedTokenizerFast

from palate.model.reward_model import RewardModel

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>")

_COMMON = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16}
_BODIES: dict[str, dict[str, Any]] = {
    "llama": _GROUPED,
    "qwen2": _GROUPED,
    "qwen3": _GROUPED,
    "mistral": {**_GROUPED, "sliding_window": 8},
    "gemma2": {**_GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "phi3": {"num_key_value_heads": 2},
    "olmo2": {"num_key_value_heads": 2},
    "smollm3": {"num_key_value_heads": 2},
    "gpt_neox": {},
    "gpt2": {},
    "opt": {"ffn_dim": 64},
    "deepseek_v3": {
        **{"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "first_k_dense_replace": 3},
        **{"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    },
    "qwen3_moe": {**_GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "starcoder2": {"num_key_value_heads": 2},
    "mamba": {},
    "bert": {},
    "qwen3_next": {**_GROUPED, "num_experts": 0, "mlp_only_layers": [0, 1, 2]},
    "lfm2": {"num_key_value_heads": 2, "layer_types": ["conv", "full_attention", "conv"]},
    "falcon_h1": {**_GROUPED, **_MAMBA, "mamba_d_ssm": 64},
    "bamba": {"num_key_value_heads": 2, **_MAMBA, "attn_layer_indices": [1]},
    "jamba": {
        "num_key_value_heads": 2,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "num_experts": 1,
        "num_experts_per_tok": 1,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "bloom": {"n_layer": 3, "n_head": 4},
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, ChatML template, pad distinct from EOS.

    >>> tokenizer = tiny_tokenizer()
    >>> tokenizer.decode(tokenizer("naïve 🙂")["input_ids"])
    'naïve 🙂'
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate((*_SPECIAL, *alphabet))}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<|pad|>", bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_config(kind: str = "llama", **overrides: Any) -> Any:
    """Configuration of a three-layer body of that transformers model type.

    Raises:
        KeyError: the type is not among those with a tiny variant.
    """
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 259}
    return CONFIG_MAPPING[kind](**{**_COMMON, **tokens, **_BODIES[kind], **overrides})


def tiny_reward_model(kind: str = "llama", *, seed: int = 0, head_std: float = 1.0, **options: Any) -> RewardModel:
    """A reward model with random weights in body and head, in float32 and evaluation mode.

    Args:
        kind: transformers model type.
        seed: of all weights.
        head_std: standard deviation of the head's weights; 0 leaves the zero head.
        options: of `RewardModel`.
    """
    torch.manual_seed(seed)
    model = RewardModel(AutoModel.from_config(tiny_config(kind)), tiny_tokenizer(), **options)
    torch.nn.init.normal_(model.head.score.weight, std=head_std)
    for parameter in model.pooling.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def save_tiny_causal_lm(directory: Path, kind: str = "llama", *, seed: int = 0, **overrides: Any) -> Path:
    """An ordinary instruct checkpoint on disk, as `palate train --model` expects one; returns the directory."""
    torch.manual_seed(seed)
    config = copy.deepcopy(tiny_config(kind, **overrides))
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return directory
