"""palate's own server passes by every protocol; the command's figures, exit codes and refusals."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.parity_check.fakes import Fake
from tests.serving.asking import run, served

from palate.cli.main import main
from palate.errors import ModelError
from palate.model.reward_model import RewardModel
from palate.parity_check.run import check_parity
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model

FEW = 16


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.parity_check.texts.NUM_TEXTS", FEW)
    monkeypatch.setattr("palate.parity_check.diagnosis._SAMPLE", 8)


@pytest.fixture(scope="module")
def model() -> RewardModel:
    made = sharp_reward_model()
    made.max_length = 240
    return made


@pytest.mark.parametrize("protocol", ["palate", "vllm", "vllm-chat", "sglang", "openrlhf", "tei"])
def test_palates_own_server_agrees(model: RewardModel, protocol: Any) -> None:
    async def main() -> None:
        async with served(model) as server:
            found = await check_parity(model, server.client, protocol=protocol)
        assert (found.verdict, found.findings) == ("parity", ())
        assert found.figures.texts == FEW
        assert found.figures.max_difference < 1e-4

    run(main())


def test_palates_own_server_is_recognised(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            assert (await check_parity(model, server.client)).protocol == "palate"

    run(main())


def test_another_model_behind_palates_server_is_noticed(model: RewardModel) -> None:
    other = sharp_reward_model(seed=3)
    other.max_length = model.max_length

    async def main() -> None:
        async with served(other) as server:
            found = await check_parity(model, server.client)
        assert (found.verdict, [finding.fault for finding in found.findings]) == ("differs", ["unexplained"])

    run(main())


@pytest.fixture
def saved(model: RewardModel, tmp_path: Path) -> str:
    model.save_pretrained(tmp_path / "rm")
    return str(tmp_path / "rm")


def use(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client that is made from now on speaks to the fake."""
    client = partial(httpx2.AsyncClient, transport=httpx2.MockTransport(fake.handle))
    monkeypatch.setattr("palate.parity_check.run.httpx2.AsyncClient", client)


def test_the_command_says_parity(
    saved: str, model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(Fake(model), monkeypatch)
    out = tmp_path / "parity.json"
    assert main(["parity", saved, "--url", "http://fake/", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("parity: http://fake gives this model's rewards")
    assert f"{FEW} texts of" in printed
    told = json.loads(out.read_text())
    assert (told["verdict"], told["protocol"], told["findings"]) == ("parity", "palate", [])
    assert told["figures"]["texts"] == FEW


def test_the_command_names_the_fault(
    saved: str, model: RewardModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(Fake(model, answer=lambda rewards: [reward + 1 for reward in rewards]), monkeypatch)
    assert main(["parity", saved, "--url", "http://fake", "--protocol", "openrlhf"]) == 1
    printed = capsys.readouterr().out
    assert "offset: every reward is +1 away" in printed
    assert "no parity: http://fake does not give" in printed


def test_the_key_is_sent(saved: str, model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Locked(Fake):
        def handle(self, request: httpx2.Request) -> httpx2.Response:
            open_ = request.headers.get("authorization") == "Bearer sesame"
            return super().handle(request) if open_ else httpx2.Response(401, json={"error": "no key"})

    use(Locked(model), monkeypatch)
    key = tmp_path / "key"
    key.write_text("# of the team\n\nsesame\nanother\n")
    assert main(["parity", saved, "--url", "http://fake", "--api-key-file", str(key)]) == 0
    assert main(["parity", saved, "--url", "http://fake"]) == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--url", "localhost:8000"], "must begin with http"),
        (["--url", "http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9"),
        (["--url", "http://127.0.0.1:9", "--api-key-file", "/nowhere"], "cannot read the key"),
        (["--url", "http://127.0.0.1:9", "--longest", "3"], "at least 16 tokens"),
        (["--url", "http://127.0.0.1:9", "--longest", "20"], "too few to compare by"),
    ],
)
def test_what_cannot_run_exits_with_2(
    saved: str, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parity", saved, *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_server_of_something_else(model: RewardModel) -> None:
    async def ask() -> None:
        transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, json={"hello": "world"}))
        async with httpx2.AsyncClient(transport=transport, base_url="http://fake") as client:
            await check_parity(model, client)

    with pytest.raises(ModelError, match=r"gives no reward by any protocol: palate: .* answers without rewards"):
        asyncio.run(ask())


def test_a_model_without_rewards_of_its_own_is_refused() -> None:
    model = tiny_reward_model(head_std=0.0)

    async def ask() -> None:
        async with Fake(model).client() as client:
            await check_parity(model, client)

    with pytest.raises(ModelError, match="the model itself gives every text 0"):
        asyncio.run(ask())
