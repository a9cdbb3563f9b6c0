"""The tokenized example of the playground: real tokens, and real rewards at every position of padded rows.

python -m tests.playground.tokens    writes it anew
"""

import json
from pathlib import Path
from typing import Any

import torch

from palate.data.render import tokenize
from palate.model.backbone import load_backbone
from palate.packing.collate import collate_padded
from palate.records import Message, PreferenceGroup

FILE = Path(__file__).parents[2] / "src" / "palate" / "playground" / "page" / "tokens.json"
PROMPT = "Is 7 a prime number?"
RESPONSES = ("Yes, because only 1 and 7 divide it.", "No.", "Yes, it is.")


def tokenized_example(name: str = "smollm2") -> dict[str, Any]:
    """Tokens of three conversations, and what a head drawn once makes of each position, padded on either side."""
    loaded = load_backbone(name)
    tokenizer, body = loaded.tokenizer, loaded.backbone.eval()
    messages = (Message("system", "Be brief."), Message("user", PROMPT))
    group = PreferenceGroup("prime", messages, tuple((Message("assistant", text),) for text in RESPONSES))
    (tokenized,) = tokenize((group,), tokenizer, max_length=200).groups
    width = body.config.hidden_size
    head = torch.randn(width, generator=torch.Generator().manual_seed(0)) / width**0.5
    rewards = {}
    for side in ("right", "left"):
        batch = collate_padded((tokenized,), pad_token_id=tokenizer.pad_token_id, padding_side=side)
        with torch.no_grad():
            hidden = body(
                batch.input_ids_BT, attention_mask=batch.attention_mask_BT, position_ids=batch.position_ids_BT
            )
        rewards[side] = [[round(r, 4) for r in row] for row in (hidden.last_hidden_state @ head).tolist()]
    sequences = [sequence.tolist() for sequence in tokenized.sequences]
    return {
        "tokenizer": "SmolLM2-135M-Instruct",
        "pad": tokenizer.decode([tokenizer.pad_token_id]),
        "rows": [[tokenizer.decode([token]) for token in sequence] for sequence in sequences],
        "responseStart": list(tokenized.response_starts),
        "reward": rewards,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(tokenized_example(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
