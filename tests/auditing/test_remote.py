"""Servers of three protocols give the rewards that the model gives in this process."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import palate
from palate.auditing.local import LocalScorer
from palate.auditing.opening import open_server
from palate.auditing.remote import Refusal, RemoteScorer
from palate.data.render import render
from palate.data.simulate import simulate, write_jsonl
from palate.errors import ConfigError, ModelError
from palate.testing.tiny import tiny_reward_model

GROUPS = simulate(40, seed=9).groups
MODEL = tiny_reward_model()
LOCK = threading.Lock()


def rewards_of_texts(texts: list[str]) -> list[float]:
    import torch

    with torch.no_grad(), LOCK:
        from palate.packing.collate import collate_padded
        from palate.records import TokenizedGroup

        found = []
        for text in texts:
            ids = np.array(MODEL.tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
            group = TokenizedGroup("t", "00", (ids,), (len(ids) - 1,), ())
            found.append(float(MODEL(collate_padded([group], pad_token_id=0))[0]))
        return found


class Server(ThreadingHTTPServer):
    protocol = ""
    key = ""
    failures = 0
    requests = 0
    longest = 10**9
    refused = ""  # a word that the template takes offence at
    status = 400
    breaks: tuple[str, ...] = ()
    retry_after = ""
    page = False

    def spoil(self, answer: Any) -> Any:
        return answer


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.breaks_off():
            return None
        return self.answer(200, {"data": [{"id": "served-name"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        if self.breaks_off():
            return None
        paths = {"palate": "/v1/reward", "vllm": "/classify", "openrlhf": "/get_reward"}
        if self.path != paths[self.server.protocol]:
            return self.answer(200, "<html>") if self.server.page else self.answer(404, {})
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            return self.answer(401, {})
        if not body:
            return self.answer(422, {})
        if self.server.failures:
            self.server.failures -= 1
            return self.answer(503, {}, {"Retry-After": self.server.retry_after} if self.server.retry_after else {})
        if any(self.server.refused in text for text in body.get("input", [])) and self.server.refused:
            return self.answer(self.server.status, {"message": "no such model"})
        if any(len(text) > self.server.longest for text in body.get("input", body.get("query", []))):
            said = "" if self.server.status == 413 else "This model's maximum context length is 8 tokens."
            return self.answer(self.server.status, {"message": said})
        return self.answer(200, self.server.spoil(getattr(self, self.server.protocol)(body)))

    def palate(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["options"]["scale"] == "raw"
        turns = [item["prompt"] + item["response"] for item in body["inputs"]]
        texts = [MODEL.tokenizer.apply_chat_template(turn, tokenize=False) for turn in turns]
        return {"data": [self.item(text, score) for text, score in zip(texts, rewards_of_texts(texts), strict=True)]}

    def item(self, text: str, score: float) -> dict[str, Any]:
        if self.server.refused and self.server.refused in text:
            return {"score": None, "error": {"type": "template-refused", "message": "no such word"}}
        return {"score": None if len(text) > self.server.longest else score}

    def vllm(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["model"] == "served-name"
        assert body["use_activation"] is False
        assert body["add_special_tokens"] is False
        scores = rewards_of_texts(body["input"])
        data = [{"index": index, "probs": [score]} for index, score in enumerate(scores)]
        return {"data": data[::-1]}  # the order is told by index

    def openrlhf(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"rewards": rewards_of_texts(body["query"])}

    def breaks_off(self) -> bool:
        """Whether this request gets no answer, or half of one."""
        if not self.server.breaks:
            return False
        how, *rest = self.server.breaks
        self.server.breaks = tuple(rest)
        if how == "half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"data":')
        self.close_connection = True
        return True

    def answer(self, code: int, values: Any, headers: dict[str, str] | None = None) -> None:
        payload = values.encode() if isinstance(values, str) else json.dumps(values).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, in no time."""
    told: list[float] = []
    monkeypatch.setattr("palate.auditing.remote.time", SimpleNamespace(sleep=told.append))
    return told


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/"


@pytest.mark.parametrize("protocol", ["palate", "vllm", "openrlhf"])
def test_each_protocol_gives_the_rewards_of_the_process(server: Server, protocol: str) -> None:
    server.protocol = protocol
    done: list[int] = []
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer, on_progress=done.append)
    assert scorer.protocol == protocol
    found, expected = scorer.score(GROUPS), LocalScorer(MODEL, "rm").score(GROUPS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert sum(done) == len(GROUPS)


def test_a_busy_server_is_asked_again(server: Server, pauses: list[float]) -> None:
    server.protocol = "openrlhf"
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    server.failures = 2
    assert len(scorer.score(GROUPS[:2])) == 2
    assert pauses == [0.5, 1.0]
    server.failures = 100
    with pytest.raises(ModelError, match="answers 503"):
        scorer.score(GROUPS[:2])


@pytest.mark.parametrize("how", ["nothing", "half"])
def test_a_connection_that_breaks_is_made_again(server: Server, pauses: list[float], how: str) -> None:
    server.protocol, server.breaks = "vllm", (how,)
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    server.breaks = (how, how)
    assert len(scorer.score(GROUPS[:2])) == 2
    assert pauses == [0.5, 0.5, 1.0]  # one on opening; two over the name that it is served under
    server.breaks = (how,) * 3
    assert len(scorer.score(GROUPS[:2])) == 2
    server.breaks = (how,) * 4
    with pytest.raises(ModelError, match="/classify does not answer"):
        scorer.score(GROUPS[:2])
    server.breaks = (how,) * 4
    with pytest.raises(ModelError, match="nothing answers at"):
        RemoteScorer(url(server), tokenizer=MODEL.tokenizer)


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("0", 0.5), ("3600", 60.0), ("Fri, 31 Dec 1999", 0.5)])
def test_a_busy_server_says_for_how_long(server: Server, pauses: list[float], asked: str, waited: float) -> None:
    server.protocol, server.failures, server.retry_after = "openrlhf", 0, asked
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    server.failures = 1
    scorer.score(GROUPS[:2])
    assert pauses == [waited]


