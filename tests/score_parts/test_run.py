"""`palate score` into a folder: every row once, whatever happens on the way."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.score_parts.conftest import rows_of, write_folder, write_jsonl

from palate import lock, score_file
from palate.cli.main import main
from palate.config import ScoreConfig
from palate.errors import ConfigError, ModelError
from palate.model.reward_model import RewardModel
from palate.score_file import score
from palate.score_parts import worker
from palate.score_parts.progress import Progress
from palate.score_parts.run import FilesResult, score_files
from palate.testing.separate import sharp_reward_model

PARTS = [
    "a.jsonl",
    "b.jsonl",
    "c.jsonl",
    *(f"e-{n:05d}-of-00003.jsonl" for n in range(3)),
    "f.jsonl",
    "sub/d.jsonl",
]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_file, "WINDOW", 2)


@pytest.fixture
def config(model: str, tmp_path: Path) -> ScoreConfig:
    (tmp_path / "data").mkdir()
    return ScoreConfig(model=model, data=(str(write_folder(tmp_path / "data")),), out=str(tmp_path / "out"))


def files_of(out: str) -> dict[str, bytes]:
    """All that lies in the folder, but the manifest and the lock."""
    paths = [path for path in Path(out).rglob("*") if path.is_file() and path.name not in ("manifest.json", ".lock")]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def lines_of(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def manifest_of(config: ScoreConfig) -> dict[str, Any]:
    return json.loads((Path(config.out) / "manifest.json").read_text())


def elsewhere(config: ScoreConfig) -> str:
    """Where an uninterrupted run of the same has written."""
    whole = replace(config, out=str(Path(config.out).with_name("whole")), overwrite=False)
    score_files(whole)
    return whole.out


def test_each_file_has_the_lines_that_it_has_alone(config: ScoreConfig, tmp_path: Path) -> None:
    result = score_files(config)
    assert sorted(files_of(config.out)) == sorted(PARTS)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(PARTS):
        found.setdefault(name.partition("-")[0].removesuffix(".jsonl"), []).extend(lines_of(Path(config.out) / name))
    for file in ("a.jsonl", "b.jsonl.gz", "c.json", "sub/d.csv", "e.parquet"):
        alone = replace(config, data=(f"{config.data[0]}/{file}",), out=str(tmp_path / "alone.jsonl"), overwrite=True)
        score(alone)
        one, many = lines_of(alone.out), found[file.partition(".")[0]]
        assert [(line["id"], line["where"]) for line in many] == [(line["id"], line["where"]) for line in one], file
        for mine, theirs in zip(many, one, strict=True):  # row groups are packed apart
            np.testing.assert_allclose(mine["rewards"], theirs["rewards"], atol=1e-5)
    assert found["f"] == []
    assert (result.totals.files, result.totals.parts, result.totals.done, result.totals.empty) == (6, 8, 8, 1)
    assert (result.totals.prompts, result.totals.rows, result.failed, result.resumed) == (34, 34, {}, 0)


def test_parts_may_be_parquet(config: ScoreConfig) -> None:
    score_files(replace(config, part_format="parquet"))
    whole = elsewhere(config)
    for name in PARTS:
        rows = pq.read_table((Path(config.out) / name).with_suffix(".parquet")).to_pylist()
        lines = lines_of(Path(whole) / name)
        assert [(row["id"], row["where"]) for row in rows] == [(line["id"], line["where"]) for line in lines]
        assert all(r["rewards"] == pytest.approx(line["rewards"]) for r, line in zip(rows, lines, strict=True))


def test_the_manifest_says_what_each_part_is(config: ScoreConfig) -> None:
    result = score_files(config)
    told = manifest_of(config)
    assert list(told["parts"]) == PARTS
    assert {part["state"] for part in told["parts"].values()} == {"done"}
    third = told["parts"]["e-00002-of-00003.jsonl"]
    assert (third["input"], third["row_group"]) == (f"{config.data[0]}/e.parquet", 2)
    assert (third["first_row"], third["result"]["rows"], third["result"]["prompts"]) == (10, 4, 4)
    assert told["inputs"][third["input"]]["size"] == Path(third["input"]).stat().st_size
    assert told["totals"] == asdict(result.totals)
    assert told["run"]["computed_tokens"] == result.computed_tokens > 0
    assert (told["run"]["engine"], told["run"]["workers"], told["run"]["dtype"]) == ("process", 1, "fp32")
    assert told["settings"]["over_long"] == "drop"


class Stop(Exception):
    pass


def stop_after(number: int) -> Callable[[Progress], None]:
    def count(progress: Progress) -> None:
        if progress.prompts >= number:
            raise Stop

    return count


@pytest.fixture
def every_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.score_parts.run._SHOW_EVERY", -1.0)


@pytest.mark.usefixtures("every_event")
@pytest.mark.parametrize("number", [1, 4, 5, 13, 22, 33])
def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(number: int, config: ScoreConfig) -> None:
    with pytest.raises(Stop):
        score_files(config, on_progress=stop_after(number))
    partial = next(iter(Path(config.out).rglob("*.partial")), None)
    if partial is not None:
        with partial.open("a") as file:
            file.write('{"id": "torn", "rewa')
    result = score_files(config)
    assert files_of(config.out) == files_of(elsewhere(config))
    assert number - 1 <= result.resumed < 34
    assert manifest_of(config)["totals"]["prompts"] == 34
    again = score_files(config)  # all is there: nothing is scored
    assert (again.resumed, again.computed_tokens) == (34, 0)


def in_child(config: ScoreConfig, kill_at: int) -> int:
    """Run in a fork that kills itself at so many operations on files; returns its exit status, or minus the signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    seen = 0

    def operation() -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename", "os.remove", "os.truncate") and config.out in str(arguments[0]):
            operation()

    sys.addaudithook(count)
    os.fsync = lambda _file: operation()  # after each window
    try:
        score_files(config)
    except BaseException:  # the child must not go on as a test
        os._exit(1)
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing on this system")
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bytes(seed: int, config: ScoreConfig) -> None:
    rng = np.random.default_rng(seed)
    assert in_child(config, int(rng.integers(1, 50))) == -signal.SIGKILL
    for _ in range(30):
        if (status := in_child(config, int(rng.integers(1, 100)))) == 0:
            break
        assert status == -signal.SIGKILL
    assert status == 0, "no progress between kills"
    assert files_of(config.out) == files_of(elsewhere(config))
    told = manifest_of(config)
    assert (told["totals"]["done"], told["totals"]["prompts"]) == (8, 34)


