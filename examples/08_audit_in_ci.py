"""Let a pipeline stop at an unsound reward model: `python examples/08_audit_in_ci.py --model RM; echo $?`."""

import argparse
import sys

import palate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="runs/demo", help="a reward model; `palate demo` makes this one")
parser.add_argument("--data", default="simulated:60", help="held-out preferences, not those of the training")
parser.add_argument("--out", default="runs/example-08")
parser.add_argument("--battery", default="quick", choices=("all", "quick", "none"))
parser.add_argument("--probes", type=int, default=10, help="texts that each probe edits")
options = parser.parse_args()

# `palate audit RM --data ... --out ...` has the same exit code: 0 sound or warnings, 1 a failure, 2 could not run.
try:
    report = palate.audit(
        model=options.model,
        data=options.data,
        out=options.out,
        battery=options.battery,
        probes=options.probes,
        threshold=("length-bias=0.4",),  # your own limits; audit.json holds every figure, found or not
    )
except palate.PalateError as error:
    print(f"could not audit: {error}", file=sys.stderr)
    sys.exit(2)

for placed in report.placed:
    if placed.finding.severity != "info":
        print(f"{placed.finding.severity:5} {placed.finding.id:18} {placed.finding.title}")
print(f"{report.verdict}: the page is {options.out}/audit.html, for machines {options.out}/audit.json")
sys.exit(report.verdict == "fail")
