"""Sides share nothing, old prompts stay where they are, and the manifest says what is true."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palate.curate.split import SplitResult, split
from palate.data.load import read_groups
from palate.data.manifest import read_manifest
from palate.data.rows import group_to_row
from palate.data.simulate import simulate
from palate.data.split import held_out
from palate.errors import ConfigError, DataError
from palate.health.corpus import build_corpus
from palate.health.leaks.check import check_leaks
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup, Vote

Write = Callable[..., str]
MADE = simulate(300).groups


def group(prompt: str, number: int = 0, **more: Any) -> PreferenceGroup:
    said = tuple((Message("assistant", f"{text} {number}"),) for text in ("Yes", "No"))
    return PreferenceGroup(f"{prompt[:20]}-{number}", (Message("user", prompt),), said, (Comparison(0, 1),), **more)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(groups: Iterable[PreferenceGroup], name: str = "data.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(group_to_row(one)) + "\n" for one in groups), encoding="utf-8")
        return str(path)

    return written


def sides(result: SplitResult) -> dict[str, tuple[PreferenceGroup, ...]]:
    return {name: read_groups(str(result.folder / file.name)).groups for name, file in result.manifest.files.items()}


def side_of(result: SplitResult) -> dict[str, str]:
    """The side of each prompt, as the files have it."""
    found = {}
    for name, groups in sides(result).items():
        for one in groups:
            assert found.setdefault(one.prompt_hash, name) == name
    return found


def prompts(rng: np.random.Generator, number: int, length: int = 40) -> list[str]:
    return [" ".join(f"w{x}" for x in rng.integers(0, 10**6, length)) for _ in range(number)]


def like(prompt: str, number: int) -> str:
    """The prompt with another word."""
    return prompt.replace(prompt.split()[10], f"new{number}", 1)


def test_every_group_is_on_one_side_as_it_was(write: Write, tmp_path: Path) -> None:
    fractions = {"train": 0.6, "dev": 0.3, "test": 0.1}
    result = split(write(MADE), out=str(tmp_path / "out"), fractions=fractions)
    found = sides(result)
    assert list(found) == ["train", "dev", "test"]
    original = {one.id: replace(one, where="") for one in read_groups(write(MADE)).groups}
    order = {id: number for number, id in enumerate(original)}
    everything = [one for groups in found.values() for one in groups]
    assert {one.id: replace(one, where="") for one in everything} == original
    assert len(everything) == len(MADE)
    for name, groups in found.items():
        places = [order[one.id] for one in groups]
        assert places == sorted(places)
        assert abs(len(groups) / 300 - fractions[name]) < 0.1
        file = result.manifest.files[name]
        assert (file.groups, file.prompts) == (len(groups), len({one.prompt_hash for one in groups}))
        assert file.comparisons == sum(len(one.comparisons) for one in groups)
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "dev.jsonl",
        "split.json",
        "test.jsonl",
        "train.jsonl",
    ]


def test_the_sides_are_those_of_a_run_that_splits_by_itself(write: Write, tmp_path: Path) -> None:
    data = write(MADE)
    for seed in (0, 5):
        result = split(data, out=str(tmp_path / f"out{seed}"), near_duplicates=False, seed=seed)
        hashes = np.array([int(one.prompt_hash, 16) for one in MADE], np.uint64)
        out = held_out(hashes, 0.1, seed=seed)
        assert {one.id for one in sides(result)["dev"]} == {one.id for one, held in zip(MADE, out, strict=True) if held}


def test_a_larger_side_holds_what_a_smaller_one_held(write: Write, tmp_path: Path) -> None:
    data = write(MADE)
    small = split(data, out=str(tmp_path / "a"))
    large = split(data, out=str(tmp_path / "b"), fractions={"train": 0.6, "dev": 0.2, "test": 0.2})
    assert {one.id for one in sides(small)["dev"]} < {one.id for one in sides(large)["dev"]}


def test_near_duplicates_stay_together_and_the_check_agrees(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = prompts(rng, 200)
    data = write([group(prompt, n) for n, prompt in enumerate(base + [like(prompt, 0) for prompt in base])])
    for near, most in ((True, 0.01), (False, 1.0)):
        result = split(
            data, out=str(tmp_path / f"out{near}"), fractions={"train": 0.5, "dev": 0.5}, near_duplicates=near
        )
        found = sides(result)
        check = check_leaks(build_corpus(found["train"], tmp_path, against=found["dev"]), Thresholds())
        share = check.facts["leaks.near_duplicate_prompts_share"]
        assert isinstance(share, float)
        assert share <= most
        assert near or share > 0.3
        assert (result.joined > 390) == near
        assert result.units == (400 if not near else 400 - result.joined // 2)


def test_near_duplicates_do_not_hang_together_by_boilerplate(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    system, questions = " ".join(prompts(rng, 1, 200)), prompts(rng, 200, 12)
    result = split(write([group(f"{system} {q}") for q in questions]), out=str(tmp_path / "out"))
    assert result.units == 200


def test_old_prompts_keep_their_sides_when_data_is_added(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    before = prompts(rng, 300)
    added = [like(prompt, n) for n, prompt in enumerate(before[:150])] + prompts(rng, 100)
    old = [group(prompt, n) for n, prompt in enumerate(before)]
    new = [group(prompt, n) for n, prompt in enumerate(added)]
    fractions = {"train": 0.5, "dev": 0.5}
    first = split(write(old), out=str(tmp_path / "first"), fractions=fractions)
    data = write([*new, *old])

    plain = split(data, out=str(tmp_path / "plain"), fractions=fractions, near_duplicates=False)
    assert side_of(first).items() <= side_of(plain).items()

    previous = str(tmp_path / "first/split.json")
    going_on = split(data, out=str(tmp_path / "second"), fractions=fractions, previous=previous)
    assert side_of(first).items() <= side_of(going_on).items()
    assert going_on.conflicts == 0
    hashes = [(a.prompt_hash, b.prompt_hash) for a, b in zip(old, new[:150], strict=False)]
    now = side_of(going_on)
    assert np.mean([now[a] == now[b] for a, b in hashes]) >= 0.97

    alone = side_of(split(data, out=str(tmp_path / "third"), fractions=fractions))
    changed = [prompt for prompt, side in side_of(first).items() if alone[prompt] != side]
    assert 0 < len(changed) < 150  # which is why there is `previous`


def test_a_new_prompt_between_two_sides_is_a_conflict(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    (base,) = prompts(rng, 1, 60)
    words = base.split()
    left, right = " ".join([*words[:-4], *"abcd"]), " ".join([*"efgh", *words[4:]])
    others = [group(prompt) for prompt in prompts(rng, 40)]
    fractions = {"train": 0.5, "dev": 0.5}
    for seed in range(20):
        out = tmp_path / str(seed)
        first = split(write([group(left), group(right), *others]), out=str(out), fractions=fractions, seed=seed)
        apart = side_of(first)[group(left).prompt_hash] != side_of(first)[group(right).prompt_hash]
        if apart:
            break
    assert apart
    again = split(
        write([group(left), group(right), group(base), *others]),
        out=str(tmp_path / "again"),
        fractions=fractions,
        seed=seed,
        previous=str(out / "split.json"),
    )
    assert side_of(first).items() <= side_of(again).items()
    assert again.conflicts == 1
    assert "1 clusters on several sides by the earlier split" in again.summary()
    least = min(group(text).prompt_hash for text in (left, right))
    assert side_of(again)[group(base).prompt_hash] == side_of(first)[least]


def test_a_split_can_be_gone_on_with_in_its_own_folder(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = side_of(split(write(MADE[:200]), out=str(out)))
    with pytest.raises(ConfigError, match=r"holds a split already.*--previous"):
        split(write(MADE), out=str(out))
    again = split(write(MADE), out=str(out), previous=str(out / "split.json"))
    assert first.items() <= side_of(again).items()
    assert again.manifest.previous_sha256 is not None
    twice = split(write(MADE), out=str(out), previous=str(out / "split.json"))
    assert side_of(twice) == side_of(again)


def test_the_manifest_knows_the_side_of_every_prompt(write: Write, tmp_path: Path) -> None:
    result = split(write(MADE), out=str(tmp_path / "out"))
    read = read_manifest(result.folder / "split.json")
    found = {f"{key:016x}": side for side, keys in read.sides.items() for key in keys.tolist()}
    assert found == side_of(result)
    assert read.files == result.manifest.files
    assert (read.settings, read.shared_prompts, read.cuts) == (result.manifest.settings, 0, ())
    assert (read.data_sha256, len(read.data_sha256)) == (result.manifest.data_sha256, 64)


def test_stratified_sides_have_their_share_of_each_source(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    sizes = {"a": 500, "b": 60, "c": 11, **{f"small{n}": 2 for n in range(50)}}
    groups = [group(prompt, source=name) for name, size in sizes.items() for prompt in prompts(rng, size, 8)]
    data = write([groups[place] for place in rng.permutation(len(groups))])
    fractions = {"train": 0.7, "dev": 0.2, "test": 0.1}
    result = split(data, out=str(tmp_path / "out"), fractions=fractions, stratify="source")
    for name, share in fractions.items():
        held = [one.source for one in sides(result)[name]]
        for source in "abc":
            assert abs(held.count(source) - share * sizes[source]) <= 1
        assert abs(sum(one.startswith("small") for one in held) - share * 100) < 20


def test_stratified_sides_stay_with_the_earlier_split(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    groups = [group(prompt, source="ab"[n % 2]) for n, prompt in enumerate(prompts(rng, 600, 8))]
    first = split(write(groups[:300]), out=str(tmp_path / "a"), stratify="source")
    again = split(write(groups), out=str(tmp_path / "b"), stratify="source", previous=str(tmp_path / "a/split.json"))
    assert side_of(first).items() <= side_of(again).items()
    new = {one.id for one in groups[300:]}
    held = [one.source for one in sides(again)["dev"] if one.id in new]
    assert (held.count("a"), held.count("b")) == (15, 15)


def test_by_source_each_source_is_on_one_side(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    groups = [group(prompt, n, source=f"s{n % 12}") for n, prompt in enumerate(prompts(rng, 300, 8))]
    groups += [group("Shared?", n, source=f"s{n}") for n in range(12)]
    result = split(write(groups), out=str(tmp_path / "out"), by="source", fractions={"train": 0.5, "dev": 0.5})
    found = {name: {one.source for one in groups} for name, groups in sides(result).items()}
    assert found["train"] | found["dev"] == {f"s{n}" for n in range(12)}
    assert not found["train"] & found["dev"]
    assert (result.units, result.manifest.shared_prompts) == (12, 1)
    assert not result.manifest.settings.near_duplicates  # which is about prompts
    assert "1 prompts on several sides" in result.summary()
    more = [*groups, *(group(prompt, source="new") for prompt in prompts(rng, 5))]
    again = split(write(more), out=str(tmp_path / "again"), by="source", fractions={"train": 0.5, "dev": 0.5})
    for name, groups_again in sides(again).items():
        assert {one.source for one in groups_again} - {"new"} == found[name]


def test_by_time_the_oldest_come_first(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    days = rng.permutation(np.repeat(np.arange(50), 4)).tolist()
    texts = prompts(rng, 260, 8)
    groups = [group(p, time=f"2024-{1 + day // 28:02}-{1 + day % 28:02}") for day, p in zip(days, texts, strict=False)]
    fractions = {"train": 0.75, "dev": 0.15, "test": 0.1}
    first = split(write(groups), out=str(tmp_path / "a"), by="time", fractions=fractions)
    found = {name: [one.time for one in side] for name, side in sides(first).items()}
    assert [len(times) for times in found.values()] == [148, 32, 20]  # days stay whole
    assert max(found["train"]) < min(found["dev"]) <= max(found["dev"]) < min(found["test"])
    more = [*groups, *(group(p, time="2024-05-01T12:00:00+02:00") for p in texts[200:])]
    again = split(
        write(more), out=str(tmp_path / "b"), by="time", fractions=fractions, previous=f"{first.folder}/split.json"
    )
    assert side_of(first).items() <= side_of(again).items()
    assert again.manifest.cuts == first.manifest.cuts


def test_times_may_be_numbers(write: Write, tmp_path: Path) -> None:
    groups = [group(f"{n}?", n, time=str(1.7e9 + (n * 37) % 100)) for n in range(100)]
    result = split(write(groups), out=str(tmp_path / "out"), by="time")
    assert sorted(float(one.time) - 1.7e9 for one in sides(result)["dev"]) == list(range(90, 100))


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (["2024-01-01", ""], r"data.jsonl:2: .*no time"),
        (["2024-01-01", "yesterday"], r"data.jsonl:2: .*'yesterday' is neither ISO 8601"),
        (["2024-01-01", "1700000000"], r"data.jsonl:2: .*different kinds"),
    ],
)
def test_times_that_cannot_be_ordered_are_refused(
    write: Write, tmp_path: Path, times: Sequence[str], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        split(write([group(f"{n}?", time=time) for n, time in enumerate(times)]), out=str(tmp_path / "out"), by="time")
    assert not (tmp_path / "out").exists()


def voted(prompt: str, *ballots: tuple[str, int | None], margin: float = 0.0) -> PreferenceGroup:
    votes = tuple(Vote(name, preferred) for name, preferred in ballots)
    return replace(group(prompt), comparisons=(Comparison(0, 1, margin=margin, probability=0.75, votes=votes),))


def test_by_annotator_votes_are_divided(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    names = [f"ann{n}" for n in range(20)]
    groups = [
        voted(prompt, *((str(name), int(rng.integers(2))) for name in rng.choice(names, 5, replace=False)), margin=1.5)
        for prompt in prompts(rng, 100, 8)
    ]
    result = split(write([*groups, group("No votes?")]), out=str(tmp_path / "out"), by="annotator")
    found = sides(result)
    people = {name: {v.annotator for g in side for c in g.comparisons for v in c.votes} for name, side in found.items()}
    assert people["train"] | people["dev"] == set(names)
    assert not people["train"] & people["dev"]
    ballots = sorted((g.prompt_hash, v.annotator, v.preferred) for g in groups for c in g.comparisons for v in c.votes)
    assert ballots == sorted(
        (g.prompt_hash, v.annotator, v.preferred)
        for side in found.values()
        for g in side
        for c in g.comparisons
        for v in c.votes
    )
    whole = {g.prompt_hash for g in groups if len({v.annotator in people["dev"] for v in g.comparisons[0].votes}) == 1}
    for one in (g for side in found.values() for g in side if g.comparisons[0].votes):
        (label,) = one.comparisons
        share = np.mean([vote.preferred == label.winner for vote in label.votes])
        if one.prompt_hash in whole:
            assert (label.probability, label.margin) == (0.75, 1.5)
        else:
            assert label.probability == pytest.approx(share)
            assert share >= 0.5
            assert label.margin == (1.5 if label.winner == 0 and share > 0.5 else 0.0)
    assert result.notes["divided"] == 100 - len(whole) > 20
    assert result.notes["unvoted"] == 1
    assert "No votes?" in [g.prompt[0].content for g in found["train"]]
    assert result.manifest.shared_prompts == 100 - len(whole)


def test_annotators_keep_their_sides(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    texts = prompts(rng, 60, 8)
    groups = [voted(p, *((f"ann{(n + k) % 30}", 0) for k in range(3))) for n, p in enumerate(texts[:40])]
    more = [voted(p, *((f"new{(n + k) % 9}", 0) for k in range(3))) for n, p in enumerate(texts[40:])]
    first = split(write(groups), out=str(tmp_path / "a"), by="annotator")
    again = split(write([*more, *groups]), out=str(tmp_path / "b"), by="annotator")

    def people(result: SplitResult, side: str) -> set[str]:
        return {v.annotator for g in sides(result)[side] for c in g.comparisons for v in c.votes}

    for side in ("train", "dev"):
        assert {name for name in people(again, side) if name.startswith("ann")} == people(first, side)


def test_what_was_left_out_is_listed(write: Write, tmp_path: Path) -> None:
    data = write(MADE)
    with Path(data).open("a", encoding="utf-8") as file:
        file.write('{"prompt": "broken"}\n')
    with pytest.raises(DataError, match=r"data\.jsonl:301"):
        split(data, out=str(tmp_path / "out"))
    result = split(data, out=str(tmp_path / "out"), on_bad_row="skip")
    assert [row.where for row in result.report.dropped] == [f"{data}:301"]
    assert len((result.folder / "dropped.jsonl").read_text().splitlines()) == 1
    assert "1 rows left out" in result.summary()


def test_progress_is_told_of_both_readings(write: Write, tmp_path: Path) -> None:
    told: list[int] = []
    split(write(MADE), out=str(tmp_path / "out"), on_progress=told.append)
    assert sum(told) == 600


def test_both_sides_get_a_prompt_however_few_there_are(write: Write, tmp_path: Path) -> None:
    for number in (2, 3):
        result = split(write(MADE[:number]), out=str(tmp_path / str(number)), fractions={"train": 0.999, "dev": 0.001})
        assert all(file.groups for file in result.manifest.files.values())
    with pytest.raises(ConfigError, match="1 to be split cannot give each of train, dev one"):
        split(write(MADE[:1] * 5), out=str(tmp_path / "one"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fractions": {"train": 1.0}}, "two or more"),
        ({"fractions": {"train": 0.9, "dev": 0.2}}, "add up to 1"),
        ({"fractions": {"train": 1.2, "dev": -0.2}}, "positive"),
        ({"fractions": {"train": 0.9, "a/b": 0.1}}, "'a/b' cannot name a side"),
        ({"fractions": {"train": 0.9, "dropped": 0.1}}, "'dropped' cannot name a side"),
        ({"by": "source"}, "has 1 source, fewer than the sides"),
        ({"by": "annotator", "stratify": "source"}, "stratify goes with by=prompt alone"),
        ({"by": "time", "fractions": {"train": 0.999, "dev": 0.001}}, "no time"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    write: Write, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    groups = [replace(one, comparisons=(Comparison(0, 1),)) for one in MADE[:20]]
    with pytest.raises((ConfigError, DataError), match=said):
        split(write(groups), out=str(tmp_path / "out"), **settings)
    assert not (tmp_path / "out").exists()


def test_data_without_votes_has_no_annotators(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has 0 annotators"):
        split(write([group(f"{n}?") for n in range(20)]), out=str(tmp_path / "out"), by="annotator")


def test_too_few_times_are_refused(write: Write, tmp_path: Path) -> None:
    groups = [group(f"{n}?", time="2024-01-01") for n in range(20)]
    with pytest.raises(ConfigError, match="nothing is left for side 'train'"):
        split(write(groups), out=str(tmp_path / "out"), by="time")


def test_an_earlier_split_must_fit(write: Write, tmp_path: Path) -> None:
    data, previous = write(MADE), str(tmp_path / "a/split.json")
    with pytest.raises(DataError, match=r"no such split\.json"):
        split(data, out=str(tmp_path / "b"), previous=previous)
    split(data, out=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"is a split by prompt, and this one is by source"):
        split(data, out=str(tmp_path / "b"), previous=previous, by="source")
    with pytest.raises(ConfigError, match=r"has a side 'dev', which this split has not"):
        split(data, out=str(tmp_path / "b"), previous=previous, fractions={"train": 0.9, "test": 0.1})


def test_the_data_itself_is_never_replaced(write: Write, tmp_path: Path) -> None:
    data = write(MADE, "train.jsonl")
    with pytest.raises(ConfigError, match=r"would replace .*train\.jsonl itself"):
        split(data, out=str(tmp_path))
    with pytest.raises(ConfigError, match="inside the folder"):
        split(str(tmp_path), out=str(tmp_path / "out"))
    assert len(read_groups(data).groups) == 300


def test_a_failure_leaves_no_half_of_a_split(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(MADE)
    calls = []

    def changing(group: PreferenceGroup) -> dict[str, Any]:
        calls.append(group)
        if len(calls) == 100:
            raise OSError("disk full")
        return group_to_row(group)

    monkeypatch.setattr("palate.curate.split.group_to_row", changing)
    with pytest.raises(OSError, match="disk full"):
        split(data, out=str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("later", [MADE[:200], MADE[::-1], (*MADE, *MADE[:50])])
def test_data_that_changes_meanwhile_is_noticed(write: Write, tmp_path: Path, later: Sequence[PreferenceGroup]) -> None:
    data = write(MADE)
    told = []

    def change(groups: int) -> None:
        if not told:  # the first reading is over
            write(later)
        told.append(groups)

    with pytest.raises(DataError, match="changed while it was being split"):
        split(data, out=str(tmp_path / "out"), on_progress=change)


def test_real_dialogues_are_split_without_leaks(real_data: Path, tmp_path: Path) -> None:
    source = str(real_data / "hh_rlhf/helpful-base/test.jsonl.gz")
    result = split(source, out=str(tmp_path / "out"), on_bad_row="skip", fractions={"train": 0.7, "dev": 0.3})
    found = sides(result)
    assert sum(map(len, found.values())) == 2352
    check = check_leaks(build_corpus(found["train"], tmp_path, against=found["dev"]), Thresholds())
    assert (check.facts["leaks.same_prompts"], check.facts["leaks.near_duplicate_prompts"]) == (0, 0)
