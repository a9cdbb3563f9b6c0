"""Drawing sides, as a pure function."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from palate.curate.deciders import name_key, read_times
from palate.curate.sides import UNKNOWN, assign, earlier_sides, even_draws, hash_draws
from palate.data.split import held_out
from palate.errors import ConfigError

HALVES = {"train": 0.9, "dev": 0.1}


@pytest.mark.parametrize("draws", [[0.9, 0.3, 0.6], [0.01, 0.09, 0.05], [0.2, 0.05], [0.9, 0.1, 0.99]])
def test_an_empty_side_gets_the_unit_that_comes_nearest(draws: list[float]) -> None:
    sides = assign(np.array(draws), HALVES, np.full(len(draws), UNKNOWN))
    out = np.array(draws) < 0.1
    if not out.any():
        out[np.argmin(draws)] = True
    if out.all():
        out[np.argmax(draws)] = False
    assert sides.tolist() == out.astype(int).tolist()


def test_tiny_sets_agree_with_a_run_that_splits_by_itself() -> None:
    for seed in range(30):
        prompts = np.random.default_rng(seed).integers(0, 2**63, 3).astype(np.uint64)
        draws = hash_draws([f"{prompt:016x}" for prompt in prompts.tolist()], seed)
        assert (
            assign(draws, HALVES, np.full(3, UNKNOWN)).tolist()
            == held_out(prompts, 0.1, seed=seed).astype(int).tolist()
        )


def test_a_unit_with_a_side_is_never_moved() -> None:
    assert assign(np.array([0.11, 0.5, 0.7]), HALVES, np.array([0, UNKNOWN, UNKNOWN])).tolist() == [0, 1, 0]
    with pytest.raises(ConfigError, match="nothing is left for 'dev'"):
        assign(np.array([0.01, 0.02]), HALVES, np.array([0, 0]))


def test_three_sides_have_their_shares() -> None:
    draws = hash_draws([f"{n}" for n in range(5000)], 3)
    sides = assign(draws, {"a": 0.5, "b": 0.3, "c": 0.2}, np.full(5000, UNKNOWN))
    assert np.bincount(sides) / 5000 == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
    assert not (hash_draws(["1", "2"], 4) == draws[1:3]).any()


def test_even_draws_keep_the_order_in_each_stratum() -> None:
    rng = np.random.default_rng(0)
    draws, stratum = rng.random(300), rng.integers(0, 4, 300)
    even = even_draws(draws, stratum, ["a", "b", "c", "d"], 0)
    for number in range(4):
        own = stratum == number
        assert (np.argsort(draws[own]) == np.argsort(even[own])).all()
        assert np.diff(np.sort(even[own])) == pytest.approx(1 / own.sum())
        assert even[own].min() >= 0
        assert even[own].max() < 1
    changed = draws.copy()
    changed[stratum == 1] = 0.5
    assert (even_draws(changed, stratum, ["a", "b", "c", "d"], 0)[stratum != 1] == even[stratum != 1]).all()


def test_an_earlier_side_is_that_of_the_smallest_key() -> None:
    cluster, known = np.array([0, 0, 0, 1, 2]), np.array([1, 0, UNKNOWN, UNKNOWN, 2])
    keys = np.array([9, 5, 1, 3, 4], np.uint64)
    assert earlier_sides(cluster, known, keys).tolist() == [0, UNKNOWN, 2]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_a_time_without_a_zone_is_the_same_everywhere() -> None:
    times = ["2024-05-01T00:00", "2024-05-01T02:00+02:00", "2024-05-01", "20240501T000000Z", "2024-04-30T23:59:59.5"]
    assert read_times(times, ["a"] * 5).tolist() == [1714521600.0] * 4 + [1714521599.5]


def test_keys_of_names_differ() -> None:
    assert len({name_key(name) for name in ("", "a", "A", "\ud800")}) == 4
