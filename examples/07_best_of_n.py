"""Choose the best of n answers, and see what it is really worth: `python examples/07_best_of_n.py --model RM`."""

import argparse
import json
from pathlib import Path

import palate
from palate.data.simulate import simulate, truth_path, write_jsonl, write_truth
from palate.metrics.best_of_n import best_of_n_value

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="runs/demo", help="a reward model; `palate demo` makes this one")
parser.add_argument("--prompts", type=int, default=40)
options = parser.parse_args()

# Eight answers a prompt. Yours would be samples of your policy; the simulator also knows how good each really is.
made = simulate(options.prompts, seed=2, responses=(8, 8))
samples, rewards_file = Path("example-samples.jsonl"), Path("example-rewards.jsonl")
write_jsonl(made, samples)
write_truth(made, truth_path(samples))

# A killed run goes on where it stopped: `palate score` on a million prompts is the same call.
palate.score(model=options.model, data=str(samples), out=str(rewards_file), overwrite=True)

gold_by_id = {row["id"]: row for row in map(json.loads, truth_path(samples).read_text(encoding="utf-8").splitlines())}
reward, gold, prompt = [], [], []
for at, line in enumerate(map(json.loads, rewards_file.read_text(encoding="utf-8").splitlines())):
    reward += line["rewards"]
    gold += [response["quality"] for response in gold_by_id[line["id"]]["responses"]]
    prompt += [at] * len(line["rewards"])

numbers = [1, 2, 4, 8]
chosen_by_reward = best_of_n_value(reward, gold, prompt, numbers)
chosen_by_gold = best_of_n_value(gold, gold, prompt, numbers)
print("  n   quality, chosen by reward   quality, chosen by the truth")
for n, ours, best in zip(numbers, chosen_by_reward.mean(0), chosen_by_gold.mean(0), strict=True):
    print(f"{n:3}   {ours:.3f}{'':22}{best:.3f}")
# If the first column falls while n grows, the policy would be paid for fooling the reward model: docs/hacking-budget.md
