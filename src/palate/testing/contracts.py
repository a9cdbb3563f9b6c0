"""Contracts as tests: what a part of your own must do to work where palate's parts do.

Call a check from a test of yours. It raises `AssertionError` at the first clause that is broken, with the
clause and the numbers; silence means that the part keeps the contract. The checks know nothing of how a part
works, so they test palate's own parts and anyone else's alike.

    check_loss(loss)                        a loss on pairs of rewards
    check_pooling(make_pooling, size)       from hidden states to one vector a sequence
    check_backbone(backbone, vocab_size)    a body: from tokens to hidden states
"""

from palate.testing.contracts_backbone import check_backbone
from palate.testing.contracts_loss import check_loss
from palate.testing.contracts_pooling import check_pooling

__all__ = ["check_backbone", "check_loss", "check_pooling"]
