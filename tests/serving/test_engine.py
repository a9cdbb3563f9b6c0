"""Many at once get what each would get alone; what nobody waits for is not computed; failures stay with their own."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from tests.serving.asking import alone, run

from palate.model.reward_model import RewardModel
from palate.records import Message
from palate.serving.engine import Engine
from palate.serving.faults import Fault, ServeError
from palate.serving.inputs import Conversation, TokenIds
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model

PROMPTS = [f"Question {n}, which is about the number {n * 7919} and what follows from it" for n in range(12)]


def talk(prompt: str, response: str) -> Conversation:
    return Conversation((Message("user", prompt), Message("assistant", response)))


@contextmanager
def running(model: RewardModel, **options: object) -> Iterator[Engine]:
    engine = Engine(model, **options)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


class Held:
    """Holds the model's thread inside a forward pass until it is let go, and remembers what was computed."""

    def __init__(self, engine: Engine) -> None:
        self.batches: list[int] = []
        self.entered, self.go = threading.Event(), threading.Event()
        real = engine._worker._forward

        def forward(inputs: list[object]) -> list[float]:
            self.batches.append(len(inputs))
            self.entered.set()
            assert self.go.wait(30)
            return real(inputs)

        engine._worker._forward = forward

    async def wait(self) -> None:
        await asyncio.to_thread(self.entered.wait, 10)


@pytest.mark.parametrize("kind", ["llama", "bert", "gpt2"])
def test_concurrent_clients_get_their_own_rewards(kind: str) -> None:
    model = sharp_reward_model(kind)
    asked = [(prompt, f"answer {n}{prompt[9:12]}") for n in range(6) for prompt in PROMPTS]

    async def main() -> None:
        with running(model, tokens_per_pack=600) as engine:
            answers = await asyncio.gather(
                *(engine.score([talk(*pair)], client=str(n % 7)) for n, pair in enumerate(asked))
            )
            for pair, (outcome,) in zip(asked, answers, strict=True):
                assert outcome.score == pytest.approx(alone(model, *pair), abs=1e-4)
            assert engine.waiting == 0

    run(main())


@pytest.mark.parametrize("pooling", ["mean", "mean-response", "attention"])
def test_every_pooling(pooling: str) -> None:
    model = tiny_reward_model(pooling=pooling)
    asked = [(prompt, answer) for prompt in PROMPTS[:4] for answer in ("yes", "no, by no means")]

    async def main() -> None:
        with running(model) as engine:
            outcomes = await engine.score([talk(*pair) for pair in asked], client="a")
            for pair, outcome in zip(asked, outcomes, strict=True):
                assert outcome.score == pytest.approx(float(model.score(pair[0], [pair[1]])[0]), abs=1e-4)

    run(main())


def test_the_same_tokens_are_computed_once(model: RewardModel) -> None:
    async def main() -> None:
        with running(model) as engine:
            held = Held(engine)
            held.go.set()
            first = await engine.score([talk("a", "b"), talk("a", "c")], client="x")
            again = await engine.score([talk("a", "c"), talk("a", "d")], client="y")
            assert held.batches == [2, 1]
            assert again[0] == first[1]
        with running(model, cache_size=0) as engine:
            held = Held(engine)
            held.go.set()
            for _ in range(2):
                await engine.score([talk("a", "b")], client="x")
            assert held.batches == [1, 1]

    run(main())


def test_where_the_response_begins_is_part_of_the_content() -> None:
    model = tiny_reward_model(pooling="mean-response")
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d"))

    async def main() -> None:
        with running(model) as engine:
            (short,) = await engine.score([Conversation(turns, 1)], client="x")
            (long,) = await engine.score([Conversation(turns, 3)], client="x")
            assert short.tokens == long.tokens
            assert short.score != pytest.approx(long.score, abs=1e-4)

    run(main())


