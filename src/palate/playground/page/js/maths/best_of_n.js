// Best-of-n: how far it goes from the policy, what the proxy promises, and what gold gives.
// The form d (alpha - beta d), d = sqrt(KL), is that of Gao et al. (2210.10760) for best-of-n.

export const klOf = (n) => Math.log(n) - (n - 1) / n;
export const distanceOf = (n) => Math.sqrt(klOf(n));

// The n, not rounded, at a distance; KL rises with n, so halving an interval finds it. Infinite where it is too large for
// a number.
export function numberAt(distance) {
  if (distance ** 2 > 700) return Infinity;
  let [low, high] = [0, 705]; // of ln n
  for (let i = 0; i < 100; i += 1) {
    const middle = (low + high) / 2;
    if (middle - 1 + Math.exp(-middle) < distance ** 2) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

// proxy: as if the first samples' rate went on for ever; gold: what wears off taken away.
export function bestOf(n, { alpha, beta }) {
  const distance = distanceOf(n);
  const proxy = alpha * distance;
  return { kl: klOf(n), distance, proxy, gold: proxy - beta * distance ** 2 };
}

// Where gold is highest; infinite where nothing wears off, and at the start where there is nothing to gain.
export const peakOf = ({ alpha, beta }) => (beta > 0 ? numberAt(alpha / (2 * beta)) : alpha > 0 ? Infinity : 1);

// The share of its promise that gold keeps, the promise being the exchange rate of choosing between two.
export function keptAt(n, { alpha, beta }) {
  return (alpha - beta * distanceOf(n)) / (alpha - beta * distanceOf(2));
}

// The first n, whole, at which less than 1 - shortfall is kept; 2 where even that choice gains nothing.
export function partsAt({ alpha, beta }, shortfall) {
  const first = alpha - beta * distanceOf(2);
  if (first <= 0) return 2;
  if (beta <= 0) return Infinity;
  const distance = (alpha - (1 - shortfall) * first) / beta;
  let n = Math.max(2, Math.floor(numberAt(distance)) - 2);
  if (n > 2 ** 40) return numberAt(distance);
  while (keptAt(n, { alpha, beta }) >= 1 - shortfall) n += 1;
  return n;
}