@pytest.mark.parametrize(("protocol", "status"), [("vllm", 400), ("openrlhf", 422), ("vllm", 413)])
def test_a_text_that_is_too_long_costs_no_other_its_reward(server: Server, protocol: str, status: int) -> None:
    server.protocol, server.status = protocol, status
    texts = [render(MODEL.tokenizer, group.prompt, one).text for group in GROUPS for one in group.responses]
    server.longest = sorted(map(len, texts))[-4]
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    found = np.concatenate(scorer.score(GROUPS))
    too_long = np.array([len(text) > server.longest for text in texts])
    assert too_long.sum() == 3
    np.testing.assert_array_equal(np.isnan(found), too_long)
    expected = np.concatenate(LocalScorer(MODEL, "rm").score(GROUPS))
    np.testing.assert_allclose(found[~too_long], expected[~too_long], atol=1e-4)
    assert scorer.refusals == {}


def test_another_mistake_is_not_taken_for_length(server: Server) -> None:
    server.protocol, server.refused = "vllm", "a"
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    with pytest.raises(ModelError, match=r"answers 400: .*no such model"):
        scorer.score(GROUPS[:2])


def test_refusals_are_told_from_texts_that_are_too_long(server: Server) -> None:
    server.protocol = "palate"
    scorer = RemoteScorer(url(server))
    texts = [render(MODEL.tokenizer, group.prompt, one).text for group in GROUPS for one in group.responses]
    server.longest = sorted(map(len, texts))[-4]
    word = GROUPS[0].responses[0][0].content
    server.refused = word
    refused = np.array([word in text for text in texts])
    found = np.concatenate(scorer.score(GROUPS))
    np.testing.assert_array_equal(np.isnan(found), refused | np.array([len(text) > server.longest for text in texts]))
    assert scorer.refusals == {"template-refused": Refusal(int(refused.sum()), "no such word")}


def test_an_audit_says_what_the_server_refuses(server: Server, tmp_path: Path) -> None:
    server.protocol, server.refused = "palate", GROUPS[0].responses[0][0].content
    write_jsonl(simulate(40, seed=9), tmp_path / "held.jsonl")
    settings: dict[str, Any] = {"model": url(server), "data": str(tmp_path / "held.jsonl"), "max_groups": 15}
    settings |= {"battery": "none", "probes": 0}
    report = palate.audit(out=str(tmp_path / "audit"), **settings)
    assert report.facts["mechanics.refused"] == {"template-refused": report.facts["mechanics.unscored"]}
    found = {placed.finding.id: placed.finding for placed in report.placed}
    assert "template-refused, 1 times: no such word" in found["refused"].title
    assert "truncation" not in found
    with pytest.raises(ConfigError, match="it needs a palate checkpoint"):
        palate.audit(out=str(tmp_path / "none"), save_temperature=True, **settings)
    assert not (tmp_path / "none").exists()


def test_the_first_key_of_a_file_is_sent(server: Server, tmp_path: Path) -> None:
    server.protocol, server.key = "palate", "secret"
    file = tmp_path / "keys"
    file.write_text("# of the team\nsecret\nanother\n")
    opened = open_server(url(server), tokenizer=None, api_key_file=str(file), advance=lambda _groups: None)
    assert len(opened.score(GROUPS[:1])) == 1
    file.write_text("two words\n")
    with pytest.raises(ConfigError, match="a key in") as caught:
        open_server(url(server), tokenizer=None, api_key_file=str(file), advance=lambda _groups: None)
    assert "words" not in str(caught.value)


def test_keys(server: Server) -> None:
    server.protocol, server.key = "openrlhf", "secret"
    with pytest.raises(ModelError, match=r"refuses the key \(401\); give --api-key-file"):
        RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    assert RemoteScorer(url(server), tokenizer=MODEL.tokenizer, api_key="secret").score(GROUPS[:1])


def test_what_is_no_reward_server_is_said(server: Server) -> None:
    server.protocol = "vllm"
    with pytest.raises(ModelError, match="takes rendered text: give --tokenizer"):
        RemoteScorer(url(server))
    with pytest.raises(ModelError, match=r"nothing answers at http://127\.0\.0\.1:9"):
        RemoteScorer("http://127.0.0.1:9")


def test_pages_at_other_addresses_are_no_protocol(server: Server) -> None:
    server.protocol, server.page = "openrlhf", True
    assert RemoteScorer(url(server), tokenizer=MODEL.tokenizer).protocol == "openrlhf"


@pytest.mark.parametrize("answer", ["<html>", {}, {"rewards": [None]}, {"rewards": 7}])
def test_an_answer_of_another_form_is_said(server: Server, answer: Any) -> None:
    server.protocol = "openrlhf"
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    server.spoil = lambda _answer: answer  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="does not answer as openrlhf does"):
        scorer.score(GROUPS[:1])


def test_a_reward_that_is_no_number_is_not_taken_for_a_text_that_is_too_long(server: Server) -> None:
    server.protocol = "openrlhf"
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    server.spoil = lambda answer: {"rewards": [float("nan"), *answer["rewards"][1:]]}  # type: ignore[method-assign]
    (rewards,) = scorer.score(GROUPS[:1])
    assert rewards[0] == np.inf
    assert np.isfinite(rewards[1:]).all()
