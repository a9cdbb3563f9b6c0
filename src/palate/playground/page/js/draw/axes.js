// From values to places in a drawing, and the axes beside it.
import { minus } from "../format.js";
import { line, text } from "./svg.js";

// A linear scale: place(value), and value(place) for pointers.
export function scale([low, high], [start, end]) {
  const place = (value) => start + ((value - low) / (high - low)) * (end - start);
  place.value = (at) => low + ((at - start) / (end - start)) * (high - low);
  return place;
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Evenly spaced samples of a function, as places; `top` and `bottom` keep the curve inside.
export function curve(f, [low, high], x, y, samples = 160) {
  return Array.from({ length: samples + 1 }, (_, i) => {
    const at = low + ((high - low) * i) / samples;
    return [x(at), y(f(at))];
  });
}

export function xAxis(x, ticks, top, bottom, label = String) {
  return ticks.flatMap((tick) => [
    line(x(tick), top, x(tick), bottom, "grid faint"),
    text(minus(label(tick)), x(tick), bottom + 15),
  ]);
}

export function yAxis(y, ticks, left, right, label = String) {
  return ticks.flatMap((tick) => [
    line(left, y(tick), right, y(tick), "grid"),
    text(minus(label(tick)), left - 6, y(tick) + 4, "end"),
  ]);
}

// A step of 1, 2 or 5 times a power of ten that cuts [0, high] into at most `parts`, and the ticks.
export function ticksTo(high, parts = 5) {
  const power = 10 ** Math.floor(Math.log10(high / parts));
  const step = power * [1, 2, 5, 10].find((m) => m * power * parts >= high * 0.999);
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}
