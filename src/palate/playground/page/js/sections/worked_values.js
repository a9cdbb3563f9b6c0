// Named numbers, and vectors as numbers with bars.
import { fixed, minus, signed } from "../format.js";

const NAMES = {
  rewardChosen: "r_c",
  rewardRejected: "r_r",
  margin: "margin r_c − r_r",
  probability: "P",
  loss: "loss ℓ",
  gradChosen: "∂ℓ/∂r_c",
  gradRejected: "∂ℓ/∂r_r",
  featureGap: "h_c − h_r",
  gradient: "∂ℓ/∂w",
  update: "change of w",
  weightsAfter: "w after the step",
  rewardChosenAfter: "r_c",
  rewardRejectedAfter: "r_r",
  marginAfter: "margin",
  probabilityAfter: "P",
  lossAfter: "loss ℓ",
};
const SIGNED = new Set(["gradChosen", "gradRejected", "gradient", "update"]);

function element(tag, look, ...children) {
  const made = document.createElement(tag);
  made.className = look;
  made.append(...children);
  return made;
}

// "r_c" with its index set low.
function name(key) {
  const parts = NAMES[key].split(/_(\w)/);
  return parts.map((part, i) => (i % 2 ? element("sub", "", part) : part));
}

function data(key, value) {
  const shown = element("data", "", minus((SIGNED.has(key) ? signed(4) : fixed(4))(value)));
  shown.value = String(value);
  shown.dataset.show = key;
  return shown;
}

export function numbersOf(values) {
  const rows = Object.entries(values).map(([key, value]) =>
    element("div", key.startsWith("loss") ? "reading big" : "reading", element("dt", "", ...name(key)), element("dd", "", data(key, value))));
  return element("dl", "readings flat", ...rows);
}

// One bar an entry, from a middle line; the longest fills its half.
export function barsOf(key, vector) {
  const largest = Math.max(...vector.map(Math.abs), 1e-9);
  const entries = vector.map((value, index) => {
    const shown = data(key, value);
    shown.dataset.entry = index;
    const bar = element("span", value < 0 ? "amount down" : "amount up");
    bar.style.setProperty("--share", Math.abs(value) / largest);
    return element("li", "", element("span", "gauge", bar), shown);
  });
  return element("div", "bars", element("span", "name", ...name(key)), element("ol", "", ...entries));
}
