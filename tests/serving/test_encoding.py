"""Served text becomes the tokens that training text becomes, in every form and at every length."""

import numpy as np
import pytest

from palate.data.render import render, tokenize
from palate.model.reward_model import RewardModel
from palate.records import Message, PreferenceGroup
from palate.serving.encoding import Encoded, Encoder
from palate.serving.inputs import Conversation, Outcome, Rendered, TokenIds
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model

PROMPT = (Message("user", "What is 2+2? " * 4), Message("assistant", "Four."), Message("user", "Sure?"))
RESPONSE = (Message("assistant", "Yes, naïve 🙂."),)
TALK = Conversation(PROMPT + RESPONSE)


def trained(model: RewardModel, max_length: int = 10**6) -> np.ndarray:
    group = PreferenceGroup("x", PROMPT, (RESPONSE,))
    return tokenize([group], model.tokenizer, max_length=max_length, over_long="truncate-prompt").groups[0].sequences[0]


def one(model: RewardModel, item: object, on_overlong: str = "error") -> Encoded | Outcome:
    (found,) = Encoder(model).encode([item], on_overlong)
    return found


def test_every_form_gives_the_tokens_of_training(model: RewardModel) -> None:
    ids = trained(model)
    text = render(model.tokenizer, PROMPT, RESPONSE).text
    found = Encoder(model).encode([TokenIds(tuple(ids.tolist())), TALK, Rendered(text)], "error")
    for item in found:
        assert isinstance(item, Encoded)
        np.testing.assert_array_equal(item.ids, ids)
        assert item.ends_with_eos
        assert not item.truncated


def test_special_tokens_are_added_where_they_are_asked_for() -> None:
    model = tiny_reward_model("bert")
    plain, special = (one(model, Rendered("hello", None, added)) for added in (False, True))
    tokenizer = model.tokenizer
    for found, added in ((plain, False), (special, True)):
        np.testing.assert_array_equal(found.ids, tokenizer("hello", add_special_tokens=added)["input_ids"])


@pytest.mark.parametrize("room", [30, 60])
def test_truncation_is_that_of_training(room: int) -> None:
    model = sharp_reward_model()
    model.max_length = room + len(RESPONSE[0].content.encode())
    found = one(model, TALK, "truncate_left")
    assert isinstance(found, Encoded)
    assert found.truncated
    np.testing.assert_array_equal(found.ids, trained(model, model.max_length))
    raw = one(model, TokenIds(tuple(trained(model).tolist())), "truncate_left")
    np.testing.assert_array_equal(raw.ids, found.ids)
    assert raw.ids[0] == model.tokenizer.bos_token_id


def test_over_long_inputs_are_refused_cut_or_left_out() -> None:
    model = sharp_reward_model()
    model.max_length = 20
    tokens = len(trained(model))
    for item in (TALK, TokenIds(tuple(trained(model).tolist()))):
        refused = one(model, item)
        assert refused.error.fault == "over-long"
        assert refused.error.message == f"{tokens} tokens, more than the maximum of 20"
        assert refused.tokens == tokens
        assert one(model, item, "null") == Outcome(None, tokens)
    response = one(model, Conversation((*PROMPT, Message("assistant", "long " * 20))), "truncate_left")
    assert response.error.fault == "over-long"
    assert "the response alone leaves no room" in response.error.message


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        (Rendered(""), "empty"),
        (TokenIds(()), "empty"),
        (TokenIds((1, 259)), "unknown-token"),
        (TokenIds((-1,)), "unknown-token"),
        (Rendered("\ud800"), "invalid"),
        (Conversation((Message("user", "\ud800"), *RESPONSE)), "invalid"),
        (Conversation(()), "invalid"),
        (Conversation(PROMPT), "invalid"),
        (Conversation(RESPONSE, 2), "invalid"),
    ],
)
def test_what_is_no_input_is_told(model: RewardModel, item: object, fault: str) -> None:
    assert one(model, item).error.fault == fault


def test_a_refused_conversation_leaves_the_others_alone() -> None:
    model = sharp_reward_model()
    refuse = "{% if messages[0]['content'] == 'no' %}{{ raise_exception('not that') }}{% endif %}"
    model.tokenizer.chat_template = refuse + model.tokenizer.chat_template
    bad = Conversation((Message("user", "no"), *RESPONSE))
    first, refused, last = Encoder(model).encode([TALK, bad, TALK], "error")
    assert refused.error.fault == "template-refused"
    assert "not that" in refused.error.message
    np.testing.assert_array_equal(first.ids, trained(model))
    np.testing.assert_array_equal(last.ids, first.ids)


def test_text_that_does_not_end_as_the_template_does_is_marked(model: RewardModel) -> None:
    text = render(model.tokenizer, PROMPT, RESPONSE).text
    assert one(model, Rendered(text)).ends_with_eos
    for cut in (1, len("<|im_end|>\n")):
        assert not one(model, Rendered(text[:-cut])).ends_with_eos


def test_poolings_of_the_response_have_to_know_it() -> None:
    model = tiny_reward_model(pooling="mean-response")
    whole = one(model, Conversation(PROMPT + RESPONSE))
    assert one(model, Rendered("a")).error.fault == "needs-messages"
    assert one(model, TokenIds((5, 6))).error.fault == "needs-messages"
    two = one(model, Conversation(PROMPT + RESPONSE, 3))
    assert two.response_start < whole.response_start
