"""Two models by name, from held-out data on disk to three files and an exit code."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import palate
from palate.auditing.battery import adversarial, battery, quick
from palate.auditing.local import LocalScorer
from palate.auditing.run import Listener
from palate.auditing.versus import run
from palate.cli.main import main
from palate.data.simulate import simulate
from palate.errors import ConfigError, ContractError, DataError, MissingHeadError, ModelError
from palate.model.reward_model import RewardModel
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.document import Report
from palate.testing.runs import write_groups
from palate.testing.tiny import tiny_reward_model

KEYS = ["gate", "accuracy", "parts", "makeup", "battery", "disagreement"]


def altered(model: RewardModel, *, noise: float = 0.0, sign: float = 1.0) -> RewardModel:
    """The same body with another head."""
    torch.manual_seed(7)
    with torch.no_grad():
        weight = model.head.score.weight
        weight.copy_(sign * weight + noise * torch.randn_like(weight))
    return model


def judged_by(model: RewardModel, groups: tuple[PreferenceGroup, ...]) -> list[PreferenceGroup]:
    """The first two responses of each group, labelled as the model ranks them."""
    pairs = [replace(group, responses=group.responses[:2], gold=(), models=()) for group in groups]
    rewards = LocalScorer(model, "judge").score(pairs)
    return [
        replace(pair, comparisons=(Comparison(int(reward.argmax()), int(reward.argmin())),))
        for pair, reward in zip(pairs, rewards, strict=True)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data on which `rm` is always right, `swapped` always wrong, and `noised` sometimes."""
    folder = tmp_path_factory.mktemp("compare")
    settings: dict[str, Any] = {"reward_mean": 0.0, "reward_std": 1.0}
    write_groups(folder / "held.jsonl", judged_by(tiny_reward_model(max_length=4096), simulate(180, seed=6).groups))
    for name, change in (("rm", {}), ("swapped", {"sign": -1.0}), ("noised", {"noise": 1.0})):
        altered(tiny_reward_model(max_length=4096), **change).save_pretrained(folder / name, **settings)
    return folder


def compared(folder: Path, incumbent: str, candidate: str, out: Path, **settings: Any) -> Report:
    names = {
        side: name if "/" in name else str(folder / name)
        for side, name in (("incumbent", incumbent), ("candidate", candidate))
    }
    defaults = {"data": str(folder / "held.jsonl"), "out": str(out), "battery": "none", "dtype": "fp32", "margin": 0.05}
    return palate.compare(**{**defaults, **names, **settings})


def failed(report: Report) -> list[str]:
    return [placed.finding.id for placed in report.placed if placed.finding.severity == "fail"]


def test_a_model_against_itself_passes(folder: Path, tmp_path: Path) -> None:
    report = compared(folder, "rm", "rm", tmp_path, battery="quick")
    assert [check.section.key for check in report.checks] == KEYS
    assert failed(report) == []
    facts = json.loads((tmp_path / "compare.json").read_text())["facts"]
    assert facts["gate.passed"] is True
    assert (facts["accuracy.difference"], facts["accuracy.mcnemar_p"], facts["accuracy.margin_p"]) == (0.0, 1.0, 1.0)
    assert facts["accuracy.incumbent"] == 1.0
    assert facts["battery.difference"] == facts["disagreement.share"] == facts["makeup.length_r2_difference"] == 0
    assert facts["battery.quick"] is True
    assert facts["battery.pairs"] == len(quick(battery())) + len(quick(adversarial()))
    page = (tmp_path / "compare.html").read_text()
    assert "Gate passed" in page
    assert "The candidate may replace the incumbent" in page
    assert "no worse" in (tmp_path / "compare.md").read_text()
    assert [subject.what for subject in report.subject] == ["incumbent", "candidate", "held-out data"]


def test_its_swapped_self_fails_and_is_named(folder: Path, tmp_path: Path) -> None:
    report = compared(folder, "rm", "swapped", tmp_path)
    assert failed(report) == report.facts["gate.failed"] == ["worse", "worse-slice"]
    assert report.facts["accuracy.difference"] == -1.0
    assert report.facts["disagreement.kendall"] == pytest.approx(-1.0)
    assert report.facts["gate.verdict"].startswith("Gate failed (worse, worse-slice). The candidate is less accurate")
    assert report.placed[0].finding.command.startswith(f"palate audit {folder}/swapped --data ")
    assert "Not shown that the candidate may take over" in (tmp_path / "compare.html").read_text()


