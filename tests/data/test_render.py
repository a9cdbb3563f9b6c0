import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from palate.data.render import FALLBACK_TEMPLATE, render, tokenize, tokenize_each
from palate.errors import DataError, ModelError
from palate.records import DroppedRow, Message, PreferenceGroup, TokenizedGroup
from palate.testing.groups import random_groups
from palate.testing.tiny import tiny_tokenizer

LIMIT = 10_000


def turns(*contents: str) -> tuple[Message, ...]:
    """A conversation that ends with the user."""
    roles = ("user", "assistant")
    return tuple(Message(roles[at % 2], content) for at, content in enumerate(contents))


def group_of(prompt: tuple[Message, ...], *responses: str) -> PreferenceGroup:
    return PreferenceGroup("g", prompt, tuple((Message("assistant", text),) for text in responses), where="file:7")


def one(group: PreferenceGroup, tokenizer: Any, **options: Any) -> TokenizedGroup:
    (tokenized,) = tokenize([group], tokenizer, **{"max_length": LIMIT, **options}).groups
    return tokenized


def bos_tokenizer() -> PreTrainedTokenizerFast:
    """Adds <s> by itself, as Llama's does, beside a template that writes it too."""
    alphabet = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in ("<pad>", "<s>", "</s>")])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = FALLBACK_TEMPLATE
    return tokenizer


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """Merges the line break that ends the prompt with an 'h' that begins the response, and 'ab' anywhere."""
    alphabet = ["<pad>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ċh", "ab"]
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ċ", "h"), ("a", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in alphabet[:3]])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<|im_end|>")
    tokenizer.chat_template = tiny_tokenizer().chat_template
    return tokenizer


def test_a_conversation_is_rendered_by_the_template_and_nothing_else() -> None:
    rendered = render(tiny_tokenizer(), turns("Hi"), (Message("assistant", "Hello!"),))
    assert rendered.text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
    assert rendered.text[rendered.response_start :] == "Hello!<|im_end|>\n"


@pytest.mark.parametrize("make", [tiny_tokenizer, bos_tokenizer, merging_tokenizer])
def test_sequences_are_what_the_tokenizer_makes_of_the_whole_conversation(make) -> None:
    tokenizer = make()
    for group in random_groups(20, responses=3):
        tokenized = one(group, tokenizer)
        for response, sequence in zip(group.responses, tokenized.sequences, strict=True):
            whole = [dataclasses.asdict(message) for message in (*group.prompt, *response)]
            assert sequence.tolist() == tokenizer.apply_chat_template(whole, return_dict=False)
            assert sequence.dtype == "int64"


def test_there_is_one_bos_where_template_and_tokenizer_would_both_write_it() -> None:
    tokenizer = bos_tokenizer()
    assert tokenizer("<s>User: Hi")["input_ids"][:2] == [1, 1]  # what would happen
    for sequence in one(group_of(turns("Hi"), "Hello!", "Go."), tokenizer).sequences:
        assert sequence.tolist().count(1) == 1
        assert sequence[0] == 1


