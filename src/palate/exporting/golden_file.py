"""`golden.jsonl`: golden texts, the tokens of each, and the reward that they have to get."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from palate.data.render import render
from palate.errors import ModelError
from palate.golden import golden_texts, rewards_alone
from palate.model.reward_model import RewardModel

FILE_NAME = "golden.jsonl"


@dataclass(frozen=True, slots=True)
class Golden:
    """One line of the file.

    Attributes:
        text: rendered by the model's chat template.
        ids: its tokens, no special ones added.
        reward: in float32, each text on its own.
        response_start: index of the response's first token.
        cut: tokens that `ids` lacks at the beginning of the text, which was too long for the model.
    """

    text: str
    ids: list[int]
    reward: float
    response_start: int
    cut: int


def golden_lines(model: RewardModel) -> list[Golden]:
    """Score the golden texts.

    Raises:
        ModelError: none fits, or a reward is no number.
    """
    texts = golden_texts(model)
    if not texts:
        raise ModelError(f"none of the golden texts fits into {model.max_length} tokens")
    rewards = rewards_alone(model, [tokens for _, tokens in texts])
    if (rewards != rewards).any() or abs(rewards).max() == float("inf"):
        raise ModelError("the model gives rewards that are no numbers; there is nothing to export")
    return [
        Golden(
            text=render(model.tokenizer, group.prompt, group.responses[0]).text,
            ids=tokens.sequences[0].tolist(),
            reward=float(reward),
            response_start=tokens.response_starts[0],
            cut=tokens.truncated_tokens,
        )
        for (group, tokens), reward in zip(texts, rewards, strict=True)
    ]


def write_golden(lines: Sequence[Golden], directory: Path) -> None:
    """One JSON object a line."""
    text = "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)
    (directory / FILE_NAME).write_text(text, encoding="utf-8")


def read_golden(directory: Path) -> list[Golden]:
    """What `write_golden` wrote."""
    lines = (directory / FILE_NAME).read_text(encoding="utf-8").splitlines()
    return [Golden(**json.loads(line)) for line in lines]
