"""Serving under load: many clients against one at a time, against scoring the same texts from a file.

python -m benchmarks.serve_load --clients 64 --texts 5000
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch

from benchmarks.data import default_data, random_pairs
from benchmarks.report import RESULTS, Report, Target
from palate.data.load import read_groups
from palate.data.render import tokenize
from palate.model.loading import load_reward_model, new_reward_model
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup
from palate.scoring import score_groups

TABLE = "Texts a second"
_BEST_OF = 8
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Request:
    """What one request asks for, and the reward that it has to get."""

    body: dict[str, Any]
    reward: float


@dataclass(frozen=True, slots=True)
class Run:
    """What a load saw.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: of each request, in seconds.
        lost: requests without an answer of 200.
        wrong: answers that are not the reward of their own text.
    """

    seconds: float
    latencies: list[float]
    lost: int
    wrong: int


def save_model(name: str, folder: Path) -> Path:
    """A reward model on that body, with a random head of the size that training gives one."""
    model = new_reward_model(name)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        model.head.score.weight.normal_(std=model.head.score.in_features**-0.5, generator=generator)
    model.save_pretrained(folder)
    return folder


@contextmanager
def server(model: Path, *flags: str) -> Iterator[tuple[str, int]]:
    """`palate serve` in a process of its own; yields its address and process id when it is ready."""
    command = [sys.executable, "-m", "palate", "serve", str(model), "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            url = next(word for word in words if word.startswith("http")).rstrip(";")
            _wait(url)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait(url: str) -> None:
    while True:
        try:
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)


async def load(url: str, requests: Sequence[Request], clients: int) -> Run:
    """Every client sends its next request when it has the answer to its last, on a connection of its own."""
    waiting = iter(requests)
    latencies: list[float] = []
    lost = wrong = 0

    async def client(number: int) -> None:
        nonlocal lost, wrong
        headers = {"x-client-id": str(number)}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=600) as connection:
            for request in waiting:
                start = time.perf_counter()
                answer = await connection.post("/v1/reward", json=request.body)
                latencies.append(time.perf_counter() - start)
                if answer.status_code != 200:
                    lost += 1
                    continue
                score = answer.json()["data"][0]["score"]
                wrong += score is None or abs(score - request.reward) > _TOLERANCE * max(1, abs(request.reward))

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return Run(time.perf_counter() - start, latencies, lost, wrong)


def requests_of(model: RewardModel, groups: Sequence[PreferenceGroup], budget: int) -> tuple[list[Request], float]:
    """One request a response, and the seconds that scoring all of them from memory takes, tokenizing included."""
    start = time.perf_counter()
    rows = tokenize(groups, model.tokenizer, max_length=model.max_length).groups
    rewards = list(score_groups(model, rows, tokens_per_pack=budget))
    seconds = time.perf_counter() - start
    by_id = {group.id: group for group in groups}
    found = [
        Request({"inputs": [_item(by_id[row.id], k)]}, float(reward))
        for row, rewards_K in zip(rows, rewards, strict=True)
        for k, reward in enumerate(rewards_K)
    ]
    return found, seconds


def _item(group: PreferenceGroup, k: int) -> dict[str, Any]:
    prompt, response = (
        [{"role": turn.role, "content": turn.content} for turn in turns] for turns in (group.prompt, group.responses[k])
    )
    return {"prompt": prompt, "response": response}


def best_of_n(groups: Sequence[PreferenceGroup]) -> tuple[list[PreferenceGroup], list[PreferenceGroup]]:
    """The same responses twice: eight to every eighth prompt, and each to a prompt of its own."""
    single = [replace(group, responses=group.responses[:1], comparisons=()) for group in groups]
    whole = len(single) // _BEST_OF * _BEST_OF
    together = []
    for first in range(0, whole, _BEST_OF):
        responses = tuple(group.responses[0] for group in single[first : first + _BEST_OF])
        # A prompt of middle length of the eight, so that both kinds of traffic hold about as many tokens.
        by_length = sorted(
            single[first : first + _BEST_OF], key=lambda group: sum(len(t.content) for t in group.prompt)
        )
        together.append(replace(by_length[_BEST_OF // 2], responses=responses))
    return together, single[:whole]


def measure(report: Report, options: Namespace, url: str, work: dict[str, tuple[list[Request], int]]) -> None:
    """Each kind of traffic, with as many clients as it says."""
    for name, (requests, clients) in work.items():
        run = asyncio.run(load(url, requests, clients))
        report.add(
            TABLE,
            traffic=name,
            clients=clients,
            texts=len(requests),
            seconds=run.seconds,
            texts_per_second=len(requests) / run.seconds,
            p50_seconds=float(np.quantile(run.latencies, 0.5)),
            p99_seconds=float(np.quantile(run.latencies, 0.99)),
            lost=run.lost,
            wrong=run.wrong,
        )


def targets(report: Report) -> list[Target]:
    """What was promised of these figures."""
    rows = {row["traffic"]: row for row in report.tables[TABLE]}
    speed = {name: row["texts_per_second"] for name, row in rows.items()}
    many = speed["pairs, many clients"]
    return [
        Target("against one request at a time", "at least", 3.0, many / speed["pairs, one at a time"]),
        Target("against offline scoring", "at least", 0.9, many / speed["pairs, offline"]),
        Target("best of 8 against unrelated texts", "at least", 2.0, speed["best of 8"] / speed["unrelated"]),
        Target("answers lost or wrong", "at most", 0, sum(row["lost"] + row["wrong"] for row in rows.values())),
    ]


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="smollm2", help="a directory, a hub id or an alias")
    parser.add_argument("--data", help="a file of pairs; harmless-base of HH-RLHF by default")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--texts", type=int, default=5000, help="requests of the main load, one text each")
    parser.add_argument("--part", type=float, default=0.1, help="share of them for one at a time, and for best of 8")
    parser.add_argument("--tokens-per-pack", type=int, default=4096, help="palate's default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a tiny random model: does it run, not how fast")
    return parser.parse_args(arguments)


def _shrink(options: Namespace, folder: Path) -> None:
    from palate.testing.tiny import save_tiny_causal_lm

    options.model = str(save_tiny_causal_lm(folder / "body"))
    options.data = str(random_pairs(folder / "pairs.jsonl", 48, ratio=2, total=60))
    options.clients, options.texts, options.part = 8, 64, 0.5


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    with tempfile.TemporaryDirectory() as name:
        os.environ["PALATE_CACHE"] = str(Path(name, "cache"))
        if options.quick:
            _shrink(options, Path(name))
        settings = {key: value for key, value in vars(options).items() if key != "out"}
        report = Report("serve_load", "Serving: many clients at once", settings, list(NOTES))
        directory = save_model(options.model, Path(name, "rm"))
        model = load_reward_model(str(directory))
        pairs = read_groups(str(options.data or default_data()), max_groups=options.texts // 2).groups
        part = max(int(options.texts * options.part) // _BEST_OF * _BEST_OF, _BEST_OF)
        requests, offline = requests_of(model, pairs, options.tokens_per_pack)
        together, apart = best_of_n(list(islice(pairs, part)))
        work = {
            "pairs, many clients": (requests, options.clients),
            "pairs, one at a time": (requests[:part], 1),
            "best of 8": (requests_of(model, together, options.tokens_per_pack)[0], options.clients),
            "unrelated": (requests_of(model, apart, options.tokens_per_pack)[0], options.clients),
        }
        row = {"clients": 0, "texts": len(requests), "seconds": offline, "texts_per_second": len(requests) / offline}
        report.add(TABLE, traffic="pairs, offline", **row, p50_seconds=None, p99_seconds=None, lost=0, wrong=0)
        del model
        budget = ("--tokens-per-pack", str(options.tokens_per_pack))
        with server(directory, "--cache-size", "0", *budget) as (url, _):
            measure(report, options, url, work)
    if not options.quick:
        report.targets = targets(report)
    report.write(options.out)


NOTES = [
    "Every request holds one text; every answer is compared with the reward that scoring from memory gives the same "
    "text (1e-4, relative above 1). The server's cache is off. Clients and server share the machine.",
    "pairs: both responses of a preference pair, one after the other, which is how they come out of a file. Offline is "
    "palate's own scoring of the same groups, where a pair shares its prompt for certain.",
    "best of 8 and unrelated hold the same responses: eight requests to one prompt, and one to each of eight.",
]

if __name__ == "__main__":
    main()
