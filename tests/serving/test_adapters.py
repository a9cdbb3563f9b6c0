"""Each trainer's protocol: what its client sends gets the reward of the process, in the form that it reads.

The bodies are those of the clients named; what they do with the answer is in the same lines.
"""

import base64
import struct
from typing import Any

import pytest
from tests.serving.asking import Served, alone, run, served

from palate.data.render import render
from palate.model.reward_model import RewardModel
from palate.records import Message
from palate.serving.rendering import edges_of

QUESTION, ANSWER = "What is 2+2?", "Four."
LONG = "word " * 300


def text_of(model: RewardModel, answer: str = ANSWER) -> str:
    return render(model.tokenizer, (Message("user", QUESTION),), (Message("assistant", answer),)).text


async def post(server: Served, path: str, body: dict[str, Any]) -> Any:
    answer = await server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sigmoid(value: float) -> float:
    import math

    return 1 / (1 + math.exp(-value))


def test_openrlhf(model: RewardModel) -> None:
    """SingleTurnAgentExecutor: the policy's tokens decoded, special ones kept, up to the end of the turn."""
    query = text_of(model).removesuffix("\n")
    assert query != text_of(model)
    expected = alone(model, QUESTION, ANSWER)

    async def main() -> None:
        async with served(model) as server:
            body = {"query": [query], "prompts": [query[:20]], "labels": [None]}
            result = await post(server, "/get_reward", body)
            assert result["rewards"] == pytest.approx([expected], abs=1e-4)
            assert result["scores"] == pytest.approx([sigmoid(expected)], abs=1e-4)
            assert result["extra_logs"]["reward_ends_with_eos"] == [1.0]
            empty = await post(server, "/get_reward", {"query": [], "prompts": [], "labels": []})
            assert empty["rewards"] == empty["scores"] == []
            cut = await post(server, "/get_reward", {"query": [query.removesuffix("<|im_end|>")]})
            assert cut["extra_logs"]["reward_ends_with_eos"] == [0.0]

    run(main())


def test_vllm_classify_as_verl_calls_it(model: RewardModel) -> None:
    expected = alone(model, QUESTION, ANSWER)

    async def main() -> None:
        async with served(model) as server:
            body = {"model": "reward-model", "input": text_of(model), "use_activation": False}
            assert (await post(server, "/classify", body))["data"][-1]["probs"][-1] == pytest.approx(expected, abs=1e-4)
            older = body | {"activation": False}
            older.pop("use_activation")
            assert (await post(server, "/classify", older))["data"][-1]["probs"][-1] == pytest.approx(
                expected, abs=1e-4
            )

    run(main())


def test_vllm_classify_in_all_its_forms(model: RewardModel) -> None:
    text, other = text_of(model), text_of(model, "Five, I think.")
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    raw = [alone(model, QUESTION, ANSWER), alone(model, QUESTION, "Five, I think.")]
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]

    async def main() -> None:
        async with served(model, cache_size=0) as server:
            for body, expected in (
                ({"input": [text, other]}, raw),
                ({"input": ids}, raw[:1]),
                ({"input": [ids, ids]}, [raw[0], raw[0]]),
                ({"messages": turns}, raw[:1]),
                ({"input": text, "use_activation": True}, [sigmoid(raw[0])]),
                ({"input": text, "add_special_tokens": False}, raw[:1]),
            ):
                result = await post(server, "/classify", body)
                assert [one["probs"][0] for one in result["data"]] == pytest.approx(expected, abs=1e-4)
                assert [one["index"] for one in result["data"]] == list(range(len(expected)))
                assert (result["object"], result["data"][0]["num_classes"]) == ("list", 1)
            assert result["usage"]["total_tokens"] == len(ids)

    run(main())


def test_vllm_pooling_and_embeddings_as_verl_reads_them(model: RewardModel) -> None:
    expected = alone(model, QUESTION, ANSWER)

    async def main() -> None:
        async with served(model) as server:
            text = text_of(model)
            pooled = await post(server, "/pooling", {"model": "reward-model", "input": [text], "task": "classify"})
            assert pooled["data"][0]["data"] == pytest.approx([expected], abs=1e-4)
            found = await post(server, "/v1/embeddings", {"model": "reward-model", "input": text})
            assert found["data"][-1]["embedding"][-1] == pytest.approx(expected, abs=1e-4)
            packed = await post(server, "/v1/embeddings", {"input": text, "encoding_format": "base64"})
            (value,) = struct.unpack("<f", base64.b64decode(packed["data"][0]["embedding"]))
            assert value == pytest.approx(expected, abs=1e-4)

    run(main())


