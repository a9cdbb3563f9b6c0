"""Leaks that are planted are found, all of them and nothing else; figures against slow counts."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from palate.data.load import stream_groups
from palate.data.simulate import Flaws, simulate
from palate.health.corpus import build_corpus
from palate.health.leaks.check import check_leaks
from palate.health.leaks.repeats import expected_leak
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check, Finding

Groups = Iterable[PreferenceGroup]
Look = Callable[..., Check]
LONG = " ".join(f"telling{number}" for number in range(25))


def group(
    prompt: str, *responses: str, where: str = "a:1", comparisons: tuple[Comparison, ...] = (Comparison(0, 1),)
) -> PreferenceGroup:
    said = tuple((Message("assistant", text),) for text in responses or ("Yes.", "No."))
    return PreferenceGroup(where, (Message("user", prompt),) if prompt else (), said, comparisons, where)


@pytest.fixture
def look(tmp_path: Path) -> Look:
    def looked(data: Groups, against: Groups = ()) -> Check:
        return check_leaks(build_corpus(data, tmp_path, against=against), Thresholds())

    return looked


def by_id(check: Check) -> dict[str, Finding]:
    found = {finding.id: finding for finding in check.findings}
    assert len(found) == len(check.findings)
    return found


def split_by_row(
    groups: tuple[PreferenceGroup, ...], seed: int, share: float = 0.2
) -> tuple[list[PreferenceGroup], list[PreferenceGroup]]:
    held_out = np.random.default_rng(seed).random(len(groups)) < share
    sides: tuple[list[PreferenceGroup], list[PreferenceGroup]] = ([], [])
    for one, out in zip(groups, held_out.tolist(), strict=True):
        sides[out].append(one)
    return sides


def test_clean_sets_raise_nothing(look: Look) -> None:
    alarms = Counter(
        finding.id
        for seed in range(20)
        for finding in look(*split_by_row(simulate(300, seed=seed).groups, seed)).findings
    )
    assert not alarms


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("flaw", ["leaks", "duplicates"])
def test_planted_repetitions_are_found_all_and_nothing_else(look: Look, flaw: str, rate: float) -> None:
    made = simulate(1000, seed=3, flaws=Flaws(**{flaw: rate}))
    original = [truth.leaked_from or truth.duplicate_of or truth.id for truth in made.truth]
    data, against = split_by_row(made.groups, seed=1, share=0.5)
    name = dict(zip((g.id for g in made.groups), original, strict=True))
    truly = {name[g.id] for g in against} & {name[g.id] for g in data}
    check = look(data, against)
    found = by_id(check)["prompt-leak"]
    assert truly
    assert found.count == check.facts["leaks.same_prompts"] == len(truly)
    assert found.severity == ("warn" if len(truly) < 0.01 * check.facts["leaks.against_prompts"] else "fail")
    assert "near-duplicate" not in by_id(check)
    assert check.facts["leaks.duplicate_groups_across"] >= (len(truly) if flaw == "duplicates" else 0)


@pytest.mark.parametrize("flaw", ["leaks", "duplicates"])
def test_repetitions_within_two_thousand_pairs_are_flagged_at_two_percent(look: Look, flaw: str) -> None:
    made = simulate(1000, seed=5, flaws=Flaws(**{flaw: 0.02}))
    check = look(made.groups)
    found = by_id(check)
    assert list(found) == ["repeated-prompt"]
    assert check.facts["leaks.repeated_prompts"] == made.planted.leaks + made.planted.duplicates == 20
    # a prompt that is asked again may get the same two responses again
    assert 0 <= check.facts["leaks.duplicate_groups"] - made.planted.duplicates <= 2
    assert found["repeated-prompt"].count == 40


def changed(rng: np.random.Generator, text: str, words: int) -> str:
    parts = text.split()
    for place in rng.choice(len(parts), words, replace=False):
        parts[place] = f"other{rng.integers(10**6)}"
    return " ".join(parts)


def test_prompts_that_differ_in_a_few_words_are_found(look: Look) -> None:
    rng = np.random.default_rng(0)
    prompts = [" ".join(rng.choice(4000, 60).astype(str)) for _ in range(400)]
    data = [group(prompt, where=f"train:{n}") for n, prompt in enumerate(prompts)]
    near = [changed(rng, prompt, 2) for prompt in prompts[:200]]
    far = [changed(rng, prompt, 12) for prompt in prompts[200:]]
    check = look(data, [group(prompt, where=f"dev:{n}") for n, prompt in enumerate(near + far)])
    found = by_id(check)
    assert list(found) == ["near-duplicate"]
    assert 194 <= found["near-duplicate"].count <= 200
    assert found["near-duplicate"].severity == "fail"
    assert found["near-duplicate"].measure.low is not None
    for example in found["near-duplicate"].examples:
        (theirs, one), (ours, other) = example.texts
        number = example.where.removeprefix("dev:")
        assert (theirs, ours) == (f"prompt at dev:{number}", f"prompt at train:{number}")
        assert (one, other) == (near[int(number)], prompts[int(number)])
        assert example.note.startswith("similarity 0.8")


def test_a_few_near_duplicates_are_no_finding_but_are_counted(look: Look) -> None:
    rng = np.random.default_rng(1)
    prompts = [" ".join(rng.choice(4000, 60).astype(str)) for _ in range(400)]
    check = look([group(prompt) for prompt in prompts[:200]], [group(changed(rng, p, 1)) for p in prompts[199:]])
    assert check.findings == ()
    assert check.facts["leaks.near_duplicate_prompts"] == 1


def test_the_same_prompt_is_shown_with_both_places(look: Look) -> None:
    data = [group("How?", where="train:1"), group("What is it?", where="train:2")]
    against = [group("Why?", where="dev:1"), group("what  IS it?", where="dev:2"), group("What is it?", where="dev:3")]
    check = look(data, against)
    found = by_id(check)["prompt-leak"]
    assert found.title == "The data holds 1 of 2 held-out prompts; they make up 2 of 3 held-out groups."
    assert (found.severity, found.count, found.measure.value) == ("fail", 1, 0.5)
    (example,) = found.examples
    assert example.where == "dev:2"
    assert example.texts == (("prompt at dev:2", "what  IS it?"), ("prompt at train:2", "What is it?"))
    assert check.facts["leaks.same_prompt_groups_share"] == pytest.approx(2 / 3)
    assert len(check.section.blocks) == 3


def test_groups_without_a_prompt_share_none(look: Look) -> None:
    check = look([group("", "a", "b")] * 3, [group("", "c", "d")] * 2)
    assert check.findings == ()
    assert (check.facts["leaks.without_prompt"], check.facts["leaks.prompts"]) == (3, 0)
    assert check.facts["leaks.same_prompts_share"] is None


def test_long_responses_to_other_prompts_are_found(look: Look) -> None:
    data = [group(f"data {n} {'x' * n}", f"{LONG} {n} a b c", "No.", where=f"train:{n}") for n in range(60)]
    same = [group(f"other {n} {'y' * n}", "Yes.", f"{LONG}  {n} A b c", where=f"dev:{n}") for n in range(20)]
    new = [group(f"new {n} {'z' * n}", " ".join(f"w{n}x{i}" for i in range(25)), "No.") for n in range(20)]
    check = look(data, same + new)
    found = by_id(check)
    assert list(found) == ["response-leak"]
    assert found["response-leak"].count == check.facts["leaks.shared_responses"] == 20
    assert check.facts["leaks.against_long_responses"] == 40
    assert found["response-leak"].examples[0].texts[0][0].startswith("response at dev:")
    assert check.facts["leaks.turned_with_any_prompt"] == 20


def test_responses_of_leaked_prompts_are_no_leak_of_their_own(look: Look) -> None:
    groups = [group(f"question {n} {'x' * n}", f"{LONG} {'y' * n}", "No.") for n in range(30)]
    check = look(groups, groups[:10] * 2)
    assert list(by_id(check)) == ["prompt-leak"]
    assert (check.facts["leaks.against_long_responses"], check.facts["leaks.duplicate_groups_across"]) == (0, 20)


@pytest.mark.parametrize(
    ("theirs", "turned", "pairs"),
    [
        (group("q", "B", "A", where="dev:1"), 1, 1),
        (group("q", "C", "A", where="dev:1"), 1, 0),
        (group("q", "B", "C", where="dev:1"), 1, 0),
        (group("q", "A", "B", where="dev:1"), 0, 0),
        (group("q", "b", "a", where="dev:1"), 0, 0),
        (group("q", "A", "C", where="dev:1"), 0, 0),
        (group("q", "C", "D", where="dev:1"), 0, 0),
        (group("other", "B", "A", where="dev:1"), 0, 0),
        (group("q", "B", "A", where="dev:1", comparisons=(Comparison(0, 1, probability=0.5),)), 0, 0),
    ],
)
def test_a_response_chosen_here_and_rejected_there(
    look: Look, theirs: PreferenceGroup, turned: int, pairs: int
) -> None:
    check = look([group("p", "A", "B"), group("q", "A", "B", where="train:1")], [theirs, group("else", "E", "F")])
    assert (check.facts["leaks.turned_comparisons"], check.facts["leaks.turned_pairs"]) == (turned, pairs)
    assert ("label-leak" in by_id(check)) == bool(turned)
    if turned:
        (example,) = by_id(check)["label-leak"].examples
        assert example.where == "dev:1"
        assert example.texts[3:] == (("chosen at train:1", "A"), ("rejected at train:1", "B"))


def test_the_middle_of_a_ranking_contradicts_nothing(look: Look) -> None:
    ranking = group("q", "A", "B", "C", comparisons=(Comparison(0, 1), Comparison(1, 2), Comparison(0, 2)))
    check = look([ranking], [group("q", "B", "D"), group("q", "E", "B")])
    assert check.facts["leaks.turned_comparisons"] == 0


def test_what_a_split_by_row_would_leak_is_what_it_leaks() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1] * 50 + [2] * 20 + [3] * 10 + [40])
    prompt = np.repeat(np.arange(len(sizes)), sizes)
    leaked = held = 0
    for _ in range(3000):
        out = rng.random(len(prompt)) < 0.1
        leaked += int(np.isin(prompt[out], prompt[~out]).sum())
        held += int(out.sum())
    assert expected_leak(sizes, sizes) == pytest.approx(leaked / held, abs=0.01)


def test_near_duplicates_count_in_what_a_split_by_row_leaks(look: Look) -> None:
    rng = np.random.default_rng(2)
    prompts = [" ".join(rng.choice(4000, 60).astype(str)) for _ in range(50)]
    check = look([group(prompt) for prompt in prompts] + [group(changed(rng, prompt, 1)) for prompt in prompts])
    assert check.facts["leaks.row_split_leak"] == 0
    assert check.facts["leaks.row_split_leak_near"] == pytest.approx(0.9)
    assert check.facts["leaks.near_prompts"] == 100
    more = look([group(prompts[0])] * 2 + [group(changed(rng, prompts[0], 1))])
    assert more.facts["leaks.row_split_leak"] == pytest.approx(0.9 * 2 / 3)
    assert more.facts["leaks.row_split_leak_near"] == pytest.approx(0.99)


def test_groups_are_the_same_in_whatever_order_their_responses_stand(look: Look) -> None:
    check = look([group("q", "A", "B"), group("Q", "b", "a"), group("q", "A", "C"), group("r", "A", "B")])
    assert check.facts["leaks.duplicate_groups"] == 1


@pytest.mark.parametrize(
    ("prompts", "said"),
    [(1, "One prompt cannot be held out"), (5, "say more about the prompts drawn"), (60, "never single rows.")],
)
def test_what_to_do_depends_on_how_many_prompts_there_are(look: Look, prompts: int, said: str) -> None:
    check = look([group(f"{n % prompts} {'x' * (n % prompts)}", f"a {n}", f"b {n}") for n in range(300)])
    found = by_id(check)["repeated-prompt"]
    assert said in found.cure
    assert found.measure.value == pytest.approx(1, abs=1e-3)
    assert found.severity == "warn"


def test_the_data_alone_is_what_repeats(look: Look) -> None:
    """Other data's own repetitions are its own business."""
    check = look([group("one"), group("two")], [group("three")] * 5)
    assert check.findings == ()
    assert (check.facts["leaks.groups"], check.facts["leaks.repeated_prompts"]) == (2, 0)
    assert check.facts["leaks.duplicate_groups"] == 0
    assert (check.facts["leaks.against_groups"], check.facts["leaks.against_prompts"]) == (5, 1)


