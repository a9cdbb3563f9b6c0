// Section 3: a question and its answers laid out once, who sees whom, and what that saves.
import { bind, limit, presets, show } from "../controls.js";
import { drag } from "../draw/svg.js";
import { fixed, percent, whole } from "../format.js";
import { layoutTokens, positionOf, responseOf, seenBy, sharing } from "../maths/tree.js";
import { drawBlocks, drawFactor, drawMask, tokenAt } from "./sharing_drawings.js";

export function startSharing(section) {
  const svg = (name) => section.querySelector(`[data-draw="${name}"]`);
  const compute = (values) => {
    const { count, prompt, response } = values;
    const layout = { count, prompt, response };
    limit(section, values, "token", layoutTokens(layout) - 1);
    const found = sharing(layout);
    const row = values.token;
    const seen = seenBy(row, layout).reduce((sum, [, length]) => sum + length, 0);
    show(section, { apart: found.apart, shared: found.shared, seen, position: positionOf(row, layout) }, whole);
    show(section, { factor: found.factor }, fixed(2));
    show(section, { saved: found.saved }, percent(1));
    const says = inWords(row, layout, seen);
    section.querySelector(".says").textContent = says;
    return { layout, row, says, found };
  };
  const paint = (_, { layout, row, says, found }) => {
    drawMask(svg("mask"), layout, row, says);
    drawBlocks(svg("blocks"), layout, found);
    drawFactor(svg("factor"), layout, found);
  };
  const { values, set, glide } = bind(section, compute, paint);
  presets(section, glide);
  drag(svg("mask"), (place) => set({ token: tokenAt(place, layoutTokens(values)) }));
}

function inWords(row, layout, seen) {
  const of = responseOf(row, layout);
  const position = positionOf(row, layout);
  if (of < 0) return `Token ${position + 1} of the question sees the question up to itself: ${whole(seen)} tokens. It does not know that there are answers.`;
  const own = position - layout.prompt + 1;
  const rows = row + 1 - seen > 0 ? ` It does not see the ${whole(row + 1 - seen)} tokens of other answers that lie before it` : " No other answer lies before it";
  return `Token ${own} of answer ${of + 1} sees all ${whole(layout.prompt)} tokens of the question and ${whole(own)} of its own.${rows}, and its position is ${whole(position)}, as if it were alone with the question.`;
}
