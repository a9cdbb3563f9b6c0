"""The section on annotators: planted quirks and memories are found and named, healthy data is left alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palate.auditing.limits import audit_thresholds
from palate.auditing.people.check import check_people
from palate.auditing.scorer import Scored
from palate.data.read import read_preferences
from palate.health.corpus import Corpus, build_corpus
from palate.records import Comparison, Message, PreferenceGroup, Vote
from palate.report.findings import Check


def group(number: int, comparison: Comparison, prompt: str = "") -> PreferenceGroup:
    asked = (Message("user", prompt or f"question {number}"),)
    texts = (f"one answer to {number}", f"another answer to {number}")
    return PreferenceGroup(
        f"g{number}", asked, tuple((Message("assistant", text),) for text in texts), (comparison,), f"made:{number}"
    )


def voted(number: int, ballots: dict[str, int | None], **more: str) -> PreferenceGroup:
    """All groups are won by their first response, whatever the votes say."""
    votes = tuple(Vote(name, preferred) for name, preferred in ballots.items())
    return group(number, Comparison(0, 1, votes=votes), **more)


def scored(groups: list[PreferenceGroup], folder: Path, margin: np.ndarray) -> Scored:
    """The first response of each group is rewarded by the margin, the second by 0."""
    folder.mkdir()
    corpus = build_corpus(groups, folder)
    return Scored(corpus, np.stack([margin, np.zeros(len(margin))], axis=1).ravel())


def ids(check: Check) -> list[str]:
    return [finding.id for finding in check.findings]


def people(rng: np.random.Generator, count: int, accuracy: dict[str, float], each: int = 4) -> list[PreferenceGroup]:
    """Votes for the first response with each annotator's own probability."""
    names = list(accuracy)
    made = []
    for number in range(count):
        chosen = rng.permutation(len(names))[:each]
        made.append(voted(number, {names[one]: int(rng.random() > accuracy[names[one]]) for one in chosen}))
    return made


def test_a_quirky_annotator_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    accuracy = {f"ann-{number}": 0.85 for number in range(8)} | {"quirk": 0.45}
    groups = people(rng, 300, accuracy)
    check = check_people(scored(groups, tmp_path / "c", np.ones(300)), audit_thresholds())
    assert ids(check) == ["annotator-gap"]
    finding = check.findings[0]
    assert finding.severity == "warn"
    assert "votes of quirk" in finding.title
    hits = [vote.preferred == 0 for one in groups for vote in one.comparisons[0].votes if vote.annotator == "quirk"]
    told = check.facts["people.by_annotator"]["quirk"]
    assert (told["votes"], told["agreement"]) == (len(hits), pytest.approx(np.mean(hits)))
    assert told["low"] < told["shrunk"] < told["high"]
    assert told["others"] == pytest.approx(0.85, abs=0.04)
    assert finding.measure.value == pytest.approx(told["others"] - told["shrunk"])
    assert next(iter(check.facts["people.by_annotator"])) == "quirk"
    assert check.facts["people.spread_p"] <= 0.01


