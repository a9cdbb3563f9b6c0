// Section 5: a cloud of rewards that bends with length, and what control does to it.
import { bind, show } from "../controls.js";
import { scale, xAxis, yAxis } from "../draw/axes.js";
import { dot, draw, fit, line, rect, text } from "../draw/svg.js";
import { fixed, percent } from "../format.js";
import { controlled, fitLine, judgePairs, rewardsOf } from "../maths/length.js";

const TOKENS = [20, 50, 100, 200, 500, 1000];

export function startLength(section, facts) {
  const sample = { length: facts.length, rest: facts.rest };
  const svg = (name) => section.querySelector(`[data-draw="${name}"]`);
  const compute = (values) => {
    const { quality, reward } = rewardsOf(sample, values);
    const mended = controlled(sample.length, reward);
    const shown = values.control === "on" ? mended : reward;
    const fit = fitLine(sample.length, shown);
    const off = judgePairs(sample.length, quality, reward);
    const judged = values.control === "on" ? judgePairs(sample.length, quality, mended) : off;
    show(section, { r2: fit.r2, r2Off: fitLine(sample.length, reward).r2, r2On: fitLine(sample.length, mended).r2 }, fixed(3));
    show(section, judged, percent(0));
    const says = inWords(values, fit, judged, off, facts);
    section.querySelector(".says").textContent = says;
    return { shown, fit, says };
  };
  const paint = (_, { shown, fit, says }) => {
    drawScatter(svg("scatter"), sample.length, shown, fit, facts, says);
    drawGauge(svg("gauge"), fit.r2, facts);
  };
  bind(section, compute, paint);
}

function inWords({ bias, deserved, control }, fit, judged, off, { warn, fail }) {
  const share = `${Math.round(100 * fit.r2)} %`;
  if (control === "on") {
    const change = Math.round(100 * (judged.better - off.better));
    const cost = change < 0
      ? ` It costs ${-change} points of accuracy, because length was deserved.`
      : change > 0 ? ` Accuracy rises by ${change} points.` : " Accuracy stays as it was.";
    return `With control the reward does not follow length.${cost}`;
  }
  // An audit judges the lower end of an interval, which is wide for so few answers.
  const sure = "if it has answers enough to be sure.";
  const verdict = fit.r2 >= fail ? `An audit fails this, ${sure}` : fit.r2 >= warn ? `An audit warns of this, ${sure}` : "An audit would pass.";
  const part = bias > 0 ? "Part" : "All";
  const deservedly = deserved > 0.3 && fit.slope > 0 && fit.r2 >= warn ? ` ${part} of that is deserved: R² alone cannot tell.` : "";
  return `Length explains ${share} of the reward. ${verdict}${deservedly}`;
}

function drawScatter(svg, length, reward, fit, { logMean, logSpread }, label) {
  const [left, right, top, bottom] = [30, 384, 8, 302];
  const place = scale([Math.log(18), Math.log(1100)], [left, right]);
  const x = (standard) => place(logMean + logSpread * standard);
  const y = scale([-7.5, 7.5], [bottom, top]);
  const ends = [Math.log(22), Math.log(1000)].map((log) => (log - logMean) / logSpread);
  draw(
    svg,
    `Scatter of reward by length. ${label}`,
    xAxis((tokens) => place(Math.log(tokens)), TOKENS, top, bottom),
    yAxis(y, [-6, -3, 0, 3, 6], left, right),
    reward.map((r, i) => dot(x(length[i]), y(r), 3.6, "dot s1 some")),
    line(x(ends[0]), y(fit.intercept + fit.slope * ends[0]), x(ends[1]), y(fit.intercept + fit.slope * ends[1]), "fit strong"),
  );
}

function drawGauge(svg, r2, { warn, fail }) {
  const x = scale([0, 1], [2, fit(svg, 74) - 2]);
  const tone = r2 >= fail ? "fail" : r2 >= warn ? "warn" : "sound";
  draw(
    svg,
    `R squared ${r2.toFixed(3)}: ${tone}.`,
    rect(x(0), 22, x(1) - x(0), 16, "track"),
    rect(x(0), 22, x(r2) - x(0), 16, `amount ${tone}`),
    [[warn, "warns"], [fail, "fails"]].flatMap(([limit, name]) => [
      line(x(limit), 17, x(limit), 43, "threshold"),
      text(name, x(limit), 13, name === "warns" ? "end" : "start", "name"),
    ]),
    [0, 0.25, 0.5, 0.75, 1].map((tick) => text(tick.toFixed(2), x(tick), 60, tick === 0 ? "start" : tick === 1 ? "end" : "middle")),
  );
}
