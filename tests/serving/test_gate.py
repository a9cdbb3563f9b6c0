"""What holds for every route: keys, limits, ids, disconnects, and logs that hold no text."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from tests.serving.asking import run, served
from tests.serving.test_engine import Held

from palate.model.reward_model import RewardModel
from palate.serving.app import create_app
from palate.serving.engine import Engine
from palate.serving.server import bind
from palate.serving.settings import Settings

KEYS = ("a-key-of-the-first-team", "a-key-of-another-team")
ITEM = {"prompt": "my secret", "response": "a confidence"}
BEARER = {"authorization": f"Bearer {KEYS[1]}"}
ROUTES = [
    ("POST", "/v1/reward"),
    ("GET", "/v1/contract"),
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/no/such/route"),
    ("GET", "/healthz/../v1/models"),
    ("GET", "/readyz/"),
]


def test_every_route_but_health_asks_for_a_key(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model, Settings(keys=KEYS)) as server:
            for method, path in ROUTES:
                for headers, kind in (
                    ({}, "no-key"),
                    ({"authorization": ""}, "no-key"),
                    ({"authorization": "Bearer"}, "no-key"),
                    ({"authorization": f"Basic {KEYS[0]}"}, "no-key"),
                    ({"authorization": KEYS[0]}, "no-key"),
                    ({"x-api-key": KEYS[0]}, "no-key"),
                    ({"authorization": "Bearer wrong"}, "wrong-key"),
                    ({"authorization": f"Bearer {KEYS[0]}x"}, "wrong-key"),
                    ({"authorization": f"Bearer {KEYS[0][:-1]}"}, "wrong-key"),
                ):
                    answer = await server.client.request(method, path, headers=headers)
                    assert (answer.status_code, answer.json()["error"]["type"]) == (401, kind), (path, headers)
                    assert answer.headers["www-authenticate"] == "Bearer"
            for path in ("/healthz", "/livez", "/readyz"):
                assert (await server.client.get(path)).status_code == 200
            for key in KEYS:
                answer = await server.reward([ITEM], headers={"authorization": f"bearer {key}"})
                assert answer.status_code == 200

    run(main())


@pytest.mark.parametrize("keys", [(), KEYS])
def test_a_key_in_the_address_is_refused_even_beside_a_good_one(model: RewardModel, keys: tuple[str, ...]) -> None:
    async def main() -> None:
        async with served(model, Settings(keys=keys)) as server:
            queries = ["api_key=x", "API_KEY=x", "a=1&token=x", "key=", *(f"other={key}" for key in keys)]
            for query in queries:
                answer = await server.client.get(f"/v1/models?{query}", headers=BEARER)
                assert (answer.status_code, answer.json()["error"]["type"]) == (400, "key-in-url"), query
            assert (await server.client.get("/v1/models?a=1", headers=BEARER)).status_code == 200

    run(main())


def test_ids_come_back_or_are_made(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model, Settings(keys=KEYS)) as server:
            for path, headers in (("/v1/models", BEARER), ("/v1/models", {}), ("/readyz", {}), ("/none", BEARER)):
                answer = await server.client.get(path, headers={**headers, "x-request-id": "run-7.step-3"})
                assert answer.headers["x-request-id"] == "run-7.step-3"
            for bad in ("a b", "x" * 129, ""):
                answer = await server.client.get("/readyz", headers={"x-request-id": bad})
                assert len(answer.headers["x-request-id"]) == 32

    run(main())


def test_only_json_is_taken(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            body = json.dumps({"inputs": [ITEM]}).encode()
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
                headers = {"content-type": kind} if kind else {}
                answer = await server.client.post("/v1/reward", content=body, headers=headers)
                assert (answer.status_code, answer.json()["error"]["type"]) == (415, "not-json")
            headers = {"content-type": "application/json; charset=utf-8"}
            assert (await server.client.post("/v1/reward", content=body, headers=headers)).status_code == 200

    run(main())


def test_large_bodies_are_refused_whether_announced_or_not(model: RewardModel) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    async def main() -> None:
        async with served(model, Settings(max_body_bytes=1000)) as server:
            for content in (b" " * 10_000_000, parts()):
                headers = {"content-type": "application/json"}
                answer = await server.client.post("/v1/reward", content=content, headers=headers)
                assert (answer.status_code, answer.json()["error"]["type"]) == (413, "body-too-large")

    run(main())


def test_a_body_that_does_not_arrive_is_given_up(model: RewardModel) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"inputs": '
        await asyncio.sleep(10)
        yield b"[]}"

    async def main() -> None:
        async with served(model, Settings(body_seconds=0.1)) as server:
            headers = {"content-type": "application/json"}
            answer = await server.client.post("/v1/reward", content=slowly(), headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (408, "slow-body")

    run(main())


def test_deadlines_of_the_client_and_of_the_server(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model, Settings(answer_seconds=0.3)) as server:
            held = Held(server.engine)
            kept = asyncio.create_task(server.reward([ITEM]))
            await held.wait()
            late = await server.reward([ITEM], deadline_ms=20)
            assert (late.status_code, late.json()["error"]["type"]) == (408, "deadline")
            later = await server.reward([ITEM], deadline_ms=50_000)
            assert (later.status_code, later.json()["error"]["type"]) == (504, "timeout")
            held.go.set()
            assert (await kept).status_code in (200, 504)

    run(main())


def test_a_full_server_says_when_to_come_back_and_still_tells_its_health(model: RewardModel) -> None:
    async def main() -> None:
        for limits, options in ((Settings(max_requests=1), {}), (Settings(), {"max_waiting": 1})):
            async with served(model, limits, **options) as server:
                held = Held(server.engine)
                kept = asyncio.create_task(server.reward([ITEM]))
                await held.wait()
                answer = await server.reward([ITEM])
                assert (answer.status_code, answer.json()["error"]["type"]) == (429, "overloaded")
                assert int(answer.headers["retry-after"]) >= 1
                assert (await server.client.get("/readyz")).status_code == 200
                held.go.set()
                assert (await kept).status_code == 200
                assert (await server.reward([ITEM])).status_code == 200

    run(main())


def test_a_client_that_leaves_takes_its_work_along(model: RewardModel) -> None:
    async def main() -> None:
        engine = Engine(model, tokens_per_pack=30, cache_size=0)
        app = create_app(engine, Settings())
        app.state.service.state = "ready"
        engine.start()
        held = Held(engine)
        left = asyncio.Event()
        sent: list[dict[str, Any]] = []

        def scope(peer: str) -> dict[str, Any]:
            return {
                "type": "http",
                "method": "POST",
                "path": "/v1/reward",
                "raw_path": b"/v1/reward",
                "query_string": b"",
                "headers": [(b"content-type", b"application/json")],
                "client": (peer, 1),
                "http_version": "1.1",
            }

        async def ask(peer: str, num: int, leaves: asyncio.Event) -> None:
            bodies = [json.dumps({"inputs": [{"prompt": peer, "response": str(n)} for n in range(num)]}).encode()]

            async def receive() -> dict[str, Any]:
                if bodies:
                    return {"type": "http.request", "body": bodies.pop(), "more_body": False}
                await leaves.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    sent.append({"peer": peer, **message})

            await app(scope(peer), receive, send)

        stays = asyncio.create_task(ask("stays", 1, asyncio.Event()))
        await held.wait()
        leaves = asyncio.create_task(ask("leaves", 9, left))
        while engine.waiting < 10:
            await asyncio.sleep(0.001)
        left.set()
        await leaves
        assert engine.waiting == 1
        held.go.set()
        await stays
        assert [(one["peer"], one["status"]) for one in sent] == [("stays", 200)]
        assert held.batches == [1]
        assert 'palate_requests_total{code="499",route="/v1/reward"} 1.0' in engine.metrics.text().decode()
        engine.stop()

    run(main())


@pytest.mark.parametrize("log_text", [False, True])
def test_logs_hold_ids_and_no_text_unless_asked(
    model: RewardModel, log_text: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("palate"), "propagate", True)
    caplog.set_level(logging.DEBUG, "palate.serving")

    async def main() -> None:
        async with served(model, Settings(log_text=log_text, keys=KEYS)) as server:
            await server.reward([ITEM], headers={**BEARER, "x-request-id": "one"})
            await server.reward([{**ITEM, "response": 3}], headers=BEARER)
            await server.client.get("/v1/models?q=my%20secret", headers=BEARER)
            await server.client.get("/v1/models?key=my%20secret", headers=BEARER)

    run(main())
    fields = [record.fields for record in caplog.records]
    first = next(one for one in fields if one.get("request_id") == "one" and "status" in one)
    assert (first["status"], first["items"], first["method"], first["path"]) == (200, 1, "POST", "/v1/reward")
    assert first["tokens"] > 0
    assert first["client"] == "key 1/"
    text = json.dumps(fields, default=str)
    assert ("secret" in text) is log_text
    assert KEYS[1] not in text


def test_a_fault_of_the_server_is_told_without_its_details(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:

            def broken(*_: object) -> None:
                raise RuntimeError("my secret")

            server.engine._encoder.encode = broken
            answer = await server.reward([ITEM], headers={"x-request-id": "seven"})
            assert answer.status_code == 500
            assert answer.json()["error"]["type"] == "internal"
            assert "secret" not in answer.text
            assert answer.headers["x-request-id"] == "seven"
            assert server.engine.waiting == 0

    run(main())


def test_a_closed_connection_is_noticed_through_a_real_socket(model: RewardModel) -> None:
    engine = Engine(model)
    app = create_app(engine, Settings())
    app.state.service.state = "ready"
    engine.start()
    held = Held(engine)
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    body = json.dumps({"inputs": [ITEM]})
    head = ("POST /v1/reward HTTP/1.1", "host: a", "content-type: application/json", f"content-length: {len(body)}")
    while not server.started:
        time.sleep(0.01)
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall("\r\n".join((*head, "", body)).encode())
        assert held.entered.wait(10)
        assert engine.waiting == 1
    patience = time.monotonic() + 10
    while engine.waiting and time.monotonic() < patience:
        time.sleep(0.01)
    assert engine.waiting == 0  # though the model is still at it
    held.go.set()
    server.should_exit = True
    thread.join(10)
    engine.stop()
