"""Memory of a server over many requests: does it stay where it was?

python -m benchmarks.serve_memory --requests 20000
"""

import asyncio
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from benchmarks.report import RESULTS, Report, Target
from benchmarks.serve_load import Request, load, server
from palate.model.reward_model import RewardModel
from palate.testing.separate import sharp_reward_model

TABLE = "Resident memory"
_WORDS = ("what", "when", "is", "the", "sum", "of", "it", "some", "number")
_PARTS = 20
_WARM = 5  # parts after which a server has met every length, and its cache is full


def requests_of(model: RewardModel, number: int) -> Iterator[Request]:
    """Requests of all lengths, no two alike, each with its reward in this process."""
    draw = Random(0)

    def words() -> str:
        return " ".join(draw.choices(_WORDS, k=draw.randint(1, 60)))

    for at in range(number):
        prompt, response = f"Question {at}: {words()}", words()
        reward = float(model.score(prompt, [response])[0])
        yield Request({"inputs": [{"prompt": prompt, "response": response}]}, reward)


def resident_mib(process: int) -> float:
    """Of a process on Linux, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    report = Report("serve_memory", "Serving: memory", {k: v for k, v in vars(options).items() if k != "out"}, NOTES)
    with tempfile.TemporaryDirectory() as folder:
        model = sharp_reward_model()
        model.save_pretrained(Path(folder))
        requests = requests_of(model, options.requests)
        with server(Path(folder), "--cache-size", str(options.requests // 10)) as (url, process):
            for part in range(1, _PARTS + 1):
                batch = list(islice(requests, options.requests // _PARTS))
                run = asyncio.run(load(url, batch, options.clients))
                report.add(
                    TABLE,
                    requests=part * len(batch),
                    mib=resident_mib(process),
                    requests_per_second=len(batch) / run.seconds,
                    lost=run.lost,
                    wrong=run.wrong,
                )
    rows = report.tables[TABLE]
    growth = rows[-1]["mib"] / rows[_WARM - 1]["mib"] - 1
    report.targets = [
        Target(f"growth of memory after the first {rows[_WARM - 1]['requests']:,} requests", "at most", 0.02, growth),
        Target("answers lost or wrong", "at most", 0, sum(row["lost"] + row["wrong"] for row in rows)),
    ]
    report.write(options.out)


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


NOTES = [
    "A tiny random model, since requests are what may leak, not weights. Each request is new, and its answer compared.",
    "The cache holds a tenth of the requests, so that it is full, and throws out, long before the end.",
]

if __name__ == "__main__":
    main()
