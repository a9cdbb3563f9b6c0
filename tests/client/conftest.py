"""A real server on a socket, and one that misbehaves as it is told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import uvicorn

from palate.model.reward_model import RewardModel
from palate.serving.app import create_app
from palate.serving.engine import Engine
from palate.serving.settings import Settings
from palate.testing.separate import sharp_reward_model


@pytest.fixture(scope="session")
def model() -> RewardModel:
    made = sharp_reward_model()
    made.max_length = 400
    return made


@pytest.fixture(scope="session")
def address(model: RewardModel) -> Iterator[str]:
    """Of a palate server with the key `secret`."""
    app = create_app(Engine(model), Settings(keys=("secret",), check_first=True))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


class Faulty:
    """Answers each request with the next of its answers: a status, or a status with headers, or "ok"; then "ok"."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.bodies: list[Any] = []
        self.at_once = self.most_at_once = 0
        self.hold = 0.0
        self.lock = threading.Lock()

    def next(self, body: Any) -> tuple[int, dict[str, str], Any]:
        with self.lock:
            self.bodies.append(body)
            if self.answers:
                return self.answers.pop(0)
        data = [
            {
                "score": float(len(item["response"])),
                "tokens": 3,
                "truncated": False,
                "ends_with_eos": True,
                "error": None,
            }
            for item in body["inputs"]
        ]
        return 200, {}, {"data": data}


@pytest.fixture
def faulty() -> Iterator[tuple[Faulty, str]]:
    plan = Faulty()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with plan.lock:
                plan.at_once += 1
                plan.most_at_once = max(plan.most_at_once, plan.at_once)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, answer = plan.next(body)
            threading.Event().wait(plan.hold)
            with plan.lock:
                plan.at_once -= 1
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            said = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield plan, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
