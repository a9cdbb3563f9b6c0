"""The contract of a loss on pairs of rewards; see `palate.testing.contracts`."""

import torch
from torch import Tensor

from palate.losses import PairLoss
from palate.testing.require import require

_HUGE = 1e4


def check_loss(loss: PairLoss, *, translation_invariant: bool = True) -> None:
    """Check that `loss` keeps the contract of `palate.losses.PairLoss`.

    In order: one float32 loss for each comparison, finite where the rewards are equal; it depends on that
    comparison alone; its gradient raises the winner and lowers the loser, never the reverse; a tied label
    does not pull equal rewards apart, and margins and label smoothing have an effect; value and gradient are
    finite at gaps of +-1e4, and not flat where the winner is behind; and, unless told otherwise, a constant
    added to both rewards changes nothing.

    Args:
        loss: the function to check.
        translation_invariant: False for a loss that is meant to see the level of the rewards.

    Raises:
        AssertionError: with the first clause that is broken.

    >>> from palate.losses import bradley_terry
    >>> check_loss(bradley_terry)
    >>> check_loss(lambda winner_C, loser_C, **labels: bradley_terry(winner_C, loser_C, **labels).mean())
    Traceback (most recent call last):
    AssertionError: a loss returns one value for each comparison, shape (7,): got shape ()
    """
    _check_values(loss)
    _check_comparisons_are_independent(loss)
    _check_gradient_signs(loss)
    _check_labels(loss)
    _check_huge_gaps(loss)
    if translation_invariant:
        _check_translation(loss)


def _gaps() -> tuple[Tensor, Tensor]:
    winner_C = torch.tensor([0.0, 0.5, -0.5, 3.0, -3.0, 1.25, 2.0])
    loser_C = torch.tensor([0.0, -0.25, 0.75, -1.0, 2.0, 1.25, 2.125])
    return winner_C, loser_C


def _check_values(loss: PairLoss) -> None:
    winner_C, loser_C = _gaps()
    loss_C = loss(winner_C, loser_C)
    shape, expected = tuple(loss_C.shape), tuple(winner_C.shape)
    require(
        shape == expected,
        f"a loss returns one value for each comparison, shape {expected}: got shape {shape}",
    )
    require(loss_C.dtype == torch.float32, f"float32 rewards give a float32 loss: got {loss_C.dtype}")
    require(_finite(loss_C), f"a loss is finite at ordinary rewards, equal ones too: got {loss_C.tolist()}")


def _check_comparisons_are_independent(loss: PairLoss) -> None:
    winner_C, loser_C = _gaps()
    margin_C, share_C = torch.linspace(0, 1, len(winner_C)), torch.linspace(0.5, 1, len(winner_C))
    batch_C = loss(winner_C, loser_C, margin_C=margin_C, probability_C=share_C, label_smoothing=0.1)
    rows = zip(*(column_C[:, None] for column_C in (winner_C, loser_C, margin_C, share_C)), strict=True)
    alone = [loss(w, r, margin_C=m, probability_C=p, label_smoothing=0.1) for w, r, m, p in rows]
    require(
        torch.allclose(batch_C, torch.cat(alone), atol=1e-6),
        "the loss of a comparison depends on that comparison alone: "
        f"{batch_C.tolist()} in a batch, {torch.cat(alone).tolist()} one by one",
    )


def _check_gradient_signs(loss: PairLoss) -> None:
    winner_C, loser_C = _gaps()
    _, grad_winner_C, grad_loser_C = _with_gradients(loss, winner_C, loser_C)
    for effect, uphill_C in (("raises the winner", -grad_winner_C), ("lowers the loser", grad_loser_C)):
        require(
            bool((uphill_C >= 0).all() and (uphill_C[winner_C <= loser_C] > 0).all()),
            f"a step of descent {effect} where it does not lead yet, and never does the reverse: "
            f"at gaps {(winner_C - loser_C).tolist()} it moves by {uphill_C.tolist()} the right way",
        )


def _check_labels(loss: PairLoss) -> None:
    equal_C, one_C = torch.tensor([0.0, 2.5]), torch.ones(2)
    _, grad_winner_C, grad_loser_C = _with_gradients(loss, equal_C, equal_C, margin_C=one_C, probability_C=one_C / 2)
    require(
        torch.allclose(grad_winner_C, grad_loser_C, atol=1e-6),
        "a tied label does not pull equal rewards apart, whatever its margin: "
        f"gradients {grad_winner_C.tolist()} and {grad_loser_C.tolist()}",
    )
    bare_C, with_margin_C = loss(equal_C, equal_C), loss(equal_C, equal_C, margin_C=one_C)
    require(
        bool((with_margin_C > bare_C).all()),
        f"a margin not yet reached raises the loss: {bare_C.tolist()} became {with_margin_C.tolist()}",
    )
    sure_C, smooth_C = loss(equal_C + 8, equal_C), loss(equal_C + 8, equal_C, label_smoothing=0.1)
    require(
        bool((smooth_C > sure_C).all()),
        f"label smoothing makes certainty costly: {sure_C.tolist()} became {smooth_C.tolist()}",
    )


def _check_huge_gaps(loss: PairLoss) -> None:
    # Around 0, where a loss that sees the level of the rewards has nothing to add.
    half_C = torch.tensor([_HUGE, -_HUGE]) / 2
    found = _with_gradients(loss, half_C, -half_C)
    for name, tensor_C in zip(("value", "winner's gradient", "loser's gradient"), found, strict=True):
        require(_finite(tensor_C), f"the {name} is finite at gaps of +-{_HUGE:g}: got {tensor_C.tolist()}")
    # log(sigmoid(gap) + epsilon) is finite and flat here: the worst mistakes would teach nothing.
    require(
        bool((found[1][1] < 0) & (found[2][1] > 0)),
        f"a winner behind by {_HUGE:g} is still raised: gradients {found[1][1]} and {found[2][1]}",
    )


def _check_translation(loss: PairLoss) -> None:
    winner_C, loser_C = _gaps()
    # A power of two, so that the shifted rewards have exactly the same differences.
    here_C, there_C = loss(winner_C, loser_C), loss(winner_C + 64, loser_C + 64)
    require(
        torch.allclose(here_C, there_C, atol=1e-5),
        f"a constant added to both rewards changes nothing: {here_C.tolist()} became {there_C.tolist()}; "
        "check a loss that is meant to see the level of the rewards with translation_invariant=False",
    )


def _with_gradients(
    loss: PairLoss,
    winner_C: Tensor,
    loser_C: Tensor,
    *,
    margin_C: Tensor | None = None,
    probability_C: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients on the winners' and the losers' rewards."""
    winner_C, loser_C = winner_C.clone().requires_grad_(), loser_C.clone().requires_grad_()
    loss_C = loss(winner_C, loser_C, margin_C=margin_C, probability_C=probability_C)
    grad_winner_C, grad_loser_C = torch.autograd.grad(loss_C.sum(), [winner_C, loser_C])
    return loss_C.detach(), grad_winner_C, grad_loser_C


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
