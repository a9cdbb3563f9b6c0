"""Between the files and the loop: nothing is read twice for nothing, and what was said once is said again."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from palate.config import TrainConfig, write_yaml
from palate.data.load import read_groups
from palate.data.render import tokenize
from palate.data.split import split_by_prompt
from palate.errors import ConfigError, DataError
from palate.model.reward_model import RewardModel
from palate.packing.plan import Plan, StepPlan
from palate.records import Comparison, Message
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run, write_groups
from palate.testing.tiny import tiny_tokenizer
from palate.training import loop
from palate.training import prepare as module
from palate.training import run as run_module
from palate.training.display import ConsoleDisplay, QuietDisplay
from palate.training.outcome import TrainResult
from palate.training.prepare import prepare, read
from palate.training.prepared import PreparedData
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

VARYING = ("seconds", "pairs_per_second", "tokens_per_second")


class Lines(QuietDisplay):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tokenized(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the sources that were tokenized, not found."""
    names: list[str] = []

    def tokenize_chunks(groups: Any, *_rest: Any, **_options: Any) -> Any:
        names.append(groups.report.summary())
        return original(groups, *_rest, **_options)

    original = module.tokenize_chunks
    monkeypatch.setattr(module, "tokenize_chunks", tokenize_chunks)
    return names


def prepared(config: TrainConfig, tokenizer: Any = None, **options: Any) -> tuple[PreparedData, list[str]]:
    lines = Lines()
    data = prepare(read(config, lines), tokenizer or tiny_tokenizer(), config, lines, **options)
    return data, lines.said


def ids(groups: Any) -> list[str]:
    return [group.id for group in groups]


def config_in(folder: Path, **settings: Any) -> TrainConfig:
    """40 pairs, some of which are too long, one duplicate id."""
    groups = list(random_groups(40, words=4))
    groups[7] = replace(groups[7], prompt=(Message("user", "word " * 80),))
    groups[9] = replace(groups[9], id=groups[8].id)
    return tiny_run(folder, groups, **{"eval_fraction": 0.25, "max_length": 200, **settings})


def test_the_data_are_those_of_reading_tokenizing_and_splitting_in_memory(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    data, said = prepared(config)
    groups = read_groups(config.data).groups
    kept = tokenize(groups, tiny_tokenizer(), max_length=200)
    fitting = [group for group in groups if group.id in set(ids(kept.groups))]
    training, evaluation = split_by_prompt(fitting, 0.25)
    assert ids(data.training) == ids(training)
    assert ids(data.evaluation) == ids(evaluation)
    assert data.dropped == kept.dropped
    assert len(data.dropped) == 1
    assert f"{config.data}: 40 rows of format palate-group -> 40 groups, 40 comparisons; notes: duplicate-id 1" in said
    assert f"held out by prompt: {len(evaluation)} of 39 groups" in said


def test_a_second_run_reads_nothing_and_says_the_same(tmp_path: Path, cache: Path, tokenized: list[str]) -> None:
    config = config_in(tmp_path)
    first, said = prepared(config)
    again, said_again = prepared(config)
    assert len(tokenized) == 1
    assert again.fingerprint == first.fingerprint
    assert again.dropped == first.dropped
    assert again.steps[:] == first.steps[:]
    (kept,) = [line for line in said if line.startswith("tokens kept in the cache: ")]
    (found,) = [line for line in said_again if line.startswith("tokens from the cache: ")]
    assert str(cache) in kept
    assert str(cache) in found
    assert [line for line in said if line != kept] == [line for line in said_again if line != found]


def test_a_run_from_the_cache_ends_in_the_same_bits_and_lists_what_was_left_out(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    results = [train(config, overwrite=True, out=str(tmp_path / name)) for name in ("first", "again")]
    results.append(train(config, out=str(tmp_path / "none"), cache=False))
    weights = [load_file(result.out / "model.safetensors") for result in results]
    for other in weights[1:]:
        assert all(torch.equal(other[name], tensor) for name, tensor in weights[0].items())
    assert len({(result.out / "dropped.jsonl").read_text() for result in results}) == 1
    assert len({json.dumps(result.summary["dropped"]) for result in results}) == 1


def test_the_same_tokens_serve_another_split_order_and_step(tmp_path: Path, tokenized: list[str]) -> None:
    config = config_in(tmp_path)
    first, _ = prepared(config)
    free = {"seed": 1, "eval_fraction": 0.5, "pairs_per_step": 3, "pack_window": 8, "tokens_per_pack": 300}
    other, _ = prepared(replace(config, **free))
    assert len(tokenized) == 1
    assert ids(other.training) != ids(first.training)


@pytest.mark.parametrize("change", ["max_length", "over_long", "max_groups", "on_bad_row", "data", "template", "token"])
def test_whatever_changes_the_tokens_is_noticed(change: str, tmp_path: Path, tokenized: list[str]) -> None:
    config, tokenizer = config_in(tmp_path), tiny_tokenizer()
    prepared(config)
    values = {"max_length": 190, "over_long": "truncate-prompt", "max_groups": 30, "on_bad_row": "skip"}
    if change == "data":
        write_groups(Path(config.data), random_groups(40, words=4, seed=1))
    elif change == "template":
        tokenizer.chat_template += " "
    elif change == "token":
        tokenizer.add_tokens(["water"])
    else:
        config = replace(config, **{change: values[change]})  # type: ignore[arg-type]
    prepared(config, tokenizer)
    assert len(tokenized) == 2


def test_a_template_that_asks_for_the_date_is_not_served_yesterdays(tmp_path: Path, tokenized: list[str]) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ strftime_now('%d.%m.%Y') }}" + tokenizer.chat_template
    config = config_in(tmp_path)
    plain = tokenizer.apply_chat_template
    prepared(config, tokenizer)
    prepared(config, tokenizer)
    assert len(tokenized) == 1
    tokenizer.apply_chat_template = lambda *a, **k: plain(*a, **k).replace(".20", ".21")
    prepared(config, tokenizer)
    assert len(tokenized) == 2