def test_sglang_classify_is_told_apart_by_its_body(model: RewardModel) -> None:
    expected = alone(model, QUESTION, ANSWER)

    async def main() -> None:
        async with served(model) as server:
            text = text_of(model)
            single = await post(server, "/classify", {"text": text})
            assert single["embedding"][0] == pytest.approx(expected, abs=1e-4)
            several = await post(server, "/classify", {"text": [text, text]})
            assert [one["embedding"][0] for one in several] == pytest.approx([expected] * 2, abs=1e-4)
            ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
            (by_ids,) = await post(server, "/classify", {"input_ids": [ids]})
            assert by_ids["embedding"][0] == pytest.approx(expected, abs=1e-4)
            assert by_ids["meta_info"]["prompt_tokens"] == len(ids)

    run(main())


def test_tei_predict(model: RewardModel) -> None:
    expected = alone(model, QUESTION, ANSWER)

    async def main() -> None:
        async with served(model) as server:
            text = text_of(model)
            (one,) = await post(server, "/predict", {"inputs": text, "raw_scores": True})
            assert one["score"] == pytest.approx(expected, abs=1e-4)
            batch = await post(server, "/predict", {"inputs": [[text], [text]], "raw_scores": False})
            assert [label["score"] for (label,) in batch] == pytest.approx([sigmoid(expected)] * 2, abs=1e-4)
            pair = await server.client.post("/predict", json={"inputs": [text, text]})
            assert pair.status_code == 422

    run(main())


def test_slime_and_llama_factory(model: RewardModel) -> None:
    expected = alone(model, QUESTION, ANSWER)
    prompt, response = text_of(model).split(ANSWER)[0], ANSWER + "<|im_end|>"

    async def main() -> None:
        async with served(model) as server:
            for sample in (
                {"prompt": prompt, "response": response, "label": "4"},  # rendered by the policy's template
                {"prompt": [{"role": "user", "content": QUESTION}], "response": ANSWER, "label": None},
                {"prompt": QUESTION, "response": ANSWER},
            ):
                assert await post(server, "/rm", sample) == pytest.approx(expected, abs=1e-4)
            body = {"model": "reward-model", "messages": [text_of(model)] * 2}
            result = await post(server, "/v1/score/evaluation", body)
            assert result["scores"] == pytest.approx([expected] * 2, abs=1e-4)

    run(main())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/classify", {"input": LONG}, 422),
        ("/get_reward", {"query": ["a", LONG]}, 422),
        ("/classify", {"input": "a", "model": "another"}, 404),
        ("/classify", {"input": "a", "truncate_prompt_tokens": 7}, 422),
        ("/classify", {"input": "a", "normalize": True}, 422),
        ("/classify", {"messages": [{"role": "user", "content": "a"}]}, 422),
        ("/classify", {"inputs": "a"}, 422),
        ("/classify", {"input": [10**6]}, 422),
        ("/v1/score/evaluation", {"messages": ["a b c d e"], "max_length": 2}, 422),
        ("/rm", {"prompt": "a"}, 422),
    ],
)
def test_what_has_no_reward_is_refused_as_a_whole(
    model: RewardModel, path: str, body: dict[str, Any], status: int
) -> None:
    async def main() -> None:
        async with served(model) as server:
            answer = await server.client.post(path, json=body)
            assert answer.status_code == status, answer.text
            assert answer.json()["error"]["message"]

    run(main())


def test_what_is_too_long_is_cut_from_the_left_where_that_is_asked_for(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            for path, body in (
                ("/classify", {"input": LONG, "truncate_prompt_tokens": -1}),
                ("/predict", {"inputs": LONG, "truncate": True}),
            ):
                assert await post(server, path, body)
            assert "palate_truncated_total 2.0" in server.engine.metrics.text().decode()

    run(main())


def test_edges_put_right_what_trainers_lose(model: RewardModel) -> None:
    edges = edges_of(model.tokenizer)
    assert edges.ending == "<|im_end|>\n"
    whole = text_of(model)
    assert edges.mend(whole).text == edges.mend(whole.removesuffix("\n")).text == whole
    unfinished = whole.removesuffix("<|im_end|>\n")
    assert edges.mend(unfinished).text == unfinished
