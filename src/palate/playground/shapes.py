"""The dimensions of published decoders, and how many parameters follow from them.

All of these bodies are one recipe: an embedding, L times attention and a gated MLP between RMS norms, a last norm, and
an LM head that may share its matrix with the embedding. What differs from family to family are biases, norms of
queries and keys, and how many norms a layer has.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder's dimensions, named as in its config.json.

    Attributes:
        name: under which it was published.
        model_type: of transformers; `FAMILIES` has one that differ in what is added below.
        vocab_size: V, rows of the embedding.
        hidden_size: d.
        num_hidden_layers: L.
        num_attention_heads, num_key_value_heads: heads of queries, and of keys and values.
        head_dim: numbers of one head; heads x head_dim need not be d.
        intermediate_size: f, width of the MLP.
        tie_word_embeddings: whether the LM head is the embedding, so that it has no parameters of its own.
    """

    name: str
    model_type: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    tie_word_embeddings: bool


@dataclass(frozen=True, slots=True)
class Family:
    """What a model type adds to the recipe.

    Attributes:
        qkv_bias: whether queries, keys and values have biases.
        qk_norm: whether there is a norm of head_dim weights for queries, and one for keys.
        norms: RMS norms of d weights in each layer.
    """

    qkv_bias: bool = False
    qk_norm: bool = False
    norms: int = 2


FAMILIES = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(qk_norm=True),
    "gemma2": Family(norms=4),
}

SHAPES = (
    Shape("SmolLM2-135M", "llama", 49152, 576, 30, 9, 3, 64, 1536, True),
    Shape("SmolLM2-360M", "llama", 49152, 960, 32, 15, 5, 64, 2560, True),
    Shape("Qwen2.5-0.5B", "qwen2", 151936, 896, 24, 14, 2, 64, 4864, True),
    Shape("Qwen3-0.6B", "qwen3", 151936, 1024, 28, 16, 8, 128, 3072, True),
    Shape("Llama-3.2-1B", "llama", 128256, 2048, 16, 32, 8, 64, 8192, True),
    Shape("SmolLM2-1.7B", "llama", 49152, 2048, 24, 32, 32, 64, 8192, True),
    Shape("Gemma-2-2B", "gemma2", 256000, 2304, 26, 8, 4, 256, 9216, True),
    Shape("Llama-3.2-3B", "llama", 128256, 3072, 28, 24, 8, 128, 8192, True),
    Shape("Qwen3-4B", "qwen3", 151936, 2560, 36, 32, 8, 128, 9728, True),
    Shape("Mistral-7B-v0.3", "mistral", 32768, 4096, 32, 32, 8, 128, 14336, False),
    Shape("Qwen2.5-7B", "qwen2", 152064, 3584, 28, 28, 4, 128, 18944, False),
    Shape("Llama-3.1-8B", "llama", 128256, 4096, 32, 32, 8, 128, 14336, False),
    Shape("Qwen3-8B", "qwen3", 151936, 4096, 36, 32, 8, 128, 12288, False),
    Shape("Gemma-2-9B", "gemma2", 256000, 3584, 42, 16, 8, 256, 14336, True),
    Shape("Gemma-2-27B", "gemma2", 256000, 4608, 46, 32, 16, 128, 36864, True),
    Shape("Qwen2.5-32B", "qwen2", 152064, 5120, 64, 40, 8, 128, 27648, False),
    Shape("Llama-3.1-70B", "llama", 128256, 8192, 80, 64, 8, 128, 28672, False),
    Shape("Qwen2.5-72B", "qwen2", 152064, 8192, 80, 64, 8, 128, 29568, False),
    Shape("Llama-3.1-405B", "llama", 128256, 16384, 126, 128, 8, 128, 53248, False),
)
"""Smallest first. Instruct versions have the dimensions of their base."""


@dataclass(frozen=True, slots=True)
class Count:
    """Parameters by part.

    Attributes:
        embedding, attention, mlp, norms: of the body, which the SFT model and the reward model share.
        lm_head: of the SFT model alone; 0 where it is the embedding.
        reward_head: of the reward model alone.
    """

    embedding: int
    attention: int
    mlp: int
    norms: int
    lm_head: int
    reward_head: int

    @property
    def body(self) -> int:
        """What both models share."""
        return self.embedding + self.attention + self.mlp + self.norms


def count_parameters(shape: Shape) -> Count:
    """How many parameters a decoder of these dimensions has.

    >>> count = count_parameters(SHAPES[0])
    >>> count.body, count.lm_head, count.reward_head
    (134515008, 0, 576)
    """
    family = FAMILIES[shape.model_type]
    queries = shape.num_attention_heads * shape.head_dim
    keys = shape.num_key_value_heads * shape.head_dim
    vocabulary = shape.vocab_size * shape.hidden_size
    attention = 2 * shape.hidden_size * (queries + keys)  # q and o; k and v
    attention += (queries + 2 * keys) * family.qkv_bias + 2 * shape.head_dim * family.qk_norm
    return Count(
        embedding=vocabulary,
        attention=shape.num_hidden_layers * attention,
        mlp=shape.num_hidden_layers * 3 * shape.hidden_size * shape.intermediate_size,
        norms=(shape.num_hidden_layers * family.norms + 1) * shape.hidden_size,
        lm_head=0 if shape.tie_word_embeddings else vocabulary,
        reward_head=shape.hidden_size,
    )
