"""How each server is asked for rewards, and where its answer has them.

The fields are those that a client sends who knows no better, since that is how trainers ask; `careful` adds those that
ask for raw rewards of complete text, and is tried when the plain way gives something else. The one exception is TEI,
which gives no raw rewards unless it is told to.

Sources: vLLM `entrypoints/pooling`, SGLang `srt/entrypoints/http_server.py`, OpenRLHF `cli/serve_rm.py`,
text-embeddings-inference `router/src/http/types.rs`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from palate.config.export import ProtocolName
from palate.parity_check.texts import Text
from palate.records import Conversation

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of asking.

    Attributes:
        name: of the protocol.
        path: of the route.
        body: of a request for some texts.
        read: rewards in the order of the texts, None for a text without one; raises what indexing raises.
        batch: texts of one request.
        careful: further fields that ask for raw rewards of complete text.
        named: whether its requests carry the model's name; palate's adapters and others refuse fields they do not know.
    """

    name: ProtocolName
    path: str
    body: Callable[[Sequence[Text]], Body]
    read: Callable[[Any], list[float | None]]
    batch: int = 16
    careful: Mapping[str, Any] = field(default_factory=dict)
    named: bool = False


def _rendered(texts: Sequence[Text]) -> list[str]:
    return [text.rendered for text in texts]


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation]


def _prompts_and_responses(texts: Sequence[Text]) -> Body:
    pairs = ((text.group.prompt, text.group.responses[0]) for text in texts)
    return {"inputs": [{"prompt": _messages(prompt), "response": _messages(response)} for prompt, response in pairs]}


def _classes(answer: Any) -> list[float | None]:
    return [float(item["probs"][0]) for item in sorted(answer["data"], key=lambda item: item["index"])]


PROTOCOLS: dict[ProtocolName, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "palate",
            "/v1/reward",
            _prompts_and_responses,
            lambda answer: [item["score"] for item in answer["data"]],
        ),
        Protocol(
            "vllm",
            "/classify",
            lambda texts: {"input": _rendered(texts)},
            _classes,
            careful={"use_activation": False, "add_special_tokens": False},
            named=True,
        ),
        Protocol(
            "vllm-chat",
            "/classify",
            lambda texts: {"messages": _messages(texts[0].group.prompt + texts[0].group.responses[0])},
            _classes,
            batch=1,
            careful={"use_activation": False},
            named=True,
        ),
        Protocol(
            "sglang",
            "/classify",
            lambda texts: {"text": _rendered(texts)},
            lambda answer: [float(item["embedding"][0]) for item in answer],
        ),
        Protocol(
            "openrlhf",
            "/get_reward",
            lambda texts: {"query": _rendered(texts), "prompts": [], "labels": []},
            lambda answer: [float(reward) for reward in answer["rewards"]],
        ),
        Protocol(
            "tei",
            "/predict",
            lambda texts: {"inputs": [[text.rendered] for text in texts], "raw_scores": True},
            lambda answer: [float(labels[0]["score"]) for labels in answer],
        ),
    )
}

AUTO: tuple[ProtocolName, ...] = tuple(name for name in get_args(ProtocolName) if name != "vllm-chat")
"""What is tried in turn where no protocol is named: text comes before messages."""
