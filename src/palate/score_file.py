"""`palate score`: a file of prompts in, a file of rewards out, in the same order, resumable.

Results are appended to `OUT.partial` as they come, one JSON line a prompt. A run that is stopped finds its lines
there and goes on behind them; a finished run puts the file in place in one step. What the run did and found is in
`OUT.summary.json`. Many files at once are `palate.score_parts`.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from palate.atomic import write_text
from palate.config import ScoreConfig, resolve
from palate.data.load import read_groups
from palate.data.read import PreferenceData, write_dropped
from palate.data.render import tokenize_each
from palate.errors import ConfigError
from palate.lock import held
from palate.model.contract import head_hash, package_versions, template_hash, tokenizer_hash, weights_hash
from palate.model.loading import load_reward_model
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_layout
from palate.records import DroppedRow, PreferenceGroup, TokenizedGroup
from palate.score_lines import append, count, put_in_place, resume
from palate.scoring import ScoringRun, compare_int8, score_groups

SUMMARY = ".summary.json"  # after the name of `out`

_CHECKED = 32  # first groups that the self-check chooses from, and that int8 is compared on
WINDOW = 512  # prompts between two flushes: what a kill can cost


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What a scoring run did.

    Attributes:
        out: the finished file.
        prompts: lines in it.
        resumed: how many of them an earlier run had written.
        unscored: lines with rewards null, by reason.
        truncated: prompts cut from the left.
        dropped: rows of the input that could not be read.
        run: what was computed and found on the way; an earlier run's part is not in it.
        seconds: from the loaded model to the last reward.
    """

    out: Path
    prompts: int
    resumed: int
    unscored: dict[str, int]
    truncated: int
    dropped: tuple[DroppedRow, ...]
    run: ScoringRun
    seconds: float


