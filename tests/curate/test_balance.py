"""Balance by counting: what is kept, that no more could be, that weights do the same, and that nothing is lost."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from palate.curate.balance import DROPPED, SUMMARY, balance
from palate.curate.strata import one_sided, strata_of, subset_factors, weight_factors
from palate.data.read import read_preferences
from palate.data.simulate import Flaws, simulate
from palate.errors import ConfigError, DataError
from palate.records import Comparison, Message, PreferenceGroup, Vote
from palate.testing.runs import write_groups


def pair(
    number: int, chosen: int, rejected: int, *, source: str = "", probability: float = 1.0, weight: float = 1.0
) -> PreferenceGroup:
    """A pair of responses of so many characters."""
    votes = (Vote("w1", 0, first=1, seconds=2.5),)
    return PreferenceGroup(
        id=str(number),
        prompt=(Message("user", f"question {number}"),),
        responses=tuple((Message("assistant", "x" * length),) for length in (chosen, rejected)),
        comparisons=(Comparison(0, 1, probability=probability, weight=weight, votes=votes),),
        source=source,
        models=("a", "b"),
        time="2024",
    )


def biased(number: int, *, share: float = 0.8, source: str = "", start: int = 0) -> list[PreferenceGroup]:
    """The longer response wins in a share of the pairs, and by the larger part of those with the largest difference."""
    rng = np.random.default_rng(start)
    groups = []
    for n in range(start, start + number):
        short, more = int(rng.integers(20, 60)), int(rng.integers(1, 200))
        wins = rng.random() < share * (0.8 + 0.4 * more / 200)
        lengths = (short + more, short) if wins else (short, short + more)
        groups.append(pair(n, *lengths, source=source))
    return groups


def longer_wins(groups: tuple[PreferenceGroup, ...]) -> float:
    """By weight."""
    points = weights = 0.0
    for group in groups:
        length = [len(response[0].content) for response in group.responses]
        for one in group.comparisons:
            if not one.is_tie:
                points += one.weight * (1 + np.sign(length[one.winner] - length[one.loser])) / 2
                weights += one.weight
    return points / weights


@pytest.mark.parametrize("mode", ["subset", "weights"])
def test_the_longer_response_wins_half_the_time_in_every_stratum(tmp_path: Path, mode: str) -> None:
    source = write_groups(tmp_path / "in.jsonl", biased(900))
    result = balance(str(source), out=str(tmp_path / "out.jsonl"), mode=mode)
    groups = read_preferences(str(result.out)).groups
    assert longer_wins(groups) == pytest.approx(0.5)
    strata = defaultdict(list)
    lengths = [[len(response[0].content) for response in group.responses] for group in groups]
    ratios = np.array([abs(np.log((1 + a) / (1 + b))) for a, b in lengths])
    edges = np.quantile([r for r in ratios if r], [0.25, 0.5, 0.75])
    for group, ratio in zip(groups, ratios, strict=True):
        strata[int(np.searchsorted(edges, ratio))].append(group)
    for some in strata.values():
        assert longer_wins(tuple(some)) == pytest.approx(0.5, abs=0.08)
    assert result.before.value == pytest.approx(longer_wins(tuple(biased(900))))
    assert result.before.low > 0.75
    assert result.after.low < 0.5 < result.after.high
    assert result.after.value == pytest.approx(0.5)
    assert result.strata == 10


def test_weights_that_are_there_already_count_before_and_after(tmp_path: Path) -> None:
    groups = [pair(n, 40, 20, weight=2.0) for n in range(100)] + [pair(n, 20, 40) for n in range(100, 200)]
    source = write_groups(tmp_path / "in.jsonl", groups)
    result = balance(str(source), out=str(tmp_path / "out.jsonl"), mode="weights")
    assert longer_wins(tuple(groups)) == pytest.approx(2 / 3)
    assert result.before.value == pytest.approx(2 / 3)
    assert longer_wins(read_preferences(str(result.out)).groups) == pytest.approx(0.5)
    assert result.after.value == pytest.approx(0.5)
    counted = balance(str(source), out=str(tmp_path / "s.jsonl"))
    assert (counted.before.value, counted.after.value) == (0.5, 0.5)


def test_a_subset_keeps_as_many_as_any_could() -> None:
    """Against all subsets of a small set: none that is balanced in each stratum is larger."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        advantage, stratum = rng.choice([-1.0, 1.0, 0.0], 10), rng.integers(0, 2, 10)
        stratum[advantage == 0] = -1
        kept = subset_factors(advantage, stratum, 0)
        assert all(advantage[(stratum == one) & (kept > 0)].sum() == 0 for one in (0, 1))
        largest = max(
            sum(chosen)
            for chosen in product([0, 1], repeat=10)
            if all((advantage * chosen)[stratum == one].sum() == 0 for one in (0, 1))
        )
        assert kept.sum() == largest


