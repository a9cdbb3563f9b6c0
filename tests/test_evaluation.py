"""`palate eval`: its figures are those of counting by hand, and its file holds them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palate.config import EvalConfig
from palate.errors import DataError, ModelError
from palate.evaluation import compare, describe, evaluate
from palate.model.reward_model import RewardModel
from palate.records import Comparison, Message
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import write_groups
from palate.testing.separate import sharp_reward_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "rm"
    sharp_reward_model().save_pretrained(folder)
    return folder


def test_the_figures_are_those_by_hand(model: Path, tmp_path: Path) -> None:
    groups = [*random_groups(12, words=20), *random_groups(4, responses=3, seed=1, words=20)]
    groups[2] = replace(groups[2], comparisons=(Comparison(0, 1, probability=0.5),))
    groups[3] = replace(groups[3], comparisons=(Comparison(0, 1, probability=0.75),))
    data = write_groups(tmp_path / "held_out.jsonl", groups)
    file = tmp_path / "report" / "eval.json"
    report, dropped = evaluate(EvalConfig(model=str(model), data=str(data), json=str(file), tokens_per_pack=400))

    loaded = RewardModel.from_pretrained(model)
    gaps, lengths = [], []
    for group in groups:
        texts = [response[0].content for response in group.responses]
        rewards = loaded.score(group.prompt, texts).astype(float)
        gaps += [(rewards[c.winner] - rewards[c.loser], c.probability) for c in group.comparisons]
        turns = [
            [{"role": "user", "content": group.prompt[0].content}, {"role": "assistant", "content": t}] for t in texts
        ]
        tokens = [len(loaded.tokenizer.apply_chat_template(turn)["input_ids"]) for turn in turns]
        lengths += [max(tokens[c.winner], tokens[c.loser]) for c in group.comparisons]
    judged = [(gap > 0, gap, length // 100) for (gap, p), length in zip(gaps, lengths, strict=True) if p != 0.5]

    found = json.loads(file.read_text())
    assert dropped == ()
    assert found["dropped"] == {}
    assert found["pairs"] == len(judged) == 11 + 12
    assert found["label_ties"] == 1
    assert found["ties"] == 0
    assert found["accuracy"] == pytest.approx(sum(right for right, _, _ in judged) / len(judged))
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert found["margin"] == pytest.approx(np.mean([gap for _, gap, _ in judged]), abs=1e-5)
    losses = [p * math.log1p(math.exp(-gap)) + (1 - p) * math.log1p(math.exp(gap)) for gap, p in gaps]
    assert found["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert len(found["by_length"]) > 1
    for bucket in found["by_length"]:
        inside = [right for right, _, number in judged if number * 100 == bucket["low"]]
        assert bucket["pairs"] == len(inside)
        assert bucket["accuracy"] == pytest.approx(sum(inside) / len(inside))
    assert report.accuracy == found["accuracy"]


def test_equal_rewards_count_half() -> None:
    groups = [token_group(4, (3, 5), seed=seed) for seed in range(4)]
    rewards = [np.array(pair, dtype=np.float32) for pair in ((1, 0), (2, 2), (0, 1), (3, 1))]
    report = compare(groups, rewards)
    assert (report.accuracy, report.ties, report.pairs) == (2.5 / 4, 1, 4)
    assert describe(report).startswith("accuracy 0.625 [")


def test_left_out_groups_are_returned_and_counted_in_the_file(model: Path, tmp_path: Path) -> None:
    groups = list(random_groups(4))
    long = (Message("assistant", "word " * 60),)
    groups[1] = replace(groups[1], responses=(groups[1].responses[0], long))
    data = write_groups(tmp_path / "data.jsonl", groups)
    with data.open("a", encoding="utf-8") as file:
        file.write('{"prompt": "a", "chosen": "b"}\n')
    config = EvalConfig(
        model=str(model), data=str(data), max_length=250, on_bad_row="skip", json=str(tmp_path / "eval.json")
    )
    report, dropped = evaluate(config)
    assert report.pairs == 3
    assert [(row.where, row.reason) for row in dropped] == [
        (f"{data}:5", "missing-column"),
        (f"{data}:2", "over-long"),
    ]
    assert json.loads((tmp_path / "eval.json").read_text())["dropped"] == {"missing-column": 1, "over-long": 1}


def test_data_without_a_right_answer_is_an_error(model: Path, tmp_path: Path) -> None:
    ties = [replace(group, comparisons=(Comparison(0, 1, probability=0.5),)) for group in random_groups(2)]
    data = write_groups(tmp_path / "ties.jsonl", ties)
    with pytest.raises(DataError, match="none of the 2 held-out comparisons has a right answer"):
        evaluate(EvalConfig(model=str(model), data=str(data)))


def test_nothing_left_is_an_error_that_says_why(model: Path, tmp_path: Path) -> None:
    data = write_groups(tmp_path / "data.jsonl", random_groups(3))
    with pytest.raises(DataError, match=r"data.jsonl: no comparisons left to evaluate \(over-long 3\)"):
        evaluate(EvalConfig(model=str(model), data=str(data), max_length=20))


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    data = write_groups(tmp_path / "data.jsonl", random_groups(2))
    with pytest.raises(ModelError, match="no such directory"):
        evaluate(EvalConfig(model=str(tmp_path / "absent"), data=str(data)))


def test_what_is_said(model: Path, tmp_path: Path) -> None:
    data = write_groups(tmp_path / "data.jsonl", random_groups(3))
    said: list[str] = []
    totals: list[int] = []
    counted: list[int] = []
    evaluate(
        EvalConfig(model=str(model), data=str(data)),
        say=said.append,
        on_total=totals.append,
        on_progress=counted.append,
    )
    assert said[0] == f"{data}: 3 rows of format palate-group -> 3 groups, 3 comparisons"
    assert totals == [3]
    assert sum(counted) == 3


def test_a_body_that_shares_wrongly_is_stopped(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_groups(tmp_path / "held_out.jsonl", random_groups(4, words=20))
    monkeypatch.setattr("palate.model.backbone._takes_positions", lambda _backbone: False)
    with pytest.raises(ModelError, match="differ from separate runs"):
        evaluate(EvalConfig(model=str(model), data=str(data)))
