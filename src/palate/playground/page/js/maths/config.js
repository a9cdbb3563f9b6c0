// The dimensions in a config.json that a reader pastes.

const NEEDED = [
  "vocab_size",
  "hidden_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "head_dim",
  "intermediate_size",
];
const BIASES = ["attention_bias", "mlp_bias"];
// What transformers takes where a file is silent. For other families it has constants that suit one size alone, so
// that their files have to say it.
const TIED = new Set(["gemma2"]); // the others have an LM head of their own
const HEADS_FOLLOW = new Set(["llama"]); // as many for keys and values as for queries
const SIZE_FOLLOWS = new Set(["llama", "mistral", "qwen2"]); // hidden size over heads

// { shape } with every dimension, or { fault } that says what is wrong with the text.
export function readConfig(text, families) {
  let config;
  try {
    config = JSON.parse(text);
  } catch {
    return { fault: "This is not the whole text of a config.json." };
  }
  const kind = config?.model_type;
  if (!Object.hasOwn(families, String(kind))) {
    return { fault: `model_type is ${JSON.stringify(kind) ?? "missing"}; counted are ${Object.keys(families).join(", ")}.` };
  }
  const full = {
    ...config,
    num_key_value_heads: config.num_key_value_heads ?? (HEADS_FOLLOW.has(kind) ? config.num_attention_heads : null),
    head_dim: config.head_dim ?? (SIZE_FOLLOWS.has(kind) ? Math.floor(config.hidden_size / config.num_attention_heads) : null),
    tie_word_embeddings: config.tie_word_embeddings ?? TIED.has(kind),
  };
  const missing = NEEDED.filter((name) => !(Number.isInteger(full[name]) && full[name] > 0));
  if (missing.length) return { fault: `No whole number above 0 under ${missing.join(", ")}.` };
  const biases = BIASES.filter((name) => config[name]);
  if (biases.length) return { fault: `${biases.join(" and ")} would add parameters that are not counted here.` };
  const names = [...NEEDED, "model_type", "tie_word_embeddings"];
  return { shape: Object.fromEntries(names.map((name) => [name, full[name]])) };
}