def test_without_the_cache_nothing_is_kept(tmp_path: Path, cache: Path, tokenized: list[str]) -> None:
    config = config_in(tmp_path, cache=False)
    for _ in range(2):
        data, said = prepared(config)
        assert data.training[0].id == "random-0"
        assert not any("the cache" in line for line in said)
    assert len(tokenized) == 2
    assert not cache.exists()


def test_a_damaged_entry_is_said_and_made_anew(tmp_path: Path, cache: Path, tokenized: list[str]) -> None:
    config = config_in(tmp_path)
    first, _ = prepared(config)
    (file,) = cache.glob("*/tokens.arrow")
    file.write_bytes(file.read_bytes()[:-1])
    again, said = prepared(config)
    assert len(tokenized) == 2
    assert again.fingerprint == first.fingerprint
    assert any(line.startswith("warning: the cache entry") and "damaged" in line for line in said)


@pytest.mark.parametrize("kept", [True, False])
def test_data_that_changes_before_it_is_tokenized_is_refused_and_not_kept(
    kept: bool, tmp_path: Path, cache: Path
) -> None:
    config = config_in(tmp_path, cache=kept)
    raw = read(config, QuietDisplay())
    rows = Path(config.data).read_text().splitlines()
    row = json.loads(rows.pop())
    row["responses"][1] += " changed"
    Path(config.data).write_text("\n".join([*rows, json.dumps(row)] if kept else rows) + "\n")
    with pytest.raises(DataError, match=r"data\.jsonl: was written to while it was being read") as caught:
        prepare(raw, tiny_tokenizer(), config, QuietDisplay())
    assert (caught.value.reason, caught.value.where) == ("changed", config.data)
    assert [path.suffix for path in cache.glob("*")] == ([".json"] if kept else [])
    data, _ = prepared(config)
    assert len(data.training) + len(data.evaluation) == (39 if kept else 38)


def test_data_that_changes_while_it_is_read_is_refused_and_not_kept(tmp_path: Path, cache: Path) -> None:
    config = config_in(tmp_path)

    class Meddling(Lines):
        def counting(self, what: str, total: int | None) -> Any:
            with Path(config.data).open("a") as file:
                file.write("\n")
            return super().counting(what, total)

    with pytest.raises(DataError, match="was written to while it was being read"):
        read(config, Meddling())
    assert not list(cache.glob("*"))


