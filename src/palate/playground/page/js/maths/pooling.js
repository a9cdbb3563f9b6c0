// Where a pooling rule looks in a padded row. A row has `length` real tokens in `width` places.

// Places of the real tokens: [first, past the last).
export const realPlaces = (length, width, side) => (side === "right" ? [0, length] : [width - length, width]);

// Places that are read. "bug" is hidden[:, -1], which looks at the last place whatever is there.
export function placesRead(rule, length, width, side, responseStart) {
  const [first, end] = realPlaces(length, width, side);
  const range = (from) => Array.from({ length: end - from }, (_, i) => from + i);
  if (rule === "bug") return [width - 1];
  if (rule === "last") return [end - 1];
  if (rule === "cls") return [first];
  return range(rule === "mean-response" ? first + responseStart : first);
}

// The head is linear, so the reward of a mean of hidden states is the mean of the rewards at their places.
export const pooledReward = (rewards, places) =>
  places.reduce((sum, place) => sum + rewards[place], 0) / places.length;
