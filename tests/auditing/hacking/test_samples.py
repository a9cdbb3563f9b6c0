"""Samples as files have them, and the gold that is told about them."""

import json
from pathlib import Path

import pytest

from palate.auditing.hacking import SIMULATOR, has_labels, read_samples, with_qualities
from palate.auditing.hacking.samples import pool
from palate.data.simulate import simulate, truth_path, write_jsonl, write_truth
from palate.errors import DataError


def written(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_row_a_sample_and_a_row_a_prompt_are_the_same(tmp_path: Path) -> None:
    one = [{"prompt": p, "response": f"{p}{k}", "gold": k / 4} for k in range(3) for p in "ab"]
    whole = [{"prompt": p, "responses": [f"{p}{k}" for k in range(3)], "gold": [0, 0.25, 0.5]} for p in "ab"]
    found = [read_samples(written(tmp_path / "s.jsonl", *rows), gold=None)[0] for rows in (one, whole)]
    for samples in found:
        assert [group.prompt[0].content for group in samples] == ["a", "b"]
        texts = [[response[0].content for response in group.responses] for group in samples]
        assert texts == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]
        assert [group.gold for group in samples] == [(0, 0.25, 0.5)] * 2
        assert has_labels(samples)
        assert not any(group.comparisons for group in samples)


def test_samples_without_gold_have_none_and_equal_answers_stay_apart(tmp_path: Path) -> None:
    samples, data = read_samples(
        written(tmp_path / "s.jsonl", {"prompt": "a", "responses": ["x", "x", "y"]}), gold=None
    )
    assert len(samples[0].responses) == 3
    assert not has_labels(samples)
    assert not has_labels(())
    assert data.notes == {}


def test_gold_for_some_samples_of_a_prompt_is_refused(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "response": "x", "gold": 1}, {"prompt": "a", "response": "y"}]
    with pytest.raises(DataError, match=r"s\.jsonl:1 answers the same prompt") as caught:
        read_samples(written(tmp_path / "s.jsonl", *rows), gold=None)
    assert caught.value.where.endswith("s.jsonl:2")


def test_preferences_are_samples_too(tmp_path: Path) -> None:
    row = {"prompt": "a", "chosen": "x", "rejected": "y"}
    samples, _ = read_samples(written(tmp_path / "s.jsonl", row, row | {"rejected": "z"}), gold=None)
    assert [response[0].content for response in samples[0].responses] == ["x", "y", "x", "z"]


def test_the_simulator_knows_the_samples_of_its_file(tmp_path: Path) -> None:
    made = simulate(20, seed=3, responses=(8, 8))
    write_jsonl(made, tmp_path / "s.jsonl")
    with pytest.raises(DataError, match=r"no s\.jsonl\.truth beside the samples"):
        read_samples(str(tmp_path / "s.jsonl"), gold=SIMULATOR)
    write_truth(made, truth_path(tmp_path / "s.jsonl"))
    samples, _ = read_samples(str(tmp_path / "s.jsonl"), gold=SIMULATOR)
    assert [group.responses for group in samples] == [group.responses for group in made.groups]
    for group, truth in zip(samples, made.truth, strict=True):
        assert group.gold == tuple(response.quality for response in truth.responses)


def test_the_built_in_set_is_made_once_more() -> None:
    samples, _ = read_samples("simulated:15", gold=SIMULATOR)
    made = simulate(15)
    assert [group.gold for group in samples] == [tuple(r.quality for r in truth.responses) for truth in made.truth]


def test_truth_about_another_set_is_refused(tmp_path: Path) -> None:
    made, other = simulate(10, seed=3, responses=(4, 4)), simulate(10, seed=4, responses=(5, 5))
    write_jsonl(made, tmp_path / "s.jsonl")
    write_truth(other, truth_path(tmp_path / "s.jsonl"))
    with pytest.raises(DataError, match="knows nothing of group 'sim-00001' with 4 responses"):
        read_samples(str(tmp_path / "s.jsonl"), gold=SIMULATOR)
    truth_path(tmp_path / "s.jsonl").write_text('{"id": "sim-00001"}\n')
    with pytest.raises(DataError, match="palate data simulate writes") as caught:
        with_qualities(made.groups, str(tmp_path / "s.jsonl"))
    assert caught.value.where.endswith("s.jsonl.truth:1")


def test_pooling_keeps_prompts_apart_that_differ_in_case(tmp_path: Path) -> None:
    rows = [{"prompt": p, "response": "x"} for p in ("Name it.", "name it.")]
    assert len(read_samples(written(tmp_path / "s.jsonl", *rows), gold=None)[0]) == 2
    assert pool(()) == ()