def score(
    config: ScoreConfig | None = None,
    /,
    *,
    say: Callable[[str], object] = lambda _line: None,
    on_progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> ScoreResult:
    """Score every prompt's responses.

    Args:
        config: all settings at once; or give them by name.
        say: gets lines about the data and the model.
        on_progress: gets the prompts done and their total.
        settings: fields of `ScoreConfig`, overriding `config`.

    Raises:
        ConfigError: `out` exists already, has another suffix, or its partial file belongs to another job or is being
            written by another run.
        PalateError: the data, the model, or what the partial file holds cannot be used.
    """
    config = resolve(ScoreConfig, config, settings)
    source = _only_source(config)
    _refuse_finished(config)
    data = read_groups(
        source,
        split=config.split,
        max_groups=config.max_groups,
        on_bad_row=config.on_bad_row,
        require_comparisons=False,
    )
    say(f"{source}: {data.summary()}")
    model = load_reward_model(config.model, dtype=config.dtype, layout=config.layout, max_length=config.max_length)
    for remark in model.remarks:
        say(f"warning: {remark}")
    partial = Path(f"{config.out}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with held(partial):
        _refuse_finished(config)  # by another run, since this one looked
        result = _score(config, data, model, partial, say, on_progress)
        partial.unlink()
    return result


def _refuse_finished(config: ScoreConfig) -> None:
    if Path(config.out).exists() and not config.overwrite:
        raise ConfigError(f"{config.out} exists already; choose another --out, or --overwrite")


def _score(
    config: ScoreConfig,
    data: PreferenceData,
    model: RewardModel,
    partial: Path,
    say: Callable[[str], object],
    on_progress: Callable[[int, int], None] | None,
) -> ScoreResult:
    """All but the reading; the caller holds the partial file."""
    out, total = Path(config.out), len(data.groups)
    resumed = resume(partial, _job(config, data.groups, model), restart=config.overwrite)
    if resumed:
        say(f"{resumed} prompts were scored by an earlier run: going on behind them")
    listed = out.with_name(f"{out.name}.dropped.jsonl")
    if data.dropped:
        write_dropped(listed, data.dropped)
    else:
        listed.unlink(missing_ok=True)  # an earlier run's
    run = ScoringRun(use_cache=config.layout != "padded", say=say)
    start = time.perf_counter()
    done = resumed
    if resumed < total:
        prepare(model, data.groups, config, run)
    for number in append(partial, score_windows(model, data.groups[resumed:], config, run)):
        done += number
        if on_progress is not None:
            on_progress(done, total)
    seconds = time.perf_counter() - start
    found = count(partial, expected=total)
    result = ScoreResult(
        out, found.prompts, resumed, found.unscored, found.truncated, data.dropped, run=run, seconds=seconds
    )
    write_text(out.with_name(out.name + SUMMARY), json.dumps(_summary(result, config, model), indent=2) + "\n")
    put_in_place(partial, out)
    return result


def _only_source(config: ScoreConfig) -> str:
    if Path(config.out).suffix not in (".jsonl", ".parquet"):
        raise ConfigError(
            f"out is {config.out}; it must end in .jsonl or .parquet, or be a folder, which palate.score_files writes"
        )
    of_folders = {
        "engine": config.engine != "process",
        "ray-address": config.ray_address is not None,
        "ray-workers": config.ray_workers is not None,
        "part-format": config.part_format is not None,
    }
    if wrong := [name for name, given in of_folders.items() if given]:
        raise ConfigError(f"{wrong[0]} is for the parts of a folder; make --out a folder, or leave --{wrong[0]} out")
    if len(config.data) != 1:
        raise ConfigError(
            f"one file is written from one source, and data names {len(config.data)}; make --out a folder"
        )
    return config.data[0]


def prepare(model: RewardModel, groups: Iterable[PreferenceGroup], config: ScoreConfig, run: ScoringRun) -> int:
    """What has to be known of the model before its rewards are believed, found on the first prompts of the data.

    Returns:
        how many prompts it was found on; 0 where none of them will get a reward.

    Raises:
        ModelError: what the layout shares differs from separate runs.
        ConfigError: the body cannot run in int8.
    """
    results = tokenize_each(groups, model.tokenizer, max_length=model.max_length, over_long=config.over_long)
    sample = list(islice((group for group in results if isinstance(group, TokenizedGroup)), _CHECKED))
    if not sample:
        return 0
    check_layout(model, sample)
    if config.dtype == "int8":
        compare_int8(model, sample, tokens_per_pack=config.tokens_per_pack, run=run)
    return len(sample)


def _summary(result: ScoreResult, config: ScoreConfig, model: RewardModel) -> dict[str, Any]:
    around = "bf16" if model.compute_dtype is torch.bfloat16 else "fp32"
    return {
        "model": config.model,
        "data": config.data[0],
        "prompts": result.prompts,
        "resumed": result.resumed,
        "unscored": result.unscored,
        "truncated": result.truncated,
        "dropped": Counter(row.reason for row in result.dropped),
        "seconds": round(result.seconds, 3),
        "dtype": "int8" if config.dtype == "int8" else around,
        "max_length": model.max_length,
        "layout": model.layout,
        "sharing_obstacle": model.sharing_obstacle,
        **result.run.facts(),
        "versions": package_versions(),
    }


def score_windows(
    model: RewardModel, groups: Iterable[PreferenceGroup], config: ScoreConfig, run: ScoringRun
) -> Iterator[list[dict[str, Any]]]:
    """The lines of the groups, in order, a window at a time; no more than a window is held.

    Raises:
        DataError: the template refuses a row, or it is over-long and that is an error.
        NonFiniteError: a reward is not finite.
    """
    stream = iter(groups)
    while window := list(islice(stream, WINDOW)):
        results = tokenize_each(window, model.tokenizer, max_length=model.max_length, over_long=config.over_long)
        tokenized = list(results)
        fits = [group for group in tokenized if isinstance(group, TokenizedGroup)]
        rewards = score_groups(model, fits, tokens_per_pack=config.tokens_per_pack, run=run)
        lines: list[dict[str, Any]] = []
        for group, result in zip(window, tokenized, strict=True):
            line: dict[str, Any] = {"id": group.id, "where": group.where}
            if isinstance(result, DroppedRow):
                line |= {"rewards": None, "reason": result.reason, "message": result.message}
            else:
                line |= {"rewards": next(rewards).tolist()}
                if result.truncated_tokens:
                    line |= {"truncated_tokens": result.truncated_tokens}
            lines.append(line)
        yield lines


def model_hash(model: RewardModel) -> str:
    """Identity of all that decides a reward: the weights, what they read, and how text is rendered for them."""
    weights = {**model.backbone.state_dict(), **{f"pooling.{n}": t for n, t in model.pooling.state_dict().items()}}
    text = f"{template_hash(model.tokenizer)}-{tokenizer_hash(model.tokenizer)}"
    return f"{weights_hash(weights)}-{head_hash(model.head.score.weight)}-{model.pooling_name}-{text}"


def _job(config: ScoreConfig, groups: Iterable[PreferenceGroup], model: RewardModel) -> str:
    """Identity of what is scored with what: a partial file of another job must not be continued."""
    free = ("model", "out", "overwrite", "tokens_per_pack", "engine", "ray_address", "ray_workers", "part_format")
    settings = {name: value for name, value in asdict(config).items() if name not in free}
    settings["data"] = config.data[0]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(model_hash(model).encode())
    for group in groups:
        digest.update(repr((group.id, group.prompt, group.responses)).encode())
    return digest.hexdigest()[:16]
