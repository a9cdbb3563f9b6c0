"""`palate compare`: two reward models, the same held-out data, one verdict.

One model is open at a time: each scores the data and the battery and is let go, so that comparing needs no more memory
than scoring.
"""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from palate.auditing.battery import BatteryResult, run_battery
from palate.auditing.limits import compare_thresholds
from palate.auditing.opening import is_server, open_scorers, open_server, read_data
from palate.auditing.run import Listener
from palate.auditing.scorer import Floats
from palate.auditing.versus.accuracy import check_accuracy
from palate.auditing.versus.battery import check_battery_of_both
from palate.auditing.versus.disagreement import check_disagreement
from palate.auditing.versus.gate import check_gate
from palate.auditing.versus.makeup import check_makeup
from palate.auditing.versus.matched import SIDES, Matched, match
from palate.auditing.versus.parts import check_parts
from palate.config import CompareConfig, resolve
from palate.errors import ConfigError, ContractError, DataError, MissingHeadError, ModelError, PalateError
from palate.health.corpus import build_corpus
from palate.health.thresholds import Thresholds, parse_threshold
from palate.model.checkpoint import local_directory
from palate.records import PreferenceGroup
from palate.report.document import Report, Subject, gather_provenance
from palate.report.findings import Check

NAMES = ("compare.html", "compare.json", "compare.md")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models, and what it made of everything.

    Attributes:
        name: directory, id or address.
        reward_R: of the held-out responses.
        battery: None where it was left out.
    """

    name: str
    reward_R: Floats
    battery: BatteryResult | None


def compare(config: CompareConfig | None = None, /, *, listener: Listener | None = None, **settings: Any) -> Report:
    """Compare two reward models and write compare.html, compare.json and compare.md into `out`.

    The gate passed where the report's verdict is not `fail`; the fact `gate.verdict` says it in words.

    Args:
        config: all settings at once; or give them by name.
        listener: is told how far it is.
        settings: fields of `CompareConfig`, overriding `config`.

    Raises:
        ConfigError: a setting is wrong.
        DataError: the data cannot be read, or no label says which response is better.
        ModelError: there is no such model or server, or no pair that both give a reward.
        ContractError: a checkpoint's template, tokenizer or head is not the one it was trained with.
    """
    config, listener = resolve(CompareConfig, config, settings), listener or Listener()
    started = time.monotonic()
    thresholds = compare_thresholds(dict(map(parse_threshold, config.threshold)))
    if not 0 <= config.margin < 1:
        raise ConfigError(f"margin is {config.margin}: it is a share of pairs, at least 0 and below 1, such as 0.01")
    run = _Run(config, listener, thresholds)
    with TemporaryDirectory(prefix="palate-compare-") as folder:
        checks = tuple(run.checks(Path(folder)))
    command = sys.argv if sys.argv[1:2] == ["compare"] else ["palate.compare"]
    provenance = gather_provenance(
        ("palate", *command[1:]) if len(command) > 1 else command,
        time.monotonic() - started,
        ("torch", "transformers", "numpy"),
    )
    passed = any(check.facts.get("gate.passed") for check in checks)
    headline = "The candidate may replace the incumbent" if passed else "Not shown that the candidate may take over"
    report = Report("Two reward models", tuple(run.subjects), checks, provenance, headline)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    for write, name in zip((report.write_html, report.write_json, report.write_markdown), NAMES, strict=True):
        write(out / name)
    return report


class _Run:
    def __init__(self, config: CompareConfig, listener: Listener, thresholds: Thresholds) -> None:
        self.config = config
        self.listener = listener
        self.thresholds = thresholds
        self.names = (config.incumbent, config.candidate)
        self.tokenizers = _for_each(config.tokenizer, "tokenizer", self.names)
        self.key_files = _for_each(config.api_key_file, "api-key-file", self.names)
        self.subjects = [Subject(name, what) for name, what in zip(self.names, SIDES, strict=True)]

    def checks(self, folder: Path) -> tuple[Check, ...]:
        config = self.config
        self._both_are_there()
        data, subject = read_data(
            config.data,
            "held-out data",
            split=config.split,
            on_bad_row=config.on_bad_row,
            max_groups=config.max_groups,
            say=self.listener.say,
        )
        self.subjects.append(subject)
        corpus = build_corpus(data.groups, folder)
        incumbent, candidate = (self._score(number, data.groups) for number in (0, 1))
        self.listener.stage("comparing", None)
        matched = match(corpus, incumbent.reward_R, candidate.reward_R)
        if not matched.usable_C.any():
            raise _nothing_in_common(matched, config)
        others = tuple(self._others(matched, incumbent, candidate))
        command = shlex.join(["palate", "audit", config.candidate, "--data", config.data, "--out", "audit"])
        first = check_gate(
            matched,
            others,
            self.thresholds,
            margin=config.margin,
            require_better=config.require_better,
            audit_command=command,
        )
        return first, *others

    def _others(self, matched: Matched, incumbent: Side, candidate: Side) -> Iterator[Check]:
        yield check_accuracy(matched)
        yield check_parts(matched, self.thresholds)
        yield check_makeup(matched, self.thresholds)
        if incumbent.battery is not None and candidate.battery is not None:
            yield check_battery_of_both(incumbent.battery, candidate.battery, self.thresholds)
        yield check_disagreement(matched)

    def _both_are_there(self) -> None:
        """That the second model cannot be had is known before the first one has scored anything."""
        for name, tokenizer, key_file in zip(self.names, self.tokenizers, self.key_files, strict=True):
            if is_server(name):
                open_server(name, tokenizer=tokenizer, api_key_file=key_file, advance=lambda _groups: None)
            else:
                local_directory(name, None)

    def _score(self, number: int, groups: Sequence[PreferenceGroup]) -> Side:
        config, name, side = self.config, self.names[number], SIDES[number]
        self.listener.stage(f"{side}: loading", None)
        opened, scorer, _ = open_scorers(
            name,
            dtype=config.dtype,
            tokens_per_pack=config.tokens_per_pack,
            cache=config.cache,
            tokenizer=self.tokenizers[number],
            api_key_file=self.key_files[number],
            advance=self.listener.advance,
            say=self.listener.say,
        )
        if opened is not None and opened.mismatch:
            raise ContractError(f"{opened.mismatch}; palate audit {name} says what that does to its rewards")
        if scorer is None:
            assert opened is not None
            raise MissingHeadError(opened.missing_head)
        self.listener.stage(f"{side}: held-out data", len(groups))
        reward_R = np.concatenate(scorer.score(groups))
        if config.battery == "none":
            return Side(name, reward_R, None)
        self.listener.stage(f"{side}: battery", None)
        return Side(name, reward_R, run_battery(scorer, only_quick=config.battery == "quick"))


def _for_each(values: tuple[str, ...], what: str, names: tuple[str, str]) -> tuple[str | None, str | None]:
    """A setting of servers for each model: none, one for all of them, or one each.

    Raises:
        ConfigError: there is no server that it could be for, or it is not clear which.
    """
    servers = [is_server(name) for name in names]
    if not values:
        return None, None
    if not any(servers):
        raise ConfigError(f"--{what} is for servers, and neither model is an address (http://...); leave it out")
    if len(values) > 2 or (len(values) == 2 and not all(servers)):
        raise ConfigError(f"--{what} has {len(values)} values for {sum(servers)} servers; give one, or one each")
    first, last = (value if server else None for value, server in zip((values[0], values[-1]), servers, strict=True))
    return first, last


def _nothing_in_common(matched: Matched, config: CompareConfig) -> PalateError:
    if not matched.decided:
        why = "no pair has a label that says which response is better: there is nothing to compare models on"
        return DataError(why, reason="no-decided-pairs", where=config.data)
    theirs = [matched.decided - matched.neither - one for one in (matched.only_candidate, matched.only_incumbent)]
    return ModelError(
        f"no pair got a reward from both models: of {matched.decided:,} labelled pairs {config.incumbent} scored "
        f"{theirs[0]:,} and {config.candidate} {theirs[1]:,}; palate audit says why"
    )
