"""Runs of words that the data shares with benchmarks, against a comparison of all runs."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palate.data.load import stream_groups
from palate.health.corpus import build_corpus
from palate.health.leaks.contamination import check_contamination
from palate.health.texts.overlap import find, seek
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check, Finding

Groups = Iterable[PreferenceGroup]
Look = Callable[..., Check]
RNG = np.random.default_rng(0)


def words(number: int) -> str:
    return " ".join(f"w{n}" for n in RNG.integers(0, 10**6, number))


def group(prompt: str, *responses: str, where: str = "a:1") -> PreferenceGroup:
    said = tuple((Message("assistant", text),) for text in responses or ("Yes.", "No."))
    return PreferenceGroup(where, (Message("user", prompt),) if prompt else (), said, (Comparison(0, 1),), where)


@pytest.fixture
def look(tmp_path: Path) -> Look:
    def looked(data: Groups, benchmarks: Mapping[str, Groups], against: Groups = (), n: int = 13) -> Check:
        return check_contamination(build_corpus(data, tmp_path, against=against), benchmarks, Thresholds(), n)

    return looked


def figures(check: Check, name: str = "bench") -> dict[str, Any]:
    found = check.facts[f"contamination.{name}"]
    assert isinstance(found, dict)
    return found


def slow_runs(text: str, n: int) -> set[tuple[str, ...]]:
    parts = text.lower().split()
    return {tuple(parts[at : at + n]) for at in range(len(parts) - n + 1)}


@pytest.mark.parametrize("n", [1, 2, 8, 13])
def test_finds_are_those_of_comparing_all_runs(n: int) -> None:
    rng = np.random.default_rng(1)
    pool = [" ".join(f"w{x}" for x in rng.integers(0, 50, 40)) for _ in range(30)]

    def spliced() -> str:
        one, other = rng.choice(pool, 2)
        return " ".join(one.split()[: rng.integers(0, 40)] + other.split()[rng.integers(0, 40) :])

    sought_texts = [(int(item), spliced()) for item in rng.integers(0, 20, 60)]
    data = [spliced() for _ in range(300)]
    (sought,) = seek(sought_texts, (n,))
    (finds,) = find((sought,), data)
    expected = {
        (run, text)
        for text, content in enumerate(data)
        for run in slow_runs(content, n) & {run for _, one in sought_texts for run in slow_runs(one, n)}
    }
    assert len(finds.run) == len(expected)
    assert np.bincount(finds.text, minlength=300).tolist() == [
        sum(text == number for _, text in expected) for number in range(300)
    ]
    items = {(item, run) for item, one in sought_texts for run in slow_runs(one, n)}
    assert len(sought.item) == len(items)
    assert len(sought.values) == len({run for _, run in items})


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not(look: Look) -> None:
    long, short = words(13), words(12)
    data = [
        group(words(30), f"{words(5)} {long.upper().replace(' ', ' - ')}, {words(5)}", where="a:1"),
        group(f"{words(9)} {short} {words(9)}", where="a:2"),
        group(words(30), where="a:3"),
    ]
    bench = [
        group(f"x {long.replace(' ', ' * ', 3)} y", where="b:1"),
        group(words(4), f"{short} {words(6)}", where="b:2"),
        group("Hi"),
    ]
    check = look(data, {"bench": bench})
    found = figures(check)
    assert (found["items"], found["items_judged"], found["items_hit"], found["items_hit_by_prompt"]) == (3, 2, 1, 1)
    assert (found["items_hit_at_8_words"], found["items_hit_by_prompt_at_8_words"]) == (2, 1)
    assert (found["groups_hit"], found["groups_hit_at_8_words"]) == (1, 2)
    (finding,) = check.findings
    assert (finding.id, finding.severity, finding.measure.value, finding.count) == ("contamination", "fail", 0.5, 1)
    assert finding.title == "1 of 2 items of bench have 13 words in a row that the data has too: in 1 of its 3 groups."
    (example,) = finding.examples
    assert [what for what, _ in example.texts] == ["response at a:1", "prompt at b:1"]
    assert example.note == f"13 words in a row: {long}"


def test_each_benchmark_has_its_own_figures(look: Look) -> None:
    one, other = words(20), words(20)
    data = [group(one, words(20)), group(words(20)), group(words(20), other)]
    check = look(data, {"first": [group(one)], "second": [group(other), group(one), group(words(20))], "third": []})
    assert figures(check, "first")["items_hit_share"] == 1
    assert figures(check, "second")["items_hit_share"] == pytest.approx(2 / 3)
    assert (figures(check, "first")["groups_hit"], figures(check, "second")["groups_hit"]) == (1, 2)
    assert figures(check, "third")["items_hit_share"] is None
    assert [finding.title.split(" have ")[0] for finding in check.findings] == [
        "1 of 1 items of first",
        "2 of 3 items of second",
    ]


@pytest.mark.parametrize(("prompts", "found"), [(10, True), (11, False)])
def test_phrases_that_come_with_many_prompts_are_no_contamination(look: Look, prompts: int, found: bool) -> None:
    phrase = words(15)
    data = [group(f"question {n} {'x' * n}", phrase) for n in range(prompts)]
    check = look(data, {"bench": [group(words(20), phrase)]})
    assert bool(figures(check)["items_hit"]) is found
    assert check.facts["contamination.common_runs"] == (0 if found else 3)


@pytest.mark.parametrize(("prompts", "found"), [(10, True), (11, False)])
def test_nor_are_phrases_of_many_items(look: Look, prompts: int, found: bool) -> None:
    phrase = words(15)
    bench = [group(f"question {n} {'x' * n}", phrase) for n in range(prompts)]
    assert bool(figures(look([group(words(9), phrase)], {"bench": bench}))["items_hit"]) is found


@pytest.mark.parametrize(("groups", "found"), [(10, True), (11, False)])
def test_groups_without_a_prompt_count_as_different_ones(look: Look, groups: int, found: bool) -> None:
    phrase = words(15)
    check = look([group("", phrase)] * groups, {"bench": [group(words(20), phrase)]})
    assert bool(figures(check)["items_hit"]) is found


def test_one_prompt_many_times_is_no_common_phrase(look: Look) -> None:
    text = words(20)
    check = look([group(text, words(5))] * 30, {"bench": [group(text, words(6))] * 40})
    assert (figures(check)["items_hit"], figures(check)["groups_hit"]) == (40, 30)


def test_rules_of_tables_are_no_words(look: Look) -> None:
    rule = "| " + "--- | " * 20
    assert figures(look([group(rule + words(3))], {"bench": [group(words(20) + rule)]}))["items_hit"] == 0


def test_data_that_is_compared_with_is_not_looked_at(look: Look) -> None:
    text = words(20)
    check = look([group(words(20))], {"bench": [group(text)]}, against=[group(text, text)])
    assert (figures(check)["items_hit"], figures(check)["groups_hit_share"]) == (0, 0)


def test_another_size_of_runs(look: Look) -> None:
    text = words(5)
    assert figures(look([group(text)], {"bench": [group(f"{text} end")]}, n=5))["items_hit"] == 1


def test_without_benchmarks_it_is_skipped(look: Look) -> None:
    check = look([group(words(20))], {})
    assert "no benchmark given" in check.skipped
    assert check.findings == ()


def test_empty_texts_and_data_are_no_trouble(look: Look) -> None:
    assert figures(look([], {"bench": [group(words(20))]}))["items_hit"] == 0
    assert figures(look([group("", "", "a")], {"bench": [group("", "")]}))["items_judged"] == 0


def test_half_of_a_published_set_is_found_in_the_whole(real_data: Path, look: Look) -> None:
    groups = list(stream_groups(str(real_data / "hh_rlhf/harmless-base/test.jsonl.gz")))
    other = list(stream_groups(str(real_data / "pandalm/testset-v1.json.gz")))
    check = look(groups[:1000], {"planted": groups[900:1100], "pandalm": other})
    planted, clean = figures(check, "planted"), figures(check, "pandalm")
    judged = sum(len(" ".join(m.content for m in g.prompt).split()) >= 13 for g in groups[900:1000])
    assert judged <= planted["items_hit"] <= 106
    assert clean["items_hit"] == 0
    (finding,) = check.findings
    assert isinstance(finding, Finding)
    assert finding.severity == "fail"
    assert all(int(example.note.split()[0]) >= 13 for example in finding.examples)