def test_weights_balance_what_they_find() -> None:
    rng = np.random.default_rng(0)
    advantage = rng.choice([-1.0, 1.0], 500, p=[0.2, 0.8]) * rng.random(500)
    weight, stratum = rng.random(500) * 3, rng.integers(0, 4, 500)
    after = weight * weight_factors(advantage, stratum, weight)
    for one in range(4):
        longer, shorter = ((stratum == one) & (side * advantage > 0) for side in (1, -1))
        assert after[longer].sum() == pytest.approx(after[shorter].sum())
        assert after[stratum == one].sum() == pytest.approx(weight[stratum == one].sum())


def test_strata_hold_both_sides_or_are_the_only_one() -> None:
    rng = np.random.default_rng(0)
    size = rng.random(1000) * 3
    lost = rng.random(1000) < np.where(size > 2, 0.002, 0.4)  # of the most uneven pairs the longer one always wins
    advantage = np.where(lost, -size, size)
    stratum = strata_of(advantage, np.zeros(1000, np.int64))
    for one in range(int(stratum.max()) + 1):
        assert min(np.sum(advantage[stratum == one] > 0), np.sum(advantage[stratum == one] < 0)) >= 5
    # strata are ranges of size
    order = stratum[np.argsort(size)]
    assert (np.diff(order) >= 0).all()
    assert one_sided(advantage, stratum) == 0


def test_sources_are_balanced_each_for_itself(tmp_path: Path) -> None:
    groups = biased(300, share=0.9, source="a") + biased(300, share=0.1, source="b", start=300)
    source = write_groups(tmp_path / "in.jsonl", groups)
    result = balance(str(source), out=str(tmp_path / "out.jsonl"))
    assert result.before.value == pytest.approx(0.5, abs=0.06)
    kept = read_preferences(str(result.out)).groups
    for name in ("a", "b"):
        assert longer_wins(tuple(one for one in kept if one.source == name)) == 0.5
    assert result.sources == 2
    together = balance(str(source), out=str(tmp_path / "all.jsonl"), by_source=False)
    assert together.comparisons > result.comparisons
    kept = read_preferences(str(together.out)).groups
    assert longer_wins(tuple(one for one in kept if one.source == "a")) > 0.7


def test_ties_and_equal_lengths_stay_and_a_source_that_length_decides_goes(tmp_path: Path) -> None:
    groups = [pair(n, 9, 3, source="always") for n in range(20)]
    groups += [pair(n, 9, 3, source="half") if n % 2 else pair(n, 3, 9, source="half") for n in range(20, 60)]
    groups += [pair(60, 5, 5, source="half"), pair(61, 9, 3, source="half", probability=0.5)]
    source = write_groups(tmp_path / "in.jsonl", groups)
    for mode in ("subset", "weights"):
        result = balance(str(source), out=str(tmp_path / "out.jsonl"), mode=mode)  # type: ignore[arg-type]
        assert (result.ties, result.equal, result.one_sided, result.left_out) == (1, 1, 20, 20)
        assert (result.groups, result.comparisons, result.groups_dropped) == (42, 42, 20)
        assert result.effective == pytest.approx(41)
        assert "20 of them where one side always wins" in result.summary()


def test_rows_keep_all_they_had(tmp_path: Path) -> None:
    groups = biased(200)
    source = write_groups(tmp_path / "in.jsonl", groups)
    kept = read_preferences(str(balance(str(source), out=str(tmp_path / "out.jsonl")).out)).groups
    before = {group.id: group for group in groups}
    for group in kept:
        assert replace(group, where="") == before[group.id]
    weighed = read_preferences(str(balance(str(source), out=str(tmp_path / "w.jsonl"), mode="weights").out)).groups
    assert [group.id for group in weighed] == [group.id for group in groups]
    assert all(one.comparisons[0].votes == before[one.id].comparisons[0].votes for one in weighed)
    assert len({round(one.comparisons[0].weight, 9) for one in weighed}) > 2


