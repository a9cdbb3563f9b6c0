"""`palate score`: every prompt once, in order, whatever happens on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from palate import score_file
from palate.config import ScoreConfig
from palate.errors import ConfigError, DataError, ModelError
from palate.lock import held
from palate.model.reward_model import RewardModel
from palate.records import Message, PreferenceGroup
from palate.score_file import score
from palate.testing.groups import random_groups
from palate.testing.runs import write_groups
from palate.testing.separate import sharp_reward_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "rm"
    sharp_reward_model().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def groups() -> tuple[PreferenceGroup, ...]:
    return tuple(replace(g, id=f"p{n}") for n, g in enumerate((*random_groups(5), *random_groups(4, 3, seed=1))))


@pytest.fixture
def config(model: str, groups: Sequence[PreferenceGroup], tmp_path: Path) -> ScoreConfig:
    data = write_groups(tmp_path / "data.jsonl", groups)
    return ScoreConfig(model=model, data=str(data), out=str(tmp_path / "scores.jsonl"))


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_file, "WINDOW", 2)


def lines_of(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def assert_scored(lines: list[dict[str, Any]], groups: Sequence[PreferenceGroup], model: str) -> None:
    loaded = RewardModel.from_pretrained(model)
    assert [line["id"] for line in lines] == [group.id for group in groups]
    for line, group in zip(lines, groups, strict=True):
        expected = loaded.score(group.prompt, [response[0].content for response in group.responses])
        np.testing.assert_allclose(line["rewards"], expected, atol=1e-5)


def test_one_line_a_prompt_in_order_with_the_rewards_of_the_model(
    config: ScoreConfig, groups: Sequence[PreferenceGroup]
) -> None:
    result = score(config)
    assert (result.prompts, result.resumed, result.unscored, result.truncated, result.dropped) == (9, 0, {}, 0, ())
    lines = lines_of(config.out)
    assert_scored(lines, groups, config.model)
    assert lines[3]["where"] == f"{config.data}:4"
    assert sorted(path.name for path in Path(config.out).parent.iterdir()) == [
        "data.jsonl",
        "scores.jsonl",
        "scores.jsonl.summary.json",
    ]


def test_parquet_holds_the_same(config: ScoreConfig, groups: Sequence[PreferenceGroup]) -> None:
    config = replace(config, out=str(Path(config.out).with_suffix(".parquet")))
    score(config)
    table = pyarrow.parquet.read_table(config.out)
    assert table.column_names == ["id", "where", "rewards", "reason", "message", "truncated_tokens"]
    assert_scored(table.to_pylist(), groups, config.model)


def test_rows_without_comparisons_are_scored(config: ScoreConfig, tmp_path: Path) -> None:
    data = tmp_path / "candidates.jsonl"
    rows = [
        {"id": "a", "prompt": "2 + 2?", "responses": ["4", "5", "6"]},
        {"id": "b", "prompt": "hm?", "response": "yes"},
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(replace(config, data=str(data)))
    assert [(line["id"], len(line["rewards"])) for line in lines_of(config.out)] == [("a", 3), ("b", 1)]


class Broken(Exception):
    pass


def stop_after(number: int, monkeypatch: pytest.MonkeyPatch, config: ScoreConfig) -> Path:
    """Break a run after so many prompts; returns its partial file."""
    seen = 0

    def count(done: int, _total: int) -> None:
        nonlocal seen
        seen = done
        if done >= number:
            raise Broken

    with pytest.raises(Broken):
        score(config, on_progress=count)
    return Path(f"{config.out}.partial")


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_broken_run_goes_on_where_it_stopped(
    suffix: str, config: ScoreConfig, groups: Sequence[PreferenceGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, out=str(Path(config.out).with_suffix(suffix)))
    partial = stop_after(4, monkeypatch, config)
    assert not Path(config.out).exists()
    with partial.open("a") as file:
        file.write('{"id": "p4", "rewa')  # torn by a kill
    result = score(config)
    assert (result.prompts, result.resumed) == (9, 4)
    read = lines_of(config.out) if suffix == ".jsonl" else pyarrow.parquet.read_table(config.out).to_pylist()
    assert_scored(read, groups, config.model)
    assert not partial.exists()


def test_a_killed_run_goes_on_where_it_stopped(model: str, tmp_path: Path) -> None:
    groups = [replace(group, id=f"p{n}") for n, group in enumerate(random_groups(600))]
    config = ScoreConfig(
        model=model, data=str(write_groups(tmp_path / "d.jsonl", groups)), out=str(tmp_path / "s.jsonl")
    )
    code = (
        "import sys, time; from palate import score_file; from palate.cli.main import main; score_file.WINDOW = 20\n"
        "original = score_file.score_groups\n"
        "score_file.score_groups = lambda *a, **k: (time.sleep(0.02), original(*a, **k))[1]\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "score", model, "--data", config.data, "--out", config.out]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    partial = Path(f"{config.out}.partial")
    while process.poll() is None and (not partial.exists() or partial.read_bytes().count(b"\n") < 100):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    result = score(config)
    assert 99 <= result.resumed < 600
    assert [line["id"] for line in lines_of(config.out)] == [group.id for group in groups]


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("change", ["data", "model", "settings", "garbage"])
def test_the_partial_file_of_another_job_is_refused(
    change: str, config: ScoreConfig, groups: Sequence[PreferenceGroup], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    partial = stop_after(4, monkeypatch, config)
    other = config
    if change == "data":  # one word of one response, nothing else
        rows = Path(config.data).read_text().splitlines()
        row = json.loads(rows[7])
        row["responses"][1] += " changed"
        Path(config.data).write_text("\n".join([*rows[:7], json.dumps(row), *rows[8:]]) + "\n")
    elif change == "model":
        model = RewardModel.from_pretrained(config.model)  # a body trained on, under the same head
        next(model.backbone.layers[0].parameters()).data += 0.01
        model.save_pretrained(tmp_path / "other")
        other = replace(config, model=str(tmp_path / "other"))
    elif change == "settings":
        other = replace(config, max_length=500)
    else:
        partial.write_text("my own notes\n")
    before = partial.read_bytes()
    with pytest.raises(ConfigError, match="belongs to another scoring job"):
        score(other)
    assert partial.read_bytes() == before
    assert score(replace(other, overwrite=True)).resumed == 0


@pytest.mark.usefixtures("small_windows")
@pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
def test_another_template_is_another_job(config: ScoreConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / "foreign"  # nothing but palate.json would refuse the template
    shutil.copytree(config.model, foreign)
    (foreign / "palate.json").unlink()
    config = replace(config, model=str(foreign))
    stop_after(4, monkeypatch, config)
    template = foreign / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>", "<|im_end|>."))
    with pytest.raises(ConfigError, match="belongs to another scoring job"):
        score(config)


def test_two_runs_into_one_file_are_refused(config: ScoreConfig) -> None:
    with held(Path(f"{config.out}.partial")), pytest.raises(ConfigError, match="held by another"):
        score(config)
    assert score(config).prompts == 9
    assert not Path(f"{config.out}.partial").exists()


def test_a_file_that_another_run_finished_meanwhile_is_left_alone(
    config: ScoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any, **options: Any) -> Any:
        Path(config.out).write_text("theirs")
        return load(*arguments, **options)

    load = score_file.load_reward_model
    monkeypatch.setattr(score_file, "load_reward_model", meanwhile)
    with pytest.raises(ConfigError, match="exists already"):
        score(config)
    assert Path(config.out).read_text() == "theirs"


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize(
    ("line", "match"), [('{"rewards": [0.0]}\n', "10 lines for 9 prompts"), ('{"id"\n', "partial:4")]
)
def test_what_somebody_else_wrote_into_the_partial_file_is_not_put_in_place(
    line: str, match: str, config: ScoreConfig
) -> None:
    partial = Path(f"{config.out}.partial")

    def meddle(done: int, _total: int) -> None:
        if done == 2:
            with partial.open("a") as file:
                file.write(line)

    with pytest.raises(DataError, match=match) as caught:
        score(config, on_progress=meddle)
    assert "delete" in str(caught.value)
    assert not Path(config.out).exists()
    partial.unlink()
    assert score(config).prompts == 9


def test_a_finished_file_is_refused_unless_overwritten(config: ScoreConfig) -> None:
    score(config)
    before = Path(config.out).read_bytes()
    with pytest.raises(ConfigError, match="exists already; choose another --out, or --overwrite"):
        score(config)
    score(replace(config, overwrite=True))
    assert Path(config.out).read_bytes() == before


def test_other_suffixes_are_refused(config: ScoreConfig) -> None:
    with pytest.raises(ConfigError, match=r"must end in .jsonl or .parquet"):
        score(replace(config, out="scores.csv"))


def long_groups(groups: Sequence[PreferenceGroup]) -> list[PreferenceGroup]:
    """The third prompt and a response of the fifth are long."""
    changed = list(groups)
    changed[2] = replace(changed[2], prompt=(Message("user", "word " * 60),))
    changed[4] = replace(changed[4], responses=(changed[4].responses[0], (Message("assistant", "word " * 60),)))
    return changed


def test_over_long_ones_have_no_rewards_but_a_reason(config: ScoreConfig, groups: Sequence[PreferenceGroup]) -> None:
    write_groups(Path(config.data), long_groups(groups))
    result = score(replace(config, max_length=200))
    assert result.unscored == {"over-long": 2}
    lines = lines_of(config.out)
    assert [line["id"] for line in lines] == [group.id for group in groups]
    assert [n for n, line in enumerate(lines) if line["rewards"] is None] == [2, 4]
    assert lines[2]["reason"] == "over-long"
    assert "more than the maximum of 200" in lines[2]["message"]


def test_cut_prompts_are_marked(config: ScoreConfig, groups: Sequence[PreferenceGroup]) -> None:
    write_groups(Path(config.data), long_groups(groups))
    result = score(replace(config, max_length=200, over_long="truncate-prompt"))
    assert (result.truncated, result.unscored) == (1, {"response-over-long": 1})
    lines = lines_of(config.out)
    assert [n for n, line in enumerate(lines) if "truncated_tokens" in line] == [2]
    assert lines[2]["truncated_tokens"] > 0
    assert len(lines[2]["rewards"]) == 2


def test_over_long_ones_stop_the_run_on_request(config: ScoreConfig, groups: Sequence[PreferenceGroup]) -> None:
    write_groups(Path(config.data), long_groups(groups))
    with pytest.raises(DataError, match=r"data.jsonl:3: .* more than the maximum"):
        score(replace(config, max_length=200, over_long="error"))


def test_rows_that_cannot_be_read_are_listed(config: ScoreConfig) -> None:
    with Path(config.data).open("a") as file:
        file.write('{"prompt": "a"}\n')
    result = score(replace(config, on_bad_row="skip"))
    (row,) = lines_of(f"{config.out}.dropped.jsonl")
    assert (result.prompts, len(result.dropped), row["where"]) == (9, 1, f"{config.data}:10")


def test_no_list_of_an_earlier_run_is_left_lying(config: ScoreConfig, groups: Sequence[PreferenceGroup]) -> None:
    test_rows_that_cannot_be_read_are_listed(config)
    write_groups(Path(config.data), groups)  # mended
    assert score(replace(config, overwrite=True)).dropped == ()
    assert not Path(f"{config.out}.dropped.jsonl").exists()


def test_the_models_own_limit_holds_by_default(
    config: ScoreConfig, groups: Sequence[PreferenceGroup], tmp_path: Path
) -> None:
    write_groups(Path(config.data), long_groups(groups))
    limited = sharp_reward_model()
    limited.max_length = 200
    limited.save_pretrained(tmp_path / "limited")
    assert score(replace(config, model=str(tmp_path / "limited"))).unscored == {"over-long": 2}


def test_a_body_that_shares_wrongly_writes_no_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "sharing"
    sharp_reward_model().save_pretrained(model)
    data = write_groups(tmp_path / "groups.jsonl", random_groups(4, words=20))
    monkeypatch.setattr("palate.model.backbone._takes_positions", lambda _backbone: False)
    with pytest.raises(ModelError, match="differ from separate runs"):
        score(ScoreConfig(model=str(model), data=str(data), out=str(tmp_path / "rewards.jsonl")))
    assert not (tmp_path / "rewards.jsonl").exists()


def summary_of(config: ScoreConfig) -> dict[str, Any]:
    return json.loads(Path(f"{config.out}.summary.json").read_text())


def test_the_summary_says_what_was_done(config: ScoreConfig, groups: Sequence[PreferenceGroup]) -> None:
    write_groups(Path(config.data), long_groups(groups))
    with Path(config.data).open("a") as file:
        file.write('{"prompt": "a"}\n')
    result = score(replace(config, max_length=200, over_long="truncate-prompt", on_bad_row="skip"))
    summary = summary_of(config)
    assert (summary["prompts"], summary["resumed"], summary["truncated"]) == (9, 0, 1)
    assert summary["unscored"] == {"response-over-long": 1}
    assert sum(summary["dropped"].values()) == 1
    assert (summary["dtype"], summary["layout"], summary["prompt_cache"]) == ("fp32", "tree", None)
    assert 0 < summary["computed_tokens"] == result.run.computed_tokens < summary["unshared_tokens"]
    assert summary["seconds"] > 0
    assert summary["agreement"] is None
    assert "torch" in summary["versions"]


def test_a_resumed_run_counts_its_own_tokens_and_all_lines(
    config: ScoreConfig, monkeypatch: pytest.MonkeyPatch, small_windows: None
) -> None:
    whole = score(replace(config, out=str(Path(config.out).with_name("whole.jsonl")))).run
    stop_after(4, monkeypatch, config)
    run = score(config).run
    summary = summary_of(config)
    assert (summary["prompts"], summary["resumed"]) == (9, 4)
    assert 0 < summary["unshared_tokens"] == run.unshared_tokens < whole.unshared_tokens


@pytest.mark.usefixtures("small_windows")
def test_int8_is_compared_with_float32_on_the_first_prompts(config: ScoreConfig) -> None:
    said: list[str] = []
    exact = score(replace(config, out=str(Path(config.out).with_name("exact.jsonl"))))
    result = score(replace(config, dtype="int8"), say=said.append)
    summary = summary_of(config)
    agreement = summary["agreement"]
    assert (summary["dtype"], agreement["prompts"], agreement["responses"]) == ("int8", 9, 22)
    assert agreement["spearman"] > 0.9
    assert 0 < agreement["largest_difference"] < 1
    assert 0.3 < summary["int8_share"] < 1
    assert len([line for line in said if "int8 holds" in line]) == 1
    assert result.run.computed_tokens == exact.run.computed_tokens  # the comparison is not counted
    first = [line["rewards"] for line in lines_of(exact.out)]
    second = [line["rewards"] for line in lines_of(config.out)]
    assert first != second
    moved = max(abs(a - b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
    spread = float(np.std(np.concatenate(first)))
    assert moved / spread == pytest.approx(agreement["largest_difference"], rel=1e-3)


def test_a_float32_partial_file_is_not_continued_in_int8(
    config: ScoreConfig, monkeypatch: pytest.MonkeyPatch, small_windows: None
) -> None:
    stop_after(4, monkeypatch, config)
    with pytest.raises(ConfigError, match="belongs to another scoring job"):
        score(replace(config, dtype="int8"))


@pytest.mark.parametrize("layout", ["auto", "padded"])
def test_a_body_that_cannot_share_by_mask_uses_its_cache_unless_told_otherwise(layout: Any, tmp_path: Path) -> None:
    sharp_reward_model("lfm2").save_pretrained(tmp_path / "rm")
    groups = [replace(g, prompt=(Message("user", "word " * 30),)) for g in random_groups(4, 3)]
    data = write_groups(tmp_path / "data.jsonl", groups)
    said: list[str] = []
    config = ScoreConfig(model=str(tmp_path / "rm"), data=str(data), out=str(tmp_path / "s.jsonl"), layout=layout)
    score(config, say=said.append)
    assert_scored(lines_of(config.out), groups, config.model)
    summary = summary_of(config)
    assert summary["cached_prompts"] == (4 if layout == "auto" else 0)
    assert len([line for line in said if line.startswith("prompt cache: ")]) == (layout == "auto")
    assert (summary["computed_tokens"] < summary["unshared_tokens"]) == (layout == "auto")
