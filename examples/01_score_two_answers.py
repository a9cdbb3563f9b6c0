"""Score two answers with a reward model: `python examples/01_score_two_answers.py --model runs/demo`."""

import argparse

import palate

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="runs/demo", help="a reward model; `palate demo` makes this one")
options = parser.parse_args()

# Loading checks the contract: another chat template or tokenizer than in training is refused, not scored wrongly.
model = palate.RewardModel.from_pretrained(options.model)

prompt = "I moved a meeting from Tuesday 10:00 to two days later, two hours later. When is it now?"
answers = ["It is now on Thursday at 12:00.", "Bananas keep longest in a cool, dry place."]

# All answers to a prompt go in one call: the prompt is computed once, and the order is that of the answers.
rewards = model.score(prompt, answers)
print(prompt)
for reward, answer in sorted(zip(rewards.tolist(), answers, strict=True), reverse=True):
    print(f"  reward {reward:+.3f}   {answer}")

# Only differences mean anything: sigmoid of a difference is the probability that people prefer the first.
margin = abs(float(rewards[0] - rewards[1]))
print(f"the first is better by {margin:.3f}; a reward alone, without another to compare it with, says nothing")
