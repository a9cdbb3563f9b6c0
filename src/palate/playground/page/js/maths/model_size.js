// Parameters of a decoder from the dimensions in its config.json; palate.playground.shapes says the same in Python.

export function countParameters(shape, family) {
  const queries = shape.num_attention_heads * shape.head_dim;
  const keys = shape.num_key_value_heads * shape.head_dim;
  const vocabulary = shape.vocab_size * shape.hidden_size;
  let attention = 2 * shape.hidden_size * (queries + keys); // q and o; k and v
  if (family.qkv_bias) attention += queries + 2 * keys;
  if (family.qk_norm) attention += 2 * shape.head_dim;
  const layers = shape.num_hidden_layers;
  const count = {
    embedding: vocabulary,
    attention: layers * attention,
    mlp: layers * 3 * shape.hidden_size * shape.intermediate_size,
    norms: (layers * family.norms + 1) * shape.hidden_size,
    lmHead: shape.tie_word_embeddings ? 0 : vocabulary,
    rewardHead: shape.hidden_size,
  };
  count.body = count.embedding + count.attention + count.mlp + count.norms;
  return count;
}

// What the last layer writes for a batch, in float32: a logit for every word of the vocabulary at every token, or a
// reward for every sequence.
export const outputBytes = (shape, sequences, tokens) => ({
  logits: 4 * sequences * tokens * shape.vocab_size,
  rewards: 4 * sequences,
});
