"""Labels that contradict each other are found across groups, and those that do not are left alone."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from palate.data.load import stream_groups
from palate.data.simulate import Flaws, simulate
from palate.health.contradictions.check import check_contradictions
from palate.health.corpus import build_corpus
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check, Finding

Look = Callable[..., Check]


def pair(chosen: str, rejected: str, prompt: str = "Which?", *, where: str = "a:1", **label: float) -> PreferenceGroup:
    said = tuple((Message("assistant", text),) for text in (rejected, chosen))
    return PreferenceGroup(where, (Message("user", prompt),), said, (Comparison(1, 0, **label),), where)


@pytest.fixture
def look(tmp_path: Path) -> Look:
    def looked(data: Iterable[PreferenceGroup], against: Iterable[PreferenceGroup] = ()) -> Check:
        return check_contradictions(build_corpus(data, tmp_path, against=against), Thresholds())

    return looked


def by_id(check: Check) -> dict[str, Finding]:
    return {finding.id: finding for finding in check.findings}


def facts(check: Check) -> dict[str, object]:
    return {name.removeprefix("contradictions."): value for name, value in check.facts.items()}


def test_clean_sets_raise_nothing(look: Look) -> None:
    alarms = Counter(f.id for seed in range(20) for f in look(simulate(300, seed=seed).groups).findings)
    assert not alarms


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.1])
def test_planted_duplicates_are_found_all_and_nothing_else(look: Look, rate: float) -> None:
    made = simulate(1000, seed=1, flaws=Flaws(duplicates=rate))
    copies = sum(len(g.comparisons) for g, t in zip(made.groups, made.truth, strict=True) if t.duplicate_of)
    check = look(made.groups)
    assert list(by_id(check)) == ["duplicate"]
    assert by_id(check)["duplicate"].count == copies
    assert by_id(check)["duplicate"].severity == "warn"


def test_a_pair_labelled_both_ways_is_found_across_groups(look: Look) -> None:
    data = [
        pair("A", "B", where="a:1"),
        pair("C", "D", where="a:2"),
        pair("B ", " A", "which?", where="a:3"),
        pair("A", "B", "Other?", where="a:4"),
        pair("B", "A", "Another?", where="a:5"),
    ]
    check = look(data)
    assert list(by_id(check)) == ["contradiction"]
    found = by_id(check)["contradiction"]
    assert found.title.startswith("2 of 5 decided comparisons are about 1 pairs")
    assert (found.severity, found.measure.value, found.count) == ("fail", 0.4, 1)
    (example,) = found.examples
    assert (example.where, example.note) == ("a:1", "labelled both ways: a:1 and a:3")
    assert facts(check)["pairs_in_cycles"] == 0


def test_a_majority_settles_a_pair_for_cycles(look: Look) -> None:
    data = [pair("A", "B"), pair("A", "B"), pair("B", "A"), pair("B", "C"), pair("C", "A")]
    found = facts(look(data))
    assert (found["turned_comparisons"], found["turned_pairs"], found["pairs_in_cycles"]) == (3, 1, 3)
    found = facts(look([*data, pair("B", "A")]))
    assert (found["turned_comparisons"], found["pairs_in_cycles"]) == (4, 0)


def test_a_cycle_is_found_across_groups_and_shown(look: Look) -> None:
    data = [pair("A", "B", where="a:1"), pair("C", "A", where="a:2"), pair("D", "A", where="a:3")]
    assert look(data).findings == ()
    check = look([*data, pair("B", "C", where="a:4"), pair("A", "E", where="a:5"), pair("C", "B", "Else?")])
    assert list(by_id(check)) == ["cycle"]
    found = by_id(check)["cycle"]
    assert found.title.startswith("3 of 6 compared pairs lie on cycles")
    assert found.measure.value == pytest.approx(1 / 6)
    (example,) = found.examples
    assert [text for _, text in example.texts] == ["Which?", "A", "B", "C"]
    assert [what for what, _ in example.texts[1:]] == [f"beats the next, by a:{n}" for n in (1, 4, 2)]
    assert facts(check)["cyclic_threes_share"] == 1.0


def test_cycles_are_judged_by_what_no_order_satisfies(look: Look) -> None:
    """One turned label among thirty ranked responses puts nearly all on a cycle, and is one turned label."""
    texts = [f"text {n}" for n in range(30)]
    data = [pair(texts[i], texts[j]) for i in range(30) for j in range(i + 1, 30) if (i, j) != (0, 29)]
    check = look([*data, pair(texts[29], texts[0])])
    assert check.findings == ()
    assert facts(check)["in_cycles_share"] == 1.0
    assert facts(check)["pairs_against_order"] == 1
    assert facts(check)["cyclic_threes"] == 28


def test_ties_form_no_contradictions(look: Look) -> None:
    data = [pair("A", "B"), pair("B", "A", probability=0.5), pair("B", "C", probability=0.5), pair("C", "A")]
    found = look(data)
    assert found.findings == ()
    assert (facts(found)["comparisons"], facts(found)["decided"]) == (4, 2)


def test_one_text_on_both_sides_is_found_letter_for_letter(look: Look) -> None:
    data = [
        pair("the same", "the same ", where="a:1"),
        pair("In capitals.", "IN CAPITALS."),
        pair("x  = 1", "x = 1"),
        pair("another", "other"),
    ]
    check = look(data)
    assert list(by_id(check)) == ["identical-pair"]
    assert (by_id(check)["identical-pair"].count, by_id(check)["identical-pair"].examples[0].where) == (1, "a:1")
    assert (facts(check)["identical"], facts(check)["same_but_form"], facts(check)["nearly_identical"]) == (1, 2, 0)
    assert (facts(check)["decided"], facts(check)["pairs_in_cycles"]) == (3, 0)


def test_the_same_words_in_capitals_are_another_response(look: Look) -> None:
    data = [pair("a b", "A B"), pair("a b", "C"), pair("C", "A B"), pair("c", "a b")]
    check = look(data)
    assert check.findings == ()
    assert (facts(check)["turned_comparisons"], facts(check)["same_but_form"], facts(check)["pairs"]) == (0, 1, 4)


def test_nearly_the_same_text_on_both_sides_is_counted(look: Look) -> None:
    text = " ".join(f"word{n}" for n in range(40))
    data = [pair(text, f"{text} more"), pair(text, text.replace("word7", "word8 word9")), pair(text, "other")]
    far = [pair(text, text.replace("9", f"9 x{n}")) for n in range(20)]
    assert facts(look(data + far))["nearly_identical"] == 2


def test_the_same_comparison_again_is_a_duplicate(look: Look) -> None:
    data = [
        pair("A", "B", where="a:1"),
        pair("A", "B", "which? ", where="a:2"),
        pair("a", "B", where="a:3"),
        pair("A", "B", "Else?", where="a:4"),
        pair("C", "D", probability=0.5, where="a:5"),
        pair("D", "C", probability=0.5, where="a:6"),
    ]
    found = by_id(look(data))
    assert list(found) == ["duplicate"]
    assert found["duplicate"].count == 2
    assert [example.note for example in found["duplicate"].examples] == [
        "the same again: a:1 and a:2",
        "the same again: a:5 and a:6",
    ]


def test_different_margins_for_one_pair_are_found(look: Look) -> None:
    same = [pair("C", "D", margin=3.0), pair("C", "D", margin=3.0)]
    check = look([*same, *(pair("A", "B", margin=m, where=f"a:{m}") for m in (1.5, 2.0, 1.0, 1.5))])
    found = by_id(check)["unequal-margins"]
    assert (found.count, found.examples[0].note) == (1, "the least and the largest margin: a:1.0 and a:2.0")
    assert facts(check)["pairs"] == 2


def test_within_one_group_too(look: Look) -> None:
    said = tuple((Message("assistant", text),) for text in "ABC")
    labels = (Comparison(0, 1), Comparison(1, 2), Comparison(2, 0))
    assert facts(look([PreferenceGroup("1", (), said, labels)]))["cyclic_threes"] == 1


def test_other_data_has_no_part_in_it(look: Look) -> None:
    assert look([pair("A", "B")], [pair("B", "A"), pair("C", "C")]).findings == ()


def test_without_comparisons_there_is_nothing_to_say(look: Look) -> None:
    assert look([]).skipped == "no comparisons"
    unlabelled = PreferenceGroup("1", (), ((Message("assistant", "A"),),) * 2)
    assert look([unlabelled], [pair("A", "B")]).skipped == "no comparisons"


def test_arguments_that_people_compared_go_in_circles(real_data: Path, look: Look) -> None:
    check = look(stream_groups(str(real_data / "ukpconvarg1/pairs.jsonl.gz")))
    found, severity = facts(check), {finding.id: finding.severity for finding in check.findings}
    assert severity == dict.fromkeys(("contradiction", "cycle", "identical-pair", "duplicate"), "warn")
    assert (found["identical"], found["turned_pairs"], found["repeated"]) == (15, 50, 317)
    assert found["in_cycles_share"] == pytest.approx(0.793, abs=5e-4)
    assert found["against_order_share"] == pytest.approx(0.075, abs=3e-3)
    assert found["cyclic_threes_share"] == pytest.approx(0.041, abs=5e-4)
    assert all(len(example.texts) == 4 for example in by_id(check)["cycle"].examples)


@pytest.mark.parametrize("name", ["harmless-base", "helpful-base", "helpful-rejection-sampled"])
def test_published_dialogues_are_without_contradictions(real_data: Path, look: Look, name: str) -> None:
    check = look(stream_groups(str(real_data / f"hh_rlhf/{name}/test.jsonl.gz"), on_bad_row="skip"))
    assert check.findings == ()