def test_its_noised_self_fails_and_is_better_the_other_way_round(folder: Path, tmp_path: Path) -> None:
    report = compared(folder, "rm", "noised", tmp_path / "a")
    assert failed(report)[0] == "worse"
    back = compared(folder, "noised", "rm", tmp_path / "b", require_better=True)
    assert failed(back) == []
    one, other = report.facts, back.facts
    assert 0.05 < other["accuracy.difference"] == -one["accuracy.difference"] < 0.5
    assert one["accuracy.mcnemar_p"] == other["accuracy.mcnemar_p"] < 1e-3
    assert one["accuracy.margin_difference"] == pytest.approx(-other["accuracy.margin_difference"])
    assert (one["accuracy.better"], one["accuracy.worse"]) == (other["accuracy.worse"], other["accuracy.better"])
    assert (one["disagreement.lost"], one["disagreement.share"]) == (
        other["disagreement.gained"],
        other["disagreement.share"],
    )


def test_exit_codes_say_passed_failed_or_impossible(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_compare(candidate: str, *flags: str) -> int:
        command = ["compare", str(folder / "rm"), candidate, "--data", str(folder / "held.jsonl")]
        return main([*command, "--out", str(tmp_path / "c"), "--battery", "none", *flags])

    assert run_compare(str(folder / "rm"), "--margin", "0.05") == 0
    assert "Gate passed" in capsys.readouterr().out
    assert run_compare(str(folder / "rm"), "--max-groups", "30") == 1
    assert "Gate failed (not-shown)" in " ".join(capsys.readouterr().out.split())
    assert run_compare("./nowhere") == 2
    assert "no such directory" in capsys.readouterr().err


class Handler(BaseHTTPRequestHandler):
    """A server of palate's protocol."""

    model: RewardModel
    lock = threading.Lock()

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200 if self.path == "/v1/reward" and body else 404 if body else 422)
        payload = json.dumps({"data": [{"score": self.score(item)} for item in body.get("inputs", [])]}).encode()
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def score(self, item: dict[str, Any]) -> float:
        prompt, response = (tuple(Message(**turn) for turn in item[name]) for name in ("prompt", "response"))
        with self.lock, torch.no_grad():
            return float(LocalScorer(self.model, "served").score([PreferenceGroup("", prompt, (response,))])[0][0])


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    Handler.model = RewardModel.from_pretrained(folder / "noised")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_server_is_compared_as_the_directory_that_it_serves(folder: Path, tmp_path: Path, address: str) -> None:
    said: list[str] = []
    names = {"incumbent": address, "candidate": str(folder / "rm")}
    settings = {"data": str(folder / "held.jsonl"), "battery": "none", "dtype": "fp32", "max_groups": 30}
    served = palate.compare(out=str(tmp_path / "a"), listener=Listener(say=said.append), **names, **settings)
    on_disk = palate.compare(out=str(tmp_path / "b"), **{**names, "incumbent": str(folder / "noised")}, **settings)
    assert any("speaks the protocol of palate" in line for line in said)
    for name, fact in on_disk.facts.items():
        if name.startswith(("accuracy", "disagreement", "gate")) and isinstance(fact, float):
            assert served.facts[name] == pytest.approx(fact, rel=1e-3, abs=1e-3, nan_ok=True), name
    assert served.facts["accuracy.worse"] == on_disk.facts["accuracy.worse"]


def test_the_second_model_is_looked_for_before_the_first_one_scores(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "open_scorers", lambda *_args, **_kwargs: pytest.fail("a model was opened"))
    with pytest.raises(ModelError, match="no such directory"):
        compared(folder, "rm", "./nowhere", tmp_path)
    with pytest.raises(ModelError, match="nothing answers"):
        compared(folder, "rm", "http://127.0.0.1:9", tmp_path)