@pytest.mark.usefixtures("every_event")
@pytest.mark.parametrize("change", ["changed", "new", "gone", "model", "settings", "format"])
def test_another_job_is_refused_and_nothing_is_touched(change: str, config: ScoreConfig, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        score_files(config, on_progress=stop_after(13))
    before, other, data = files_of(config.out), config, Path(config.data[0])
    expected = f"{change if change != 'gone' else 'no longer there'} since .* was begun"
    if change == "changed":  # one letter of a part that is done
        text = (data / "a.jsonl").read_text()
        (data / "a.jsonl").write_text(text.replace("0: ", "1: ", 1))
    elif change == "new":
        write_jsonl(data / "z.jsonl", rows_of(1, 9))
    elif change == "gone":
        (data / "sub" / "d.csv").unlink()
    elif change == "model":
        model = RewardModel.from_pretrained(config.model)  # a body trained on, under the same head
        next(model.backbone.layers[0].parameters()).data += 0.01
        model.save_pretrained(tmp_path / "other")
        other, expected = replace(config, model=str(tmp_path / "other")), "begun with another model"
    elif change == "settings":
        other, expected = replace(config, max_length=500), "begun with --max-length None, not 500"
    else:
        other, expected = replace(config, part_format="parquet"), "begun with --part-format jsonl, not parquet"
    with pytest.raises(ConfigError, match=expected):
        score_files(other)
    assert files_of(config.out) == before
    result = score_files(replace(other, overwrite=True))
    assert (result.resumed, files_of(config.out)) == (0, files_of(elsewhere(other)))


def test_a_file_that_was_only_touched_is_not_scored_again(config: ScoreConfig) -> None:
    score_files(config)
    os.utime(f"{config.data[0]}/a.jsonl", ns=(1, 1))
    assert score_files(config).computed_tokens == 0


def broken(config: ScoreConfig) -> Path:
    """A file whose fourth row is none."""
    path = write_jsonl(Path(config.data[0]) / "bad.jsonl", rows_of(4, 7))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]) + "{broken\n")
    return path


