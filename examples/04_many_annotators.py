"""Several annotators a pair, one of whom is careless: `python examples/04_many_annotators.py`."""

import argparse
import json
import random
from pathlib import Path

import palate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="smollm2")
parser.add_argument("--out", default="runs/example-04")
options = parser.parse_args()

# a is always the better answer. Four annotators are right nine times in ten; the fifth flips a coin.
draw = random.Random(0)
accuracy = {"ann": 0.9, "ben": 0.9, "cho": 0.9, "dee": 0.9, "eve": 0.5}
rows = []
for a in range(60):
    votes = [
        {"annotator": name, "value": "a" if draw.random() < accuracy[name] else "b"}
        for name in draw.sample(sorted(accuracy), 3)  # at least three a pair: of two, neither can be outvoted
    ]
    prompt, right, wrong = f"What is twice {a + 3}?", f"That is {2 * (a + 3)}.", f"That is {2 * (a + 3) + 7}."
    rows.append({"prompt": prompt, "response_a": right, "response_b": wrong, "votes": votes})
votes_file = Path("example-votes.jsonl")
votes_file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

# Who disagrees with the others, whether one person dominates, what accuracy the votes allow at all.
report = palate.check_data(data=(str(votes_file),))
for placed in report.placed:
    print(f"{placed.finding.severity}  {placed.finding.title}")

for method in ("majority", "bradley-terry", "soft"):
    # bradley-terry learns how reliable each annotator is; soft keeps the share of the votes as the label.
    labels = f"example-{method}.jsonl"
    made = palate.aggregate(str(votes_file), out=labels, method=method)
    print(f"{method:14} {made.comparisons} labels, {made.turned} against the first response")

result = palate.train(
    model=options.model,
    data="example-majority.jsonl",
    out=options.out,
    eval_fraction=0.2,
    lr=1e-4,
    pairs_per_step=16,
    save_every=0,
    battery="none",
    overwrite=True,
)
assert result.after is not None
print(f"held-out accuracy {result.after.accuracy:.3f}; saved in {result.out}")