@pytest.mark.parametrize(
    "prompt", [turns("Hi"), turns("東京?", "Größe 🙂", "naïve"), (Message("system", "é"), *turns("x"))]
)
@pytest.mark.parametrize("response", ["Hello", "🙂 yes", "é", "東京", " leading space", "assistant\n", "x\n\ny"])
def test_the_response_begins_at_its_first_byte(prompt: tuple[Message, ...], response: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenized = one(group_of(prompt, response), tokenizer)
    before = tokenizer.decode(tokenized.sequences[0][: tokenized.response_starts[0]])
    after = tokenizer.decode(tokenized.sequences[0][tokenized.response_starts[0] :])
    assert before.endswith("<|im_start|>assistant\n")
    assert after == f"{response}<|im_end|>\n"


def test_a_token_that_holds_the_end_of_the_prompt_and_the_start_of_the_response_is_the_responses() -> None:
    tokenizer = merging_tokenizer()
    tokenized = one(group_of(turns("Hi"), "hello", "Hello"), tokenizer)
    merged, plain = (
        sequence[start:] for sequence, start in zip(tokenized.sequences, tokenized.response_starts, strict=True)
    )
    assert tokenizer.decode(merged) == "\nhello<|im_end|>\n"
    assert tokenizer.decode(plain) == "Hello<|im_end|>\n"
    assert tokenized.shared == tokenized.response_starts[0]


def test_responses_that_begin_alike_share_their_opening_as_well() -> None:
    tokenized = one(group_of(turns("Hi"), "abc one", "abc two"), tiny_tokenizer())
    assert tokenized.shared == tokenized.response_starts[0] + len("abc ")


def test_a_response_of_several_turns_begins_with_the_first_of_them() -> None:
    tokenizer = tiny_tokenizer()
    response = (Message("assistant", "One?"), Message("user", "Yes."), Message("assistant", "Two."))
    group = PreferenceGroup("g", turns("Hi"), (response,))
    tokenized = one(group, tokenizer)
    assert tokenizer.decode(tokenized.sequences[0][tokenized.response_starts[0] :]).startswith("One?<|im_end|>\n")


def test_a_response_that_parts_with_a_users_turn_begins_in_that_turn() -> None:
    tokenizer = tiny_tokenizer()
    prompt = (*turns("Hi"), Message("assistant", "Yes?"))
    response = (Message("user", "More."), Message("assistant", "Sure."))
    tokenized = one(PreferenceGroup("g", prompt, (response,)), tokenizer)
    tail = tokenizer.decode(tokenized.sequences[0][tokenized.response_starts[0] :])
    assert tail.endswith("More.<|im_end|>\n<|im_start|>assistant\nSure.<|im_end|>\n")
    assert "Yes?" not in tail


def test_without_a_prompt_the_response_begins_with_its_content() -> None:
    tokenizer = tiny_tokenizer()
    tokenized = one(group_of((), "Zebra"), tokenizer)
    assert tokenizer.decode(tokenized.sequences[0][tokenized.response_starts[0] :]) == "Zebra<|im_end|>\n"


def test_an_empty_response_is_stood_for_by_the_templates_end() -> None:
    tokenizer = tiny_tokenizer()
    tokenized = one(group_of(turns("Hi"), "", "x"), tokenizer)
    assert tokenizer.decode(tokenized.sequences[0][tokenized.response_starts[0] :]) == "<|im_end|>\n"
    bare = tiny_tokenizer()
    bare.chat_template = (
        "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    tokenized = one(group_of(turns("Hi"), "", "x"), bare)
    assert tokenized.response_starts[0] == len(tokenized.sequences[0]) - 1


def test_a_conversation_that_the_template_refuses_is_an_error_that_says_where_and_why() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}x"
    )
    with pytest.raises(
        DataError, match=r"file:7: the chat template refuses this conversation \(no system turns\)"
    ) as e:
        tokenize([group_of((Message("system", "Be brief."), *turns("Hi")), "a")], tokenizer, max_length=LIMIT)
    assert e.value.reason == "template-refused"


def test_a_template_that_renders_nothing_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{# nothing #}"
    with pytest.raises(DataError, match="renders nothing") as caught:
        tokenize([group_of(turns("Hi"), "a")], tokenizer, max_length=LIMIT)
    assert caught.value.reason == "template-refused"


def test_a_template_that_insists_on_an_assistants_turn_still_shows_where_the_response_begins() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[-1]['role'] != 'assistant' %}{{ raise_exception('unanswered') }}{% endif %}"
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    )
    tokenized = one(group_of(turns("what is it"), "Zebra"), tokenizer)
    assert tokenizer.decode(tokenized.sequences[0][tokenized.response_starts[0] :]) == "Zebra\n"


def test_the_fallback_template_marks_turns_and_ends_with_eos() -> None:
    tokenizer = bos_tokenizer()
    prompt = (Message("system", "Be brief."), *turns("Hi", "Yes?", "Why?"))
    rendered = render(tokenizer, prompt, (Message("assistant", "So."),))
    assert rendered.text == "<s>System: Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant: So.</s>"
    assert rendered.text[rendered.response_start :] == "So.</s>"
    assert one(group_of(turns("Hi"), "So."), tokenizer).sequences[0][-1] == tokenizer.eos_token_id


PROMPT = turns("abcdefghijklmnopqrstuvwxyz" * 4)
LONG = group_of(PROMPT, "short", "quite a bit longer than that", "mid size")


def test_what_fits_exactly_is_kept_whole() -> None:
    longest = max(map(len, one(LONG, tiny_tokenizer()).sequences))
    data = tokenize([LONG], tiny_tokenizer(), max_length=longest, over_long="error")
    assert data.groups[0].truncated_tokens == data.truncated == 0


def test_over_long_groups_are_dropped_whole_and_listed() -> None:
    fits = group_of(turns("Hi"), "a", "b")
    data = tokenize([fits, LONG, fits], tiny_tokenizer(), max_length=100)
    assert len(data.groups) == 2
    longest = max(map(len, one(LONG, tiny_tokenizer()).sequences))
    assert data.dropped == (DroppedRow("file:7", "over-long", None, f"{longest} tokens, more than the maximum of 100"),)


def test_an_over_long_group_is_an_error_on_request_with_the_ways_out() -> None:
    with pytest.raises(DataError, match=r"file:7: \d+ tokens.*--max-length.*--over-long") as caught:
        tokenize([LONG], tiny_tokenizer(), max_length=100, over_long="error")
    assert caught.value.reason == "over-long"


