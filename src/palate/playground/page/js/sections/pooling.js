// Section 2, second half: which places of padded rows a rule reads, and the reward that comes of it.
import { bind } from "../controls.js";
import { fixed, minus } from "../format.js";
import { placesRead, pooledReward, realPlaces } from "../maths/pooling.js";

const VISIBLE = { "\n": "⏎", " ": "·" };
const number = (value) => minus(fixed(2)(value));

export function startPooling(section, tokens) {
  const width = Math.max(...tokens.rows.map((row) => row.length));
  const rows = section.querySelector("[data-rows]");
  bind(section, ({ rule, side }) => {
    const found = tokens.rows.map((row, index) => {
      const places = placesRead(rule, row.length, width, side, tokens.responseStart[index]);
      const first = realPlaces(row.length, width, side)[0];
      const padding = places.some((place) => place < first || place >= first + row.length);
      return { row, index, places, first, padding, reward: pooledReward(tokens.reward[side][index], places) };
    });
    const [best, second] = found.map((one) => one.reward).sort((a, b) => b - a);
    rows.replaceChildren(...found.map((one) => drawRow(one, tokens, width, rule, one.reward === best && best > second)));
    section.querySelector('[data-says="pooling"]').textContent = inWords(rule, side, found);
  });
}

function inWords(rule, side, found) {
  const wrong = found.filter((one) => one.padding);
  if (wrong.length) {
    return `Wrong: ${wrong.length} of ${found.length} rewards are read off padding, and their answers get nearly the same number. It changes with whatever else is in the batch, nothing crashes, and accuracy stays near one half.`;
  }
  if (rule === "bug") return "Padded on the left, the last place happens to be the last real token: the bug hides until somebody pads on the right.";
  if (rule === "cls") return "The first token has seen nothing but itself: every answer gets the same reward. This rule is for encoders, whose first token sees all.";
  if (rule === "last") return "Right: the last real token has seen the whole conversation. The attention mask says where it is, so both sides of padding give the same rewards.";
  return "Right: a mean over real tokens alone, the same on both sides of padding.";
}

function element(tag, look, ...children) {
  const made = document.createElement(tag);
  made.className = look;
  made.append(...children);
  return made;
}

function drawRow({ row, index, places, first, padding, reward }, tokens, width, rule, isBest) {
  const read = new Set(places);
  const chips = Array.from({ length: width }, (_, place) => {
    const at = place - first;
    const real = at >= 0 && at < row.length;
    const text = real ? row[at].replace(/[\n ]/g, (letter) => VISIBLE[letter]) : "pad";
    const kind = real ? (at >= tokens.responseStart[index] ? "answer" : "question") : "pad";
    const chip = element("li", `token ${kind}${read.has(place) ? " read" : ""}`, text);
    if (read.has(place)) chip.setAttribute("aria-current", "true"); // for those who do not see the colour
    return chip;
  });
  const value = element("data", "", number(reward));
  value.value = String(reward);
  value.dataset.reward = index;
  const verdict = padding ? "read off padding" : isBest ? "highest" : "";
  return element(
    "div",
    `row${padding ? " wrong" : ""}`,
    element("ol", `tokens ${rule}`, ...chips),
    element("p", "outcome", "reward ", value, element("span", "verdict", verdict)),
  );
}
