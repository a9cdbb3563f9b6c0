"""One gradient step of a reward model by hand, every number in the open.

Four features for each response, a head of four weights that starts at zero, one step of plain gradient
descent with learning rate 1: small enough to follow with a pencil, and complete, since a real reward model
differs only in where the features come from. `walkthrough` uses the standard library alone, so nothing is
hidden in a library; `autograd_check` takes the same step with palate's own loss and PyTorch's autograd, in
float64 so that no difference can come from precision; `render` puts the two beside each other.
"""

import math
import operator
from dataclasses import dataclass

Vector = tuple[float, ...]

FEATURES_CHOSEN: Vector = (0.5, 1.0, -0.3, 0.2)
FEATURES_REJECTED: Vector = (0.1, 0.4, -0.1, -0.2)
LEARNING_RATE = 1.0

_FOOTNOTE = """\
Note. A listing of this example in circulation prints -0.1 for the third entry of the gradient and rewards
0.19 and 0.09 after the step. The entry is -(1 - P) (h_c - h_r) = -0.5 (-0.3 - (-0.1)) = +0.1, and the
rewards are 0.47 and 0.11. The wrong sign alone would give 0.41 and 0.09; 0.19 follows from neither."""


@dataclass(frozen=True, slots=True)
class Step:
    """The forward and the backward pass with the head as it stands.

    Attributes:
        weights: w.
        reward_chosen: r_c = w . h_c.
        reward_rejected: r_r = w . h_r.
        margin: r_c - r_r.
        probability: P = sigmoid(margin), that the chosen response wins.
        loss: -ln P, in nats.
        grad_reward_chosen: dl/dr_c = -(1 - P).
        grad_reward_rejected: dl/dr_r = +(1 - P).
        gradient: dl/dw = dl/dr_c h_c + dl/dr_r h_r = -(1 - P) (h_c - h_r).
    """

    weights: Vector
    reward_chosen: float
    reward_rejected: float
    margin: float
    probability: float
    loss: float
    grad_reward_chosen: float
    grad_reward_rejected: float
    gradient: Vector


@dataclass(frozen=True, slots=True)
class Walkthrough:
    """One gradient step: the head before it, what it changes, the head after it.

    Attributes:
        before: step 0, with w = 0.
        update: -learning rate times the gradient, what is added to w.
        after: step 1.
    """

    before: Step
    update: Vector
    after: Step


def walkthrough() -> Walkthrough:
    """The worked example, computed with the standard library alone.

    >>> result = walkthrough()
    >>> [round(slope, 6) for slope in result.before.gradient]
    [-0.2, -0.3, 0.1, -0.2]
    >>> f"{result.after.margin:.2f} {result.after.probability:.3f} {result.after.loss:.3f}"
    '0.36 0.589 0.529'
    """
    before = _step(weights=(0.0,) * len(FEATURES_CHOSEN))
    update = tuple(-LEARNING_RATE * slope for slope in before.gradient)
    return Walkthrough(before, update, after=_step(tuple(map(operator.add, before.weights, update))))


def autograd_check() -> Walkthrough:
    """The same numbers from PyTorch: autograd for the gradients, `torch.optim.SGD` for the step, float64."""
    import torch

    from palate.losses import bradley_terry

    features_2D = torch.tensor([FEATURES_CHOSEN, FEATURES_REJECTED], dtype=torch.float64)
    weights_D = torch.zeros(len(FEATURES_CHOSEN), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weights_D], lr=LEARNING_RATE)

    def step() -> Step:
        reward_2 = features_2D @ weights_D
        loss_1 = bradley_terry(reward_2[:1], reward_2[1:])
        grad_2, weights_D.grad = torch.autograd.grad(loss_1.sum(), [reward_2, weights_D])
        margin = reward_2[0] - reward_2[1]
        return Step(
            weights=tuple(weights_D.tolist()),
            reward_chosen=reward_2[0].item(),
            reward_rejected=reward_2[1].item(),
            margin=margin.item(),
            probability=margin.sigmoid().item(),
            loss=loss_1.item(),
            grad_reward_chosen=grad_2[0].item(),
            grad_reward_rejected=grad_2[1].item(),
            gradient=tuple(weights_D.grad.tolist()),
        )

    before = step()
    optimizer.step()
    after = step()
    return Walkthrough(before, tuple(map(operator.sub, after.weights, before.weights)), after)


