"""`palate export`: check, write beside its place, look at what was written, move it there."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from palate import __version__
from palate.config import ExportConfig
from palate.errors import ConfigError
from palate.exporting import engines
from palate.exporting.classifier import check_classifier, write_classifier
from palate.exporting.golden_file import Golden, golden_lines, write_golden
from palate.exporting.graph import check_graph, write_graph
from palate.model.contract import template_hash
from palate.model.reward_model import RewardModel

FILE_NAME = "export.json"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, as `export.json` has it.

    Attributes:
        directory: where.
        engine: that it was written for.
        loads: who loads it.
        command: the line that starts a server; empty for libraries.
        how_to_ask: for raw rewards.
        dtype: of the body's weights.
        max_length: tokens of a sequence in training.
        template_hash: of the chat template.
        temperature: fitted for calibration; None where none was.
        texts: golden texts in golden.jsonl.
        largest_difference: of a golden reward by the written files, read as another loader reads them.
        written_by: how the files came about.
        remarks: what had to be said on the way.
    """

    directory: str
    engine: str
    loads: str
    command: str
    how_to_ask: tuple[str, ...]
    dtype: str
    max_length: int
    template_hash: str
    temperature: float | None
    texts: int
    largest_difference: float
    written_by: str
    remarks: tuple[str, ...]


def export(config: ExportConfig, *, say: Say = lambda _line: None) -> Exported:
    """Write a reward model for another engine.

    Raises:
        ConfigError: the directory is taken, or settings do not go together.
        ModelError: the engine cannot load this model, or would give other rewards.
    """
    out = Path(config.out)
    _check_out(out, overwrite=config.overwrite)
    model = RewardModel.from_pretrained(config.model)
    for remark in model.remarks:
        say(f"warning: {remark}")
    engines.check_engine(model, config)
    golden = golden_lines(model)
    staging = out.with_name(f".{out.name}.exporting")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        done = _write(model, config, staging, golden)
        (staging / FILE_NAME).write_text(_record(config, done), encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for remark in done.remarks:
        say(f"warning: {remark}")
    say(f"{out}: rewards of the written files differ by {done.largest_difference:.2g} at most")
    return done


def _write(model: RewardModel, config: ExportConfig, staging: Path, golden: list[Golden]) -> Exported:
    write_golden(golden, staging)
    remarks = engines.caveats(model, config)
    if config.to == "onnx":
        written_by = write_graph(model, staging)
        model.tokenizer.save_pretrained(staging)
        difference = check_graph(staging, golden)
    else:
        dtype = _DTYPES[config.dtype]
        write_classifier(model, staging, dtype)
        written_by = "transformers' own names and classes"
        declared, difference = check_classifier(staging, golden, dtype)
        if declared.adds_bos:
            remarks.append(_doubled(config))
    if cut := sum(line.cut > 0 for line in golden):
        remarks.append(f"{cut} golden texts are cut to {model.max_length} tokens: send their ids, not their text")
    return Exported(
        directory=str(config.out),
        engine=config.to,
        loads=engines.loads(config),
        command=engines.command(model, config, Path(config.out)),
        how_to_ask=tuple(engines.how_to_ask(config)),
        dtype=config.dtype,
        max_length=model.max_length,
        template_hash=template_hash(model.tokenizer),
        temperature=model.contract.temperature if model.contract else None,
        texts=len(golden),
        largest_difference=difference,
        written_by=written_by,
        remarks=tuple(remarks),
    )


def _doubled(config: ExportConfig) -> str:
    """What clients have to know where the tokenizer puts a second BOS or [CLS] before rendered text."""
    if config.to == "tei":
        return (
            "TEI adds special tokens whatever it is asked, and the template writes them too: send texts, those of "
            "golden.jsonl as well, without the special tokens that they begin and end with"
        )
    return "this tokenizer adds a second BOS to rendered text: clients must send add_special_tokens false"


def _record(config: ExportConfig, done: Exported) -> str:
    content: dict[str, Any] = {"format": 1, "palate": __version__, "source": config.model, **asdict(done)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Only what an export left there may be replaced by one."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file; --out names a directory")
    if not any(out.iterdir()):
        return
    if not overwrite:
        raise ConfigError(f"{out} is not empty; give another --out, or --overwrite")
    if not (out / FILE_NAME).exists():
        raise ConfigError(f"{out} holds something else than an export; give another --out")
