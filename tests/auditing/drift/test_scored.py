"""From files of policy outputs to the section: what is read, drawn and scored, and what goes into the audit."""

import json
from pathlib import Path

import numpy as np
import pytest

import palate
from palate.auditing.drift.scored import MOST, drift_of, read_outputs, score_all, score_side
from palate.auditing.drift.sides import side_of
from palate.auditing.limits import audit_thresholds
from palate.auditing.local import LocalScorer
from palate.auditing.scorer import Floats
from palate.config import AuditConfig
from palate.data.simulate import simulate, write_jsonl
from palate.errors import DataError
from palate.health.corpus import build_corpus
from palate.records import Message, PreferenceGroup
from palate.testing.tiny import tiny_reward_model

CONFIG = AuditConfig(model="rm", data="held.jsonl", out="out", policy_outputs="ppo.jsonl")


class ByLength:
    """A server, as far as an audit can tell."""

    name = "http://somewhere"

    def score(self, groups: list[PreferenceGroup]) -> list[Floats]:
        return [np.array([len(one[-1].content) for one in group.responses], float) for group in groups]


def outputs(path: Path, number: int, text: str = "It is {}, I hope this helps!") -> Path:
    rows = ({"prompt": f"What is {n} + 1?", "response": text.format(n + 1)} for n in range(number))
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_rows_without_labels_are_read(tmp_path: Path) -> None:
    data, subject = read_outputs(str(outputs(tmp_path / "ppo.jsonl", 30)), split="train", on_bad_row="error")
    assert len(data.groups) == 30
    assert subject.what == "policy outputs"
    assert subject.counts == {"rows": 30, "groups": 30, "responses": 30, "rows left out": 0}
    with pytest.raises(DataError, match="no such file"):
        read_outputs("./nowhere.jsonl", split="train", on_bad_row="error")


def test_states_are_asked_for_where_there_are_any() -> None:
    groups = simulate(6, seed=3).groups
    model = tiny_reward_model(max_length=2048)
    reward, state = score_all(LocalScorer(model, "rm"), groups)
    assert state is not None
    weight = model.head.score.weight.detach().numpy()[0]
    np.testing.assert_allclose(state @ weight, reward, atol=1e-4)
    np.testing.assert_allclose(score_all(LocalScorer(model, "rm"), groups, states=False)[0], reward, atol=1e-5)
    assert score_all(LocalScorer(model, "rm"), groups, states=False)[1] is None
    assert score_all(ByLength(), groups)[1] is None


def test_so_many_are_drawn_and_the_rest_is_counted(tmp_path: Path) -> None:
    groups = [
        PreferenceGroup(f"g{n}", (Message("user", f"{n}?"),), ((Message("assistant", "a" * (1 + n % 9)),),))
        for n in range(MOST + 50)
    ]
    side = score_side(ByLength(), groups, tmp_path / "policy")
    assert (len(side.row), side.undrawn, side.unscored) == (MOST, 50, 0)
    np.testing.assert_array_equal(side.reward, side.features()["characters"])


def test_the_reference_is_the_training_data_where_it_is_given(tmp_path: Path) -> None:
    held, train = simulate(60, seed=1).groups, simulate(60, seed=2).groups
    scorer = ByLength()
    corpus = build_corpus(held, tmp_path)
    side = side_of(corpus, *score_all(scorer, held))
    policy = read_outputs(str(outputs(tmp_path / "ppo.jsonl", 40)), split="train", on_bad_row="error")[0].groups
    for number, (training, name) in enumerate(((None, "held-out data"), (train, "training data"))):
        (tmp_path / str(number)).mkdir()
        check = drift_of(scorer, policy, side, training, audit_thresholds(), CONFIG, tmp_path / str(number))
        assert check.facts["drift.reference"] == name
        assert ("drift.control_outliers" in check.facts) == (training is not None)
        assert check.facts["drift.responses"]["closings"]["difference"] > 0.9
        assert {finding.id for finding in check.findings} == {"response-shift", "prompt-shift"}
        assert any("ppo.jsonl" in finding.command for finding in check.findings)


@pytest.mark.slow
def test_an_audit_has_both_sections(tmp_path: Path) -> None:
    tiny_reward_model(max_length=2048).save_pretrained(tmp_path / "rm")
    write_jsonl(simulate(60, seed=6), tmp_path / "held.jsonl")
    report = palate.audit(
        model=str(tmp_path / "rm"),
        data=str(tmp_path / "held.jsonl"),
        policy_outputs=str(outputs(tmp_path / "ppo.jsonl", 40)),
        out=str(tmp_path / "audit"),
        battery="none",
        probes=0,
    )
    assert [check.section.key for check in report.checks][-2:] == ["people", "drift"]
    facts = json.loads((tmp_path / "audit" / "audit.json").read_text())["facts"]
    assert facts["drift.no_states"] == ""
    assert 0 <= facts["drift.outliers_low"] <= facts["drift.outliers"] <= facts["drift.outliers_high"] <= 1
    assert facts["people.probe_skipped"] == ""
    assert "policy outputs" in [subject.what for subject in report.subject]
    assert "Policy outputs" in (tmp_path / "audit" / "audit.html").read_text()
