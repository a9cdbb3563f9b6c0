"""Each fault on a server that has exactly this one is named; a sound server has none of them."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.parity_check.fakes import Fake, Ids

from palate.data.render import FALLBACK_TEMPLATE
from palate.model.contract import template_hash
from palate.model.reward_model import RewardModel
from palate.parity_check.protocols import PROTOCOLS
from palate.parity_check.run import Parity, check_parity
from palate.testing.separate import sharp_reward_model

BOS, EOS = 1, 2


@pytest.fixture(scope="module")
def model() -> RewardModel:
    made = sharp_reward_model()
    made.max_length = 320
    torch.nn.init.normal_(made.head.score.weight, std=0.5)  # rewards that a sigmoid bends
    return made


@pytest.fixture(autouse=True)
def few_texts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dozen show a fault as well as 64 do; a sound server is asked for all."""
    if "sound" not in request.node.name:
        monkeypatch.setattr("palate.parity_check.texts.NUM_TEXTS", 24)
        monkeypatch.setattr("palate.parity_check.diagnosis._SAMPLE", 8)


def check(fake: Fake, protocol: Any = "openrlhf") -> Parity:
    async def run() -> Parity:
        async with fake.client() as client:
            return await check_parity(fake.model, client, protocol=protocol)

    return asyncio.run(run())


def sigmoid(reward: float) -> float:
    return 1 / (1 + math.exp(-reward))


def each(change: Callable[[float], float]) -> Callable[[list[float]], list[float]]:
    return lambda rewards: [change(reward) for reward in rewards]


