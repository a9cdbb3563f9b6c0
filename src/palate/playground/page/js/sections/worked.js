// Section 4: one gradient step by hand, stage by stage.
import { bind } from "../controls.js";
import { fixed } from "../format.js";
import { gradientStep } from "../maths/step.js";
import { barsOf, numbersOf } from "./worked_values.js";

const DIMENSIONS = [0, 1, 2, 3];

export function startWorked(section) {
  const stages = [...section.querySelectorAll("[data-stage]")];
  const button = (name) => section.querySelector(`[data-${name}]`);
  let reached = stages.length; // stages that are shown
  const reveal = (count) => {
    reached = Math.min(Math.max(count, 1), stages.length);
    stages.forEach((stage, index) => {
      stage.classList.toggle("later", index >= reached);
      stage.classList.toggle("now", index === reached - 1 && reached < stages.length);
    });
    button("back").disabled = reached === 1;
    button("next").disabled = reached === stages.length;
  };

  const state = bind(section, (values) => {
    const vector = (name) => DIMENSIONS.map((i) => values[name + i]);
    const step = gradientStep({ weights: vector("weights"), chosen: vector("chosen"), rejected: vector("rejected"), rate: values.rate });
    fill(section, step);
    section.querySelector(".says").textContent = inWords(step);
  });
  const start = { ...state.values };
  const setWeights = (weights) => state.set(Object.fromEntries(weights.map((w, i) => [`weights${i}`, w])));
  button("next").addEventListener("click", () => reveal(reached + 1));
  button("back").addEventListener("click", () => reveal(reached - 1));
  button("first").addEventListener("click", () => reveal(1));
  button("restart").addEventListener("click", () => {
    state.set(start);
    reveal(stages.length);
  });
  button("step").addEventListener("click", () => {
    const { weights } = section.step.after;
    setWeights(weights.map((w) => Number(w.toFixed(12))));
    reveal(stages.length);
  });
  reveal(stages.length);
}

function fill(section, step) {
  section.step = step;
  const { before, update, after } = step;
  const put = (stage, ...children) => section.querySelector(`[data-values="${stage}"]`).replaceChildren(...children);
  put("rewards", numbersOf({ rewardChosen: before.rewardChosen, rewardRejected: before.rewardRejected }));
  put("probability", numbersOf({ margin: before.margin, probability: before.probability }));
  put("loss", numbersOf({ loss: before.loss }));
  put("slopes", numbersOf({ gradChosen: before.gradChosen, gradRejected: before.gradRejected }));
  put("gradient", barsOf("featureGap", before.featureGap), barsOf("gradient", before.gradient));
  put("update", barsOf("update", update), barsOf("weightsAfter", after.weights));
  put("after", numbersOf({ rewardChosenAfter: after.rewardChosen, rewardRejectedAfter: after.rewardRejected, marginAfter: after.margin, probabilityAfter: after.probability, lossAfter: after.loss }));
}

function inWords({ before, after }) {
  const digits = fixed(3);
  const change = after.loss < before.loss ? "falls" : after.loss > before.loss ? "rises" : "stays";
  const zero = before.weights.every((w) => w === 0) ? "With a head of zeros both rewards are 0, P is one half and the loss is ln 2, whatever the features. " : "";
  return `${zero}One step takes the margin from ${digits(before.margin)} to ${digits(after.margin)}; the loss ${change} from ${digits(before.loss)} to ${digits(after.loss)}.`;
}
