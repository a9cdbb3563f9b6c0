"""Train on your own file: `python examples/02_train_on_your_jsonl.py --data prefs.jsonl`."""

import argparse
import json
from pathlib import Path

import palate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="smollm2", help="any instruction-tuned causal model: a directory or a hub id")
parser.add_argument("--data", help="your preferences; without it, a file of made-up rows stands in for them")
parser.add_argument("--out", default="runs/example-02")
options = parser.parse_args()

if options.data is None:
    # One row a pair. `prompt` may also be a list of {"role", "content"} messages; docs/data.md lists all formats.
    rows = [
        {"prompt": f"What is {a} + {b}?", "chosen": f"It is {a + b}.", "rejected": f"It is {a + b + 10}."}
        for a in range(2, 12)
        for b in range(3, 13)
    ]
    options.data = "example-prefs.jsonl"
    Path(options.data).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

# Look before training: what is wrong with the data becomes what is wrong with the model.
report = palate.check_data(data=(options.data,))
print(f"data: {report.verdict}", *(f"  {p.finding.severity}  {p.finding.title}" for p in report.placed), sep="\n")

result = palate.train(
    model=options.model,
    data=options.data,
    out=options.out,
    eval_fraction=0.2,  # held out by prompt, never by row: a prompt on both sides would flatter the figure
    lr=1e-4,  # a small body on little data; the default 1e-5 suits bodies of a billion parameters and more
    pairs_per_step=16,
    save_every=0,  # this run takes minutes; a long one should be able to go on with --resume
    battery="none",
    overwrite=True,
)
assert result.before is not None
assert result.after is not None
for name, found in (("before", result.before), ("after", result.after)):
    print(f"held out, {name:6}  accuracy {found.accuracy:.3f} [{found.accuracy_low:.3f}, {found.accuracy_high:.3f}]")
print(f"saved in {result.out}")
