"""The figures of the token section against plain loops over tokenized groups."""

from palate.data.render import tokenize
from palate.health.thresholds import Thresholds
from palate.health.tokens import check_tokens, count_tokens
from palate.testing.groups import random_groups
from palate.testing.tiny import tiny_tokenizer

GROUPS = random_groups(300, words=3)
TOKENIZER = tiny_tokenizer()
WHOLE = tokenize(GROUPS, TOKENIZER, max_length=10**6).groups


def test_counts_are_those_of_the_tokenized_groups() -> None:
    for workers in (1, 2):
        counts = count_tokens(GROUPS, TOKENIZER, workers=workers)
        assert counts.longest.tolist() == [max(map(len, group.sequences)) for group in WHOLE]
        assert counts.unshared.tolist() == [group.unshared_tokens for group in WHOLE]
        assert counts.computed.tolist() == [group.computed_tokens for group in WHOLE]
        assert counts.responses.tolist() == [len(group.sequences) for group in WHOLE]
        assert counts.own.tolist() == [
            sum(len(s) - start for s, start in zip(group.sequences, group.response_starts, strict=True))
            for group in WHOLE
        ]
        texts = [TOKENIZER.decode(s[-1:]) for group in WHOLE for s in group.sequences]
        assert not any(text.strip() for text in texts)  # the template closes a turn with <|im_end|> and a line end
        ends = [int(sequence[-2]) for group in WHOLE for sequence in group.sequences]
        assert counts.ends == {token: ends.count(token) for token in set(ends)}


def test_what_a_limit_leaves_out_is_said() -> None:
    counts = count_tokens(GROUPS, TOKENIZER)
    lengths = sorted(counts.longest.tolist())
    limit = lengths[len(lengths) // 2]
    over = sum(length > limit for length in lengths)
    specials = TOKENIZER.all_special_ids
    check = check_tokens(counts, Thresholds(), name="tiny", specials=specials, max_length=limit)
    (finding,) = check.findings
    assert (finding.id, finding.count, finding.measure.value) == ("over-long", over, over / len(lengths))
    saving = counts.unshared.sum() / counts.computed.sum()
    assert check.facts["tokens.saving"] == saving > 1.2
    assert check.facts["tokens.missing_eos"] == 0
    kept = tokenize(GROUPS, TOKENIZER, max_length=limit)
    assert len(kept.dropped) == over
    assert check.facts["tokens.over_long"] == dict.fromkeys(("512", "1024", "2048", "4096", "8192"), 0.0)


def test_sequences_that_end_in_ordinary_text_are_a_finding() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"
    counts = count_tokens(GROUPS, tokenizer)
    check = check_tokens(counts, Thresholds(), name="tiny", specials=tokenizer.all_special_ids, max_length=10**6)
    (finding,) = check.findings
    assert (finding.id, finding.severity, finding.measure.value) == ("missing-eos", "fail", 1.0)


def test_without_tokens_nothing_is_claimed() -> None:
    assert "--tokenizer" in check_tokens(None, Thresholds(), max_length=1).skipped
    empty = check_tokens(count_tokens([], TOKENIZER), Thresholds(), max_length=1)
    assert (empty.skipped, empty.findings, empty.facts) == ("no groups", (), {})
