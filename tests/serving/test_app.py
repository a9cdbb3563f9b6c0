"""palate's own protocol: every form, every refusal, every scale; what goes in the answer and what never does."""

import asyncio
import json
import math
from typing import Any

import pytest
from tests.serving.asking import Served, alone, run, served

from palate.auditing.local import LocalScorer
from palate.data.render import render
from palate.model.reward_model import RewardModel
from palate.records import Message
from palate.serving.settings import Settings
from palate.testing.groups import random_groups
from palate.testing.separate import sharp_reward_model

TURNS = [{"role": "user", "content": "What is 2+2?"}, {"role": "assistant", "content": "Four."}]


def rendered(model: RewardModel) -> str:
    return render(model.tokenizer, (Message("user", "What is 2+2?"),), (Message("assistant", "Four."),)).text


def test_every_form_of_input_gives_the_reward_of_the_process(model: RewardModel) -> None:
    expected = alone(model, "What is 2+2?", "Four.")

    async def main() -> None:
        async with served(model, cache_size=0) as server:
            named = (await server.client.get("/v1/contract")).json()["rendered_with"]
            forms: list[dict[str, Any]] = [
                {"messages": TURNS, "id": "a"},
                {"prompt": "What is 2+2?", "response": "Four."},
                {"prompt": TURNS[:1], "response": TURNS[1:]},
                {"prompt": TURNS[:1], "completion": TURNS[1:]},
                {"prompt": "What is 2+2?", "completion": "Four."},
                {"text": rendered(model), "rendered_with": named},
                {"text": rendered(model), "rendered_with": f"sha256:{named}"},
            ]
            for form in forms:
                assert await server.scores([form]) == pytest.approx([expected], abs=1e-4)
            answer = (await server.reward(forms)).json()
            assert [item["score"] for item in answer["data"]] == pytest.approx([expected] * len(forms), abs=1e-4)
            assert [item["index"] for item in answer["data"]] == list(range(len(forms)))
            first = answer["data"][0]
            tokens = len(model.tokenizer(rendered(model), add_special_tokens=False)["input_ids"])
            assert (first["id"], first["tokens"], first["truncated"], first["ends_with_eos"], first["error"]) == (
                "a",
                tokens,
                False,
                True,
                None,
            )
            assert answer["usage"]["total_tokens"] == tokens * len(forms)
            assert answer["scale"] == {"name": "raw", "center": 0, "width": 1}
            assert await server.scores([]) == []

    run(main())


def test_groups_of_the_data_served_by_many_clients_at_once(model: RewardModel) -> None:
    groups = random_groups(40, 4)
    expected = LocalScorer(model, "rm").score(groups)

    async def ask(server: Served, at: int) -> None:
        group = groups[at]
        prompt = [{"role": turn.role, "content": turn.content} for turn in group.prompt]
        items = [{"prompt": prompt, "response": response[0].content} for response in group.responses]
        found = await server.scores(items, headers={"x-client-id": str(at % 5)})
        assert found == pytest.approx(expected[at].tolist(), abs=1e-4)

    async def main() -> None:
        async with served(model, tokens_per_pack=500) as server:
            await asyncio.gather(*(ask(server, at) for at in range(len(groups))))

    run(main())


def test_over_long_inputs(model: RewardModel) -> None:
    long = {"prompt": "word " * 200, "response": "yes"}
    fine = {"prompt": "a", "response": "b"}

    async def main() -> None:
        async with served(model) as server:
            answer = await server.reward([long, fine])
            refused, scored = answer.json()["data"]
            assert answer.status_code == 200
            assert refused["score"] is None
            assert refused["error"] == {
                "type": "over-long",
                "message": f"{refused['tokens']} tokens, more than the maximum of 400",
                "code": 422,
            }
            assert scored["score"] is not None
            (left_out,) = (await server.reward([long], options={"on_overlong": "null"})).json()["data"]
            assert left_out["score"] is left_out["error"] is None
            (cut,) = (await server.reward([long], options={"on_overlong": "truncate_left"})).json()["data"]
            assert (cut["tokens"], cut["truncated"], cut["ends_with_eos"]) == (400, True, True)
            assert cut["score"] is not None
            assert "palate_truncated_total 1.0" in server.engine.metrics.text().decode()

    run(main())