def test_alike_annotators_raise_no_alarm(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for resample in range(20):
        groups = people(rng, 80, {f"ann-{number}": 0.8 for number in range(8)})
        check = check_people(scored(groups, tmp_path / str(resample), np.ones(80)), audit_thresholds())
        assert not check.findings


def test_pairs_that_only_one_person_judged_are_not_held_against_them(tmp_path: Path) -> None:
    """Half of their votes go against the reward, but next to others they differ on two pairs alone."""
    alone = [voted(number, {"lone": number % 2}) for number in range(60)]
    shared = [voted(100 + number, {"lone": 1, "a": 0, "b": 0}) for number in range(2)]
    others = [voted(200 + number, {"a": 0, "b": 0}) for number in range(60)]
    check = check_people(scored([*alone, *shared, *others], tmp_path / "c", np.ones(122)), audit_thresholds())
    assert check.facts["people.by_annotator"]["lone"]["others"] == 1.0
    assert check.facts["people.spread_p"] == pytest.approx(1 / 3, abs=0.07)  # any of the three, twice the same
    assert not check.findings


def test_without_others_an_annotator_is_held_to_all_votes(tmp_path: Path) -> None:
    groups = [voted(number, {f"ann-{number % 5}": int(number % 5 == 0 and number % 10 == 0)}) for number in range(500)]
    check = check_people(scored(groups, tmp_path / "c", np.ones(500)), audit_thresholds())
    assert check.findings[0].title == "The reward agrees with 50% of the 100 votes of ann-0, and with 90% of all."
    assert check.facts["people.spread_p"] is None


def test_ties_and_missing_rewards_are_counted(tmp_path: Path) -> None:
    groups = [voted(number, {"a": 0, "b": 1, "c": None}) for number in range(30)]
    margin = np.where(np.arange(30) < 10, np.nan, 1.0)
    margin[10] = 0.0
    facts = check_people(scored(groups, tmp_path / "c", margin), audit_thresholds()).facts
    assert (facts["people.votes"], facts["people.left_out"]) == (40, 50)
    assert facts["people.by_annotator"]["a"]["agreement"] == pytest.approx(19.5 / 20)
    assert facts["people.agreement"] == pytest.approx(0.5)


@pytest.fixture
def memory(tmp_path: Path) -> tuple[Scored, Corpus]:
    """Annotators a and b voted in training too; prompts 0 to 39 and rows 0 to 19 of the held-out data were in it."""
    (tmp_path / "train").mkdir()
    seen = [voted(number, {"a": 0, "b": 0}) for number in range(20)]
    seen += [
        replace(voted(number, {"a": 0}), responses=tuple((Message("assistant", f"{text} {number}"),) for text in "xy"))
        for number in range(20, 40)
    ]
    held = [
        voted(number, {"a": 0, "b": 0, "new": int(number % 2 == 0), "other": int(number % 4 == 0)})
        for number in range(120)
    ]
    # what the training corpus is compared with must not count as training
    training = build_corpus(seen, tmp_path / "train", against=held)
    return scored(
        held, tmp_path / "held", np.where(np.arange(120) < 40, 1.0, np.where(np.arange(120) % 5 == 0, -1, 1))
    ), training


def test_disjoint_figures_are_those_counted_by_hand(memory: tuple[Scored, Corpus]) -> None:
    check = check_people(memory[0], audit_thresholds(), training=memory[1])
    number = np.repeat(np.arange(120), 4)
    name = np.tile(["a", "b", "new", "other"], 120)
    vote = np.select([np.isin(name, ["a", "b"]), name == "new"], [0, number % 2 == 0], number % 4 == 0)
    margin = np.where((number >= 40) & (number % 5 == 0), -1, 1)
    agrees = (vote == 0) == (margin > 0)
    seen = {"rows": number < 20, "prompts": number < 40, "annotators": np.isin(name, ["a", "b"])}
    seen["prompts_or_annotators"] = seen["prompts"] | seen["annotators"]
    for kind, member in seen.items():
        facts = check.facts[f"people.unseen.{kind}"]
        assert (facts["seen_votes"], facts["unseen_votes"]) == (member.sum(), (~member).sum())
        assert facts["seen"]["value"] == pytest.approx(agrees[member].mean())
        assert facts["unseen"]["value"] == pytest.approx(agrees[~member].mean())
        assert facts["gap"]["value"] == pytest.approx(agrees[member].mean() - agrees[~member].mean())
        assert facts["gap"]["low"] < facts["gap"]["value"] < facts["gap"]["high"]
    finding = next(one for one in check.findings if one.id == "annotators-seen")
    assert finding.measure.value == check.facts["people.unseen.annotators"]["gap"]["value"]


def test_strangers_who_are_served_as_well_are_no_finding(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    names = {f"ann-{number}": 0.8 for number in range(8)}
    held = people(rng, 150, names)
    (tmp_path / "train").mkdir()
    training = build_corpus([voted(900 + n, dict.fromkeys(list(names)[:4], 0)) for n in range(10)], tmp_path / "train")
    check = check_people(scored(held, tmp_path / "c", np.ones(150)), audit_thresholds(), training=training)
    assert check.facts["people.unseen.annotators"]["seen_votes"] > 200
    assert not check.findings


def test_an_annotator_in_the_state_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    groups = [voted(number, {f"ann-{number % 3}": 0}) for number in range(120)]
    data = scored(groups, tmp_path / "c", np.ones(120))
    state = rng.normal(size=(240, 10)).astype(np.float32)
    assert not check_people(data, audit_thresholds(), state=state).findings
    state[::2, 0] += 6 * (np.arange(120) % 3)
    check = check_people(data, audit_thresholds(), state=state)
    assert ids(check) == ["annotator-in-state"]
    assert check.facts["people.probe"]["accuracy"] > 0.8
    assert "do not show" in str(check_people(data, audit_thresholds()).section.blocks)


def test_without_votes_or_names_it_says_so(tmp_path: Path) -> None:
    bare = scored([group(number, Comparison(0, 1)) for number in range(30)], tmp_path / "a", np.ones(30))
    assert check_people(bare, audit_thresholds()).skipped == "no votes in the held-out data"
    ties = scored([voted(number, {"a": None}) for number in range(30)], tmp_path / "b", np.ones(30))
    assert check_people(ties, audit_thresholds()).skipped == "no vote took a side between two rewards"
    once = scored([voted(number, {f"somebody {number}": 0}) for number in range(30)], tmp_path / "c", np.ones(30))
    check = check_people(once, audit_thresholds(), training=bare.corpus)
    assert check.facts["people.named"] is False
    assert "people.unseen.rows" in check.facts
    assert "people.unseen.annotators" not in check.facts


@pytest.mark.parametrize(
    ("name", "groups", "annotators"),
    [("pandalm/testset-v1.json.gz", 999, 3), ("ukpconvarg1/pairs.jsonl.gz", 1500, 1)],
)
def test_published_votes_are_counted(real_data: Path, tmp_path: Path, name: str, groups: int, annotators: int) -> None:
    data = read_preferences(str(real_data / name), max_groups=groups).groups
    corpus = build_corpus(data, tmp_path)
    # the longer response gets the higher reward
    check = check_people(Scored(corpus, corpus.responses.characters.astype(float)), audit_thresholds())
    agrees, sided = 0.0, 0
    for one in data:
        length = [sum(len(message.content) for message in response) for response in one.responses]
        for vote in (vote for label in one.comparisons for vote in label.votes if vote.preferred is not None):
            gap = length[vote.preferred] - length[1 - vote.preferred]
            agrees, sided = agrees + (np.sign(gap) + 1) / 2, sided + 1
    assert check.facts["people.votes"] == sided
    assert check.facts["people.agreement"] == pytest.approx(agrees / sided)
    assert check.facts["people.annotators"] >= annotators
    assert 0 < check.facts["people.spread_p"] <= 1
