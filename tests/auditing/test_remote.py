"""Servers of three protocols give the rewards that the model gives in this process."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from palate.auditing.local import LocalScorer
from palate.auditing.remote import RemoteScorer
from palate.data.simulate import simulate
from palate.errors import ModelError
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


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(200, {"data": [{"id": "served-name"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        paths = {"palate": "/v1/reward", "vllm": "/classify", "openrlhf": "/get_reward"}
        if self.path != paths[self.server.protocol]:
            return self.answer(404, {})
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            return self.answer(401, {})
        if not body:
            return self.answer(422, {})
        if self.server.failures:
            self.server.failures -= 1
            return self.answer(503, {})
        return self.answer(200, getattr(self, self.server.protocol)(body))

    def palate(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["options"]["scale"] == "raw"
        turns = [item["prompt"] + item["response"] for item in body["inputs"]]
        texts = [MODEL.tokenizer.apply_chat_template(turn, tokenize=False) for turn in turns]
        return {"data": [{"score": score} for score in rewards_of_texts(texts)]}

    def vllm(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["model"] == "served-name"
        assert body["use_activation"] is False
        assert body["add_special_tokens"] is False
        scores = rewards_of_texts(body["input"])
        data = [{"index": index, "probs": [score]} for index, score in enumerate(scores)]
        return {"data": data[::-1]}  # the order is told by index

    def openrlhf(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"rewards": rewards_of_texts(body["query"])}

    def answer(self, code: int, values: dict[str, Any]) -> None:
        payload = json.dumps(values).encode()
        self.send_response(code)
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


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.protocol = "openrlhf"
    scorer = RemoteScorer(url(server), tokenizer=MODEL.tokenizer)
    server.failures = 2
    assert len(scorer.score(GROUPS[:2])) == 2
    server.failures = 100
    with pytest.raises(ModelError, match="answers 503"):
        scorer.score(GROUPS[:2])


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
