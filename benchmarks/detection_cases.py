"""The ten pathologies of a reward model, each planted as it happens to people, and sound models beside them."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import palate
from palate.data.load import read_groups
from palate.data.rows import group_to_row
from palate.data.simulate import Flaws, simulate
from palate.records import Conversation, PreferenceGroup

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Prompts of each part, and what the reward model starts from."""

    model: str
    train: int
    held_out: int
    policy: int
    lr: float


@dataclass(frozen=True, slots=True)
class Material:
    """A reward model with its data on disk."""

    model: Path
    train: Path
    held_out: Path
    policy: Path

    def settings(self) -> Settings:
        """Of an audit with the data that it was trained on."""
        return {"model": str(self.model), "data": str(self.held_out), "train_data": str(self.train)}


def make(folder: Path, sizes: Sizes, seed: int, *, flaws: Flaws | None = None, split_by_row: bool = False) -> Material:
    """Draw data and train a reward model on it, unless both are there.

    Args:
        folder: of the material.
        sizes: how much.
        seed: of the data and the training.
        flaws: what is planted in the data.
        split_by_row: repeated prompts may fall on both sides, as with a split by row.
    """
    material = Material(folder / "rm", *(folder / f"{name}.jsonl" for name in ("train", "held-out", "policy")))
    if (material.model / "summary.json").exists():
        return material
    folder.mkdir(parents=True, exist_ok=True)
    groups = simulate(sizes.train + sizes.held_out + sizes.policy, seed=seed, flaws=flaws).groups
    share = len(groups) / (sizes.train + sizes.held_out + sizes.policy) if split_by_row else 1.0
    cuts = [round(share * cut) for cut in (sizes.train, sizes.train + sizes.held_out)]
    parts = (groups[: cuts[0]], groups[cuts[0] : cuts[1]], groups[cuts[1] :])
    for file, part in zip((material.train, material.held_out, material.policy), parts, strict=True):
        write(file, part)
    palate.train(
        model=sizes.model,
        data=str(material.train),
        out=str(material.model),
        eval_fraction=0,
        max_length=512,
        lr=sizes.lr,
        pairs_per_step=16,
        battery="none",
        save_every=0,
        seed=seed,
        overwrite=True,
    )
    return material


def write(file: Path, groups: Iterable[PreferenceGroup]) -> None:
    """Groups as JSON lines."""
    file.write_text("".join(json.dumps(group_to_row(group)) + "\n" for group in groups), encoding="utf-8")


@contextmanager
def copied(model: Path, change: Callable[[Path], object]) -> Iterator[Settings]:
    """A copy of a checkpoint with something changed; removed afterwards. Files that stay as they are are linked."""
    copy = model.with_name(f"{model.name}-changed")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(model, copy, copy_function=os.link)
    try:
        change(copy)
        yield {"model": str(copy)}
    finally:
        shutil.rmtree(copy)


def replace_text(file: Path, text: str) -> None:
    """Write a file anew, leaving what it is linked to alone."""
    file.unlink()
    file.write_text(text, encoding="utf-8")


def wrong_padding(copy: Path) -> None:
    """config.json names another pad token than the tokenizer, as after copying one of them from another model."""
    (copy / "palate.json").unlink()
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    replace_text(copy / "config.json", json.dumps(config | {"pad_token_id": config["vocab_size"] - 1}))


def stale_template(copy: Path) -> None:
    """The template of an earlier generation of models."""
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    replace_text(copy / "chat_template.jinja", template)


def head_with_bias(copy: Path) -> None:
    """A head that was trained with a bias."""
    (copy / "palate.json").unlink()
    change_tensors(copy, lambda tensors: tensors.update({"score.bias": torch.tensor([1.7])}))


def change_tensors(copy: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Rewrite the weights."""
    file = copy / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    file.unlink()
    save_file(tensors, file, metadata={"format": "pt"})


def exploded(copy: Path) -> None:
    """Three steps of plain SGD on one pair with its label turned round, the gradient not clipped, the rate too high."""
    (copy / "palate.json").unlink()
    tokenizer = AutoTokenizer.from_pretrained(copy)
    classifier = AutoModelForSequenceClassification.from_pretrained(copy, dtype=torch.float32).eval()
    question = {"role": "user", "content": "How many days are there in a week?"}
    turned = ["Bananas keep longest in a cool place.", "There are seven days in a week."]  # "chosen" first
    states = []
    for answer in turned:
        turns = [question, {"role": "assistant", "content": answer}]
        ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True, return_tensors="pt")
        with torch.no_grad():
            states.append(classifier.model(**ids).last_hidden_state[0, -1])
    weight = classifier.score.weight.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=10.0)
    for _ in range(3):
        optimizer.zero_grad()
        (-torch.nn.functional.logsigmoid(weight[0] @ (states[0] - states[1]))).backward()
        optimizer.step()
    change_tensors(copy, lambda tensors: tensors.update({"score.weight": weight.detach()}))


def shifted_policy(material: Material) -> Settings:
    """The same prompts, answered by a policy that has learnt to please: dressed up, and said three times."""
    file = material.policy.with_name("policy-shifted.jsonl")
    groups = read_groups(str(material.policy)).groups
    write(file, (replace(group, responses=tuple(map(_overfed, group.responses))) for group in groups))
    return {"policy_outputs": str(file)}


def _overfed(response: Conversation) -> Conversation:
    text = response[-1].content
    shown = f"Great question! \U0001f60a\n\n# Answer\n{text}\n\n- {text}\n- {text}\n\nI hope this helps!"
    return (*response[:-1], replace(response[-1], content=shown))


@contextmanager
def served_elsewhere(model: Path, *, dropout: float) -> Iterator[Settings]:
    """A server like those in circulation: transformers' classifier behind /get_reward, left in training mode or not."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.float32, attention_dropout=dropout, attn_implementation="eager"
    )
    classifier.train(dropout > 0)
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server asks for
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/get_reward":
                self.send_error(404)
                return
            with lock, torch.no_grad():
                batches = [
                    tokenizer(text, add_special_tokens=False, return_tensors="pt") for text in body.get("query", [])
                ]
                rewards = [float(classifier(**batch).logits[0, 0]) for batch in batches]
            answer = json.dumps({"rewards": rewards, "scores": rewards, "extra_logs": {}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "model": f"http://127.0.0.1:{server.server_port}",
            "tokenizer": str(model),
            "battery": "none",
            "probes": 0,
        }
    finally:
        server.shutdown()
        server.server_close()
