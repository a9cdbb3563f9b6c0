"""One line for each command that can be copied; shown by its help, and parsed by the tests."""

EXAMPLES = {
    "train": "palate train --model smollm2 --data prefs.jsonl --out runs/rm",
    "eval": "palate eval runs/rm --data held-out.jsonl --json eval.json",
    "score": "palate score runs/rm --data candidates.jsonl --out scores.parquet",
    "serve": "palate serve runs/rm --port 8000",
    "export": "palate export runs/rm --to vllm --out runs/rm-vllm",
    "parity": "palate parity runs/rm --url http://127.0.0.1:8000 --json parity.json",
    "audit": "palate audit runs/rm --data held-out.jsonl --train-data train.jsonl --out audit/",
    "compare": "palate compare runs/old runs/new --data held-out.jsonl --out compare/",
    "poolings": "palate poolings --model smollm2 --data prefs.jsonl --out runs/poolings",
    "demo": "palate demo --out runs/demo",
    "walkthrough": "palate walkthrough --json step.json",
    "playground": "palate playground --out playground.html",
    "doctor": "palate doctor --json machine.json",
    "completion": "palate completion bash >> ~/.bashrc",
    "data check": "palate data check prefs.jsonl --out report.html",
    "data split": "palate data split prefs.jsonl --out split/",
    "data aggregate": "palate data aggregate votes.jsonl --out labels.jsonl",
    "data balance": "palate data balance prefs.jsonl --out balanced.jsonl",
    "data convert": "palate data convert prefs.jsonl --to trl-standard --out trl.jsonl",
    "data simulate": "palate data simulate --out prefs.jsonl --num-prompts 500",
}
