"""Train adapters instead of the whole body: `python examples/06_lora.py`."""

import argparse
from pathlib import Path

import palate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="smollm2")
parser.add_argument("--data", default="simulated:200")
parser.add_argument("--out", default="runs/example-06")
options = parser.parse_args()

result = palate.train(
    model=options.model,
    data=options.data,
    out=options.out,
    lora=True,  # the head is always trained and saved: without it the adapters would be worth nothing
    lora_rank=16,
    lr=1e-3,  # adapters start at zero and want some ten times the learning rate of full training
    eval_fraction=0.2,
    pairs_per_step=16,
    save_every=0,
    battery="none",
    overwrite=True,
)
assert result.after is not None
print(f"held-out accuracy {result.after.accuracy:.3f}")

# The model in `out` is merged: whoever loads it needs neither peft nor the base model. The adapter lies beside it.
for file in sorted(path for path in Path(options.out).rglob("*.safetensors")):
    print(f"{file.relative_to(options.out)!s:44} {file.stat().st_size / 2**20:8.1f} MiB")
print(palate.RewardModel.from_pretrained(options.out).score("What is 2 + 2?", ["It is 4.", "I like trains."]))
