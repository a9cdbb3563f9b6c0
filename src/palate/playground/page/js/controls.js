// What readers act on, and where values are shown. A quantity may have a slider and a number field: both carry its name
// in `data-input`, and what is typed beyond the slider's ends is marked, not taken. A value is shown in <data
// data-show="name">, rounded in its text and whole in its `value`.
import { minus } from "./format.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// What a number field holds can be used: a number between its ends, and whole where its steps are.
const usable = ({ value, validity, step }) =>
  value !== "" && !validity.rangeUnderflow && !validity.rangeOverflow && !(step === "1" && validity.stepMismatch);

const isNumber = (field) => field.type === "range" || field.type === "number";

function read(field) {
  if (field.type === "checkbox") return field.checked;
  return isNumber(field) ? Number(field.value) : field.value;
}

function write(field, value) {
  if (field.type === "checkbox") field.checked = value;
  else if (field.type === "radio") field.checked = field.value === value;
  else if (document.activeElement !== field || field.type !== "number") field.value = value;
  if (field.type === "number") field.removeAttribute("aria-invalid");
}

// Change how far a number can go; what lies beyond it comes back to the end.
export function limit(section, values, name, high) {
  values[name] = Math.min(values[name], high);
  for (const field of section.querySelectorAll(`[data-input="${name}"]`)) {
    field.max = high;
    write(field, values[name]);
  }
}

// Ties a section's fields together. After each change, and once at the start, `compute(values, name)` says what follows
// and shows it in words and numbers; `paint(values, found)` draws it, at most once a frame however fast a slider moves.
export function bind(section, compute, paint = () => {}) {
  const values = {};
  const fieldsOf = (name) => section.querySelectorAll(`[data-input="${name}"]`);
  for (const field of section.querySelectorAll("[data-input]")) {
    if (field.type !== "radio" || field.checked) values[field.dataset.input] = read(field);
  }
  let found = null;
  let waiting = false;
  let turn = 0; // rises with whatever a reader does, so that a glide which is under way gives way to it
  let aim = {}; // of the glide which is under way
  const change = (name) => {
    found = compute(values, name);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      paint(values, found);
    });
  };
  const refresh = (name) => {
    for (const field of fieldsOf(name)) write(field, values[name]);
  };
  section.addEventListener("input", ({ target }) => {
    const name = target.dataset.input;
    if (!name) return;
    if (target.type === "number" && !usable(target)) {
      target.setAttribute("aria-invalid", "true");
      return;
    }
    turn += 1;
    aim = {};
    values[name] = read(target);
    refresh(name);
    change(name);
  });
  // A field that is left with something unusable in it shows what is in force.
  section.addEventListener("focusout", ({ target }) => {
    if (target.type === "number" && target.dataset.input) write(target, values[target.dataset.input]);
  });
  const place = (changed) => {
    for (const [name, value] of Object.entries(changed)) {
      values[name] = fieldsOf(name)[0].step === "1" ? Math.round(value) : value; // whole on its way, too
      refresh(name);
    }
    change(null);
  };
  const set = (changed) => {
    turn += 1;
    aim = {};
    place(changed);
  };
  const glideTo = (target) => {
    turn += 1;
    const own = turn;
    aim = target;
    glide(values, target, place, () => own === turn);
  };
  // Drawings that are as wide as the page are drawn anew where it becomes wider or narrower.
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) change(null);
    width = innerWidth;
  });
  paint(values, compute(values, null));
  return { values, set, glide: glideTo, settled: () => ({ ...values, ...aim }) };
}

// Move numbers to their targets in a third of a second, or at once for readers who want no motion.
function glide(values, target, place, goesOn) {
  const start = Object.fromEntries(Object.keys(target).map((name) => [name, values[name]]));
  if (calm.matches) {
    place(target);
    return;
  }
  const began = performance.now();
  const frame = (now) => {
    if (!goesOn()) return;
    const share = Math.min(1, Math.max(0, (now - began) / 350));
    const eased = 1 - (1 - share) ** 3;
    const between = ([name, end]) => [name, share < 1 ? start[name] + eased * (end - start[name]) : end];
    place(Object.fromEntries(Object.entries(target).map(between)));
    if (share < 1) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

// Show values by name; `toText` says how they read.
export function show(section, values, toText) {
  for (const [name, value] of Object.entries(values)) {
    for (const place of section.querySelectorAll(`[data-show="${name}"]`)) {
      place.value = String(value);
      place.textContent = minus(toText(value));
    }
  }
}

// Buttons that set several quantities at once: data-preset holds them as JSON.
export function presets(section, apply) {
  for (const button of section.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => apply(JSON.parse(button.dataset.preset)));
  }
}
