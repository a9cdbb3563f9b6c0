// One gradient step of a linear reward head by hand: palate.walkthrough, for any vectors.
import { lossOfGap, sigmoid } from "./pair.js";

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

// Forward: rewards, margin, probability, loss. Backward: the gradient on each reward, then on each weight.
export function passOf(weights, chosen, rejected) {
  const rewardChosen = dot(weights, chosen);
  const rewardRejected = dot(weights, rejected);
  const margin = rewardChosen - rewardRejected;
  const pull = sigmoid(-margin);
  return {
    weights,
    rewardChosen,
    rewardRejected,
    margin,
    probability: sigmoid(margin),
    loss: lossOfGap(margin),
    gradChosen: -pull,
    gradRejected: pull,
    featureGap: chosen.map((x, i) => x - rejected[i]),
    gradient: chosen.map((x, i) => -pull * (x - rejected[i])),
  };
}

// The pass before, what is added to the weights, and the pass after.
export function gradientStep({ weights, chosen, rejected, rate }) {
  const before = passOf(weights, chosen, rejected);
  const update = before.gradient.map((slope) => -rate * slope);
  const after = passOf(weights.map((w, i) => w + update[i]), chosen, rejected);
  return { before, update, after };
}
