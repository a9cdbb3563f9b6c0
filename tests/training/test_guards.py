"""Numbers that are not numbers: their rows are named, the weights do not see them, the run stops or goes on."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from palate.config import TrainConfig
from palate.errors import NonFiniteError
from palate.packing.plan import plan_steps
from palate.records import Message, PreferenceGroup
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.tiny import tiny_reward_model, tiny_tokenizer
from palate.training import checkpoints
from palate.training.display import QuietDisplay
from palate.training.guards import find_offenders, judge_first_loss, name_rows
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

POISON = "§"  # its second byte occurs in no other row
BAD_STEP = 3


class Lines(QuietDisplay):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def poisoned(folder: Path, rows: int = 1, **settings: Any) -> tuple[TrainConfig, list[int]]:
    """A body whose embedding of one byte is infinite, and data where that byte is in rows of the third step alone.

    Returns the settings and the lines of those rows.
    """
    groups: list[PreferenceGroup] = list(random_groups(24))
    plan = plan_steps([1] * 24, 4, epochs=1, seed=0)
    bad = sorted(plan[BAD_STEP - 1].groups[1 : 1 + rows])
    for index in bad:
        text = groups[index].responses[1][0].content + POISON
        groups[index] = replace(groups[index], responses=(groups[index].responses[0], (Message("assistant", text),)))
    config = tiny_run(folder, groups, pairs_per_step=4, **settings)
    file = Path(config.model) / "model.safetensors"
    weights = load_file(file)
    weights["model.embed_tokens.weight"][tiny_tokenizer()(POISON)["input_ids"][-1]] = torch.inf
    save_file(weights, file, metadata={"format": "pt"})
    return config, [index + 1 for index in bad]


def log_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]


def test_stop_names_exactly_the_row_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    config, (line,) = poisoned(tmp_path, save_every=1)
    with pytest.raises(NonFiniteError) as caught:
        train(config)
    message = str(caught.value)
    assert f"step 3: loss or gradient is not finite for {config.data}:{line}; nothing was applied" in message
    assert "the last checkpoint is" in message
    assert message.count(config.data) == 1
    assert [path.name for path in checkpoints.find(Path(config.out))] == ["step-00000001", "step-00000002"]
    assert [record["step"] for record in log_of(config.out)] == [1, 2]


def test_stop_names_every_row_at_fault(tmp_path: Path) -> None:
    config, lines = poisoned(tmp_path, rows=3)
    with pytest.raises(NonFiniteError) as caught:
        train(config)
    named = re.findall(rf"{re.escape(config.data)}:(\d+)", str(caught.value))
    assert sorted(map(int, named)) == lines
    assert "no checkpoint was due yet" in str(caught.value)


def test_skip_leaves_the_weights_alone_names_the_row_and_goes_on(tmp_path: Path) -> None:
    config, (line,) = poisoned(tmp_path, on_non_finite="skip", save_every=1, keep_last=10)
    lines = Lines()
    result = train(config, display=lines)
    assert any(f"step 3: loss or gradient is not finite for {config.data}:{line}" in said for said in lines.said)

    records = log_of(config.out)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record["skipped"] for record in records] == [False, False, True, False, False, False]
    assert [records[2][name] for name in ("loss", "accuracy", "margin", "grad_norm")] == [None] * 4
    assert all(isinstance(record["loss"], float) for record in records if not record["skipped"])

    root = Path(config.out)
    weights = [load_file(checkpoints.step_directory(root, step) / "model.safetensors") for step in (2, 3, 4)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[1][name], weights[2][name]) for name in weights[1])

    assert result.summary["skipped_steps"] == 1
    assert result.summary["pairs"] == 20
    assert result.summary["steps"] == 6
    assert result.summary["reward_std"] > 0  # of the rows that have a reward


def test_a_held_out_row_without_a_finite_reward_is_named(tmp_path: Path) -> None:
    config, (line,) = poisoned(tmp_path)
    with pytest.raises(NonFiniteError, match=rf"{config.data}:{line}: the reward is not finite"):
        train(config, eval_data=config.data)


def test_rows_are_found_by_their_gradient_too() -> None:
    """A body that gives a finite reward whose derivative is not finite."""
    model = tiny_reward_model()
    groups = [token_group(4, (3, 5), seed=seed) for seed in range(3)]
    culprit = int(groups[1].sequences[0][-1])

    def spoil(_module: object, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        # The square root has no derivative at 0.
        return torch.sqrt(output * 0) + output if bool((inputs[0] == culprit).any()) else output

    embeddings: Any = model.backbone.get_input_embeddings()  # type: ignore[operator]
    embeddings.register_forward_hook(spoil)
    config = TrainConfig(model="", data="", out="")
    with torch.no_grad():
        assert bool(torch.isfinite(model(model.collate(groups))).all())
    assert find_offenders(model, groups, config) == [groups[1]]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_a_single_culprit_the_rate_is_suspected() -> None:
    groups = random_groups(3)
    assert name_rows(4, [], groups) == (  # type: ignore[arg-type]
        "step 4: loss or gradient is not finite, though each of its 3 groups is alone; lower lr"
    )


def test_many_rows_are_named_in_part() -> None:
    groups = random_groups(10)
    assert name_rows(4, groups, groups).endswith("random:8 and 2 more")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "zero_head", "warned"),
    [
        (0.6931, True, False),
        (0.6951, True, True),
        (0.6911, True, True),
        (0.9, False, False),
        (1.3, False, True),
        (0.1, False, False),
    ],
)
def test_first_losses_away_from_the_expected_are_warned_of(loss: float, zero_head: bool, warned: bool) -> None:
    assert (judge_first_loss(loss, 0.6931, zero_head=zero_head) is not None) == warned


def test_a_first_loss_away_from_ln_2_is_warned_of_in_a_run(tmp_path: Path) -> None:
    tiny_reward_model(head_std=30.0).save_pretrained(tmp_path / "model")
    lines = Lines()
    train(tiny_run(tmp_path), display=lines)
    assert any(line.startswith("warning: the first loss is ") for line in lines.said)
