// One comparison: what palate.losses.bradley_terry computes for a certain label, and what follows from it.

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// -ln sigmoid(gap), without overflow on either side.
export const lossOfGap = (gap) =>
  gap > 0 ? Math.log1p(Math.exp(-gap)) : -gap + Math.log1p(Math.exp(gap));

// gap = r_c - r_r - m; the label is certain, so the gradients are -(1 - sigmoid(gap)) and its opposite.
export function comparePair({ chosen, rejected, margin }) {
  const difference = chosen - rejected;
  const gap = difference - margin;
  const pull = sigmoid(-gap);
  const right = lossOfGap(Math.abs(difference) - margin);
  const wrong = lossOfGap(-Math.abs(difference) - margin);
  return {
    difference,
    gap,
    probability: sigmoid(difference),
    loss: lossOfGap(gap),
    gradChosen: -pull,
    gradRejected: pull,
    right,
    wrong,
    ratio: wrong / right,
  };
}
