"""Out and in again: what comes back is what went out, but for exactly what the count of losses names."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.conversion import convert
from palate.data.benchmarks import STYLES
from palate.data.load import read_groups
from palate.data.rows import group_to_row
from palate.data.writers.target import own_id
from palate.data.writers.targets import TARGETS
from palate.records import Comparison, Conversation, Message, PreferenceGroup, Vote

# what each target carries, written down a second time; the order of the two responses is `order`
EVERYTHING = {"margin", "weight", "probability", "votes", "position", "seconds", "source", "models", "time", "order"}
ORIGIN = {"source", "models", "time"}
VOTES = {"votes", "position", "seconds", "order"}
CARRIES = {
    "palate": EVERYTHING,
    "trl": {"margin"} | ORIGIN,
    "trl-standard": {"margin"} | ORIGIN,
    "trl-conversational": {"margin"} | ORIGIN,
    "trl-implicit": {"margin"} | ORIGIN,
    "openrlhf": {"margin"} | ORIGIN,
    "hh": set(),
    "rewardbench": {"source", "models"},
    "rewardbench-2": {"source", "models"},
    "rm-bench": {"source", "models", "order"},
    "llmbar": {"source", "order"},
    "judgebench": {"source", "order"},
    "ranked": ORIGIN | {"order"},
    "nemo": ORIGIN | {"order"},
    "votes": VOTES | ORIGIN,
    "votes-table": VOTES - {"order"} | ORIGIN,
    "label-studio-export": VOTES - {"position"} | ORIGIN,
    "argilla-export": {"votes", "order"} | ORIGIN,
}
WHOLE = ("hh", "trl-implicit")  # targets that know no border between prompt and response


@dataclass(frozen=True)
class Fact:
    """One comparison, as a target can tell it: texts instead of indices."""

    better: Conversation
    worse: Conversation
    tie: bool
    values: tuple


def facts(groups: Iterable[PreferenceGroup], target: str, carried: set[str]) -> Counter[Fact]:
    return Counter(fact_of(group, one, target, carried) for group in groups for one in group.comparisons)


def by_votes(one: Comparison) -> Comparison:
    """The label that the votes alone come to."""
    points = sum(0.5 if vote.preferred is None else vote.preferred == one.winner for vote in one.votes)
    share = points / len(one.votes)
    sides = (one.winner, one.loser) if share >= 0.5 else (one.loser, one.winner)
    return replace(one, winner=sides[0], loser=sides[1], probability=max(share, 1 - share))


def fact_of(group: PreferenceGroup, one: Comparison, target: str, carried: set[str]) -> Fact:
    if one.votes and "votes" in carried and target != "palate":
        one = by_votes(one)

    def spelled(index: int | None) -> Conversation | None:
        if index is None:
            return None
        whole = group.prompt + group.responses[index]
        strip = target == "hh"
        return tuple(Message(m.role, m.content.strip() if strip else m.content) for m in whole)

    better, worse = spelled(one.winner), spelled(one.loser)
    if one.is_tie:
        better, worse = sorted((better, worse), key=repr)
    values: dict[str, object] = {"source": group.source, "time": group.time}
    if target not in WHOLE:
        values["prompt"] = group.prompt
    if group.models:
        values["models"] = frozenset({(spelled(i), group.models[i]) for i in (one.winner, one.loser)})
    values |= {"margin": one.margin, "weight": one.weight, "probability": round(one.probability, 9)}
    values["order"] = one.winner < one.loser or one.is_tie
    values["votes"] = frozenset(
        Counter(
            (
                vote.annotator,
                spelled(vote.preferred),
                spelled(vote.first) if "position" in carried else None,
                vote.seconds if "seconds" in carried else None,
            )
            for vote in one.votes
        ).items()
    )
    if one.votes and "votes" in carried:
        carried = carried | {"probability"}
    kept = tuple((name, values[name]) for name in sorted(values) if name in carried | {"prompt"})
    return Fact(better, worse, one.is_tie, kept)


def round_trip(
    tmp_path: Path, source: str, target: str, ending: str, max_groups: int | None = None
) -> tuple[Counter, Counter, dict[str, int]]:
    """Facts before and after, restricted to what the target carries, and the losses."""
    out = tmp_path / f"{target}{ending}"
    done = convert(source, to=target, out=str(out), on_bad_row="skip", max_groups=max_groups)
    before = read_groups(source, on_bad_row="skip", require_comparisons=False, max_groups=max_groups).groups
    back = read_groups(str(out), require_comparisons=False)  # what was written, the reader must take
    assert back.dropped == ()
    assert not [note for note in back.notes if note.startswith("unused-column: ")]
    carried = CARRIES[target]
    return facts(before, target, carried), facts(back.groups, target, carried), done.lost


def check(before: Counter, after: Counter, lost: dict[str, int]) -> None:
    assert after <= before, next(iter(after - before))
    # groups without comparisons hold no facts
    left_out = {name: n for name, n in lost.items() if name.startswith("left-out: ")}
    silent = ("left-out: no-comparisons", "left-out: one-response")
    missing = sum(n for name, n in left_out.items() if name not in silent)
    assert (before - after).total() == missing
    assert after.total() > 0


def says(*texts: str) -> tuple[Conversation, ...]:
    return tuple((Message("assistant", text),) for text in texts)


def ask(text: str) -> Conversation:
    return (Message("user", text),)


def voted(*votes: Vote, winner: int = 0, loser: int = 1, probability: float = 1.0, **more: float) -> Comparison:
    return Comparison(winner, loser, probability=probability, votes=votes, **more)  # type: ignore[arg-type]


SPECIAL = 'Two\nlines, "quotes", a\ttab,\r\na comma; \u2028 and \U0001f600 <script>alert(1)</script> \x00'
PLAIN = [
    PreferenceGroup("p1", ask("Name a colour."), says("Blue.", "Red."), (Comparison(1, 0, 0.5),), source="web"),
    PreferenceGroup("p2", ask("Special?"), says(SPECIAL, '["a", "list"]'), (Comparison(0, 1),), time="2024-05-01"),
    PreferenceGroup("p3", ask(" Spaces? "), says(" a ", "b\n"), (Comparison(0, 1, weight=2.0),), models=("x", "y")),
    PreferenceGroup(
        "p4",
        ask("Votes?"),
        says("left", "right"),
        (voted(Vote("ann", 1, 0, 2.5), Vote("7", None, 1), Vote("bob", 1), winner=1, loser=0, probability=5 / 6),),
        models=("x", "y"),
        source="web",
    ),
    PreferenceGroup("p5", ask("A tie?"), says("one", "other"), (Comparison(0, 1, probability=0.5),)),
    PreferenceGroup("p6", ask("A soft label?"), says("soft", "hard"), (Comparison(1, 0, probability=0.75),)),
    PreferenceGroup(
        "p7", ask("Three?"), says("1", "2", "3"), (Comparison(0, 1), Comparison(2, 0)), models=("x", "y", "z")
    ),
    PreferenceGroup("p8", ask("Both ways?"), says("yes", "no"), (Comparison(0, 1), Comparison(1, 0))),
    PreferenceGroup(
        "p9",
        ask("A whole ranking?"),
        says("first", "third", "second"),
        (
            voted(Vote("ann", 0), Vote("bob", 0), winner=0, loser=1),
            voted(Vote("ann", 0), Vote("bob", 0), winner=0, loser=2),
            voted(Vote("ann", 2), Vote("bob", None), winner=2, loser=1, probability=0.75),
        ),
    ),
    PreferenceGroup("p10", ask("Two camps?"), says("good", "bad", "fine"), (Comparison(0, 1), Comparison(2, 1))),
    PreferenceGroup("p11", ask("Nothing compared?"), says("a", "b")),
    PreferenceGroup("p12", ask("Not by the votes?"), says("w", "l"), (voted(Vote("ann", 1, 0)),)),
]
STYLED = PreferenceGroup(
    "s1",
    ask("In styles?"),
    says("c0", "c1", "c2", "r0", "r1", "r2"),
    tuple(Comparison(i, j) for i in range(3) for j in range(3, 6)),
    models=STYLES + STYLES,
    source="chat",
)
TURNS = (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "A colour?"))
TOOL = (Message("assistant", "Let me look."), Message("tool", "blue"), Message("assistant", "Blue."))
ODD = [
    *PLAIN,
    STYLED,
    PreferenceGroup("o1", TURNS, says("Blue.", "Red."), (Comparison(0, 1),)),
    PreferenceGroup("o2", (Message("system", "Be kind."), *ask("Well?")), says("yes", "no"), (Comparison(1, 0),)),
    PreferenceGroup("o3", ask("Look it up."), (TOOL, *says("No.")), (Comparison(0, 1),)),
    PreferenceGroup(
        "o4", ask("Say nothing now."), says("", "Something."), (voted(Vote("ann", 1, 0), winner=1, loser=0),)
    ),
    PreferenceGroup("o5", ask("Repeat this for me"), says("Repeat this for me? Yes.", "No."), (Comparison(0, 1),)),
    PreferenceGroup("o6", ask("The same?"), says("same", "same"), (voted(Vote("ann", None, 0), probability=0.5),)),
    PreferenceGroup("o7", ask("Who speaks?"), says("I.\n\nHuman: you?", "You."), (Comparison(0, 1),)),
    PreferenceGroup("o8", (), says("without", "a prompt"), (voted(Vote("ann", 0, 0)),)),
    PreferenceGroup(
        "o9",
        ask("The same opening?"),
        tuple((Message("assistant", "Hm."), Message("user", "Well?"), Message("assistant", text)) for text in "ab"),
        (Comparison(0, 1),),
    ),
    PreferenceGroup("o11", ask("The same again?"), says("same", "same"), (Comparison(0, 1),)),
    PreferenceGroup(
        "o12",
        ask("Votes on some?"),
        says("1", "2", "3"),
        (
            voted(Vote("ann", 2, 1, 3.0), Vote("bob", None, 2), winner=2, loser=1, probability=0.75),
            voted(Vote("ann", 0), winner=0, loser=2),
        ),
        models=("x", "y", "z"),
    ),
    PreferenceGroup("o10", TURNS[:2], (TURNS[2:] + TOOL, *says("Go on.")), (Comparison(1, 0),)),
]


def write(tmp_path: Path, groups: Iterable[PreferenceGroup]) -> str:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(group_to_row(group)) + "\n" for group in groups))
    return str(path)


ALL = [name for name in CARRIES if name != "rm-bench"]
EVERY = [(name, ending) for name in ALL for ending in TARGETS[name].endings]


@pytest.mark.parametrize(("target", "ending"), EVERY)
def test_plain_texts_survive_every_target_in_every_kind_of_file(tmp_path: Path, target: str, ending: str) -> None:
    check(*round_trip(tmp_path, write(tmp_path, PLAIN), target, ending))


@pytest.mark.parametrize("ending", TARGETS["rm-bench"].endings)
def test_only_groups_in_styles_survive_rm_bench(tmp_path: Path, ending: str) -> None:
    before, after, lost = round_trip(tmp_path, write(tmp_path, ODD), "rm-bench", ending)
    assert after == facts([STYLED], "rm-bench", CARRIES["rm-bench"])
    assert (after - before, lost) == (Counter(), {"left-out: not-in-styles": len(ODD) - 1})
    (back,) = read_groups(str(tmp_path / f"rm-bench{ending}")).groups
    assert replace(back, where="") == STYLED


@pytest.mark.parametrize(("target", "ending"), EVERY)
def test_odd_groups_survive_or_are_counted(tmp_path: Path, target: str, ending: str) -> None:
    check(*round_trip(tmp_path, write(tmp_path, ODD), target, ending))


@pytest.mark.parametrize("target", ALL)
def test_the_built_in_set_survives(tmp_path: Path, target: str) -> None:
    check(*round_trip(tmp_path, "simulated:60", target, TARGETS[target].endings[-1]))


REAL = {
    "hh_rlhf/harmless-base/test.jsonl.gz": {"votes"},
    "oasst/en_100_tree.jsonl.gz": {"votes"},
    "pandalm/testset-v1.json.gz": set(),
    "squality_human_eval/all-responses.jsonl.gz": set(),
}


@pytest.mark.parametrize("source", REAL)
def test_real_data_survives(tmp_path: Path, real_data: Path, source: str) -> None:
    for target in sorted(set(ALL) - REAL[source]):
        check(*round_trip(tmp_path, str(real_data / source), target, ".jsonl", max_groups=300))


@pytest.mark.parametrize("target", ["votes-table", "label-studio-export", "argilla-export", "votes", "palate"])
def test_all_votes_on_real_arguments_survive(tmp_path: Path, real_data: Path, target: str) -> None:
    source = str(real_data / "ukpconvarg1/pairs.jsonl.gz")
    out = tmp_path / f"out{TARGETS[target].endings[-1]}"
    done = convert(source, to=target, out=str(out), max_groups=1500)
    before = facts(read_groups(source, max_groups=1500).groups, target, CARRIES[target])
    after = facts(read_groups(str(out)).groups, target, CARRIES[target])
    assert (after, done.lost) == (before, {})


def test_losses_of_parts_are_counted_to_the_last(tmp_path: Path) -> None:
    """For each target and part, by hand from the groups above; what is not named is not lost."""
    source = write(tmp_path, PLAIN)
    lost = {
        name: convert(source, to=name, out=str(tmp_path / f"x{TARGETS[name].endings[0]}")).lost
        for name in CARRIES
        if name != "rm-bench"
    }
    nothing = {"left-out: no-comparisons": 1}
    pairs = nothing | {
        "left-out: tie": 1,
        "weight": 1,
        "votes": 10,
        "probability": 3,
        "split-group": 4,
        "response-order": 7,
    }
    assert lost["palate"] == {}
    for name in ("trl", "trl-standard", "trl-conversational", "trl-implicit", "openrlhf"):
        assert lost[name] == pairs, name
    assert lost["hh"] == pairs | {"margin": 1, "source": 2, "models": 3, "time": 1, "id": 10, "outer-space": 1}
    assert lost["rewardbench"] == pairs | {"margin": 1, "time": 1}
    # the group in two camps stays whole
    assert lost["rewardbench-2"] == pairs | {"margin": 1, "time": 1, "split-group": 3}
    ordered = {name: count for name, count in pairs.items() if name != "response-order"}
    assert lost["llmbar"] == ordered | {"margin": 1, "models": 3, "time": 1}
    assert lost["judgebench"] == ordered | {"margin": 1, "models": 4, "time": 1}
    ranks = {"margin": 1, "weight": 1, "votes": 10, "probability": 3, "split-group": 3}
    assert lost["ranked"] == lost["nemo"] == nothing | ranks
    votes = {"left-out: no-votes": 11, "left-out: no-comparisons": 1, "split-group": 1, "probability": 1}
    assert lost["votes"] == votes
    labels = nothing | {"margin": 1, "weight": 1, "probability": 2}
    assert lost["votes-table"] == labels | {"split-group": 1}
    assert lost["label-studio-export"] == labels | {"split-group": 4, "position": 2}
    assert lost["argilla-export"] == labels | {"split-group": 3, "position": 3, "seconds": 1}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)


@st.composite
def random_group(draw: st.DrawFn, number: int) -> PreferenceGroup:
    size = draw(st.integers(2, 4))
    texts = [f"{n} {draw(TEXT)}" for n in range(size)]
    pairs = draw(st.lists(st.sampled_from([(i, j) for i in range(size) for j in range(size) if i != j]), max_size=4))
    comparisons = []
    for winner, loser in dict.fromkeys(pairs):
        side = st.sampled_from([winner, loser, None])
        names = draw(st.lists(st.sampled_from(["ann", "bob", "7", "0x"]), unique=True, max_size=3))
        seconds = st.none() | st.floats(0, 1e6)
        votes = tuple(Vote(name, draw(side), draw(side), draw(seconds)) for name in names)
        label = draw(st.sampled_from([0.5, 0.8, 1.0]))
        margin = 0.0 if label == 0.5 else draw(st.sampled_from([0.0, 0.25]))
        comparisons.append(Comparison(winner, loser, margin, label, draw(st.sampled_from([1.0, 2.0])), votes))
    models = tuple(draw(st.sampled_from(["x", "y"])) for _ in range(size)) if draw(st.booleans()) else ()
    source, time = draw(st.sampled_from(["", "web"])), draw(st.sampled_from(["", "2024"]))
    prompt = ask(f"? {number} {draw(TEXT)}")
    return PreferenceGroup(f"g{number}", prompt, says(*texts), tuple(comparisons), "", source, models, time)


@pytest.mark.parametrize("target", ALL)
def test_any_group_survives_or_is_counted(tmp_path_factory: pytest.TempPathFactory, target: str) -> None:
    folder = tmp_path_factory.mktemp("any")

    @settings(deadline=None, max_examples=10)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        drawn = [data.draw(random_group(number)) for number in range(3)]
        # one pair with a vote, so that there is always something to write
        sure = PreferenceGroup("sure", ask("Sure?"), says("yes", "no"), (voted(Vote("ann", 0, 0)),))
        check(*round_trip(folder, write(folder, [*drawn, sure]), target, TARGETS[target].endings[-1]))

    holds()


def test_ids_come_back_where_the_data_has_its_own(tmp_path: Path) -> None:
    for target, ending in EVERY:
        if target not in ("hh", "rm-bench"):
            out = str(tmp_path / f"ids{ending}")
            convert(write(tmp_path, PLAIN[:1]), to=target, out=out, on_bad_row="skip") if target != "votes" else None
            if target != "votes":
                assert [group.id for group in read_groups(out).groups] == ["p1"], target


def test_a_place_in_a_file_is_no_id_to_carry(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}) + "\n")
    done = convert(str(path), to="trl", out=str(tmp_path / "out.jsonl"))
    assert json.loads((tmp_path / "out.jsonl").read_text()) == json.loads(path.read_text())
    assert done.lost == {}
    assert own_id(read_groups(str(path)).groups[0]) == ""
