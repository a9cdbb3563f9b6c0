// Elements of drawings. Colours are classes, so that one drawing serves light, dark and print.

const SPACE = "http://www.w3.org/2000/svg";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, typeof value === "number" ? Number(value.toFixed(2)) : value);
  }
  element.append(...children);
  return element;
}

export const line = (x1, y1, x2, y2, look) => make("line", { x1, y1, x2, y2, class: look });
export const dot = (cx, cy, r, look) => make("circle", { cx, cy, r, class: look });
export const rect = (x, y, width, height, look) =>
  make("rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: look });

export function text(content, x, y, anchor = "middle", look = "tick") {
  return make("text", { x, y, "text-anchor": anchor, class: look }, content);
}

export function polyline(points, look) {
  return make("polyline", { points: places(points), class: look });
}

export function polygon(points, look, attributes = {}) {
  return make("polygon", { points: places(points), class: look, ...attributes });
}

const places = (points) => points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");

// A shaft and a head; nothing where it would be too short to see.
export function arrow(x1, y1, x2, y2, look) {
  const length = Math.hypot(x2 - x1, y2 - y1);
  if (length < 1) return make("g");
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const head = Math.min(9, length);
  const [bx, by] = [x2 - ux * head, y2 - uy * head];
  const side = head * 0.5;
  return make(
    "g",
    { class: `arrow ${look}` },
    line(x1, y1, bx, by, "shaft"),
    polygon([[x2, y2], [bx - uy * side, by + ux * side], [bx + uy * side, by - ux * side]], "head"),
  );
}

// Let a unit of the drawing be a pixel, whatever the width of the page, so that text keeps its size; the width.
export function fit(svg, height) {
  const width = Math.round(svg.clientWidth) || 800;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return width;
}

// Follow a pointer that is pressed on a drawing: `move` gets its place in units of the drawing.
export function drag(svg, move) {
  const follow = (event) => move(new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()));
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) follow(event);
  });
}

// Put a drawing in place of what was there, and say what it shows.
export function draw(svg, label, ...children) {
  svg.replaceChildren(...children.flat());
  svg.setAttribute("aria-label", label);
}
