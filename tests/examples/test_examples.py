"""Every example runs, on a tiny model, and prints what a person can read."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import save_tiny_causal_lm

EXAMPLES = Path(__file__).parents[2] / "examples"
# What each takes besides a model, and what it must say. Those that train take a body, the others a reward model.
RUNS = {
    "01_score_two_answers": ([], r"reward [+-]\d\.\d{3}   It is now on Thursday"),
    "02_train_on_your_jsonl": ([], r"held out, before  accuracy 0\.500"),
    "03_rankings": ([], r"plackett-luce  held-out accuracy"),
    "04_many_annotators": ([], r"majority +60 labels"),
    "05_length_control": (["--prompts", "30"], r"decorrelation  held-out accuracy .* length 0\.\d\d"),
    "06_lora": (["--data", "simulated:30"], r"adapter_model\.safetensors"),
    "07_best_of_n": (["--prompts", "12"], r"  8   0\.\d{3}"),
    "08_audit_in_ci": (["--data", "simulated:20", "--battery", "none", "--probes", "0"], r"the page is .*audit\.html"),
    "09_serve_and_call": ([], r"raw rewards: \[-?\d"),
}
TRAINED = ("02", "03", "04", "05", "06")


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_causal_lm(tmp_path_factory.mktemp("body"), max_position_embeddings=2048))


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rm")
    model = sharp_reward_model(max_position_embeddings=2048)
    model.max_length = 1024
    model.save_pretrained(folder)
    return str(folder)


def _dead(folder: Path) -> str:
    model = sharp_reward_model()
    model.max_length = 400
    model.head.score.weight.data.zero_()
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_it_runs(
    name: str,
    body: str,
    reward_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options, said = RUNS[name]
    monkeypatch.chdir(tmp_path)
    model = body if name.startswith(TRAINED) else reward_model
    if name == "08_audit_in_ci":
        model = _dead(tmp_path / "dead")
    monkeypatch.setattr(sys, "argv", [name, "--model", model, *options])
    code: object = 0
    try:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0) if not isinstance(ended.code, str) else ended.code
    shown = capsys.readouterr().out
    # A model that gives everything the same reward is unsound, and to say so is what an audit in CI is for.
    assert code == (1 if name == "08_audit_in_ci" else 0), shown
    assert re.search(said, shown), shown


def test_all_are_here_short_and_listed() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.stem for file in files] == sorted(RUNS)
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 80, file.name
        assert f"python examples/{file.name}" in lines[0], f"{file.name} does not begin with how to run it"
        assert f"`{file.name}`" in listed