def test_one_request_of_many_inputs_does_not_hold_up_the_others(model: RewardModel) -> None:
    async def main() -> None:
        with running(model, tokens_per_pack=100, cache_size=0) as engine:
            held = Held(engine)
            first = asyncio.create_task(engine.score([talk("a", "b")], client="first"))
            await held.wait()
            many = [talk(prompt, str(n)) for n in range(10) for prompt in PROMPTS]
            greedy = asyncio.create_task(engine.score(many, client="greedy"))
            while len(engine._worker.backlog) < len(many):
                await asyncio.sleep(0.001)
            modest = [asyncio.create_task(engine.score([talk("c", str(n))], client=f"modest {n}")) for n in range(3)]
            while len(engine._worker.backlog) < len(many) + 3:
                await asyncio.sleep(0.001)
            held.go.set()
            await asyncio.gather(*modest)
            assert len(held.batches) <= 5
            assert not greedy.done()
            await asyncio.gather(greedy, first)
            assert len(held.batches) > 10

    run(main())


def test_responses_to_one_prompt_are_computed_with_it_once_though_each_came_by_itself(model: RewardModel) -> None:
    async def main() -> None:
        with running(model, cache_size=0) as engine:
            held = Held(engine)
            first = asyncio.create_task(engine.score([talk("a", "b")], client="first"))
            await held.wait()
            asked = [
                asyncio.create_task(engine.score([talk(PROMPTS[n % 4], str(n))], client=str(n))) for n in range(32)
            ]
            while len(engine._worker.backlog) < 32:
                await asyncio.sleep(0.001)
            before = engine._worker._run.computed_tokens
            held.go.set()
            outcomes = [outcome for (outcome,) in await asyncio.gather(*asked)]
            await first
            computed = engine._worker._run.computed_tokens - before
            assert computed < 0.4 * sum(outcome.tokens for outcome in outcomes)

    run(main())


def test_what_is_cancelled_is_not_computed(model: RewardModel) -> None:
    async def main() -> None:
        with running(model, tokens_per_pack=30, cache_size=0) as engine:
            held = Held(engine)
            kept = asyncio.create_task(engine.score([talk("a", "b")], client="x"))
            await held.wait()
            gone = asyncio.create_task(engine.score([talk("c", str(n)) for n in range(20)], client="y"))
            while engine._worker.backlog.tokens == 0:
                await asyncio.sleep(0.001)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            held.go.set()
            assert (await kept)[0].score is not None
            assert len(engine._worker.backlog) == engine.waiting == 0
            assert held.batches == [1]
            assert 'palate_dropped_total{reason="cancelled"} 20.0' in engine.metrics.text().decode()

    run(main())


def test_what_is_late_is_not_computed(model: RewardModel) -> None:
    async def main() -> None:
        with running(model) as engine:
            held = Held(engine)
            kept = asyncio.create_task(engine.score([talk("a", "b")], client="x"))
            await held.wait()
            with pytest.raises(ServeError) as caught:
                await engine.score([talk("c", "d")], client="y", deadline=time.monotonic() + 0.05)
            assert caught.value.fault is Fault.DEADLINE
            held.go.set()
            await kept
            assert held.batches == [1]

    run(main())


def test_more_than_may_wait_is_refused_with_a_time_to_come_back(model: RewardModel) -> None:
    async def main() -> None:
        with running(model, max_waiting=3) as engine:
            held = Held(engine)
            kept = asyncio.create_task(engine.score([talk("a", "b"), talk("a", "c")], client="x"))
            await held.wait()
            with pytest.raises(ServeError) as caught:
                await engine.score([talk("c", "d"), talk("c", "e")], client="y")
            assert caught.value.fault is Fault.OVERLOADED
            assert 1 <= caught.value.retry_after <= 60
            last = asyncio.create_task(engine.score([talk("c", "d")], client="y"))
            held.go.set()
            assert len(await kept) + len(await last) == 3
            assert engine.waiting == 0

    run(main())


