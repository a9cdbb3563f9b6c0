"""`palate audit`: one reward model, held-out data, every check, one report.

The data is scored once; checks of ranking, calibration and appearance read rewards and columns, while the battery, the
probes and the mechanics ask for rewards of texts of their own. Whatever is asked for twice is computed once.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from palate.auditing.appearance import check_appearance
from palate.auditing.battery import check_battery, run_battery
from palate.auditing.calibration import check_calibration
from palate.auditing.limits import audit_thresholds
from palate.auditing.local import LocalScorer, RewardMemory, model_key
from palate.auditing.mechanics import check_mechanics, missing_head
from palate.auditing.probes.check import check_probes
from palate.auditing.probes.run import run_probes
from palate.auditing.ranking import check_ranking, margin_scale
from palate.auditing.remote import RemoteScorer
from palate.auditing.scorer import Scored, Scorer
from palate.auditing.subject import Opened, open_checkpoint
from palate.auditing.training_data import check_training_data
from palate.config import AuditConfig, resolve
from palate.data import cache
from palate.data.load import stream_groups
from palate.data.read import PreferenceData, collect
from palate.errors import ConfigError
from palate.health.annotators.check import check_annotators
from palate.health.corpus import build_corpus
from palate.health.leaks.check import check_leaks
from palate.health.thresholds import parse_threshold
from palate.report.document import Report, Subject, gather_provenance
from palate.report.findings import Check

NAMES = ("audit.html", "audit.json", "audit.md")


@dataclass(slots=True)
class Listener:
    """Who is told how far it is; by default nobody.

    Attributes:
        stage: the name of what begins now, and how many groups it will score if that is known.
        advance: how many groups were just scored.
        say: lines for people.
    """

    stage: Callable[[str, int | None], object] = lambda _name, _total: None
    advance: Callable[[int], None] = lambda _groups: None
    say: Callable[[str], object] = lambda _line: None


def audit(config: AuditConfig | None = None, /, *, listener: Listener | None = None, **settings: Any) -> Report:
    """Audit a reward model and write audit.html, audit.json and audit.md into `out`.

    Args:
        config: all settings at once; or give them by name.
        listener: is told how far it is.
        settings: fields of `AuditConfig`, overriding `config`.

    Raises:
        ConfigError: a setting is wrong.
        DataError: the data cannot be read.
        ModelError: there is no model, or no server, to be audited. What is wrong with one that is there is a finding.
    """
    config, listener = resolve(AuditConfig, config, settings), listener or Listener()
    started = time.monotonic()
    run = _Run(config, listener)
    with TemporaryDirectory(prefix="palate-audit-") as folder:
        checks = tuple(run.checks(Path(folder)))
    command = sys.argv if sys.argv[1:2] == ["audit"] else ["palate.audit"]
    provenance = gather_provenance(
        ("palate", *command[1:]) if len(command) > 1 else command,
        time.monotonic() - started,
        ("torch", "transformers", "numpy"),
    )
    report = Report("Reward model", tuple(run.subjects), checks, provenance)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    for write, name in zip((report.write_html, report.write_json, report.write_markdown), NAMES, strict=True):
        write(out / name)
    return report


class _Run:
    def __init__(self, config: AuditConfig, listener: Listener) -> None:
        self.config = config
        self.listener = listener
        self.thresholds = audit_thresholds(dict(map(parse_threshold, config.threshold)))
        self.subjects: list[Subject] = []

    def checks(self, folder: Path) -> Iterator[Check]:
        config, thresholds, stage = self.config, self.thresholds, self.listener.stage
        opened, scorer, fresh = self._open()
        if scorer is None or fresh is None:
            assert opened is not None
            self.subjects.append(Subject(config.model, "reward model", {}))
            yield missing_head(opened, thresholds)
            return
        self.subjects.append(Subject(scorer.name, "reward model", {}))
        data = self._read(config.data, "held-out data")
        (folder / "data").mkdir()
        corpus = build_corpus(data.groups, folder / "data")
        stage("held-out data", len(data.groups))
        scored = Scored(corpus, np.concatenate(scorer.score(data.groups)))
        stage("mechanics", None)
        yield check_mechanics(opened, fresh, data.groups, scored.reward_R, thresholds)
        yield check_ranking(scored, thresholds)
        calibration = check_calibration(scored, thresholds)
        yield calibration
        yield check_appearance(scored, thresholds, seed=config.seed)
        scale = margin_scale(scored)
        if config.battery != "none":
            stage("battery", None)
            yield check_battery(run_battery(scorer, only_quick=config.battery == "quick"), thresholds, scale)
        if config.probes:
            stage("probes", None)
            probed = run_probes(scorer, data.groups, most=config.probes, seed=config.seed)
            yield check_probes(probed, thresholds, scale)
        if config.train_data is not None:
            stage("training data", None)
            training = self._read(config.train_data, "training data")
            (folder / "train").mkdir()
            both = build_corpus(training.groups, folder / "train", against=data.groups)
            yield check_leaks(both, thresholds)
            yield check_annotators(both, thresholds)
            yield check_training_data(both, scored, thresholds)
        if config.save_temperature:
            self._save_temperature(opened, calibration)

    def _open(self) -> tuple[Opened | None, Scorer | None, Scorer | None]:
        """The checkpoint if there is one, its scorer, and one that remembers nothing."""
        config, advance = self.config, self.listener.advance
        if config.model.startswith(("http://", "https://")):
            key = Path(config.api_key_file).read_text(encoding="utf-8").strip() if config.api_key_file else None
            server = RemoteScorer(config.model, tokenizer=self._tokenizer(), api_key=key, on_progress=advance)
            self.listener.say(f"{config.model} speaks the protocol of {server.protocol}")
            return None, server, server
        opened = open_checkpoint(config.model, dtype=config.dtype)
        for remark in opened.remarks:
            self.listener.say(f"warning: {remark}")
        if opened.model is None:
            return opened, None, None
        budget = config.tokens_per_pack
        memory = RewardMemory(cache.folder() / "rewards", model_key(opened.model)) if config.cache else None
        kept = LocalScorer(opened.model, config.model, tokens_per_pack=budget, memory=memory, on_progress=advance)
        return opened, kept, LocalScorer(opened.model, config.model, tokens_per_pack=budget)

    def _tokenizer(self) -> Any:
        if self.config.tokenizer is None:
            return None
        from palate.model.backbone import load_tokenizer

        return load_tokenizer(self.config.tokenizer)[0]

    def _read(self, source: str, what: str) -> PreferenceData:
        config = self.config
        limit = config.max_groups if what == "held-out data" else None
        data = collect(stream_groups(source, split=config.split, on_bad_row=config.on_bad_row, max_groups=limit))
        self.listener.say(f"{source}: {data.summary()}")
        comparisons = sum(len(group.comparisons) for group in data.groups)
        counts = {"rows": data.rows, "groups": len(data.groups), "comparisons": comparisons}
        self.subjects.append(Subject(source, what, counts | {"rows left out": len(data.dropped)}))
        return data

    def _save_temperature(self, opened: Opened | None, calibration: Check) -> None:
        temperature = calibration.facts.get("calibration.temperature")
        fitted = calibration.facts.get("calibration.temperature_status") == "fitted"
        if opened is None or opened.model is None or opened.model.contract is None or not fitted:
            raise ConfigError(
                "save-temperature needs a palate checkpoint, and data that a temperature can be fitted to"
            )
        assert isinstance(temperature, float)
        opened.save_temperature(temperature)
        self.listener.say(f"temperature {temperature:.3f} written to the contract of {opened.directory}")
