// Section 2, first half: what a reward model exchanges, for the dimensions of a published model or typed ones.
import { bind, show } from "../controls.js";
import { bytes, short, whole } from "../format.js";
import { readConfig } from "../maths/config.js";
import { countParameters, outputBytes } from "../maths/model_size.js";
import { drawStack } from "./architecture_stack.js";

const [SEQUENCES, TOKENS] = [16, 1024];
const TYPED = "typed in";
const START = "Llama-3.1-8B";

export function startArchitecture(section, { shapes, families }) {
  const select = section.querySelector("[data-model]");
  select.append(...[...shapes.map(({ name }) => name), TYPED].map((name) => new Option(name)));
  const kinds = section.querySelector('[data-input="model_type"]');
  kinds.append(...Object.keys(families).map((name) => new Option(name)));

  let named = START;
  const compute = (values, changed) => {
    if (changed && changed !== "kind") named = TYPED;
    select.value = named;
    const count = countParameters(values, families[values.model_type]);
    const reward = values.kind === "reward";
    const output = outputBytes(values, SEQUENCES, TOKENS);
    const head = reward ? count.rewardHead : count.lmHead;
    show(section, { total: count.body + head, body: count.body, head }, whole);
    show(section, { output: reward ? output.rewards : output.logits, weights: 2 * (count.body + head) }, bytes);
    section.querySelector('[data-says="architecture"]').textContent = inWords(values, count, output);
    return count;
  };
  const paint = (values, count) => drawStack(section.querySelector("[data-stack]"), values, count);
  const shapeOf = (name) => {
    const { name: _, ...shape } = shapes.find((one) => one.name === name);
    return shape;
  };
  for (const [name, value] of Object.entries(shapeOf(START))) preset(section, name, value);
  const { set } = bind(section, compute, paint);
  section.querySelector("[data-paste]").addEventListener("input", ({ target }) => {
    const { shape, fault } = target.value.trim() ? readConfig(target.value, families) : {};
    section.querySelector("[data-fault]").textContent = fault ?? "";
    target.setAttribute("aria-invalid", String(Boolean(fault)));
    if (!shape) return;
    named = TYPED;
    set(shape);
  });
  select.addEventListener("change", () => {
    named = select.value;
    set(named === TYPED ? {} : shapeOf(named));
    if (named === TYPED) section.querySelector(".dimensions").open = true;
  });
}

// The fields' first values, which come with the list of models.
function preset(section, name, value) {
  const field = section.querySelector(`[data-input="${name}"]`);
  if (field.type === "checkbox") field.checked = value;
  else field.value = value;
}

function inWords(values, count, output) {
  const head = `${whole(count.rewardHead)} weights`;
  if (values.kind !== "reward") {
    const own = values.tie_word_embeddings
      ? "Its LM head is the embedding once more, so it costs arithmetic and no parameters."
      : `Its LM head alone has ${short(count.lmHead)} parameters.`;
    return `A language model: a score for each of ${whole(values.vocab_size)} words after every token. ${own}`;
  }
  const saved = values.tie_word_embeddings ? "" : ` ${short(count.lmHead)} parameters of the LM head are gone.`;
  return `A reward model: the same body and ${head} in place of the LM head, one in ${whole((count.body + count.rewardHead) / count.rewardHead)} parameters.${saved} The ${bytes(output.logits)} of logits are never computed.`;
}
