// The dimensions in a config.json that a reader pastes.

const NEEDED = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"];
const BIASES = ["attention_bias", "mlp_bias"];
// What transformers takes where a file is silent: most families have a head of their own, Gemma does not.
const TIED = new Set(["gemma2"]);

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
  const missing = NEEDED.filter((name) => !(Number.isInteger(config[name]) && config[name] > 0));
  if (missing.length) return { fault: `No whole number above 0 under ${missing.join(", ")}.` };
  const biases = BIASES.filter((name) => config[name]);
  if (biases.length) return { fault: `${biases.join(" and ")} would add parameters that are not counted here.` };
  const shape = {
    model_type: kind,
    num_key_value_heads: config.num_key_value_heads ?? config.num_attention_heads,
    head_dim: config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads),
    tie_word_embeddings: config.tie_word_embeddings ?? TIED.has(kind),
  };
  return { shape: { ...Object.fromEntries(NEEDED.map((name) => [name, config[name]])), ...shape } };
}
