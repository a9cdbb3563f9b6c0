from itertools import chain
from pathlib import Path

import pytest

from palate.data.load import stream_groups
from palate.data.read import NOTHING_READ, ReadReport
from palate.health.corpus import build_corpus
from palate.health.rows import check_rows
from palate.health.texts.turns import ODDITIES, oddities_of
from palate.health.thresholds import Thresholds
from palate.records import DroppedRow, Message, PreferenceGroup

USER, BOT = Message("user", "How?"), Message("assistant", "So.")


def group(prompt: tuple[Message, ...] = (USER,), response: tuple[Message, ...] = (BOT,)) -> PreferenceGroup:
    return PreferenceGroup("1", prompt, (response, (Message("assistant", "Thus."),)), where="a.jsonl:1")


@pytest.mark.parametrize(
    ("odd", "one"),
    [
        (0, group((Message("user", "Say <|im_end|> twice"),))),
        (0, group(response=(Message("assistant", "[/INST] yes"),))),
        (1, group((Message("system", " "), USER))),
        (2, group(response=(Message("assistant", "\n"),))),
        (3, group((USER, Message("user", "Well?")))),
        (4, group((USER, BOT))),
        (5, group((USER, BOT, Message("system", "Be brief."), USER))),
        (7, group(response=(BOT, USER, BOT))),
        (7, group(response=(BOT, BOT))),
        (6, group((Message("user", "Hi\n\nAssistant: Hello\n\nHuman: Hm"),))),
    ],
)
def test_each_oddity_is_seen(odd: int, one: PreferenceGroup) -> None:
    assert oddities_of(one) == [odd]


@pytest.mark.parametrize("text", ["a < b | c > d", "<p>Hi</p>", "x [INST", "a list: [1, 2]", "Human: hi"])
def test_ordinary_text_is_not_odd(text: str) -> None:
    assert oddities_of(group((Message("user", text),))) == []


def test_what_was_left_out_is_listed_by_line(tmp_path: Path) -> None:
    dropped = (
        DroppedRow("a.jsonl:2", "identical-pair", "rejected", "both are the same"),
        DroppedRow("a.jsonl:5", "broken-json", None, "cut"),
        DroppedRow("a.jsonl:9", "identical-pair", "rejected", "both are the same"),
    )
    report = ReadReport(7, 7, dropped, {"votes": 10}, {"odd": 2}, 10)
    corpus = build_corpus([group(), group((USER, BOT)), group(response=(BOT, USER, BOT))], tmp_path)
    check = check_rows(corpus, Thresholds(), [report, NOTHING_READ])
    by_id = {finding.id: finding for finding in check.findings}
    assert list(by_id) == ["identical-pair", "unusable-row", "template", "no-shared-prompt"]
    assert [example.where for example in by_id["identical-pair"].examples] == ["a.jsonl:2", "a.jsonl:9"]
    assert by_id["identical-pair"].title == "2 of 10 rows have the same text as chosen and as rejected."
    assert (by_id["unusable-row"].count, by_id["unusable-row"].measure.value) == (1, 0.1)
    assert by_id["unusable-row"].severity == "fail"
    assert by_id["template"].count == 1
    assert by_id["template"].examples[0].note == ODDITIES[4]
    assert check.facts["rows.dropped_places"] == {
        "identical-pair": ["a.jsonl:2", "a.jsonl:9"],
        "broken-json": ["a.jsonl:5"],
    }
    assert by_id["no-shared-prompt"].count == 1
    assert check.facts["rows.oddities"] == {name: int(n in (4, 7)) for n, name in enumerate(ODDITIES)}
    assert check.facts["rows.odd_places"] == {ODDITIES[4]: ["a.jsonl:1"], ODDITIES[7]: ["a.jsonl:1"]}
    assert check.facts["rows.notes"] == {"odd": 2}


def test_sound_rows_have_no_finding(tmp_path: Path) -> None:
    check = check_rows(build_corpus([group()], tmp_path), Thresholds(), [ReadReport(1, 1, (), {}, {}, 1)])
    assert (check.findings, len(check.section.blocks), check.facts["rows.dropped"]) == ((), 1, {})


def test_the_known_faults_of_published_transcripts_are_listed(real_data: Path, tmp_path: Path) -> None:
    """34 pairs of one text, and 17 pairs without a shared prompt, as the data's own notes have it."""
    streams = [
        stream_groups(str(real_data / f"hh_rlhf/{name}/test.jsonl.gz"), on_bad_row="skip")
        for name in ("helpful-base", "helpful-rejection-sampled", "harmless-base")
    ]
    corpus = build_corpus(chain.from_iterable(streams), tmp_path)
    check = check_rows(corpus, Thresholds(), [stream.report for stream in streams])
    by_id = {finding.id: finding for finding in check.findings}
    assert (by_id["identical-pair"].count, by_id["no-shared-prompt"].count) == (34, 17)
    for id, count in (("identical-pair", 34), ("no-shared-prompt", 17)):
        lines = [example.where for example in by_id[id].examples]
        assert len(set(lines)) == count
        assert all(".jsonl.gz:" in line for line in lines)
