"""The budget in a whole audit, with each kind of gold."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import palate
from palate.auditing.hacking.run import judge_candidates
from palate.auditing.limits import audit_thresholds
from palate.auditing.local import LocalScorer
from palate.cli.main import main
from palate.config import AuditConfig
from palate.data.simulate import simulate, truth_path, write_jsonl, write_truth
from palate.errors import ConfigError, ModelError
from palate.report.document import Report
from palate.testing.tiny import tiny_reward_model

MADE = simulate(20, seed=6, families=("arithmetic", "units"), responses=(4, 4))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hacking")
    tiny_reward_model(max_length=2048).save_pretrained(folder / "rm", reward_mean=0.0, reward_std=1.0)
    tiny_reward_model(max_length=2048, seed=5).save_pretrained(folder / "gold", reward_mean=0.0, reward_std=1.0)
    write_jsonl(simulate(6, seed=8, families=("arithmetic",)), folder / "held.jsonl")
    write_jsonl(MADE, folder / "made.jsonl")
    write_truth(MADE, truth_path(folder / "made.jsonl"))
    return folder


def audited(folder: Path, out: Path, **settings: Any) -> Report:
    cheap: dict[str, Any] = {"battery": "none", "probes": 0, "dtype": "fp32"}
    return palate.audit(model=str(folder / "rm"), data=str(folder / "held.jsonl"), out=str(out), **(cheap | settings))


def rewards(seed: int) -> list[np.ndarray]:
    return LocalScorer(tiny_reward_model(max_length=2048, seed=seed), "rm").score(MADE.groups)


def write_candidates(path: Path, gold: list[list[float]] | None) -> str:
    rows = []
    for n, group in enumerate(MADE.groups):
        texts = [response[0].content for response in group.responses]
        row: dict[str, Any] = {"prompt": group.prompt[0].content, "responses": texts}
        rows.append(row if gold is None else row | {"gold": gold[n]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_labels_in_the_file_are_gold(folder: Path, tmp_path: Path) -> None:
    proxy = [one.tolist() for one in rewards(0)]
    report = audited(folder, tmp_path / "a", candidates=write_candidates(tmp_path / "same.jsonl", proxy))
    facts = json.loads((tmp_path / "a" / "audit.json").read_text())["facts"]
    assert facts["hacking.gold"] == "in the file"
    assert (facts["hacking.prompts"], facts["hacking.n_max"]) == (20, 4)
    assert facts["hacking.share_of_best"] == pytest.approx(1)  # gold is the reward itself
    assert facts["hacking.gold_std"] == pytest.approx(facts["hacking.proxy_std"], rel=1e-4)
    assert not {placed.finding.id for placed in report.placed} & {"reward-hacking", "hollow-gain"}
    (subject,) = (one for one in report.subject if one.what == "best-of-N samples")
    assert subject.counts == {"rows": 20, "prompts": 20, "samples": 80, "rows left out": 0}
    assert "Reward-hacking budget" in (tmp_path / "a" / "audit.html").read_text()


def test_labels_turned_round_are_found_and_fail(tmp_path: Path) -> None:
    source = write_candidates(tmp_path / "x.jsonl", [(-one).tolist() for one in rewards(0)])
    config = AuditConfig(model="rm", data="d", out="o", candidates=source, gold="labels")
    judged = judge_candidates(config, say=lambda _line: None, advance=lambda _done: None)
    assert judged is not None
    check = judged.check(LocalScorer(tiny_reward_model(max_length=2048), "rm"), audit_thresholds())
    assert {one.id: one.severity for one in check.findings} == {"reward-hacking": "fail"}
    assert check.facts["hacking.share_of_best"] < -0.5


def test_another_reward_model_is_gold(folder: Path, tmp_path: Path) -> None:
    candidates = write_candidates(tmp_path / "c.jsonl", None)
    report = audited(folder, tmp_path / "a", candidates=candidates, gold=str(folder / "gold"))
    assert report.facts["hacking.gold"] == str(folder / "gold")
    spread = float(np.sqrt(np.mean([one.var(ddof=1) for one in rewards(5)])))
    assert report.facts["hacking.gold_std"] == pytest.approx(spread, rel=1e-3)
    assert [one.what for one in report.subject][-2:] == ["best-of-N samples", "gold"]


def test_the_simulator_is_gold(folder: Path, tmp_path: Path) -> None:
    report = audited(folder, tmp_path / "a", candidates=str(folder / "made.jsonl"), gold="simulator")
    quality = [np.array([response.quality for response in truth.responses]) for truth in MADE.truth]
    spread = float(np.sqrt(np.mean([one.var(ddof=1) for one in quality])))
    assert report.facts["hacking.gold_std"] == pytest.approx(spread)
    assert report.facts["hacking.gold"] == "the simulator's quality"
    # at the largest n the choice is the sample with the highest reward
    chosen = [one[reward.argmax()] - one.mean() for one, reward in zip(quality, rewards(0), strict=True)]
    assert report.facts["hacking.curve"][-1]["gold"] == pytest.approx(np.mean(chosen) / spread, abs=1e-6)


class Lengths(BaseHTTPRequestHandler):
    """A server whose reward is the length of the response."""

    keys: list[str | None] = []  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.keys.append(self.headers.get("Authorization"))
        found = [{"score": float(len(item["response"][0]["content"]))} for item in body.get("inputs", ())]
        answer = json.dumps({"data": found}).encode()
        self.send_response(200 if self.path == "/v1/reward" else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def server() -> Iterator[str]:
    Lengths.keys.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Lengths) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_a_server_is_gold(folder: Path, tmp_path: Path, server: str) -> None:
    config = AuditConfig(model="rm", data="d", out="o", candidates=str(folder / "made.jsonl"), gold=server)
    judged = judge_candidates(config, say=lambda _line: None, advance=lambda _done: None)
    assert judged is not None
    lengths = [[len(response[0].content) for response in group.responses] for group in MADE.groups]
    assert [one.tolist() for one in judged.gold] == lengths


def test_the_key_of_one_server_is_not_told_to_another(folder: Path, tmp_path: Path, server: str) -> None:
    (tmp_path / "key").write_text("secret")
    settings: dict[str, Any] = {"data": "d", "out": "o", "candidates": str(folder / "made.jsonl"), "gold": server}
    settings["api_key_file"] = str(tmp_path / "key")
    for model, told in (("http://elsewhere:8000", None), (server, "Bearer secret"), ("rm", "Bearer secret")):
        Lengths.keys.clear()
        said: list[str] = []
        judge_candidates(AuditConfig(model=model, **settings), say=said.append, advance=lambda _done: None)
        assert set(Lengths.keys) == {told}
        assert any("is asked without one" in line for line in said) == (told is None)


def test_what_makes_no_sense_is_refused_before_anything_is_scored(folder: Path, tmp_path: Path) -> None:
    bare = write_candidates(tmp_path / "bare.jsonl", None)
    for settings, message in (
        ({"gold": "labels"}, "give --candidates too"),
        ({"candidates": bare}, r"samples have no gold \(.*bare.jsonl:1\)"),
        ({"candidates": bare, "gold": "labels"}, "samples have no gold"),
    ):
        with pytest.raises(ConfigError, match=message):
            palate.audit(model="./no-such-model", data="no-such-data", out=str(tmp_path / "a"), **settings)
    with pytest.raises(ModelError, match="no such directory"):
        audited(folder, tmp_path / "a", candidates=bare, gold="./nowhere")
    tensors = load_file(folder / "gold" / "model.safetensors")
    tiny_reward_model().save_pretrained(tmp_path / "headless")
    del tensors["score.weight"]
    save_file(tensors, tmp_path / "headless" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="gold: "):
        audited(folder, tmp_path / "a", candidates=bare, gold=str(tmp_path / "headless"))


def test_the_command_line_simulates_and_audits(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.jsonl"
    made = ["data", "simulate", "--out", str(file), "--num-prompts", "20", "--responses", "3", "3"]
    assert main(made) == 0
    assert f"the truth about them in {file}.truth" in capsys.readouterr().out
    audit = ["audit", str(folder / "rm"), "--data", str(folder / "held.jsonl"), "--out", str(tmp_path / "a")]
    cheap = ["--battery", "none", "--probes", "0", "--dtype", "fp32"]
    assert main([*audit, *cheap, "--candidates", str(file), "--gold", "simulator"]) in (0, 1)
    facts = json.loads((tmp_path / "a" / "audit.json").read_text())["facts"]
    assert (facts["hacking.prompts"], facts["hacking.n_max"]) == (20, 3)
    assert main([*audit, *cheap, "--gold", "simulator"]) == 2
