// Numbers for people.

export const minus = (text) => text.replace(/^-(?=[\d.∞])/, "−");

// So many decimals, and no zero with a sign.
export function fixed(decimals) {
  return (value) => {
    const text = value.toFixed(decimals);
    return Number(text) === 0 ? text.replace("-", "") : text;
  };
}

// With its sign, for what is added.
export const signed = (decimals) => (value) => (Number(value.toFixed(decimals)) > 0 ? "+" : "") + fixed(decimals)(value);

export const whole = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : "∞");

export const percent = (decimals) => (value) => `${fixed(decimals)(100 * value)}\u00a0%`;

// Three digits and a unit: 8.03 B, 4.1 GB.
export function short(value, units = ["", "K", "M", "B", "T"], base = 1000) {
  if (!Number.isFinite(value)) return "∞";
  let step = 0;
  let left = value;
  while (left >= base * 0.9995 && step < units.length - 1) {
    left /= base;
    step += 1;
  }
  const digits = Number.isInteger(left) && left < 1000 ? String(left) : left.toPrecision(3);
  return `${digits}\u00a0${units[step]}`.trim();
}

export const bytes = (value) => short(value, ["bytes", "kB", "MB", "GB", "TB"]);
