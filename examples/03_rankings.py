"""Train on rankings of several responses: `python examples/03_rankings.py`."""

import argparse
import json
from pathlib import Path

import palate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="smollm2")
parser.add_argument("--out", default="runs/example-03")
options = parser.parse_args()

# Rank 1 is best. Equal ranks are ties. All six comparisons of four responses come from one forward pass, and the
# prompt in it is computed once: a ranking costs far less than the six pairs that it amounts to.
rows = [
    {
        "prompt": f"How do I say {word} politely?",
        "responses": [f"Say: could I have {word}, please?", f"Say: {word}, please.", f"Say: {word}!", "No idea."],
        "ranks": [1, 2, 3, 4],
    }
    for word in ("bread", "tea", "salt", "water", "soap", "milk", "rice", "oil", "jam", "honey", "sugar", "flour")
]
data = Path("example-rankings.jsonl")
data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

common = {"model": options.model, "data": str(data), "lr": 1e-4, "eval_fraction": 0.2, "overwrite": True}
quick = {"pairs_per_step": 12, "save_every": 0, "battery": "none"}
for loss, balance in (("bradley-terry", True), ("plackett-luce", False)):
    # balance_groups gives each prompt the weight 1 (InstructGPT); Plackett-Luce takes the order as a whole.
    result = palate.train(**common, **quick, out=f"{options.out}/{loss}", loss=loss, balance_groups=balance)
    assert result.after is not None
    print(f"{loss:14} held-out accuracy {result.after.accuracy:.3f} on {result.after.pairs} pairs")
    tokens = result.summary["tokens"]
    print(f"{'':14} {tokens['unshared'] / tokens['computed']:.2f} unshared tokens for every token computed")
