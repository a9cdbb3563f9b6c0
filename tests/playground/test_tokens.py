"""The tokenized example on the page is what the tokenizer and the model give."""

import json

import numpy as np
import pytest
from tests.playground.tokens import FILE, tokenized_example


@pytest.mark.slow
def test_tokens_and_rewards_are_those_of_the_model() -> None:
    kept, found = json.loads(FILE.read_text(encoding="utf-8")), tokenized_example()
    for side in ("right", "left"):
        # another machine may sum in another order
        np.testing.assert_allclose(kept["reward"].pop(side), found["reward"].pop(side), atol=2e-3)
    assert kept == found


def test_padding_on_either_side_gives_the_same_rewards_at_real_tokens_and_the_bug_does_not() -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    width = max(map(len, kept["rows"]))
    for row, right, left in zip(kept["rows"], kept["reward"]["right"], kept["reward"]["left"], strict=True):
        np.testing.assert_allclose(right[: len(row)], left[width - len(row) :], atol=1e-3)
        assert (abs(right[-1] - left[-1]) > 1) == (len(row) < width)