def test_a_broken_file_does_not_lose_the_others_and_may_be_mended(config: ScoreConfig) -> None:
    path = broken(config)
    result = score_files(config)
    assert list(result.failed) == ["bad.jsonl"]
    assert "bad.jsonl:4" in result.failed["bad.jsonl"]
    assert (result.totals.done, result.totals.failed, result.totals.prompts) == (8, 1, 34)
    assert manifest_of(config)["parts"]["bad.jsonl"]["state"] == "failed"
    assert not (Path(config.out) / "bad.jsonl").exists()
    write_jsonl(path, rows_of(4, 8))  # quite another file by now
    again = score_files(config)
    assert (again.failed, again.resumed, again.totals.prompts) == ({}, 34, 38)
    assert files_of(config.out) == files_of(elsewhere(config))


def test_a_mended_file_is_done_again_as_a_whole(config: ScoreConfig) -> None:
    path = Path(config.data[0]) / "e.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[7]["responses"] = None
    pq.write_table(type(table).from_pylist(rows), path, row_group_size=5)
    assert list(score_files(config).failed) == ["e-00001-of-00003.jsonl"]
    pq.write_table(table, path, row_group_size=10)  # other row groups, too
    result = score_files(config)
    assert (result.failed, result.totals.prompts) == ({}, 34)
    assert files_of(config.out) == files_of(elsewhere(config))


def test_rows_may_be_skipped_after_all(config: ScoreConfig) -> None:
    broken(config)
    score_files(config)
    skipping = replace(config, on_bad_row="skip")
    result = score_files(skipping)
    assert (result.totals.prompts, result.totals.rows, result.totals.dropped) == (37, 38, {"broken-json": 1})
    assert files_of(config.out) == files_of(elsewhere(skipping))
    (row,) = lines_of(Path(config.out) / "bad.jsonl.dropped.jsonl")
    assert row["where"] == f"{config.data[0]}/bad.jsonl:4"
    with pytest.raises(ConfigError, match="begun with --on-bad-row skip, not error"):
        score_files(config)


def test_over_long_prompts_are_counted_over_all_parts(config: ScoreConfig) -> None:
    for name in ("g", "h"):
        write_jsonl(Path(config.data[0]) / f"{name}.jsonl", [{"prompt": "word " * 99, "response": "yes"}])
    result = score_files(replace(config, max_length=200))
    assert (result.totals.prompts, result.totals.unscored, result.failed) == (36, {"over-long": 2}, {})


def test_a_file_that_changes_while_it_is_scored_is_no_part(
    config: ScoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = score_file.score_windows

    def meanwhile(*arguments: Any) -> Any:
        os.utime(f"{config.data[0]}/a.jsonl", ns=(1, 1))
        return scored(*arguments)

    monkeypatch.setattr(score_file, "score_windows", meanwhile)
    result = score_files(config)
    assert list(result.failed) == ["a.jsonl"]
    assert "was written to while it was being scored" in result.failed["a.jsonl"]


def test_rows_are_read_as_they_are_needed(config: ScoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    read, ahead = 0, []
    opened = worker.open_part

    class Counted:
        def __init__(self, *arguments: Any) -> None:
            self._stream = opened(*arguments)

        def __iter__(self) -> Any:
            nonlocal read
            for group in self._stream:
                read += 1
                yield group

        @property
        def report(self) -> Any:
            return self._stream.report

    monkeypatch.setattr(worker, "open_part", Counted)
    monkeypatch.setattr("palate.score_parts.run._SHOW_EVERY", -1.0)
    score_files(config, on_progress=lambda progress: ahead.append(read - progress.prompts))
    assert read == 34
    assert max(ahead) <= 2


def test_a_model_is_checked_before_its_first_reward(config: ScoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    long = [{"prompt": "word " * 99, "response": "yes"}] * 3  # no reward in the whole first window
    data = write_jsonl(Path(config.data[0]).with_name("long") / "a.jsonl", [*long, *rows_of(4, 1)])
    model = Path(config.out).with_name("sharing")
    sharp_reward_model().save_pretrained(model)
    monkeypatch.setattr("palate.model.backbone._takes_positions", lambda _backbone: False)
    config = replace(config, model=str(model), data=(str(data),), max_length=200)
    with pytest.raises(ModelError, match="differ from separate runs"):
        score_files(config)
    partial = (Path(config.out) / "a.jsonl.partial").read_text()
    assert '"rewards": [' not in partial


def test_int8_is_compared_once_and_noted(config: ScoreConfig) -> None:
    said: list[str] = []
    score_files(replace(config, dtype="int8"), say=said.append)
    assert len([line for line in said if "int8 holds" in line]) == 1
    assert [line for line in manifest_of(config)["run"]["remarks"] if "int8 holds" in line]


def test_two_runs_at_once_are_refused(config: ScoreConfig) -> None:
    Path(config.out).mkdir()
    with lock.held(Path(config.out) / ".lock"), pytest.raises(ConfigError, match="held by another palate process"):
        score_files(config)
    score_files(config)


@pytest.mark.usefixtures("every_event")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_part_waits_for_its_last_writer(
    overwrite: bool, config: ScoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stop):
        score_files(config, on_progress=stop_after(3))
    monkeypatch.setattr(lock, "PATIENCE", 0.0)
    config = replace(config, overwrite=overwrite)
    with lock.held(Path(config.out) / "a.jsonl.partial"), pytest.raises(ConfigError, match="held by another"):
        score_files(config)
    assert score_files(config).totals.prompts == 34
    assert files_of(config.out) == files_of(elsewhere(config))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_groups": 3}, "max-groups has no meaning for many files"),
        ({"split": "test"}, "split has no meaning"),
        ({"ray_workers": 2}, "ray-workers is for --engine ray"),
        ({"ray_address": "auto"}, "ray-address is for --engine ray"),
        ({"engine": "ray", "ray_workers": 0}, "it must be at least 1"),
        ({"out": "scores.csv"}, "it must be a folder"),
        ({"data": ()}, "data names nothing"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], message: str, config: ScoreConfig) -> None:
    with pytest.raises(ConfigError, match=message):
        score_files(replace(config, **settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "ray"}, "engine is for the parts of a folder"),
        ({"ray_workers": 2}, "ray-workers is for the parts"),
        ({"part_format": "jsonl"}, "part-format is for the parts"),
        ({"data": ("a.jsonl", "b.jsonl")}, "data names 2; make --out a folder"),
    ],
)
def test_what_is_for_folders_is_refused_for_one_file(
    settings: dict[str, Any], message: str, config: ScoreConfig
) -> None:
    with pytest.raises(ConfigError, match=message):
        score(replace(config, out=f"{config.out}.jsonl", **settings))