def test_without_data_there_is_nothing_to_say(look: Look) -> None:
    assert look([], [group("one")]).skipped == "no groups"
    assert look([]).skipped == "no groups"


def test_real_dialogues_share_what_they_share(real_data: Path, look: Look) -> None:
    """Two published sets of the same project, counted before by a slow loop."""
    name = "hh_rlhf/{}/test.jsonl.gz"
    data, against = (
        list(stream_groups(str(real_data / name.format(part)), on_bad_row="skip"))
        for part in ("helpful-rejection-sampled", "helpful-base")
    )
    check = look(data, against)
    same = {g.prompt_hash for g in data} & {g.prompt_hash for g in against}
    assert check.facts["leaks.same_prompts"] == len(same)
    assert not by_id(check)


def test_a_set_of_32_prompts_split_by_row_leaks_all_of_them(real_data: Path, look: Look) -> None:
    groups = tuple(stream_groups(str(real_data / "ukpconvarg1/pairs.jsonl.gz"), max_groups=4000))
    found = by_id(look(*split_by_row(groups, 0, share=0.1)))
    prompts = len({g.prompt_hash for g in groups})
    assert found["prompt-leak"].title.startswith(f"The data holds {prompts} of {prompts} held-out prompts;")
    assert found["prompt-leak"].examples[0].where.startswith(str(real_data))
    assert found["repeated-prompt"].measure.value > 0.99
