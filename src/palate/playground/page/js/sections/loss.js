// Section 1: two rewards and a margin, seen as a landscape, a curve, a probability and a push.
import { bind, presets, show } from "../controls.js";
import { clamp } from "../draw/axes.js";
import { drag } from "../draw/svg.js";
import { fixed, signed } from "../format.js";
import { comparePair } from "../maths/pair.js";
import { drawCurve, drawProbability, drawPull } from "./loss_curves.js";
import { drawLandscape, rewardsAt } from "./loss_landscape.js";

const END = 4;
const RATE = 1;

export function startLoss(section) {
  const svg = (name) => section.querySelector(`[data-draw="${name}"]`);
  const says = section.querySelector(".says");
  const compute = (values) => {
    const found = comparePair(values);
    show(section, { probability: found.probability, loss: found.loss }, fixed(4));
    show(section, { gradChosen: found.gradChosen, gradRejected: found.gradRejected }, signed(4));
    show(section, { ratio: found.ratio }, fixed(2));
    says.textContent = inWords(found);
    return found;
  };
  const paint = (values, found) => {
    drawLandscape(svg("landscape"), values, found, says.textContent);
    drawCurve(svg("curve"), values, found);
    drawProbability(svg("probability"), found);
    drawPull(svg("pull"), values, found);
  };
  const { set, glide, settled } = bind(section, compute, paint);
  presets(section, glide);
  section.querySelector("[data-downhill]").addEventListener("click", () => {
    const from = settled();
    const { gradChosen, gradRejected } = comparePair(from);
    glide({
      ...from,
      chosen: clamp(from.chosen - RATE * gradChosen, -END, END),
      rejected: clamp(from.rejected - RATE * gradRejected, -END, END),
    });
  });
  drag(svg("landscape"), (place) => {
    const at = rewardsAt(place);
    const round = (x) => Math.round(clamp(x, -END, END) * 100) / 100;
    set({ chosen: round(at.chosen), rejected: round(at.rejected) });
  });
}

function inWords({ difference, probability, loss, gradRejected, gap }) {
  const share = `${Math.round(100 * probability)} %`;
  const order = Math.abs(difference) < 0.005
    ? `The two rewards are equal: the model has no opinion, and the loss is ${gap < -0.005 ? "above " : ""}that of a coin.`
    : difference > 0
      ? `The order is right, and the model gives it ${share}.`
      : `The order is wrong: the model gives the chosen answer ${share}.`;
  const late = difference > 0.005 && gap < 0 ? " But the gap is smaller than the margin asks for." : "";
  const pull = gradRejected > 0.6 ? "hard" : gradRejected > 0.2 ? "moderately" : "hardly";
  return `${order}${late} A loss of ${loss.toFixed(2)} pulls ${pull}, with ${gradRejected.toFixed(2)} of at most 1.`;
}