def render(result: Walkthrough, autograd: Walkthrough) -> str:
    """A plain text page: every number by hand, from autograd, and the absolute difference."""
    lines = ["One gradient step of a reward model, by hand", ""]
    lines += [
        "Features, given",
        _vector("h_c, chosen", FEATURES_CHOSEN),
        _vector("h_r, rejected", FEATURES_REJECTED),
    ]
    lines += ["", f"{'':<48}{'by hand':>12}{'autograd':>12}{'difference':>12}"]
    lines += ["Step 0: the head starts at zero", *_step_rows(result.before, autograd.before)]
    lines += ["", f"Update: w <- w - {LEARNING_RATE:g} dl/dw"]
    lines += _rows("change of w", "-learning rate dl/dw", result.update, autograd.update)
    lines += ["", "Step 1: the same pair again", *_step_rows(result.after, autograd.after)]
    return "\n".join([*lines, "", _FOOTNOTE, ""])


def _step(weights: Vector) -> Step:
    reward_chosen, reward_rejected = _dot(weights, FEATURES_CHOSEN), _dot(weights, FEATURES_REJECTED)
    margin = reward_chosen - reward_rejected
    probability = 1 / (1 + math.exp(-margin))
    pull = 1 - probability
    differences = map(operator.sub, FEATURES_CHOSEN, FEATURES_REJECTED)
    return Step(
        weights=weights,
        reward_chosen=reward_chosen,
        reward_rejected=reward_rejected,
        margin=margin,
        probability=probability,
        loss=-math.log(probability),
        grad_reward_chosen=-pull,
        grad_reward_rejected=pull,
        gradient=tuple(-pull * difference for difference in differences),
    )


def _dot(left: Vector, right: Vector) -> float:
    return math.fsum(map(operator.mul, left, right))


def _step_rows(hand: Step, autograd: Step) -> list[str]:
    return [
        *_rows("w", "the head", hand.weights, autograd.weights),
        _row("r_c", "w . h_c", hand.reward_chosen, autograd.reward_chosen),
        _row("r_r", "w . h_r", hand.reward_rejected, autograd.reward_rejected),
        _row("margin", "r_c - r_r", hand.margin, autograd.margin),
        _row("P", "1 / (1 + exp(-margin))", hand.probability, autograd.probability),
        _row("loss", "-ln P", hand.loss, autograd.loss),
        _row("dl/dr_c", "-(1 - P)", hand.grad_reward_chosen, autograd.grad_reward_chosen),
        _row("dl/dr_r", "+(1 - P)", hand.grad_reward_rejected, autograd.grad_reward_rejected),
        *_rows("dl/dw", "-(1 - P) (h_c - h_r)", hand.gradient, autograd.gradient),
    ]


def _rows(name: str, formula: str, hand: Vector, autograd: Vector) -> list[str]:
    pairs = enumerate(zip(hand, autograd, strict=True), start=1)
    return [_row(f"{name} [{i}]", formula if i == 1 else "", left, right) for i, (left, right) in pairs]


def _row(name: str, formula: str, hand: float, autograd: float) -> str:
    # The z drops the sign of a negative zero, which would read as a result.
    return f"  {name:<18}{formula:<28}{hand:>z12.6f}{autograd:>z12.6f}{abs(hand - autograd):>12.1e}"


def _vector(name: str, values: Vector) -> str:
    return f"  {name:<18}({', '.join(f'{value:g}' for value in values)})"
