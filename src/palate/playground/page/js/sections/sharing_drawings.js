// The mask, the blocks, and the saving.
import { clamp, curve, scale, xAxis, yAxis } from "../draw/axes.js";
import { dot, draw, fit, line, polygon, polyline, rect, text } from "../draw/svg.js";
import { fixed, whole } from "../format.js";
import { layoutTokens, responseOf, seenBy, sharing } from "../maths/tree.js";

const MASK = [8, 392];
const COLOURS = ["s1", "s2", "s4", "s6"]; // of answers, in turn
const colourOf = (answer) => (answer < 0 ? "question" : COLOURS[answer % COLOURS.length]);

// The row at a place of the mask.
export const tokenAt = (place, total) =>
  clamp(Math.floor(scale([0, total], MASK).value(place.y)), 0, total - 1);

export function drawMask(svg, layout, row, label) {
  const total = layoutTokens(layout);
  const at = scale([0, total], MASK);
  const height = at(1) - at(0);
  // What is seen from a column on, as one outline: down the stairs of its right edge, and up its left one.
  const stairs = new Map();
  for (let query = 0; query < total; query += 1) {
    for (const [start, length] of seenBy(query, layout)) {
      const edge = stairs.get(start) ?? [[at(start), at(query)]];
      edge.push([at(start + length), at(query)], [at(start + length), at(query + 1)]);
      stairs.set(start, edge);
    }
  }
  const cells = [...stairs].map(([start, edge]) => {
    const look = colourOf(start < layout.prompt ? -1 : responseOf(start, layout));
    return polygon([...edge, [at(start), edge.at(-1)[1]]], `seen ${look}`);
  });
  const marked = seenBy(row, layout).map(([start, length]) => rect(at(start), at(row) - 1, at(length) - at(0), Math.max(height, 2) + 2, "looked"));
  const borders = Array.from({ length: layout.count }, (_, i) => at(layout.prompt + i * layout.response)).flatMap((place) => [
    line(place, MASK[0], place, MASK[1], "grid"),
    line(MASK[0], place, MASK[1], place, "grid"),
  ]);
  draw(
    svg,
    `Attention mask of ${total} tokens. ${label}`,
    rect(MASK[0], MASK[0], MASK[1] - MASK[0], MASK[1] - MASK[0], "frame"),
    cells,
    borders,
    rect(MASK[0], at(row) - 1, MASK[1] - MASK[0], Math.max(height, 2) + 2, "lookrow"),
    marked,
  );
}

export function drawBlocks(svg, layout, found) {
  const { prompt, response, count } = layout;
  const width = fit(svg, 132);
  const across = scale([0, found.apart], [1, width - 1]);
  const block = (start, length, y, look, name) => [
    rect(across(start) + 0.5, y, across(length) - across(0) - 1, 30, `block ${look}`),
    across(length) - across(0) > 22 ? text(name, (across(start) + across(start + length)) / 2, y + 20, "middle", "onblock") : "",
  ];
  const apart = Array.from({ length: count }, (_, i) => [
    block(i * (prompt + response), prompt, 18, "question", "P"),
    block(i * (prompt + response) + prompt, response, 18, colourOf(i), `R${i + 1}`),
  ]);
  const shared = Array.from({ length: count }, (_, i) => block(prompt + i * response, response, 84, colourOf(i), `R${i + 1}`));
  draw(
    svg,
    `Apart ${found.apart} tokens, shared ${found.shared}.`,
    text(`question repeated: ${whole(found.apart)} tokens`, 1, 12, "start", "name"),
    apart.flat(3).filter(Boolean),
    text(`question once: ${whole(found.shared)} tokens`, 1, 78, "start", "name"),
    block(0, prompt, 84, "question", "P").filter(Boolean),
    shared.flat(2).filter(Boolean),
    rect(across(found.shared), 84, across(found.apart) - across(found.shared), 30, "blank"),
  );
}

export function drawFactor(svg, layout, found) {
  const [left, right, top, bottom] = [24, fit(svg, 240) - 12, 12, 206];
  const MOST = 10;
  const ratio = layout.prompt / layout.response;
  const shown = Math.min(ratio, MOST); // beyond it, the point stays at the end of its curve
  const x = scale([0, MOST], [left, right]);
  const y = scale([1, 6], [bottom, top]);
  const factorAt = (count) => (p) => sharing({ prompt: p, response: 1, count }).factor;
  const curves = [2, 4, 8].map((count, i) => polyline(curve(factorAt(count), [0, MOST], x, y), `curve ${["s1", "s2", "s3"][i]}`));
  const names = [2, 4, 8].map((count) => text(`K = ${count}`, x(MOST) - 4, y(factorAt(count)(MOST)) - 7, "end", "name"));
  const own = [2, 4, 8].includes(layout.count) ? [] : [polyline(curve(factorAt(layout.count), [0, MOST], x, y), "curve own")];
  draw(
    svg,
    `At ${ratio.toFixed(2)} tokens of question a token of answer and ${layout.count} answers, a factor of ${found.factor.toFixed(2)}.`,
    xAxis(x, [0, 2, 4, 6, 8, 10], top, bottom),
    yAxis(y, [1, 2, 3, 4, 5, 6], left, right, fixed(0)),
    curves,
    own,
    names,
    line(x(shown), bottom, x(shown), y(factorAt(layout.count)(shown)), "drop"),
    dot(x(shown), y(factorAt(layout.count)(shown)), 6.5, ratio > MOST ? "ghost" : "point"),
  );
}