def test_a_broken_row_is_found_before_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path)
    with Path(config.data).open("a") as file:
        file.write("not JSON\n")
    monkeypatch.setattr(run_module, "build_model", lambda *_all: pytest.fail("too late"))
    with pytest.raises(DataError, match=r"data\.jsonl:41: not JSON"):
        train(config)


def test_held_out_data_of_its_own_is_tokenized_too_and_overlap_is_said(tmp_path: Path, tokenized: list[str]) -> None:
    other = str(write_groups(tmp_path / "other.jsonl", random_groups(45, words=4)[35:]))
    data, said = prepared(config_in(tmp_path, eval_data=other))
    assert (len(data.training), len(data.evaluation), len(tokenized)) == (39, 10, 2)
    assert any(line.startswith("warning: 5 prompts of eval-data are in the training data too") for line in said)
    assert f"{other}: 10 rows of format palate-group -> 10 groups, 10 comparisons" in said


def test_workers_change_nothing(tmp_path: Path) -> None:
    config = config_in(tmp_path, cache=False)
    one, two = (prepared(replace(config, workers=number))[0] for number in (1, 2))
    assert one.fingerprint == two.fingerprint
    assert one.dropped == two.dropped


def test_nothing_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no group is left to train on \(over-long\)"):
        prepared(config_in(tmp_path, max_length=5))


PACKED = {"pack_window": 12, "tokens_per_pack": 400, "pairs_per_step": 8, "epochs": 3, "eval_fraction": 0}


def log_of(result: TrainResult) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (result.out / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in VARYING} for line in lines]


def assert_same_weights(ours: TrainResult, theirs: TrainResult, tolerance: float = 0.0) -> None:
    weights = load_file(theirs.out / "model.safetensors")
    for name, tensor in load_file(ours.out / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], atol=tolerance, rtol=0, msg=name)


