"""`palate audit`: one reward model, held-out data, every check, one report.

The data is scored once; checks of ranking, calibration and appearance read rewards and columns, while the battery, the
probes and the mechanics ask for rewards of texts of their own. Whatever is asked for twice is computed once.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
from palate.auditing.local import States
from palate.auditing.mechanics import check_mechanics, missing_head
from palate.auditing.opening import open_scorers, read_data
from palate.auditing.patterns import check_patterns
from palate.auditing.people.check import check_people
from palate.auditing.probes.check import check_probes
from palate.auditing.probes.run import run_probes
from palate.auditing.ranking import check_ranking, margin_scale
from palate.auditing.remote import RemoteScorer
from palate.auditing.scorer import Scored, Scorer
from palate.auditing.subject import Opened
from palate.auditing.training_data import check_training_data
from palate.config import AuditConfig, resolve
from palate.data.read import PreferenceData
from palate.errors import ConfigError
from palate.health.annotators.check import check_annotators
from palate.health.corpus import Corpus, build_corpus
from palate.health.leaks.check import check_leaks
from palate.health.thresholds import parse_threshold
from palate.records import PreferenceGroup
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
        ConfigError: a setting is wrong; after the reports, where there is no temperature to be saved.
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
    if config.save_temperature:
        run.save_temperature(report)
    return report


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The held-out data, its rewards, and the states [R, D] behind them where they were asked for."""

    data: PreferenceData
    scored: Scored
    state: States | None


class _Run:
    def __init__(self, config: AuditConfig, listener: Listener) -> None:
        self.config = config
        self.listener = listener
        self.thresholds = audit_thresholds(dict(map(parse_threshold, config.threshold)))
        self.subjects: list[Subject] = []
        self.opened: Opened | None = None

    def checks(self, folder: Path) -> Iterator[Check]:
        """What costs nothing is read first, so that a mistake in it is said before anything is computed."""
        config = self.config
        judged = judge_candidates(config, say=self.listener.say, advance=self.listener.advance)
        opened, scorer, fresh = self._open()
        self.opened = opened
        self._refuse_to_save()
        if scorer is None or fresh is None:
            assert opened is not None
            self.subjects.append(Subject(config.model, "reward model", {}))
            yield missing_head(opened, self.thresholds)
            return
        self.subjects.append(Subject(scorer.name, "reward model", {}))
        data = self._read(config.data, "held-out data")
        outputs = self._read_outputs(config.policy_outputs)
        held_out = self._score(scorer, data, folder / "data", states=outputs is not None)
        yield from self._about_rewards(opened, fresh, held_out)
        yield from self._about_texts(scorer, held_out)
        training, both = self._training(data, folder / "train")
        if both is not None:
            yield from self._about_training(both, held_out.scored)
        if judged is not None:
            self.listener.stage("best-of-N samples", len(judged.samples))
            self.subjects += judged.subjects
            yield judged.check(scorer, self.thresholds)
        yield check_people(held_out.scored, self.thresholds, state=held_out.state, training=both, seed=config.seed)
        if outputs is not None:
            self.listener.stage("policy outputs", None)
            side = side_of(held_out.scored.corpus, held_out.scored.reward_R, held_out.state)
            yield drift_of(scorer, outputs.groups, side, training, self.thresholds, config, folder)

    def _score(self, scorer: Scorer, data: PreferenceData, folder: Path, *, states: bool) -> "_HeldOut":
        self.listener.stage("held-out data", len(data.groups))
        folder.mkdir()
        corpus = build_corpus(data.groups, folder)
        reward, state = score_all(scorer, data.groups, states=states or len(corpus.votes.annotator) > 0)
        return _HeldOut(data, Scored(corpus, reward), state)

    def _about_rewards(self, opened: Opened | None, fresh: Scorer, held_out: "_HeldOut") -> Iterator[Check]:
        """What the rewards of the held-out data say."""
        config, thresholds, scored = self.config, self.thresholds, held_out.scored
        groups = held_out.data.groups
        self.listener.stage("mechanics", None)
        refusals = dict(fresh.refusals) if isinstance(fresh, RemoteScorer) else {}  # before it is asked for others
        yield check_mechanics(opened, fresh, groups, scored.reward_R, thresholds, refusals=refusals)
        yield check_ranking(scored, thresholds)
        yield check_groups(scored)
        formats = formats_of(config.data, groups, held_out.data.formats, split=config.split)
        benchmarks = check_benchmarks(groups, scored.reward_R, formats)
        if benchmarks is not None:
            yield benchmarks
        yield check_calibration(scored, thresholds)
        yield check_appearance(scored, thresholds, seed=config.seed)
        yield check_patterns(scored, thresholds)

    def _about_texts(self, scorer: Scorer, held_out: "_HeldOut") -> Iterator[Check]:
        """What the model makes of texts that were written to try it."""
        config, scale = self.config, margin_scale(held_out.scored)
        if config.battery != "none":
            self.listener.stage("battery", None)
            result = run_battery(scorer, only_quick=config.battery == "quick")
            yield check_battery(result, self.thresholds, scale)
        if config.probes:
            self.listener.stage("probes", None)
            probed = run_probes(scorer, held_out.data.groups, most=config.probes, seed=config.seed)
            yield check_probes(probed, self.thresholds, scale)

    def _training(
        self, held_out: PreferenceData, folder: Path
    ) -> tuple[Sequence[PreferenceGroup] | None, Corpus | None]:
        """The training data, and as columns beside the held-out data."""
        if self.config.train_data is None:
            return None, None
        self.listener.stage("training data", None)
        training = self._read(self.config.train_data, "training data").groups
        folder.mkdir()
        return training, build_corpus(training, folder, against=held_out.groups)

    def _about_training(self, both: Corpus, scored: Scored) -> Iterator[Check]:
        yield check_leaks(both, self.thresholds)
        yield check_annotators(both, self.thresholds)
        yield check_training_data(both, scored, self.thresholds)

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

    def _refuse_to_save(self) -> None:
        """Before anything is computed. Of a checkpoint without a head there is a report, which says so."""
        opened = self.opened
        contract = None if opened is None or opened.model is None else opened.model.contract
        if self.config.save_temperature and contract is None and not (opened is not None and opened.missing_head):
            raise ConfigError(
                f"save-temperature writes into palate.json, which {self.config.model} does not have: it needs a "
                "palate checkpoint; leave it out"
            )

    def save_temperature(self, report: Report) -> None:
        """Into the contract, once the reports are there to say what it does.

        Raises:
            ConfigError: none could be fitted.
        """
        facts = report.facts
        temperature, status = facts.get("calibration.temperature"), facts.get("calibration.temperature_status")
        if self.opened is None or status != "fitted":
            why = f" ({status})" if status else ""
            raise ConfigError(
                f"save-temperature needs data that a temperature can be fitted to{why}; nothing was saved, and the "
                f"report in {self.config.out} says more"
            )
        assert isinstance(temperature, float)
        self.opened.save_temperature(temperature)
        self.listener.say(f"temperature {temperature:.3f} written to the contract of {self.opened.directory}")