def test_groups_of_several_lose_single_comparisons(tmp_path: Path) -> None:
    made = simulate(800, flaws=Flaws(length_bias=0.9))
    source = write_groups(tmp_path / "in.jsonl", made.groups)
    result = balance(str(source), out=str(tmp_path / "out.jsonl"), unit="words")
    kept = read_preferences(str(result.out)).groups
    before = {group.id: group for group in made.groups}
    assert sum(len(one.comparisons) for one in kept) == result.comparisons
    assert result.comparisons + result.left_out == sum(len(one.comparisons) for one in made.groups)
    assert any(0 < len(one.comparisons) < len(before[one.id].comparisons) for one in kept)
    assert all(one.responses == before[one.id].responses for one in kept)
    assert result.unit == "words"


def test_the_seed_draws_and_the_same_one_draws_the_same(tmp_path: Path) -> None:
    source = write_groups(tmp_path / "in.jsonl", biased(300))
    texts = [
        balance(str(source), out=str(tmp_path / f"{n}.jsonl"), seed=seed).out.read_text()
        for n, seed in enumerate((0, 0, 1))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_summary_lies_beside_the_file_and_bad_rows_are_listed(tmp_path: Path) -> None:
    source = write_groups(tmp_path / "in.jsonl", biased(60))
    with source.open("a") as file:
        file.write('{"prompt": "broken"}\n')
    out = tmp_path / "out.jsonl"
    with pytest.raises(DataError, match=r"in\.jsonl:61"):
        balance(str(source), out=str(out))
    assert not out.exists()
    result = balance(str(source), out=str(out), on_bad_row="skip")
    summary = json.loads(out.with_name(out.name + SUMMARY).read_text())
    assert summary["bad_rows"] == result.bad_rows == 1
    assert summary["before"]["value"] == result.before.value
    assert out.with_name(out.name + DROPPED).exists()
    balance(str(write_groups(tmp_path / "good.jsonl", biased(60))), out=str(out))
    assert not out.with_name(out.name + DROPPED).exists()


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    source = str(write_groups(tmp_path / "in.jsonl", biased(20)))
    for settings, words in (
        ({"out": source}, "part of what is read"),
        ({"out": str(tmp_path / "out.csv")}, "jsonl"),
        ({"out": str(tmp_path / "o.jsonl"), "mode": "halve"}, "subset or weights"),
        ({"out": str(tmp_path / "o.jsonl"), "unit": "tokens"}, "characters or words"),
    ):
        with pytest.raises(ConfigError, match=words):
            balance(source, **settings)  # type: ignore[arg-type]
    equal = str(write_groups(tmp_path / "equal.jsonl", [pair(0, 5, 5), pair(1, 9, 3, probability=0.5)]))
    with pytest.raises(DataError, match="unequal length"):
        balance(equal, out=str(tmp_path / "o.jsonl"))


def test_progress_is_told_twice_a_group(tmp_path: Path) -> None:
    told: Counter[int] = Counter()
    balance(
        str(write_groups(tmp_path / "in.jsonl", biased(20))),
        out=str(tmp_path / "o.jsonl"),
        on_progress=lambda groups: told.update([groups]),
    )
    assert told == {1: 40}


def test_published_arguments(real_data: Path, tmp_path: Path) -> None:
    result = balance(str(real_data / "ukpconvarg1/pairs.jsonl.gz"), out=str(tmp_path / "out.jsonl"))
    assert result.before.value == pytest.approx(0.719, abs=5e-4)
    assert result.after.value == 0.5
    assert result.ties == 1704
    # twice the pairs that the shorter response wins is the most that any subset in balance can hold
    assert 0.97 * 2 * (1 - 0.719) * 15_223 < result.comparisons - result.ties - result.equal < 2 * 0.2807 * 15_223
    assert result.summary().startswith("the longer response wins 71.9% [")


def test_what_is_read_again_next_time_is_not_written_among_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "in.jsonl").write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    with pytest.raises(ConfigError, match="part of what is read"):
        balance(str(folder), out=str(folder / "out.jsonl"))
