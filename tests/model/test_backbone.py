"""What is settled when a body and its tokenizer are loaded."""

import json
from pathlib import Path

import pytest

from palate.errors import ModelError
from palate.model.backbone import load_tokenizer
from palate.model.contract import template_hash
from palate.model.reward_model import RewardModel
from palate.testing.runs import tiny_run
from palate.testing.tiny import CHAT_TEMPLATE, tiny_tokenizer
from palate.training.run import train

TOOL_USE = "{{ messages }}"


def add_in_folder(model: Path) -> None:
    """As transformers writes several templates now."""
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "tool_use.jinja").write_text(TOOL_USE)


def add_in_list(model: Path) -> None:
    """As it wrote them before."""
    (model / "chat_template.jinja").unlink()
    settings = json.loads((model / "tokenizer_config.json").read_text())
    both = {"default": CHAT_TEMPLATE, "tool_use": TOOL_USE}
    settings["chat_template"] = [{"name": name, "template": template} for name, template in both.items()]
    (model / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
@pytest.mark.parametrize("add", [add_in_folder, add_in_list])
def test_of_several_templates_the_default_is_trained_with_and_saved(add: object, tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    add(tmp_path / "model")  # type: ignore[operator]
    _, remarks = load_tokenizer(config.model)
    assert remarks == ("of the chat templates default, tool_use, 'default' is used and saved with the reward model",)
    out = train(config, max_steps=1).out
    loaded = RewardModel.from_pretrained(out)
    assert loaded.tokenizer.chat_template == CHAT_TEMPLATE
    assert not (out / "additional_chat_templates").exists()
    assert json.loads((out / "palate.json").read_text())["template_hash"] == template_hash(tiny_tokenizer())


def test_several_templates_without_a_default_are_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = {"tool_use": TOOL_USE, "rag": TOOL_USE}
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="of the chat templates rag, tool_use none is called default"):
        load_tokenizer(str(tmp_path))
