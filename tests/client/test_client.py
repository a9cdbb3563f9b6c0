import asyncio
import pickle
import subprocess
import sys
import time
from typing import Any

import pytest
from tests.client.conftest import Faulty

from palate.client import AsyncRewardClient, ClientError, RemoteReward, RewardClient
from palate.client.retries import Retries
from palate.data.render import tokenize
from palate.model.reward_model import RewardModel
from palate.records import Message, PreferenceGroup
from palate.testing.separate import separate_rewards

QUICK = Retries(tries=3, base=0.01, cap=0.2)
PAIR = {"prompt": "a", "response": "b"}


def alone(model: RewardModel, prompt: str, responses: list[str]) -> list[float]:
    answers = tuple((Message("assistant", response),) for response in responses)
    group = PreferenceGroup("x", (Message("user", prompt),), answers)
    return separate_rewards(model, tokenize([group], model.tokenizer, max_length=10**6).groups).detach().tolist()


def test_rewards_are_those_of_the_process(model: RewardModel, address: str) -> None:
    responses = ["Four.", "Five.", "I do not know, sorry."]
    with RewardClient(address, api_key="secret") as client:
        found = client.rewards("What is 2+2?", responses)
        assert found == pytest.approx(alone(model, "What is 2+2?", responses), abs=1e-4)
        assert client.contract()["contract"]["pooling"] == "last"


def test_many_inputs_keep_their_order_over_many_requests(model: RewardModel, address: str) -> None:
    texts = [f"answer {number}" for number in range(50)]

    async def main() -> list[float]:
        async with AsyncRewardClient(address, api_key="secret", batch=7, concurrency=3) as client:
            return await client.rewards("Which?", texts)

    assert asyncio.run(main()) == pytest.approx(alone(model, "Which?", texts), abs=1e-4)


def test_what_has_no_score_says_why(address: str) -> None:
    with RewardClient(address, api_key="secret") as client:
        long, fine = client.score([{"prompt": "word " * 400, "response": "yes"}, PAIR])
        assert (long.score, long.kind) == (None, "over-long")
        assert "more than the maximum of 400" in long.error
        assert fine.score is not None
        with pytest.raises(ClientError, match=r"response 0 has no reward: .*maximum of 400"):
            client.rewards("word " * 400, ["yes"])
        assert client.score([PAIR], scale="prob")[0].score != fine.score


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong", 401)])
def test_refusals_come_at_once_with_the_servers_reason(address: str, key: str | None, status: int) -> None:
    with RewardClient(address, api_key=key) as client, pytest.raises(ClientError) as caught:
        client.score([PAIR])
    assert caught.value.status == status
    assert caught.value.kind in ("no-key", "wrong-key")


def test_passing_faults_are_asked_again(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.answers = [(503, {}, {}), (0, {}, {})]
    with RewardClient(url, retries=QUICK) as client:
        assert client.rewards("p", ["four"]) == [4.0]
    assert len(plan.bodies) == 3


def test_the_server_says_when_to_come_back(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.answers = [(429, {"Retry-After": "0.3"}, {"error": {"type": "overloaded", "message": "full"}})]
    started = time.monotonic()
    with RewardClient(url, retries=QUICK) as client:
        assert client.rewards("p", ["four"]) == [4.0]
    assert time.monotonic() - started >= 0.3


def test_faults_that_stay_end_in_an_error(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.answers = [(429, {}, {"error": {"type": "overloaded", "message": "full"}})] * 3
    with RewardClient(url, retries=QUICK) as client, pytest.raises(ClientError, match=r"full \(asked 3 times\)"):
        client.rewards("p", ["four"])
    plan.answers = [(422, {}, {"error": {"type": "invalid", "message": "no"}})]
    with RewardClient(url, retries=QUICK) as client, pytest.raises(ClientError, match="422: no"):
        client.rewards("p", ["four"])
    assert len(plan.bodies) == 4
    with RewardClient("http://127.0.0.1:9", retries=QUICK) as client, pytest.raises(ClientError, match="be reached"):
        client.rewards("p", ["four"])


def test_an_answer_of_something_else_is_no_reward(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.answers = [(200, {}, {"rewards": [1.0]}), (200, {}, {"data": []})]
    with RewardClient(url, retries=QUICK) as client:
        with pytest.raises(ClientError, match="does not answer as a palate server"):
            client.rewards("p", ["four"])
        with pytest.raises(ClientError, match="0 scores for 1 inputs"):
            client.rewards("p", ["four"])


def test_no_more_requests_at_once_than_allowed(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.hold = 0.05
    with RewardClient(url, batch=1, concurrency=3) as client:
        assert client.rewards("p", ["a" * n for n in range(12)]) == [float(n) for n in range(12)]
    assert plan.most_at_once == 3
    assert len(plan.bodies) == 12


def test_the_reward_function_of_trl(model: RewardModel, address: str) -> None:
    reward = pickle.loads(pickle.dumps(RemoteReward(address, api_key="secret", name="helpful", max_unscored=0.5)))
    metrics: dict[str, float] = {}

    def call(prompts: list[Any], completions: list[Any]) -> list[float | None]:
        return asyncio.run(
            reward(prompts, completions, completion_ids=[[1]], log_metric=metrics.__setitem__, trainer_state=None)
        )

    expected = alone(model, "Which?", ["one", "two"])
    assert call(["Which?"] * 2, ["one", "two"]) == pytest.approx(expected, abs=1e-4)
    chat = [{"role": "user", "content": "Which?"}]
    answers = [[{"role": "assistant", "content": text, "tool_calls": None}] for text in ("one", "two")]
    assert call([chat, chat], answers) == pytest.approx(expected, abs=1e-4)
    long = "word " * 400
    assert call(["Which?"] * 2, ["one", long]) == [pytest.approx(expected[0], abs=1e-4), None]
    assert metrics == {"helpful/unscored": 0.5}
    with pytest.raises(ClientError, match="3 of 4 completions have no reward"):
        call(["Which?"] * 4, ["one", long, long, long])


def test_the_client_needs_no_torch() -> None:
    code = "import sys, palate.client; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_after_a_refusal_nothing_more_is_sent(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.answers, plan.hold = [(422, {}, {"error": {"type": "invalid", "message": "no"}})], 0.05
    with RewardClient(url, batch=1, concurrency=1, retries=QUICK) as client:
        with pytest.raises(ClientError, match="no"):
            client.score([PAIR] * 12)
        time.sleep(0.5)
        assert len(plan.bodies) <= 2


def test_a_page_is_no_answer(faulty: tuple[Faulty, str]) -> None:
    plan, url = faulty
    plan.answers = [(200, {}, "<html>")]
    with (
        RewardClient(url, retries=QUICK) as client,
        pytest.raises(ClientError, match="does not answer as a palate server"),
    ):
        client.rewards("p", ["four"])