def test_truncation_cuts_the_same_prompt_for_all_and_keeps_responses_and_template_whole() -> None:
    tokenizer = tiny_tokenizer()
    whole = one(LONG, tokenizer)
    data = tokenize([LONG], tokenizer, max_length=100, over_long="truncate-prompt")
    (cut,) = data.groups
    assert data.truncated == 1
    assert max(map(len, cut.sequences)) == 100
    prompts = {tuple(sequence[:start]) for sequence, start in zip(cut.sequences, cut.response_starts, strict=True)}
    assert len(prompts) == 1
    for before, after, old, new in zip(
        whole.sequences, cut.sequences, whole.response_starts, cut.response_starts, strict=True
    ):
        assert len(before) - len(after) == old - new == cut.truncated_tokens
        assert after[new:].tolist() == before[old:].tolist()
        assert after[1:].tolist() == before[1 + cut.truncated_tokens :].tolist()
        assert tokenizer.decode(after).endswith("<|im_end|>\n")
    assert cut.shared == whole.shared - cut.truncated_tokens


def test_truncation_keeps_the_bos() -> None:
    tokenizer = bos_tokenizer()
    cut = one(LONG, tokenizer, max_length=60, over_long="truncate-prompt")
    assert all(sequence.tolist().count(1) == 1 and sequence[0] == 1 for sequence in cut.sequences)
    without = bos_tokenizer()
    without.chat_template = FALLBACK_TEMPLATE.replace("{{ bos_token or cls_token or '' }}", "")
    assert all(
        sequence[0] != 1 for sequence in one(LONG, without, max_length=60, over_long="truncate-prompt").sequences
    )


def test_a_response_that_leaves_no_room_is_dropped_by_name_not_cut() -> None:
    group = group_of(turns("Hi"), "x" * 90, "y")
    data = tokenize([group], tiny_tokenizer(), max_length=80, over_long="truncate-prompt")
    assert data.groups == ()
    assert [(row.where, row.reason) for row in data.dropped] == [("file:7", "response-over-long")]


@pytest.mark.parametrize("max_length", range(20, 140, 7))
def test_at_every_length_each_group_is_kept_within_it_or_listed(max_length: int) -> None:
    groups = random_groups(40, responses=3, words=12)
    for over_long in ("drop", "truncate-prompt"):
        data = tokenize(groups, tiny_tokenizer(), max_length=max_length, over_long=over_long)
        assert len(data.groups) + len(data.dropped) == 40
        assert sorted([g.where for g in data.groups] + [d.where for d in data.dropped]) == sorted(
            g.where for g in groups
        )
        for group in data.groups:
            assert all(len(sequence) <= max_length for sequence in group.sequences)
            assert all(0 <= start < len(s) for s, start in zip(group.sequences, group.response_starts, strict=True))


def test_results_come_in_the_order_of_the_groups_across_chunks() -> None:
    groups = random_groups(600, words=2)
    results = list(tokenize_each(iter(groups), tiny_tokenizer(), max_length=45))
    assert [result.where for result in results] == [group.where for group in groups]
    assert {type(result) for result in results} == {TokenizedGroup, DroppedRow}


def test_ids_labels_and_origin_travel_along() -> None:
    (group,) = random_groups(1, responses=3)
    tokenized = one(group, tiny_tokenizer())
    assert tokenized.id == group.id
    assert tokenized.where == group.where
    assert tokenized.prompt_hash == group.prompt_hash
    assert tokenized.comparisons == group.comparisons


def test_a_tokenizer_without_offsets_is_refused() -> None:
    with pytest.raises(ModelError, match="fast tokenizer"):
        tokenize([LONG], SimpleNamespace(is_fast=False), max_length=10)


def test_the_fallback_template_gives_encoders_their_own_first_and_last_token() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = FALLBACK_TEMPLATE
    tokenizer.cls_token, tokenizer.sep_token = "[CLS]", "[SEP]"
    tokenizer.bos_token = tokenizer.eos_token = None
    text = render(tokenizer, (Message("user", "Hi."),), (Message("assistant", "Hello."),)).text
    assert text == "[CLS]User: Hi.\n\nAssistant: Hello.[SEP]"


def test_what_encoders_have_in_place_of_bos_is_not_cut_off() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.cls_token, tokenizer.bos_token = "<|im_start|>", None
    tokenizer.chat_template = FALLBACK_TEMPLATE
    group = PreferenceGroup("x", (Message("user", "a" * 100),), ((Message("assistant", "b"),),))
    (row,) = tokenize([group], tokenizer, max_length=40, over_long="truncate-prompt").groups
    assert row.sequences[0][0] == tokenizer.cls_token_id
    assert len(row.sequences[0]) == 40
