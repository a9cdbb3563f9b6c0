"""Servers with exactly one fault: a tiny model behind the bodies of other engines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import torch

from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup

Ids = list[int]


@dataclass
class Fake:
    """One text a row: `edit` changes its tokens, `answer` the rewards of a request; what was asked is in `asked`."""

    model: RewardModel
    edit: Callable[[Ids], Ids] = lambda ids: ids
    answer: Callable[[list[float]], list[float]] = lambda rewards: rewards
    render: Callable[[list[dict[str, str]]], str] | None = None
    dtype: torch.dtype = torch.float32
    add_special_tokens: bool = False
    limit: int = 10**6
    contract: str | None = None
    careful: Callable[[dict[str, Any]], "Fake | None"] = lambda body: None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self.handle), base_url="http://fake")

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/v1/models":
            return httpx2.Response(200, json={"data": [{"id": "rm"}]})
        if path == "/v1/contract" and self.contract:
            return httpx2.Response(200, json={"rendered_with": self.contract})
        body = json.loads(request.content or b"{}")
        self.asked.append((path, body))
        other = self.careful(body) or self
        texts = other.texts(path, body)
        if texts is None:
            return httpx2.Response(404, json={"error": "no such route"})
        rows = [self.edit_row(other, text) for text in texts]
        if any(len(row) > self.limit for row in rows):
            return httpx2.Response(400, json={"error": f"more than {self.limit} tokens"})
        return httpx2.Response(200, json=shaped(path, body, other.answer(other.rewards(rows))))

    def edit_row(self, other: "Fake", text: str) -> Ids:
        return other.edit(self.model.tokenizer(text, add_special_tokens=False)["input_ids"])

    def texts(self, path: str, body: dict[str, Any]) -> list[str] | None:
        if path == "/v1/reward":
            return [self.rendered(item["prompt"] + item["response"]) for item in body["inputs"]]
        if path == "/classify" and "messages" in body:
            return [self.rendered(body["messages"])]
        field_of = {"/get_reward": "query", "/predict": "inputs", "/classify": "input"}
        texts = body.get(field_of.get(path, ""), body.get("text"))
        return None if texts is None else [text[0] if path == "/predict" else text for text in texts]

    def rendered(self, turns: list[dict[str, str]]) -> str:
        if self.render is not None:
            return self.render(turns)
        return str(self.model.tokenizer.apply_chat_template(turns, tokenize=False))

    @torch.no_grad()
    def rewards(self, rows: Sequence[Ids]) -> list[float]:
        self.model.compute_dtype = self.dtype
        groups = [TokenizedGroup("x", "x", (np.array(row, np.int64),), (len(row) - 1,), ()) for row in rows]
        rewards = [float(self.model(self.model.collate([group], layout="padded"))[0]) for group in groups]
        self.model.compute_dtype = torch.float32
        return rewards


def shaped(path: str, body: dict[str, Any], rewards: list[float]) -> Any:
    if path == "/v1/reward":
        return {"data": [{"score": reward} for reward in rewards]}
    if path == "/get_reward":
        return {"rewards": rewards, "scores": rewards, "extra_logs": {}}
    if path == "/predict":
        return [[{"score": reward, "label": "LABEL_0"}] for reward in rewards]
    if "text" in body:
        return [{"embedding": [reward]} for reward in rewards]
    return {"data": [{"index": at, "probs": [reward]} for at, reward in enumerate(rewards)]}