def test_draining_answers_what_was_accepted_and_nothing_else(model: RewardModel) -> None:
    async def main() -> None:
        with running(model) as engine:
            held = Held(engine)
            kept = asyncio.create_task(engine.score([talk("a", "b")], client="x"))
            await held.wait()
            assert not await engine.drain(0.02)
            with pytest.raises(ServeError, match="not accepting"):
                await engine.score([talk("c", "d")], client="y")
            held.go.set()
            assert await engine.drain()
            assert (await kept)[0].score is not None

    run(main())


def test_stopping_wakes_whoever_waits(model: RewardModel) -> None:
    async def main() -> None:
        with running(model) as engine:
            held = Held(engine)
            first = asyncio.create_task(engine.score([talk("a", "b")], client="x"))
            await held.wait()
            waiting = [asyncio.create_task(engine.score([talk("a", str(n))], client="x")) for n in range(3)]
            while len(engine._worker.backlog) < 3:
                await asyncio.sleep(0.001)
            threading.Timer(0.1, held.go.set).start()
            await asyncio.to_thread(engine.stop)
            for refused in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(refused, ServeError)
                assert refused.fault is Fault.DRAINING
            assert (await first)[0].score is not None

    run(main())


def test_a_slow_forward_pass_leaves_the_event_loop_free(model: RewardModel) -> None:
    async def main() -> None:
        with running(model) as engine:
            real = engine._worker._forward

            def slow(inputs: list[object]) -> list[float]:
                time.sleep(0.4)
                return real(inputs)

            engine._worker._forward = slow
            asked = asyncio.create_task(engine.score([talk("a", "b")], client="x"))
            longest = 0.0
            while not asked.done():
                before = time.perf_counter()
                await asyncio.sleep(0.005)
                longest = max(longest, time.perf_counter() - before)
            assert longest < 0.2

    run(main())


def out_of_memory_above(tokens: int, error: Exception) -> object:
    real = RewardModel.forward

    def forward(self: RewardModel, batch: object) -> torch.Tensor:
        if batch.input_ids_BT.numel() > tokens:
            raise error
        return real(self, batch)

    return patch.object(RewardModel, "forward", forward)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("full"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_halves_the_pack_until_only_what_cannot_fit_fails(model: RewardModel, error: Exception) -> None:
    async def main() -> None:
        with running(model) as engine, out_of_memory_above(120, error):
            asked = [talk("a", str(n)) for n in range(10)] + [talk("long", "word " * 40)]
            *fit, failed = await engine.score(asked, client="x")
            for n, outcome in enumerate(fit):
                assert outcome.score == pytest.approx(alone(model, "a", str(n)), abs=1e-4)
            assert failed.error.fault is Fault.OUT_OF_MEMORY
            assert failed.score is None
        with running(model) as engine:
            assert (await engine.score(asked, client="x"))[-1].score is not None  # the failure was not kept

    run(main())


def test_another_failure_is_that_of_its_own_input(model: RewardModel) -> None:
    async def main() -> None:
        with running(model) as engine, out_of_memory_above(120, ValueError("the text was: secret")):
            asked = [talk("a", "b"), talk("long", "word " * 40)]
            good, bad = await engine.score(asked, client="x")
            assert good.score is not None
            assert bad.error.fault is Fault.INTERNAL
            assert "secret" not in bad.error.message
            assert engine.alive

    run(main())


def test_a_reward_that_is_no_number_is_an_error() -> None:
    model = sharp_reward_model()
    with torch.no_grad():
        model.backbone.get_input_embeddings().weight[77] = float("nan")

    async def main() -> None:
        with running(model) as engine:
            ids = tuple(range(3, 40))
            good, bad = await engine.score([TokenIds(ids), TokenIds((*ids, 77, 5))], client="x")
            assert good.score is not None
            assert bad.error.fault is Fault.NON_FINITE
            assert bad.score is None
            assert bad.tokens == 39

    run(main())
