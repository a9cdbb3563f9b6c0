"""What each engine can load, how it is started, and how it is asked for raw rewards.

Sources: vLLM `model_executor/models/adapters.py` (sequence classifiers with one `score` layer),
text-embeddings-inference `backends/candle` (which bodies have a classifier).
"""

import json
import shlex
from pathlib import Path

from palate.config import ExportConfig
from palate.errors import ConfigError, ModelError
from palate.model.checkpoint import WholeClassifier
from palate.model.reward_model import RewardModel
from palate.model.saving import classifier_class

_TEI = ("bert", "roberta", "camembert", "xlm-roberta", "distilbert", "deberta-v2", "modernbert")
_VLLM_ENCODERS = ("bert", "roberta", "xlm-roberta", "modernbert")
_INSTEAD = "palate serve loads it, and --to onnx can hold it"


def check_engine(model: RewardModel, config: ExportConfig) -> None:
    """Refuse what the engine would not load, or would load and score differently.

    Raises:
        ModelError: body, pooling or head are none that the engine has a place for.
        ConfigError: a temperature is asked for, and none was fitted.
    """
    if config.calibrated and (model.contract is None or model.contract.temperature is None):
        raise ConfigError("--calibrated needs a fitted temperature: palate audit RM --data HELD-OUT fits one")
    if config.to == "onnx":
        return
    kind, body = str(model.backbone.config.model_type), type(model.backbone).__name__  # type: ignore[union-attr]
    whole = isinstance(model.backbone, WholeClassifier)
    if config.to == "tei" and not (whole and kind in _TEI):
        why = (
            "has no classifier there" if kind not in _TEI else "has palate's own head, and its classifiers have another"
        )
        raise ModelError(f"TEI loads classifiers of encoders alone ({', '.join(_TEI)}); {kind} {why}: {_INSTEAD}")
    if config.to == "vllm" and whole and kind not in _VLLM_ENCODERS:
        raise ModelError(f"vLLM has no classifier of {kind} whose head is its own: {_INSTEAD}")
    if whole:
        return
    if model.pooling_name != "last":
        raise ModelError(
            f"{config.to} reads the last token, and this model pools {model.pooling_name!r}, which would be another "
            f"reward: {_INSTEAD}"
        )
    if model.head.score.bias is not None:
        bias = float(model.head.score.bias.detach())
        raise ModelError(f"{config.to} has no place for the head's bias of {bias:+.4g}: {_INSTEAD}")
    if classifier_class(model.backbone.config) is None:
        raise ModelError(f"transformers has no classifier of {body} with one score layer: {_INSTEAD}")


def loads(config: ExportConfig) -> str:
    """Who loads the directory."""
    return {
        "vllm": "vLLM; SGLang (--is-embedding, POST /classify) and transformers load the same files",
        "hf": "transformers' AutoModelForSequenceClassification",
        "tei": "text-embeddings-inference; transformers loads the same files",
        "onnx": "onnxruntime, and whatever else runs ONNX",
    }[config.to]


def caveats(model: RewardModel, config: ExportConfig) -> list[str]:
    """What an engine does to this model that no file can prevent."""
    kind = str(model.backbone.config.model_type)  # type: ignore[union-attr]
    if config.to == "vllm" and kind in ("qwen2", "qwen3"):
        return [
            f"SGLang's class for {kind} adds a bias that it draws anew in every process: compare no rewards across them"
        ]
    return []


def command(model: RewardModel, config: ExportConfig, directory: Path) -> str:
    """The line that starts a server; empty for libraries."""
    if config.to == "tei":
        return f"text-embeddings-router --model-id {shlex.quote(str(directory))} --auto-truncate false"
    if config.to != "vllm":
        return ""
    words = ["vllm", "serve", str(directory), "--runner", "pooling", "--max-model-len", str(model.max_length)]
    if config.calibrated:
        assert model.contract is not None
        words += ["--pooler-config", json.dumps({"logit_mean": 0.0, "logit_sigma": model.contract.temperature})]
    return shlex.join(words)


def how_to_ask(config: ExportConfig) -> list[str]:
    """What has to be known to get this model's rewards."""
    template = "render prompt and response with the chat template that lies here, and add no special tokens to the text"
    if config.to == "vllm":
        scale = (
            "answers are rewards divided by the temperature: the sigmoid of a difference of two of them is the "
            "probability that the first is preferred"
            if config.calibrated
            else "answers are raw rewards, by problem_type regression"
        )
        return [
            'POST /classify {"model": NAME, "input": [TEXT, ...], "add_special_tokens": false}, or "messages": [...]; '
            "the reward is data[i].probs[0]",
            scale,
            "vLLM asks for no key on /classify and /pooling, whatever --api-key says: put a proxy in front",
            template,
        ]
    if config.to == "tei":
        return [
            'POST /predict {"inputs": [[TEXT], ...], "raw_scores": true, "truncate": false}; the reward is '
            "answer[i][0].score",
            'a list of plain strings is one pair there, not a batch: "inputs": [[TEXT], [TEXT]] is a batch',
            "render prompt and response with the chat template that lies here; TEI adds special tokens of its own",
        ]
    if config.to == "hf":
        return ["the reward is logits[:, 0] of a batch padded on the right", template]
    return [
        "int64 inputs: input_ids and attention_mask [batch, length], padded on the right; for poolings that read the "
        "response, response_start [batch], the index of its first token",
        "float32 output: reward [batch]",
        "the tokens of golden.jsonl and its rewards show what to expect",
        template,
    ]