FAULTS: dict[str, dict[str, Any]] = {
    "sigmoid": {"answer": each(sigmoid)},
    "constant": {"answer": each(lambda _reward: 1.0)},
    "offset": {"answer": each(lambda reward: reward + 0.37)},
    "scale": {"answer": each(lambda reward: (reward - 0.2) / 3)},
    "double-bos": {"edit": lambda ids: [BOS, *ids]},
    "missing-bos": {"edit": lambda ids: ids[1:]},
    "extra-eos": {"edit": lambda ids: [*ids, EOS]},
    "missing-end": {"edit": lambda ids: ids[: len(ids) - 1 - ids[::-1].index(EOS)]},
    "order": {"answer": lambda rewards: rewards[::-1]},
    "truncation": {"edit": lambda ids: ids[:128]},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(model: RewardModel, fault: str) -> None:
    found = check(Fake(model, **FAULTS[fault]))
    assert found.verdict == "differs"
    assert [finding.fault for finding in found.findings] == [fault]


def test_it_says_how_much_of_the_end_is_lost(model: RewardModel) -> None:
    (finding,) = check(Fake(model, edit=lambda ids: ids[:-1])).findings
    assert finding.message.startswith("the end of the turn is lost: '\\n', which")
    (finding,) = check(Fake(model, edit=lambda ids: ids[:-2])).findings
    assert finding.message.startswith("the end of the turn is lost: '<|im_end|>\\n', which")


@pytest.mark.parametrize("protocol", ["palate", "vllm", "vllm-chat", "sglang", "openrlhf", "tei"])
def test_a_sound_server_has_none(model: RewardModel, protocol: str) -> None:
    found = check(Fake(model), protocol)
    assert (found.verdict, found.findings, found.protocol) == ("parity", (), protocol)
    assert found.figures.texts == 64
    assert found.figures.max_difference < 1e-5
    assert (found.figures.spearman, found.figures.flips) == (1.0, 0.0)
    assert found.longest > 200


@pytest.mark.parametrize("protocol", ["palate", "vllm", "sglang", "openrlhf", "tei"])
def test_what_a_server_speaks_is_found(model: RewardModel, protocol: str) -> None:
    forms = {"palate": "/v1/reward", "vllm": "input", "sglang": "text", "openrlhf": "/get_reward", "tei": "/predict"}

    class OneProtocol(Fake):
        def texts(self, path: str, body: dict[str, Any]) -> list[str] | None:
            form = forms[protocol]
            return super().texts(path, body) if form == path or form in body else None

    assert check(OneProtocol(model), "auto").protocol == protocol


def test_rounding_to_half_precision_is_no_fault(model: RewardModel) -> None:
    found = check(Fake(model, dtype=torch.bfloat16))
    assert (found.verdict, found.findings, found.agrees) == ("half-precision", (), True)
    assert found.figures.max_difference > 1e-3


def test_a_fault_is_named_under_the_rounding_too(model: RewardModel) -> None:
    found = check(Fake(model, dtype=torch.bfloat16, edit=lambda ids: ids[:-2]))
    assert [finding.fault for finding in found.findings] == ["missing-end"]


@pytest.mark.parametrize("protocol", ["palate", "vllm-chat"])
def test_another_template_is_named(model: RewardModel, protocol: str) -> None:
    def render(turns: list[dict[str, str]]) -> str:
        return str(model.tokenizer.apply_chat_template(turns, tokenize=False, chat_template=FALLBACK_TEMPLATE))

    (finding,) = check(Fake(model, render=render), protocol).findings
    assert finding.fault == "other-template"
    assert "'User: ... Assistant: ...'" in finding.message


def test_another_template_is_read_off_the_contract(model: RewardModel) -> None:
    def render(turns: list[dict[str, str]]) -> str:
        return "".join(turn["content"] for turn in turns)

    (finding,) = check(Fake(model, render=render, contract="feed"), "palate").findings
    assert finding.fault == "other-template"
    assert "feed" in finding.message
    assert template_hash(model.tokenizer) in finding.message


def test_texts_in_company_that_are_right_alone(model: RewardModel) -> None:
    def padded(rewards: list[float]) -> list[float]:
        return [reward + 0.5 * (at % 3) for at, reward in enumerate(rewards)] if len(rewards) > 1 else rewards

    assert [finding.fault for finding in check(Fake(model, answer=padded)).findings] == ["company"]


def test_a_sigmoid_over_a_second_bos_are_two_findings_and_the_request_mends_both(model: RewardModel) -> None:
    def careful(body: dict[str, Any]) -> Fake | None:
        return Fake(model) if body.get("use_activation") is False else None

    fake = Fake(model, edit=lambda ids: [BOS, *ids], answer=each(sigmoid), careful=careful)
    found = check(fake, "vllm")
    assert [finding.fault for finding in found.findings] == ["sigmoid", "double-bos", "request"]
    assert "use_activation: false" in found.findings[-1].message


def test_a_request_that_does_not_help_is_not_advised(model: RewardModel) -> None:
    found = check(Fake(model, answer=each(lambda reward: reward + 0.37)), "vllm")
    assert [finding.fault for finding in found.findings] == ["offset"]


def test_answers_are_read_by_their_index() -> None:
    answer = {"data": [{"index": 1, "probs": [1.0]}, {"index": 0, "probs": [0.0]}]}
    assert PROTOCOLS["vllm"].read(answer) == [0.0, 1.0]


def test_texts_that_are_refused_are_counted(model: RewardModel) -> None:
    found = check(Fake(model, limit=250))
    assert found.verdict == "differs"
    (finding,) = found.findings
    assert finding.fault == "unscored"
    assert "more than 250 tokens" in finding.message
    assert 0 < found.figures.unscored < 16
    assert found.figures.texts + found.figures.unscored == 24


def test_what_nothing_explains_is_said_to_be_so(model: RewardModel) -> None:
    other = sharp_reward_model(seed=5)
    found = check(replace(Fake(other), model=model, answer=each(lambda reward: math.sin(40 * reward))))
    assert [finding.fault for finding in found.findings] == ["unexplained"]


def test_the_long_ones_alone_differ_and_no_cut_explains_it(model: RewardModel) -> None:
    def odd(ids: Ids) -> Ids:
        return ids if len(ids) < 200 else [7] * len(ids)

    (finding,) = check(Fake(model, edit=odd)).findings
    assert finding.fault == "truncation"
    assert "texts of up to" in finding.message