def test_other_peoples_folders_are_left_alone(config: ScoreConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of the data lies in out"):
        score_files(replace(config, out=config.data[0]))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"holds files and no manifest\.json"):
            score_files(replace(config, out=str(tmp_path / "mine"), overwrite=overwrite))
    (tmp_path / "mine" / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no manifest of palate score"):
        score_files(replace(config, out=str(tmp_path / "mine")))
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("every_event")
def test_rewards_may_lie_in_a_folder_below_the_data(config: ScoreConfig) -> None:
    whole = files_of(elsewhere(config))
    inside, said = replace(config, out=f"{config.data[0]}/rewards"), []
    with pytest.raises(Stop):
        score_files(inside, on_progress=stop_after(13))
    result = score_files(inside, say=said.append)
    assert (result.totals.files, result.totals.prompts, result.resumed >= 12) == (6, 34, True)
    assert files_of(inside.out) == whole
    assert [line for line in said if "as palate wrote them" in line and inside.out in line]
    assert score_files(inside).computed_tokens == 0
    for data in (f"{inside.out}/a.jsonl", f"{inside.out}/sub"):
        with pytest.raises(ConfigError, match="of the data lies in out"):
            score_files(replace(inside, data=(data,)))


def command(config: ScoreConfig, *more: str) -> int:
    return main(["score", config.model, "--data", *config.data, "--out", config.out, *more])


def test_the_command_names_what_failed_last_and_exits_with_2(
    config: ScoreConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(config)
    assert command(config) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "error: 1 of 9 parts failed; mend them and run the same command"
    assert lines[-2].startswith("error: bad.jsonl is not there: ")
    assert "34 prompts of 7 files in 8 parts" in "\n".join(lines)
    assert command(config, "--on-bad-row", "skip") == 0
    printed = capsys.readouterr().out
    assert "37 prompts of 7 files in 9 parts" in printed
    assert "rows left out: broken-json 1" in printed
    assert "parts without a row: 1" in printed


def test_several_files_and_patterns_can_be_named(config: ScoreConfig) -> None:
    folder = config.data[0]
    assert command(replace(config, data=(f"{folder}/a.jsonl", f"{folder}/**/*.csv", f"{folder}/b*"))) == 0
    assert sorted(files_of(config.out)) == ["a.jsonl", "b.jsonl", "sub/d.jsonl"]


def test_the_result_is_a_value(config: ScoreConfig) -> None:
    result = score_files(model=config.model, data=config.data[0], out=config.out)
    assert isinstance(result, FilesResult)
    assert result.out == Path(config.out)
