// The layers from the output down to the tokens, what each is made of, and what flows between them.
import { short, whole } from "../format.js";

export function drawStack(list, values, count) {
  const { vocab_size: V, hidden_size: d, num_hidden_layers: L, intermediate_size: f } = values;
  const queries = values.num_attention_heads * values.head_dim;
  const keys = values.num_key_value_heads * values.head_dim;
  const layers = [
    ...(values.kind === "reward" ? rewardTop(d, count) : wordsTop(values, count)),
    flow("[B, T, d]", `${whole(d)} numbers a token`),
    layer(`${whole(L)} layers and a last norm`, "", count.attention + count.mlp + count.norms, count, "kept", [
      ["attention", [`q ${whole(d)} × ${whole(queries)}`, `k, v ${whole(d)} × ${whole(keys)}`, `o ${whole(queries)} × ${whole(d)}`], count.attention],
      ["MLP", [`gate, up ${whole(d)} × ${whole(f)}`, `down ${whole(f)} × ${whole(d)}`], count.mlp],
      ["norms", [`each ${whole(d)}`], count.norms],
    ]),
    flow("[B, T, d]", ""),
    layer("embedding", `${whole(V)} × ${whole(d)}`, count.embedding, count, "kept"),
    flow("[B, T]", "token ids of question and answer"),
  ];
  list.replaceChildren(...layers);
}

const wordsTop = ({ vocab_size: V, hidden_size: d, tie_word_embeddings: tied }, count) => [
  flow("[B, T, V]", `${whole(V)} logits a token`),
  layer("LM head", `${whole(d)} × ${whole(V)}${tied ? ", the embedding once more" : ""}`, count.lmHead, count, "changes"),
];

const rewardTop = (d, count) => [
  flow("[B]", "one reward a sequence"),
  layer("reward head", `${whole(d)} × 1, no bias, float32, starts at zero`, count.rewardHead, count, "changes"),
  flow("[B, d]", "the last real token's"),
  layer("pooling", "picks the last real token", 0, count, "changes"),
];

function element(tag, look, ...children) {
  const made = document.createElement(tag);
  made.className = look;
  made.append(...children);
  return made;
}

const flow = (shape, what) => element("li", "flow", element("code", "", shape), element("span", "", what));

function layer(name, shape, parameters, count, look, parts = []) {
  const share = parameters / (count.body + count.lmHead);
  const bar = element("span", "bar");
  bar.style.setProperty("--share", share);
  const inner = parts.map(([part, what, number]) =>
    element("li", "", element("b", "", part), element("span", "", ...what.map((one) => element("i", "", one))), element("span", "count", short(number))));
  return element(
    "li",
    `layer ${look}`,
    element("div", "", element("b", "", name), element("span", "count", parameters ? short(parameters) : "none")),
    element("span", "shape", shape),
    ...(inner.length ? [element("ul", "", ...inner)] : []),
    ...(parameters ? [bar] : []),
  );
}
