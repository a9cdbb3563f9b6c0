import dataclasses

from tests.report.example import PROVENANCE, example_report
from tests.report.hostile import ATTACK, poison

from palate.report.document import Report
from palate.report.findings import Check, Finding, Measure, Section
from palate.report.markdown import escape_markdown

SECTION = Section("a", "A", "Why.", ())


def test_the_summary_says_verdict_findings_and_cures() -> None:
    text = example_report().to_markdown()
    lines = text.splitlines()
    assert lines[0] == "**Preference data: fail** (2 fail, 3 warn, 1 info)"
    rows = [line for line in lines if line.startswith(("| fail", "| warn", "| info"))]
    assert len(rows) == 6
    assert rows[1] == (
        "| fail | The longer response is chosen in 74.5 % of pairs "
        "| 0.745 (0.737 to 0.753) share of pairs whose chosen is longer | 0.650 |"
    )
    assert "- length-bias: Balance the pairs, or train with length held out.\n  ```sh\n  palate data balance" in text
    assert "Compare both" not in text  # the second line of that cure
    assert "Not checked: Position (the data does not say which response was shown first)." in text
    assert "data/train.jsonl (43,835 rows, 41,207 prompts); data/dev.jsonl" in text


def test_a_sound_report_is_short() -> None:
    text = Report("Data", (), (Check(SECTION),), PROVENANCE).to_markdown()
    assert text == "**Data: sound**\n"


def test_no_text_is_markup_or_calls_anybody() -> None:
    text = escape_markdown("<b>|`x`| *a* _b_ [c](http://d) ![e](f) @someone www.evil.com # 1\n\n- g\n```")
    assert "\n" not in text
    assert "@someone" not in text
    assert "://" not in text
    assert "www." not in text
    for mark in "<>|`*_[]()!#":
        assert all(text[at - 1] == "\\" for at, letter in enumerate(text) if letter == mark)


def test_a_hostile_report_keeps_its_shape() -> None:
    report = poison(example_report())
    lines = report.to_markdown().splitlines()
    assert sum(line.startswith("| ") for line in lines) == 1 + len(report.placed)
    rows = [line for line in lines if line.startswith("| fail")]
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    outside, fenced = [], False
    for line in lines:
        if line.strip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            outside.append(line)
    assert not fenced
    assert not any("<script" in line.replace("\\<", "") for line in outside)
    assert ATTACK[:8] not in "".join(outside)


def test_a_command_cannot_end_its_own_block() -> None:
    finding = Finding("x", "warn", "T", Measure(1, "u"), "Cure.", command="echo ````\nrm")
    report = Report("Data", (), (Check(SECTION, (finding,)),), PROVENANCE)
    assert "  `````sh\n  echo ````\n  rm\n  `````" in report.to_markdown()
    plain = dataclasses.replace(finding, command="echo")
    assert "  ```sh\n  echo\n  ```" in Report("Data", (), (Check(SECTION, (plain,)),), PROVENANCE).to_markdown()
