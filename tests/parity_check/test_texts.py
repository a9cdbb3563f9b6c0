"""What is sent: nothing cut, a few long texts up to the length asked for; and the figures of two columns."""

import numpy as np
import pytest

from palate.errors import ModelError
from palate.parity_check.diagnosis import sample_of
from palate.parity_check.figures import compare, line
from palate.parity_check.texts import texts_for
from palate.testing.separate import sharp_reward_model


def test_the_last_texts_are_the_long_ones() -> None:
    model = sharp_reward_model()
    model.max_length = 2048
    texts = texts_for(model, 4096)
    lengths = [len(text.ids) for text in texts]
    assert len(texts) == 64
    assert lengths[-3:] == sorted(lengths[-3:])
    assert 900 < lengths[-2] <= 1024
    assert 1900 < lengths[-1] <= 2048
    assert not any(text.tokens.truncated_tokens for text in texts)
    for text in texts:
        assert model.tokenizer(text.rendered, add_special_tokens=False)["input_ids"] == text.ids.tolist()


def test_the_length_asked_for_is_kept() -> None:
    model = sharp_reward_model()
    assert max(len(text.ids) for text in texts_for(model, 700)) <= 700
    with pytest.raises(ModelError, match=r"only [0-7] of the golden texts fit into 60 tokens"):
        texts_for(model, 60)


def test_what_is_scored_often_is_short() -> None:
    model = sharp_reward_model()
    texts = texts_for(model, 1000)
    sample = sample_of(texts)
    assert len(sample) == len(set(sample)) == 16
    assert max(len(texts[at].ids) for at in sample) < np.quantile([len(text.ids) for text in texts], 0.8)


def test_figures_of_a_turned_order() -> None:
    found = compare(np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, np.nan, 1.0]))
    assert (found.texts, found.unscored) == (3, 1)
    assert (found.spearman, found.flips) == (-1.0, 1.0)
    assert (found.max_difference, found.mean_difference) == (3.0, pytest.approx(7 / 3))
    assert (found.slope, found.offset, found.residual) == pytest.approx((-1.0, 5.0, 0.0))


def test_figures_of_a_constant() -> None:
    found = compare(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]))
    assert found.spearman is None
    assert found.flips == 0.5
    assert line(np.ones(3), np.arange(3.0)) == (0.0, 1.0)
