// Rewards that follow length, and what control takes out of them. Columns are arrays of one number a response.

const mean = (column) => column.reduce((sum, x) => sum + x, 0) / column.length;

// Least squares of y on x: slope, intercept, and R^2, the share of variance that the line explains.
export function fitLine(x, y) {
  const [mx, my] = [mean(x), mean(y)];
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i += 1) {
    xx += (x[i] - mx) ** 2;
    xy += (x[i] - mx) * (y[i] - my);
    yy += (y[i] - my) ** 2;
  }
  return { slope: xy / xx, intercept: my - (xy / xx) * mx, r2: yy > 1e-12 ? xy ** 2 / (xx * yy) : 0 };
}

// Rewards of a model: what is good about a response, part of which goes with its length, and a liking for length.
// `length` and `rest` have mean 0, variance 1 and no correlation; `deserved` is the correlation of quality and length.
export function rewardsOf({ length, rest }, { bias, deserved }) {
  const quality = length.map((x, i) => deserved * x + Math.sqrt(1 - deserved ** 2) * rest[i]);
  return { quality, reward: quality.map((q, i) => q + bias * length[i]) };
}

// Control as it ends up whatever its means: a reward that does not follow length.
export function controlled(length, reward) {
  const { slope } = fitLine(length, reward);
  return reward.map((r, i) => r - slope * length[i]);
}

// Neighbours are two responses to one prompt. How often the reward prefers the longer, and the better one.
export function judgePairs(length, quality, reward) {
  let [longer, better] = [0, 0];
  for (let i = 0; i < reward.length; i += 2) {
    const prefersFirst = reward[i] > reward[i + 1];
    longer += prefersFirst === length[i] > length[i + 1];
    better += prefersFirst === quality[i] > quality[i + 1];
  }
  return { longer: (2 * longer) / reward.length, better: (2 * better) / reward.length };
}
