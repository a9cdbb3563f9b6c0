"""Annotators planted in states are read from them; prompts that are planted there are not taken for annotators."""

import numpy as np
import pytest

from palate.auditing.people.reading import Probe, probe_annotators, votes_to_tell


def planted(rng: np.random.Generator, strength: float, prompts: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four annotators with a direction each; every one votes on every prompt, whose place in the state is large."""
    annotator = np.tile(np.arange(4), prompts)
    prompt = np.repeat(np.arange(prompts), 4)
    state = rng.normal(size=(len(prompt), 16)) + 3 * rng.normal(size=(prompts, 16))[prompt]
    state[:, :4] += strength * np.eye(4)[annotator]
    return state, annotator, prompt.astype(np.uint64)


def told(state: np.ndarray, annotator: np.ndarray, prompt: np.ndarray) -> Probe | str:
    rows = votes_to_tell(annotator)
    return probe_annotators(state[rows], annotator[rows], prompt[rows])


def found(state: np.ndarray, annotator: np.ndarray, prompt: np.ndarray) -> Probe:
    probe = told(state, annotator, prompt)
    assert isinstance(probe, Probe)
    return probe


def test_planted_annotators_are_read() -> None:
    probe = found(*planted(np.random.default_rng(0), 8.0))
    assert (probe.annotators, probe.votes, probe.prompts, probe.chance) == (4, 240, 60, 0.25)
    assert probe.accuracy.value > 0.5
    assert probe.accuracy.low > probe.chance_high > 0.25
    assert probe.p_value <= 0.01


def test_nobody_is_read_where_nobody_is() -> None:
    rng = np.random.default_rng(1)
    probes = [found(*planted(rng, 0.0, 40)) for _ in range(12)]
    assert np.mean([probe.accuracy.value for probe in probes]) == pytest.approx(0.25, abs=0.04)
    assert sum(probe.p_value <= 0.05 for probe in probes) <= 3
    assert sum(probe.accuracy.low > probe.chance_high for probe in probes) == 0


def test_annotators_with_prompts_of_their_own_are_not_read_off_the_prompts() -> None:
    """Each prompt has one annotator and a place of its own: only a probe that saw the prompt could tell."""
    rng = np.random.default_rng(2)
    prompt = np.repeat(np.arange(40), 10)
    state = 0.1 * rng.normal(size=(400, 16)) + 3 * rng.normal(size=(40, 16))[prompt]
    probe = found(state, rng.permutation(40)[prompt] % 4, prompt.astype(np.uint64))
    assert probe.accuracy.low < 0.35
    assert probe.accuracy.value < probe.chance_high + 0.1
    assert probe.chance_high > 0.33  # whole prompts are right or wrong together, and chance allows for it


def test_the_busiest_are_told_apart_and_few_votes_are_a_reason() -> None:
    rng = np.random.default_rng(3)
    state, annotator, prompt = planted(rng, 8.0, 30)
    rare = np.concatenate([annotator, np.full(19, 7)])
    more = (np.concatenate([state, state[:19]]), rare, np.concatenate([prompt, prompt[:19]]))
    assert found(*more).annotators == 4
    assert "fewer than two annotators" in str(told(state[:70], annotator[:70], prompt[:70]))
    assert "on 19 prompts" in str(
        probe_annotators(np.tile(state[:76], (2, 1)), np.tile(annotator[:76], 2), np.tile(prompt[:76], 2))
    )
    many = (np.tile(state, (12, 1)), np.tile(annotator, 12), np.tile(prompt, 12))
    assert found(*many).votes == 1200