def test_one_model_is_open_at_a_time(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import weakref

    opened: list[weakref.ref[Any]] = []
    open_scorers = run.open_scorers

    def opening(*args: Any, **kwargs: Any) -> Any:
        gc.collect()
        assert [one() for one in opened] == [None] * len(opened)
        found = open_scorers(*args, **kwargs)
        opened.append(weakref.ref(found[0].model))
        return found

    monkeypatch.setattr(run, "open_scorers", opening)
    compared(folder, "rm", "noised", tmp_path, max_groups=10)
    assert len(opened) == 2


def test_settings_that_make_no_sense_are_refused(folder: Path, tmp_path: Path) -> None:
    def refused(match: str, **settings: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            compared(folder, settings.pop("incumbent", "rm"), "rm", tmp_path, **settings)

    refused("margin is -0.1", margin=-0.1)
    refused("margin is 1", margin=1.0)
    refused("neither model is an address", tokenizer=("x",))
    refused("neither model is an address", api_key_file=("x",))
    refused("2 values for 1 servers", incumbent="http://127.0.0.1:9", tokenizer=("x", "y"))
    refused("no finding 'x'", threshold=("x=1",))


def test_settings_of_servers_go_to_servers() -> None:
    both, first, last = ("http://a", "https://b"), ("http://a", "rm"), ("rm", "http://b")
    assert run._for_each((), "tokenizer", both) == (None, None)
    assert run._for_each(("x",), "tokenizer", both) == ("x", "x")
    assert run._for_each(("x", "y"), "tokenizer", both) == ("x", "y")
    assert run._for_each(("x",), "tokenizer", first) == ("x", None)
    assert run._for_each(("x",), "tokenizer", last) == (None, "x")


def test_each_server_gets_its_own_key_and_tokenizer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple[str, str, str]] = []

    class Counting:
        name = "counting"

        def score(self, groups: list[PreferenceGroup]) -> list[np.ndarray]:
            return [np.arange(len(group.responses), dtype=float) for group in groups]

    def opening(name: str, *, tokenizer: str, api_key_file: str, **_: Any) -> Any:
        got.append((name, tokenizer, api_key_file))
        return None, Counting(), None

    monkeypatch.setattr(run, "open_server", opening)
    monkeypatch.setattr(run, "open_scorers", opening)
    keys = {"tokenizer": ("t1", "t2"), "api_key_file": ("k1", "k2")}
    compared(folder, "http://one", "http://two", tmp_path, **keys)
    assert got == [("http://one", "t1", "k1"), ("http://two", "t2", "k2")] * 2


def test_what_cannot_be_compared_is_an_error(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    tiny_reward_model().save_pretrained(broken)
    tensors = load_file(broken / "model.safetensors")
    del tensors["score.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingHeadError):
        compared(folder, "rm", str(broken), tmp_path / "c")
    stale = tmp_path / "stale"
    tiny_reward_model(max_length=4096).save_pretrained(stale)
    (stale / "chat_template.jinja").write_text((stale / "chat_template.jinja").read_text() + " ")
    with pytest.raises(ContractError, match="palate audit"):
        compared(folder, "rm", str(stale), tmp_path / "c")
    with pytest.raises(DataError, match="no such file"):
        compared(folder, "rm", "rm", tmp_path / "c", data="./nowhere.jsonl")
    short = tmp_path / "short"
    tiny_reward_model(max_length=4).save_pretrained(short)
    with pytest.raises(ModelError, match=r"of 180 labelled pairs \S+rm scored 180 and \S+short 0"):
        compared(folder, "rm", str(short), tmp_path / "c")


def test_label_ties_alone_are_nothing_to_compare_on(folder: Path, tmp_path: Path) -> None:
    ties = [
        replace(
            group, responses=group.responses[:2], comparisons=(Comparison(0, 1, probability=0.5),), gold=(), models=()
        )
        for group in simulate(5, seed=1).groups
    ]
    write_groups(tmp_path / "ties.jsonl", ties)
    with pytest.raises(DataError, match=r"ties\.jsonl: no pair has a label"):
        compared(folder, "rm", "rm", tmp_path / "c", data=str(tmp_path / "ties.jsonl"))


def test_over_long_pairs_are_counted(folder: Path, tmp_path: Path) -> None:
    characters = [len(row) for row in (folder / "held.jsonl").read_text().splitlines()]  # of prompt and two responses
    tiny_reward_model(max_length=int(np.median(characters)) // 2).save_pretrained(tmp_path / "short")
    report = compared(folder, "rm", str(tmp_path / "short"), tmp_path / "c")
    assert "unscored" in failed(report)
    assert report.facts["accuracy.unscored_by_candidate"] + report.facts["accuracy.pairs"] == 180