def test_text_by_another_template_is_refused(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            answer = await server.reward([{"text": "a", "rendered_with": "0123456789abcdef"}])
            assert answer.status_code == 409
            assert answer.json()["error"]["type"] == "template-mismatch"
            assert server.service.contract.template_hash in answer.json()["error"]["message"]

    run(main())


def test_scales() -> None:
    model = sharp_reward_model()
    model.contract = model.describe(reward_mean=0.25, reward_std=0.5, temperature=2.0)
    raw = alone(model, "a", "b")
    bare = sharp_reward_model()

    async def main() -> None:
        item = {"prompt": "a", "response": "b"}
        async with served(model) as server:
            expected = {"raw": raw, "zscore": (raw - 0.25) / 0.5, "prob": 1 / (1 + math.exp(-(raw - 0.25) / 2))}
            for name, value in expected.items():
                answer = (await server.reward([item], options={"scale": name})).json()
                assert answer["data"][0]["score"] == pytest.approx(value, abs=1e-5)
            assert answer["scale"] == {"name": "prob", "center": 0.25, "width": 2.0}
        async with served(bare) as server:
            answer = await server.reward([item], options={"scale": "zscore"})
            assert answer.status_code == 422
            assert answer.json()["error"]["type"] == "no-scale"

    run(main())


TOO_DEEP = "[" * 100_000
BAD: list[tuple[int, Any]] = [
    (422, {}),
    (422, []),
    (422, None),
    (422, "text"),
    (422, {"inputs": None}),
    (422, {"inputs": [{}]}),
    (422, {"inputs": ["text"]}),
    (422, {"inputs": [{"messages": []}]}),
    (422, {"inputs": [{"messages": [{"role": "judge", "content": "a"}]}]}),
    (422, {"inputs": [{"messages": [{"role": "user", "content": 3}]}]}),
    (422, {"inputs": [{"messages": [{"role": "user", "content": "a", "name": "b"}]}]}),
    (422, {"inputs": [{"prompt": "a", "response": "b", "completion": "c"}]}),
    (422, {"inputs": [{"prompt": "a", "response": []}]}),
    (422, {"inputs": [{"text": "a"}]}),
    (422, {"inputs": [{"prompt": "a", "response": "b"}], "use_activation": False}),
    (422, {"inputs": [], "options": {"scale": "sigmoid"}}),
    (422, {"inputs": [], "options": {"on_overlong": "truncate"}}),
    (422, {"inputs": [], "deadline_ms": 0}),
    (422, {"inputs": [], "deadline_ms": "soon"}),
    (404, {"inputs": [], "model": "another"}),
    (413, {"inputs": [{"prompt": "a", "response": "b"}] * 300}),
    (413, {"inputs": [{"prompt": "a", "response": "b" * 5001}]}),
]
RAW = [
    (400, b"{"),
    (400, TOO_DEEP.encode()),
    (400, b'{"inputs": ' + b'{"a":' * 50_000),
    (400, b"\xff\xfe"),
    (400, b'{"inputs": [], "deadline_ms": ' + b"9" * 5000 + b"}"),
    (422, b'{"inputs": [{"prompt": "\\ud800", "response": "b"}]}'),
    (422, b'{"inputs": [], "\\ud800": 1}'),
    (422, b'{"inputs": [], "deadline_ms": NaN}'),
    (422, b'{"inputs": [], "deadline_ms": 1e999}'),
    (413, b" " * 70_000),
]


def test_wrong_bodies_are_told_what_is_wrong_and_never_crash(model: RewardModel) -> None:
    limits = Settings(max_body_bytes=60_000, max_characters=5000)
    json_type = {"content-type": "application/json"}
    sent = [(code, json.dumps(body).encode()) for code, body in BAD]
    deep = {TOO_DEEP.encode(), RAW[2][1]}

    async def main() -> None:
        async with served(model, limits) as small, served(model) as large:
            for code, body in [*sent, *RAW]:
                server = large if body in deep else small
                answer = await server.client.post("/v1/reward", content=body, headers=json_type)
                assert answer.status_code == code, (body[:80], answer.text)
                error = answer.json()["error"]
                assert error["code"] == code
                assert error["message"]

    run(main())


def test_refusals_do_not_repeat_what_was_sent(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            for item in ({"prompt": "my secret", "response": 3}, {"messages": "my secret"}, {"text": "my secret"}):
                answer = await server.reward([item])
                assert answer.status_code == 422
                assert "secret" not in answer.text

    run(main())


def test_an_item_that_cannot_be_scored_has_its_error_in_its_place(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            name = server.service.contract.template_hash
            answer = await server.reward(
                [{"messages": TURNS}, {"messages": TURNS[:1]}, {"text": "", "rendered_with": name}]
            )
            good, unanswered, empty = answer.json()["data"]
            assert good["error"] is None
            assert unanswered["error"]["type"] == "invalid"
            assert "the last message must be the assistant's" in unanswered["error"]["message"]
            assert empty["error"]["type"] == "empty"

    run(main())


def test_contract_and_models_say_what_is_served(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model, Settings(name="rm")) as server:
            told = (await server.client.get("/v1/contract")).json()
            assert told["contract"]["template_hash"] == told["rendered_with"] == model.describe().template_hash
            assert told["contract"]["head_hash"] == model.describe().head_hash
            assert told["limits"]["max_length"] == model.max_length
            assert told["dtype"] == "float32"
            (card,) = (await server.client.get("/v1/models")).json()["data"]
            assert card["id"] == told["model"] == "rm"
            answer = (await server.reward([], model="rm")).json()
            assert answer["revision"] == told["revision"]

    run(main())


def test_a_server_that_is_not_ready_gives_no_rewards(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            for state, kind in (("checking", "not-ready"), ("failed", "not-ready"), ("draining", "draining")):
                server.service.state, server.service.why = state, "of a reason"
                answer = await server.reward([])
                assert answer.status_code == 503
                assert answer.json()["error"]["type"] == kind
                assert "of a reason" in answer.json()["error"]["message"]
                assert int(answer.headers["retry-after"]) > 0
                ready = await server.client.get("/readyz")
                assert (ready.status_code, ready.json()["why"]) == (503, "of a reason")
                assert (await server.client.get("/livez")).status_code == 200
                assert (await server.client.get("/healthz")).status_code == 200
            server.engine.stop()
            assert (await server.client.get("/healthz")).status_code == 503

    run(main())


def test_the_page_of_the_routes_loads_nothing_and_runs_nothing(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model, Settings(name="<script>alert(1)</script>")) as server:
            answer = await server.client.get("/docs")
            schema = (await server.client.get("/openapi.json")).json()
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        for part in ("<script", "http://", "https://", "src="):
            assert part not in answer.text
        for path in schema["paths"]:
            assert f" {path}</code>" in answer.text

    run(main())