def test_planned_packs_are_run_and_change_nothing_but_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle is the same steps, packed when they run: into one row each."""
    config = config_in(tmp_path, **{**PACKED, "pairs_per_step": 16}, lr=3e-4)
    rows: list[list[str]] = []
    run_pack = loop._run_pack
    with monkeypatch.context() as patch:
        patch.setattr(
            loop, "_run_pack", lambda trainer, own, *rest: rows.append(ids(own)) or run_pack(trainer, own, *rest)
        )
        ours = train(config)
    data, _ = prepared(config)
    assert rows == [[data.training[step.groups[at]].id for at in items] for step in data.steps for items in step.packs]
    assert ours.summary["tokens"]["fill"] > 0.7
    original = Plan.__getitem__
    planned: list[int] = []

    def unpacked(plan: Plan, index: int) -> StepPlan:
        step = original(plan, index)
        planned.append(len(step.packs))
        return StepPlan(step.epoch, step.groups)

    monkeypatch.setattr(Plan, "__getitem__", unpacked)
    monkeypatch.setattr("palate.training.prepared.pack", lambda costs, *_rest, **_options: (tuple(range(len(costs))),))
    theirs = train(config, out=str(tmp_path / "oracle"))
    assert min(planned) >= 1
    assert max(planned) > 1
    for a, b in zip(log_of(ours), log_of(theirs), strict=True):
        assert (a["pairs"], a["tokens"], a["epoch"]) == (b["pairs"], b["tokens"], b["epoch"])
        # The same weights at first; later the rounding of earlier steps has moved them a little apart.
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], abs=1e-6 if a["step"] == 1 else 1e-4)
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
    assert_same_weights(ours, theirs, 1e-5)


class Killed(BaseException):
    """Stands for a kill."""


def killed(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, *, at: int) -> None:
    def refuse(record: Any) -> None:
        if record.step == at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("palate.training.run._on_step", lambda *_all: refuse)
        with pytest.raises(Killed):
            train(config)


def test_a_run_with_planned_packs_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path, **PACKED, save_every=1, kind="gpt2", dropout=True)
    killed(config, monkeypatch, at=10)
    resumed = train(config, resume=True, workers=2, cache=False)
    whole = train(config, out=str(tmp_path / "whole"))
    assert len(log_of(whole)) > 12
    assert log_of(resumed) == log_of(whole)
    assert_same_weights(resumed, whole)


def test_a_plan_of_packs_is_bound_to_its_budget_and_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path, **PACKED, save_every=1)
    killed(config, monkeypatch, at=3)
    with pytest.raises(ConfigError, match="other settings: tokens-per-pack: 400 -> 500"):
        train(config, resume=True, tokens_per_pack=500)
    original = run_module.prepare
    monkeypatch.setattr(run_module, "prepare", lambda *all_, **options: original(*all_, **{**options, "num_ranks": 3}))
    with pytest.raises(ConfigError, match="with pack-window the plan is made for as many as the run began with, 1"):
        train(config, resume=True)
    with pytest.raises(ConfigError, match="pack-window fills packs before auto-batch"):
        replace(config, auto_batch=True)


@pytest.mark.slow
def test_two_processes_take_the_planned_packs_of_two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path, **{**PACKED, "eval_fraction": 0.2}, out=str(tmp_path / "two"))
    write_yaml(config, tmp_path / "run.yaml")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    launch = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port), "-m", "palate"]
    command = [sys.executable, "-m", *launch, "train", "--config", str(tmp_path / "run.yaml")]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tokens kept in the cache") == 1
    original = run_module.prepare
    monkeypatch.setattr(run_module, "prepare", lambda *all_, **options: original(*all_, **{**options, "num_ranks": 2}))
    alone = train(config, out=str(tmp_path / "alone"))
    theirs = load_file(tmp_path / "two" / "model.safetensors")
    for name, tensor in load_file(alone.out / "model.safetensors").items():
        torch.testing.assert_close(theirs[name], tensor, atol=1e-5, rtol=0, msg=name)


def console(*, terminal: bool) -> tuple[ConsoleDisplay, io.StringIO]:
    file = io.StringIO()
    screen = Console(file=file, force_terminal=terminal, width=100, height=40, _environ={"TERM": "xterm"})
    return ConsoleDisplay(screen), file


@pytest.mark.parametrize("total", [None, 30])
def test_progress_of_reading_is_a_bar_or_a_line_now_and_then(
    total: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    display, file = console(terminal=True)
    advance = display.counting("reading", total)
    for _ in range(3):
        advance(10)
    if total is None:
        advance(0)
    assert "reading" in file.getvalue()
    assert not display._progress.task_ids

    display, file = console(terminal=False)
    now = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr("palate.training.display.time.monotonic", lambda: next(now))
    advance = display.counting("reading", total)
    for _ in range(3):
        advance(10)
    assert [line for line in file.getvalue().splitlines() if line.strip()] == ["reading 20" + ("/30" if total else "")]


def test_without_sharing_a_pack_stays_within_its_budget_padding_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = random_groups(1, words=60), random_groups(12, words=2, seed=1)
    config = tiny_run(tmp_path, [*long, *short], layout="padded", tokens_per_pack=1400, pairs_per_step=100)
    sizes: list[int] = []
    original = RewardModel.forward

    def forward(model: RewardModel, batch: Any) -> Any:
        if model.training:
            sizes.append(batch.input_ids_BT.numel())
        return original(model, batch)

    monkeypatch.setattr(RewardModel, "forward", forward)
    ours = train(config)
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 2  # the long one and a few short ones would pad to many times as much
    assert 1000 < max(sizes) <= 1400
    theirs = train(config, out=str(tmp_path / "oracle"), tokens_per_pack=100_000)
    assert log_of(ours)[0]["loss"] == pytest.approx(log_of(theirs)[0]["loss"], abs=1e-6)
    assert_same_weights(ours, theirs, 1e-5)


def test_packs_cannot_be_filled_beforehand_without_sharing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pack-window fills packs of shared prompts"):
        train(config_in(tmp_path, layout="padded", pack_window=8))


def test_labels_that_a_ranking_loss_does_not_see_are_counted_and_said(tmp_path: Path) -> None:
    first, *others = random_groups(6)
    weighted = replace(first, comparisons=(Comparison(0, 1, weight=5.0),))
    lines = Lines()
    result = train(tiny_run(tmp_path, [weighted, *others], loss="plackett-luce"), display=lines)
    assert any(line.startswith("warning: 1 groups have weights, margins or shared labels") for line in lines.said)
    assert result.summary["groups"]["ignored_labels"] == 1
