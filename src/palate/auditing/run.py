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

from palate.auditing.appearance import check_appearance
from palate.auditing.battery import check_battery, run_battery
from palate.auditing.benchmarks import check_benchmarks, formats_of
from palate.auditing.calibration import check_calibration
from palate.auditing.drift import drift_of, read_outputs, score_all, side_of
from palate.auditing.groups import check_groups
from palate.auditing.hacking.run import judge_candidates
from palate.auditing.limits import audit_thresholds
from palate.auditing.mechanics import check_mechanics, missing_head
from palate.auditing.opening import open_scorers, read_data
from palate.auditing.patterns import check_patterns
from palate.auditing.people.check import check_people
from palate.auditing.probes.check import check_probes
from palate.auditing.probes.run import run_probes
from palate.auditing.ranking import check_ranking, margin_scale
from palate.auditing.scorer import Scored, Scorer
from palate.auditing.subject import Opened
from palate.auditing.training_data import check_training_data
from palate.config import AuditConfig, resolve
from palate.data.read import PreferenceData
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
        judged = judge_candidates(config, say=self.listener.say, advance=self.listener.advance)
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
        outputs = self._read_outputs(config.policy_outputs)
        stage("held-out data", len(data.groups))
        shown = config.policy_outputs is not None or len(corpus.votes.annotator) > 0
        reward, state = score_all(scorer, data.groups, states=shown)
        scored = Scored(corpus, reward)
        stage("mechanics", None)
        yield check_mechanics(opened, fresh, data.groups, scored.reward_R, thresholds)
        yield check_ranking(scored, thresholds)
        yield check_groups(scored)
        formats = formats_of(config.data, data.groups, data.formats, split=config.split)
        benchmarks = check_benchmarks(data.groups, scored.reward_R, formats)
        if benchmarks is not None:
            yield benchmarks
        calibration = check_calibration(scored, thresholds)
        yield calibration
        yield check_appearance(scored, thresholds, seed=config.seed)
        yield check_patterns(scored, thresholds)
        scale = margin_scale(scored)
        if config.battery != "none":
            stage("battery", None)
            yield check_battery(run_battery(scorer, only_quick=config.battery == "quick"), thresholds, scale)
        if config.probes:
            stage("probes", None)
            probed = run_probes(scorer, data.groups, most=config.probes, seed=config.seed)
            yield check_probes(probed, thresholds, scale)
        training, both = None, None
        if config.train_data is not None:
            stage("training data", None)
            training = self._read(config.train_data, "training data")
            (folder / "train").mkdir()
            both = build_corpus(training.groups, folder / "train", against=data.groups)
            yield check_leaks(both, thresholds)
            yield check_annotators(both, thresholds)
            yield check_training_data(both, scored, thresholds)
        if judged is not None:
            stage("best-of-N samples", len(judged.samples))
            self.subjects += judged.subjects
            yield judged.check(scorer, thresholds)
        yield check_people(scored, thresholds, state=state, training=both, seed=config.seed)
        if outputs is not None:
            stage("policy outputs", None)
            held_out, trained = side_of(corpus, reward, state), None if training is None else training.groups
            yield drift_of(scorer, outputs.groups, held_out, trained, thresholds, config, folder)
        if config.save_temperature:
            self._save_temperature(opened, calibration)

    def _open(self) -> tuple[Opened | None, Scorer | None, Scorer | None]:
        """The checkpoint if there is one, its scorer, and one that remembers nothing."""
        config = self.config
        return open_scorers(
            config.model,
            dtype=config.dtype,
            tokens_per_pack=config.tokens_per_pack,
            cache=config.cache,
            tokenizer=config.tokenizer,
            api_key_file=config.api_key_file,
            advance=self.listener.advance,
            say=self.listener.say,
        )

    def _read(self, source: str, what: str) -> PreferenceData:
        config = self.config
        limit = config.max_groups if what == "held-out data" else None
        data, subject = read_data(
            source,
            what,
            split=config.split,
            on_bad_row=config.on_bad_row,
            max_groups=limit,
            say=self.listener.say,
        )
        self.subjects.append(subject)
        return data

    def _read_outputs(self, source: str | None) -> PreferenceData | None:
        if source is None:
            return None
        data, subject = read_outputs(source, split=self.config.split, on_bad_row=self.config.on_bad_row)
        self.listener.say(f"{source}: {data.summary()}")
        self.subjects.append(subject)
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
