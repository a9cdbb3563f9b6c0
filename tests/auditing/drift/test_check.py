"""Policies that write otherwise are caught and told from those that do not, on states and rewards made for it."""

from dataclasses import replace

import numpy as np
import pytest

from palate.auditing.drift.check import check_drift
from palate.auditing.drift.compare import compare_sides
from palate.auditing.drift.exchange import exchange
from palate.auditing.drift.shift import features_of
from palate.auditing.drift.sides import Side, side_of
from palate.auditing.drift.states import state_shift
from palate.auditing.limits import audit_thresholds
from palate.data.simulate import simulate
from palate.health.corpus import Corpus, build_corpus
from palate.records import Message
from palate.report.findings import Check

MADE = simulate(260, seed=4).groups
SIZE = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(MADE, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def excited(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The last hundred prompts, answered with more noise."""
    groups = [
        replace(group, responses=tuple((Message("assistant", f"WOW! {one[-1].content}!!"),) for one in group.responses))
        for group in MADE[160:]
    ]
    return build_corpus(groups, tmp_path_factory.mktemp("excited"))


def states(rng: np.random.Generator, group: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Heavy-tailed, the responses of a prompt alike."""
    own = rng.standard_t(5, size=(group.max() + 1, size))[group]
    return (own + rng.standard_t(5, size=(len(group), size))).astype(np.float32)


def side(corpus: Corpus, wanted: np.ndarray, state: np.ndarray | None, reward: np.ndarray) -> Side:
    """The responses to some of the prompts."""
    rows = np.flatnonzero(np.isin(corpus.responses.group, np.flatnonzero(wanted)))
    return Side(corpus, rows, reward[rows], None if state is None else state[rows], 0)


def halves(corpus: Corpus, rng: np.random.Generator) -> tuple[Side, Side]:
    """A random 160 prompts against the others: nothing differs but chance."""
    policy = np.zeros(len(corpus.groups.prompt_key), bool)
    policy[rng.permutation(len(policy))[:100]] = True
    state = states(rng, corpus.responses.group)
    return side(corpus, ~policy, state, state[:, 0].astype(float)), side(
        corpus, policy, state, state[:, 0].astype(float)
    )


def ids(check: Check) -> list[str]:
    return [finding.id for finding in check.findings]


def run(reference: Side, policy: Side, **settings: object) -> Check:
    settings = {"reference_name": "held-out data", "permutations": 199} | settings
    return check_drift(reference, policy, audit_thresholds(), **settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_states_of_one_distribution_raise_no_alarm_in_120_resamples() -> None:
    rng = np.random.default_rng(7)
    outliers, features, energy = 0, 0, 0
    for _ in range(120):
        prompt = rng.integers(0, 2**63, 110).astype(np.uint64)
        group = np.concatenate([np.repeat(np.arange(70), 2), np.arange(70, 110)])
        is_policy = group >= 70
        state = states(rng, group, 6)
        draw = exchange(prompt[group[~is_policy]], prompt[group[is_policy]], permutations=99)
        found = state_shift(state, prompt[group], is_policy, draw)
        columns = {"distance": found.distance, "direction": found.direction, "reward": state[:, 0].astype(float)}
        outliers += found.outliers.low - 0.05 >= audit_thresholds()._limits["distribution-shift"].warn
        features += max(one.low for one in features_of(columns, draw)) > 0
        energy += found.energy.p_value <= 0.05
    assert outliers == 0
    assert features <= 8  # 2.5 % is three, before any limit
    assert energy <= 12


@pytest.mark.slow
def test_the_whole_check_raises_no_alarm_in_100_resamples(corpus: Corpus) -> None:
    rng = np.random.default_rng(8)
    assert sum(len(run(*halves(corpus, rng), permutations=99).findings) for _ in range(100)) == 0


def test_a_policy_that_goes_far_out_is_caught(corpus: Corpus) -> None:
    rng = np.random.default_rng(9)
    reference, policy = halves(corpus, rng)
    assert policy.state is not None
    far = np.isin(policy.prompt, np.unique(policy.prompt)[:60])
    policy = replace(policy, state=policy.state + np.where(far, 30, 0)[:, None].astype(np.float32))
    check = run(reference, policy, outputs="ppo.jsonl")
    finding = next(one for one in check.findings if one.id == "distribution-shift")
    assert finding.severity == "warn"
    assert check.facts["drift.outliers"] == pytest.approx(0.6, abs=0.05)
    assert finding.measure.low == pytest.approx(check.facts["drift.outliers_low"] - 0.05)
    assert finding.command == "palate data convert ppo.jsonl --to label-studio --out tasks.json"
    # each response counts once here, each prompt there
    assert finding.count == pytest.approx(check.facts["drift.outliers"] * len(policy.row), rel=0.1)
    distant = {corpus.response(int(row)) for row in policy.row[far]}
    assert len(finding.examples) == 10
    assert {example.texts[1][1] for example in finding.examples} <= distant
    times = [float(example.note.split()[0]) for example in finding.examples]
    assert times == sorted(times, reverse=True)
    assert times[-1] > 1
    everywhere = run(reference, replace(policy, state=policy.state + 30))
    assert next(one for one in everywhere.findings if one.id == "distribution-shift").severity == "fail"


def test_a_policy_inside_the_reference_but_beside_its_middle_is_told(corpus: Corpus) -> None:
    rng = np.random.default_rng(10)
    reference, policy = halves(corpus, rng)
    assert policy.state is not None
    moved = policy.state.copy()
    moved[:, 3] += 5
    check = run(reference, replace(policy, state=moved))
    assert ids(check) == ["response-shift"]
    assert "state: direction" in check.findings[0].title
    assert check.facts["drift.energy_p"] <= 0.01
    assert check.facts["drift.energy"] > 3 * check.facts["drift.energy_by_chance"]


def test_responses_to_the_same_prompts_are_compared_apart_from_the_prompts(corpus: Corpus, excited: Corpus) -> None:
    rng = np.random.default_rng(11)
    reward = rng.normal(size=len(corpus.responses.group))
    reference = side(corpus, np.ones(len(MADE), bool), None, reward)
    policy = side_of(excited, rng.normal(size=len(excited.responses.group)), None)
    check = run(reference, policy)
    assert ids(check) == ["response-shift"]
    assert "exclamations" in check.findings[0].title
    assert check.facts["drift.shared_prompts"] == 100
    assert check.facts["drift.responses"]["exclamations"]["low"] > 0.5
    assert check.facts["drift.responses"]["reward"]["p_value"] > 0.05
    assert all(one["p_value"] > 0.05 for one in check.facts["drift.prompts"].values())


def test_prompts_of_another_kind_are_told(corpus: Corpus) -> None:
    rng = np.random.default_rng(12)
    long = corpus.groups.prompt_characters > np.median(corpus.groups.prompt_characters)
    reward = rng.normal(size=len(corpus.responses.group))
    check = run(side(corpus, ~long, None, reward), side(corpus, long, None, reward))
    finding = next(one for one in check.findings if one.id == "prompt-shift")
    assert finding.severity == "warn"
    assert "characters" in finding.title
    assert finding.measure.value == 1.0


def test_a_higher_reward_is_shown_and_no_fault(corpus: Corpus) -> None:
    rng = np.random.default_rng(13)
    reference, policy = halves(corpus, rng)
    check = run(reference, replace(policy, reward=policy.reward + 5))
    assert not check.findings
    assert next(iter(check.facts["drift.responses"])) == "reward"
    assert check.facts["drift.responses"]["reward"]["low"] > 0.5


def test_without_states_the_rest_is_compared_and_it_is_said(corpus: Corpus) -> None:
    reference, policy = (replace(one, state=None) for one in halves(corpus, np.random.default_rng(14)))
    check = run(reference, policy)
    assert "servers do not show" in check.facts["drift.no_states"]
    assert "drift.outliers" not in check.facts
    assert any("servers do not show" in getattr(block, "text", "") for block in check.section.blocks)
    assert "characters" in check.facts["drift.responses"]


def test_too_few_prompts_are_a_reason_and_no_verdict(corpus: Corpus) -> None:
    rng = np.random.default_rng(15)
    reference, policy = halves(corpus, rng)
    few = np.isin(policy.prompt, np.unique(policy.prompt)[:19])
    check = run(reference, replace(policy, row=policy.row[few], reward=policy.reward[few], state=None))
    assert "19 of the policy" in check.skipped
    some = np.isin(reference.prompt, np.unique(reference.prompt)[:30])
    assert reference.state is not None
    small = replace(reference, row=reference.row[some], reward=reference.reward[some], state=reference.state[some])
    found = compare_sides(small, policy, permutations=19)
    assert found.states is None
    assert "30 prompts" in found.no_states


def test_responses_without_a_reward_are_counted(corpus: Corpus) -> None:
    reward = np.ones(len(corpus.responses.group))
    reward[::5] = np.nan
    found = side_of(corpus, reward, np.ones((len(reward), 3), np.float32))
    assert len(found.row) + found.unscored == len(reward)
    assert found.unscored == len(reward[::5])
    state = np.ones((len(reward), 3), np.float32)
    state[7] = np.inf
    assert side_of(corpus, np.ones(len(reward)), state).unscored == 1


def test_the_held_out_data_stands_beside_training_data(corpus: Corpus) -> None:
    reference, policy = halves(corpus, np.random.default_rng(16))
    check = run(reference, policy, reference_name="training data", control=policy)
    assert check.facts["drift.control_outliers"] == check.facts["drift.outliers"]
    assert check.facts["drift.reference"] == "training data"


def test_columns_of_prompts_belong_to_their_keys(corpus: Corpus) -> None:
    whole = side(corpus, np.ones(len(MADE), bool), None, np.zeros(len(corpus.responses.group)))
    keys, columns = whole.prompts()
    for key, characters, questions in zip(keys, columns["characters"], columns["questions"], strict=True):
        group = int(np.flatnonzero(corpus.groups.prompt_key == key)[0])
        assert (characters, questions) == (len(corpus.prompt(group)), corpus.prompt(group).count("?"))
