// The loss and the probability by the gap, and the push on each reward.
import { clamp, curve, scale, xAxis, yAxis } from "../draw/axes.js";
import { arrow, dot, draw, fit, line, polygon, polyline, text } from "../draw/svg.js";
import { fixed } from "../format.js";
import { lossOfGap, sigmoid } from "../maths/pair.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [40, 390, 12, 222];
const GAPS = [-8, 8];
const TICKS = [-8, -4, 0, 4, 8];
const x = scale(GAPS, [LEFT, RIGHT]);
const MOST = 11; // the loss of the widest gap the wrong way round, and the largest margin
const lossPlace = scale([0, MOST], [BOTTOM, TOP]);
const sharePlace = scale([0, 1], [BOTTOM, TOP]);
const inside = (loss) => lossPlace(Math.min(loss, MOST));

export function drawCurve(svg, { margin }, found) {
  const at = found.difference;
  const apart = Math.abs(at) > 0.7; // else the two points and their names lie on each other
  const slope = found.gradChosen; // of the loss by the gap
  const reach = 1.3;
  const tangent = [-reach, reach].map((step) => [x(at + step), lossPlace(clamp(found.loss + slope * step, -1, MOST + 2))]);
  draw(
    svg,
    `Loss ${found.loss.toFixed(3)} at a gap of ${at.toFixed(2)}; the other way round it would be ${lossOfGap(-at - margin).toFixed(3)}.`,
    xAxis(x, TICKS, TOP, BOTTOM),
    yAxis(lossPlace, [0, 2, 4, 6, 8, 10], LEFT, RIGHT),
    polyline(curve((gap) => Math.min(lossOfGap(gap - margin), MOST), GAPS, x, lossPlace, 320), "curve s3"),
    line(x(-at), BOTTOM, x(-at), inside(lossOfGap(-at - margin)), "drop"),
    line(x(at), BOTTOM, x(at), inside(found.loss), "drop"),
    polyline(tangent, "tangent"),
    dot(x(-at), inside(lossOfGap(-at - margin)), 5.5, "ghost"),
    ...(apart ? [text("the other way round", at > 0 ? x(-at) + 11 : Math.min(x(-at), RIGHT - 60), inside(lossOfGap(-at - margin)) - (at > 0 ? 4 : 12), at > 0 ? "start" : "middle", "name halo")] : []),
    dot(x(at), inside(found.loss), 6.5, "point"),
  );
}

export function drawProbability(svg, found) {
  const shares = curve(sigmoid, GAPS, x, sharePlace);
  const [px, py] = [x(found.difference), sharePlace(found.probability)];
  draw(
    svg,
    `The chosen answer wins with probability ${found.probability.toFixed(3)}.`,
    polygon([[LEFT, BOTTOM], ...shares, [RIGHT, BOTTOM]], "area s1"),
    xAxis(x, TICKS, TOP, BOTTOM),
    yAxis(sharePlace, [0, 0.25, 0.5, 0.75, 1], LEFT, RIGHT, fixed(2)),
    polyline(shares, "curve s1"),
    line(px, BOTTOM, px, py, "drop"),
    line(LEFT, py, px, py, "drop"),
    dot(px, py, 6.5, "point"),
  );
}

export function drawPull(svg, { chosen, rejected }, found) {
  const width = fit(svg, 96);
  const along = scale([-5.6, 5.6], [8, width - 8]);
  const ticks = [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5];
  const row = (value, gradient, at, look, name) => [
    arrow(along(value), at, along(value - 1.5 * gradient), at, look),
    dot(along(value), at, 7, `${look} filled`),
    text(name, along(value), at - 11, "middle", "name"),
  ];
  draw(
    svg,
    `Training raises the chosen reward by ${(-found.gradChosen).toFixed(3)} and lowers the rejected one by as much, times the learning rate.`,
    ticks.flatMap((tick) => [line(along(tick), 8, along(tick), 72, "grid faint"), text(String(tick).replace("-", "−"), along(tick), 90)]),
    line(8, 72, width - 8, 72, "base"),
    row(chosen, found.gradChosen, 24, "s1", "chosen"),
    row(rejected, found.gradRejected, 54, "s2", "rejected"),
  );
}
