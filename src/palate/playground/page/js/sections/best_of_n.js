// Section 6: proxy and gold as there are more samples to choose from.
import { bind, presets, show } from "../controls.js";
import { curve, scale, ticksTo, yAxis } from "../draw/axes.js";
import { dot, draw, line, polygon, polyline, text } from "../draw/svg.js";
import { fixed, percent, short, whole } from "../format.js";
import { bestOf, distanceOf, keptAt, partsAt, peakOf } from "../maths/best_of_n.js";

const LAST = 2 ** 16;
const NAMED = [1, 2, 4, 16, 64, 512, 4096, LAST];

export function startBestOfN(section, { shortfall }) {
  const svg = section.querySelector('[data-draw="curves"]');
  const compute = (values) => {
    const n = Math.max(1, Math.round(2 ** values.power));
    const found = bestOf(n, values);
    const ends = { peak: peakOf(values), parts: partsAt(values, shortfall) };
    const far = values.beta > 0 ? "over 10¹⁵" : "∞";
    show(section, { n, ...ends }, (value) => (value < 1e6 ? whole(value) : value < 1e15 ? short(value) : far));
    show(section, { kl: found.kl, proxy: found.proxy, gold: found.gold }, fixed(3));
    // Nothing is promised where choosing between two gains nothing.
    const promised = values.alpha > values.beta * distanceOf(2);
    show(section, { kept: promised ? keptAt(n, values) : NaN }, (value) => (Number.isNaN(value) ? "–" : percent(0)(value)));
    const says = inWords(n, found, ends, values);
    section.querySelector(".says").textContent = says;
    return { found, ends, says };
  };
  const paint = (values, { found, ends, says }) => drawCurves(svg, values, found, ends, says);
  const { glide } = bind(section, compute, paint);
  presets(section, glide);
}

function inWords(n, { proxy, gold }, { peak, parts }, { alpha, beta }) {
  if (alpha === 0 && beta === 0) return "The choices are worth nothing: gold stays where it is, however many samples there are.";
  if (beta === 0) return "Nothing wears off: all that the proxy promises is real, and more samples are always better.";
  if (n === 1) return "One sample is no choice: the winner is what the policy writes anyway.";
  if (gold < 0) return `Best of ${whole(n)}: the reward model sees ${proxy.toFixed(2)}, and the winner is worse than a sample taken blindly.`;
  const sense = n < parts ? "So far gold keeps up." : n <= peak ? "Gold still rises, but keeps less than the first choices promised." : "Gold falls: every further sample makes the winner worse, and the reward model does not see it.";
  return `Best of ${whole(n)}: the reward model sees ${proxy.toFixed(2)}, of which ${(proxy - gold).toFixed(2)} is not there. ${sense}`;
}

function drawCurves(svg, { alpha, beta }, found, { peak, parts }, label) {
  const [left, right, top, bottom] = [42, 390, 10, 296];
  const end = distanceOf(LAST);
  const high = Math.max(alpha * end, 0.5) * 1.04;
  const low = Math.min(0, end * (alpha - beta * end)) * 1.04;
  const x = scale([0, end], [left, right]);
  const y = scale([low, high], [bottom, top]);
  const proxy = (d) => alpha * d;
  const gold = (d) => d * (alpha - beta * d);
  const golds = curve(gold, [0, end], x, y);
  const { distance } = found;
  const steps = ticksTo(Math.max(high, -low));
  const ticks = [...steps.slice(1).map((tick) => -tick), ...steps].filter((tick) => tick >= low && tick <= high);
  const late = (n) => distanceOf(n) > end * 0.8;
  const mark = (n, name, look, above) => (n <= LAST && n > 1
    ? [line(x(distanceOf(n)), bottom, x(distanceOf(n)), y(gold(distanceOf(n))), `drop ${look}`), text(name, x(distanceOf(n)) + (late(n) ? -5 : 5), bottom - above, late(n) ? "end" : "start", "name halo")]
    : []);
  draw(
    svg,
    `Proxy and gold by the number of samples. ${label}`,
    polygon([[x(0), y(0)], [x(end), y(proxy(end))], ...golds.toReversed()], "lost"),
    NAMED.flatMap((n) => [line(x(distanceOf(n)), top, x(distanceOf(n)), bottom, "grid faint"), text(n >= 1024 ? `${n / 1024}k` : String(n), x(distanceOf(n)), bottom + 15, n === LAST ? "end" : "middle")]),
    yAxis(y, ticks, left, right, (tick) => String(tick)),
    text("samples to choose from, n", (left + right) / 2, bottom + 34, "middle", "name"),
    polyline([[x(0), y(0)], [x(end), y(proxy(end))]], "curve s1"),
    polyline(golds, "curve s2"),
    mark(parts, "part", "early", 6),
    mark(peak, "peak", "", 21),
    line(x(distance), y(proxy(distance)), x(distance), y(gold(distance)), "tangent"),
    dot(x(distance), y(proxy(distance)), 6, "s1 filled"),
    dot(x(distance), y(gold(distance)), 6, "s2 filled"),
  );
}
