"""Serve a reward model and ask it for rewards: `python examples/09_serve_and_call.py --model RM`."""

import argparse
import subprocess
import sys
import time

from palate.client import ClientError, RewardClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="runs/demo", help="a reward model; `palate demo` makes this one")
options = parser.parse_args()

# Port 0 takes a free one, and the first line says which. Elsewhere this is `palate serve RM` in a terminal of its own.
command = [sys.executable, "-m", "palate", "serve", options.model, "--port", "0"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
try:
    assert server.stdout is not None
    said = server.stdout.readline()
    url = next(word for word in said.split() if word.startswith("http")).rstrip(";")
    print(f"serving {options.model} at {url}")

    # The client asks again while the server is not ready: it first proves that it serves the rewards of training.
    with RewardClient(url) as client:
        for _ in range(300):
            try:
                rewards = client.rewards("What is 2 + 2?", ["It is 4.", "I like trains."])
                break
            except ClientError:
                if server.poll() is not None:
                    sys.exit(f"the server ended with {server.returncode}")
                time.sleep(0.2)
        else:
            sys.exit("the server was not ready in a minute")
        print("raw rewards:", [round(reward, 3) for reward in rewards])

        # Every input has a score or an error of its own; one bad input costs the others nothing.
        answers = client.score(
            [
                {"prompt": "What is 2 + 2?", "response": "It is 4."},
                {"messages": [{"role": "user", "content": "And 3 + 3?"}]},
            ]
        )
        for answer in answers:
            print(f"score {answer.score}, tokens {answer.tokens}, error {answer.error}")
        print("rendered with:", client.contract()["rendered_with"][:23])
finally:
    server.terminate()
    server.wait(30)
