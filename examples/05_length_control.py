"""Annotators who like long answers, with and without length control: `python examples/05_length_control.py`."""

import argparse
import json
from pathlib import Path

import numpy as np

import palate
from palate.data.simulate import Flaws, simulate, write_jsonl

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="smollm2")
parser.add_argument("--prompts", type=int, default=300)
parser.add_argument("--out", default="runs/example-05")
options = parser.parse_args()

# Training data in which most annotators prefer the longer response; held-out data in which nobody does.
write_jsonl(simulate(options.prompts, flaws=Flaws(length_bias=0.8)), Path("example-biased.jsonl"))
write_jsonl(simulate(options.prompts // 3, seed=1), Path("example-fair.jsonl"))


def share_explained_by_length(model: str) -> float:
    """R^2 of reward on log length, from what `palate score` writes."""
    rewards_file = Path(f"{model}-rewards.jsonl")
    palate.score(model=model, data="example-fair.jsonl", out=str(rewards_file), overwrite=True)
    groups = [json.loads(line) for line in Path("example-fair.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [json.loads(line) for line in rewards_file.read_text(encoding="utf-8").splitlines()]
    length = [np.log1p(len(text)) for group in groups for text in group["responses"]]
    reward = [value for line in lines for value in line["rewards"]]
    return float(np.corrcoef(length, reward)[0, 1] ** 2)


for control in ("none", "covariate", "decorrelation"):
    out = f"{options.out}/{control}"
    result = palate.train(
        model=options.model,
        data="example-biased.jsonl",
        eval_data="example-fair.jsonl",
        out=out,
        length_control=control,
        lr=1e-4,
        pairs_per_step=16,
        save_every=0,
        battery="none",
        overwrite=True,
    )
    assert result.after is not None
    explained = share_explained_by_length(out)
    print(f"{control:14} held-out accuracy {result.after.accuracy:.3f}, R^2 of reward on length {explained:.2f}")
# Both controls take out all correlation with length, also where longer answers deserve more: compare both figures.
