// The loss over both rewards, as bands: it depends on their difference alone, so that every contour is a diagonal.
import { scale, xAxis, yAxis } from "../draw/axes.js";
import { arrow, dot, draw, line, make, polygon, text } from "../draw/svg.js";
import { lossOfGap } from "../maths/pair.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [42, 390, 12, 360];
const END = 4;
const BAND = 0.25;
const INSET = 0.6; // of a contour's name from the frame
const STEP = 1.6; // length of an arrow for a slope of 1, in reward units
const x = scale([-END, END], [LEFT, RIGHT]); // the rejected reward
const y = scale([-END, END], [BOTTOM, TOP]); // the chosen reward
const TICKS = [-4, -2, 0, 2, 4];

export const rewardsAt = (place) => ({ rejected: x.value(place.x), chosen: y.value(place.y) });

// The strip in which the difference of the rewards lies between two values, long enough to be cut off by the frame.
const strip = (low, high) => {
  const far = 3 * END;
  return [[-far, low - far], [far, low + far], [far, high + far], [-far, high - far]].map(([r, c]) => [x(r), y(c)]);
};

function bands(margin) {
  const found = [];
  for (let low = -2 * END; low < 2 * END; low += BAND) {
    const loss = lossOfGap(low + BAND / 2 - margin);
    // Two colours that meet at the loss of a coin.
    const lost = loss > Math.LN2;
    const strength = lost ? 0.9 * (1 - Math.exp((Math.LN2 - loss) / 3)) : 0.5 * (1 - loss / Math.LN2);
    found.push(polygon(strip(low, low + BAND), `level ${lost ? "s2" : "s1"}`, { "fill-opacity": strength.toFixed(3) }));
  }
  return found;
}

// Where the loss is 0.05, ln 2 and so on: gap = -ln(e^loss - 1).
function contours(margin) {
  return [0.05, 0.2, Math.LN2, 2, 4, 6].flatMap((loss) => {
    const difference = margin - Math.log(Math.expm1(loss));
    if (Math.abs(difference) > 2 * END - 1.2) return [];
    const name = loss === Math.LN2 ? "ln 2" : String(loss);
    // The name stands where the contour enters the frame, a little inside.
    const r = difference > 0 ? INSET - END : END - INSET;
    return [
      line(x(-3 * END), y(difference - 3 * END), x(3 * END), y(difference + 3 * END), loss === Math.LN2 ? "contour main" : "contour"),
      text(name, x(r) + (difference > 0 ? 8 : -8), y(r + difference) + 4, "middle", "onmap"),
    ];
  });
}

export function drawLandscape(svg, { chosen, rejected, margin }, found, label) {
  const [px, py] = [x(rejected), y(chosen)];
  const frame = make("clipPath", { id: "landscape-frame" }, make("rect", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: BOTTOM - TOP }));
  const map = make("g", { "clip-path": "url(#landscape-frame)" }, ...bands(margin), ...contours(margin));
  draw(
    svg,
    `Map of the loss over both rewards. ${label}`,
    frame,
    map,
    xAxis(x, TICKS, BOTTOM, BOTTOM),
    yAxis(y, TICKS, LEFT, LEFT),
    text("reward of the rejected answer", (LEFT + RIGHT) / 2, BOTTOM + 33, "middle", "name"),
    make("text", { x: 0, y: 0, "text-anchor": "middle", class: "name", transform: `translate(12 ${(TOP + BOTTOM) / 2}) rotate(-90)` }, "reward of the chosen answer"),
    arrow(px, py, px, y(chosen - STEP * found.gradChosen), "s1"),
    arrow(px, py, x(rejected - STEP * found.gradRejected), py, "s2"),
    arrow(px, py, x(rejected - STEP * found.gradRejected), y(chosen - STEP * found.gradChosen), "ink"),
    dot(px, py, 7, "point grip"),
  );
}
