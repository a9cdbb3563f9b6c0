"""`palate data check`: all checks over one set of files, as one report.

The data is read once; every check then reads columns. Bad rows never stop a check, for they are what it is there to
find: they are left out, counted and listed.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from palate.config import CheckConfig, resolve
from palate.data.load import stream_groups
from palate.data.manifest import verify
from palate.data.read import GroupStream
from palate.errors import ConfigError, DataError
from palate.forked import refuse_unsafe, usable_cores
from palate.health.annotators.check import check_annotators
from palate.health.contradictions.check import check_contradictions
from palate.health.corpus import Corpus, build_corpus
from palate.health.leaks.check import check_leaks
from palate.health.leaks.contamination import check_contamination
from palate.health.noise.check import check_noise
from palate.health.rows import check_rows
from palate.health.scores import read_margins
from palate.health.shortcuts.artefacts import check_artefacts
from palate.health.shortcuts.baseline import check_baseline, fit_baseline
from palate.health.shortcuts.length import check_length
from palate.health.thresholds import Thresholds, parse_threshold
from palate.health.tokens import TokenCounts, check_tokens, count_tokens
from palate.records import PreferenceGroup
from palate.report.document import Report, Subject, gather_provenance
from palate.report.findings import Check

_MOST_WORKERS = 8
_WRITERS: dict[str, Callable[[Report, Path], None]] = {
    ".html": Report.write_html,
    ".json": Report.write_json,
    ".md": Report.write_markdown,
}


@dataclass(slots=True)
class Listener:
    """Who is told how far it is; by default nobody.

    Attributes:
        stage: the name of what begins now.
        advance: how many groups were just read.
        say: lines for people.
    """

    stage: Callable[[str], object] = lambda _name: None
    advance: Callable[[int], None] = lambda _groups: None
    say: Callable[[str], object] = lambda _line: None


def check_data(config: CheckConfig | None = None, /, *, listener: Listener | None = None, **settings: Any) -> Report:
    """Check preference data and write the reports that `out` names.

    Args:
        config: all settings at once; or give them by name.
        listener: is told how far it is.
        settings: fields of `CheckConfig`, overriding `config`.

    Raises:
        ConfigError: a setting is wrong.
        DataError: a file cannot be read at all, or no group could be read from any.
        ModelError: the tokenizer cannot be loaded.
    """
    config, listener = resolve(CheckConfig, config, settings), listener or Listener()
    started = time.monotonic()
    outputs = [(_writer(name), Path(name)) for name in config.out]
    thresholds = Thresholds(dict(map(parse_threshold, config.threshold)))
    refuse_unsafe(config.workers)
    if not config.data:
        raise ConfigError("name at least one file, folder or hub id to check")
    with TemporaryDirectory(prefix="palate-check-") as folder:
        run = _Run(config, listener, thresholds, Path(folder))
        checks = tuple(run.checks())
        subject = tuple(run.subjects())
    provenance = gather_provenance(
        ("palate", "data", "check", *sys.argv[3:]) if sys.argv[1:3] == ["data", "check"] else ("palate.check_data",),
        time.monotonic() - started,
        ("numpy", "scikit-learn", "pyarrow"),
    )
    report = Report("Preference data", subject, checks, provenance)
    for write, path in outputs:
        write(report, path)
    return report


@dataclass(slots=True)
class _Run:
    config: CheckConfig
    listener: Listener
    thresholds: Thresholds
    folder: Path
    streams: dict[str, list[GroupStream]] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        return self.config.workers or usable_cores(_MOST_WORKERS)

    def checks(self) -> Iterator[Check]:
        config, thresholds, stage = self.config, self.thresholds, self.listener.stage
        self._verify_manifests()
        corpus = self._corpus()
        yield check_rows(corpus, thresholds, [stream.report for stream in self.streams["checked"]])
        stage("leaks")
        yield check_leaks(corpus, thresholds)
        benchmarks = {name: self._stream(name, "benchmark") for name in self._names("benchmark")}
        contamination = check_contamination(corpus, benchmarks, thresholds)
        self._refuse_empty("benchmark")
        yield contamination
        stage("contradictions")
        yield check_contradictions(corpus, thresholds)
        stage("length")
        yield check_length(corpus, thresholds)
        stage("style")
        yield check_artefacts(corpus, thresholds)
        stage("baselines")
        baseline = fit_baseline(corpus, workers=self.workers)
        yield check_baseline(thresholds, baseline)
        stage("label noise")
        if config.scores:
            yield check_noise(corpus, thresholds, read_margins(Path(config.scores), corpus), config.scores)
        else:
            margins = None if baseline is None else baseline.margins
            yield check_noise(corpus, thresholds, margins, "the n-gram baseline")
        stage("annotators")
        yield check_annotators(corpus, thresholds)
        stage("tokens")
        yield self._tokens()

    def subjects(self) -> Iterator[Subject]:
        for what, streams in self.streams.items():
            for name, stream in zip(self._names(what), streams, strict=True):
                report = stream.report
                counts = {"rows": report.rows, "groups": report.groups, "comparisons": report.comparisons}
                yield Subject(name, what, counts | {"rows left out": len(report.dropped)})

    def _names(self, what: str) -> tuple[str, ...]:
        benchmarks = tuple(dict.fromkeys(self.config.benchmark))
        by_part = {"checked": self.config.data, "against": self.config.against, "benchmark": benchmarks}
        return by_part[what]

    def _stream(self, name: str, what: str) -> GroupStream:
        stream = stream_groups(
            name,
            split=self.config.split,
            on_bad_row="skip",
            max_groups=self.config.max_groups if what == "checked" else None,
            require_comparisons=what == "checked",
        )
        self.streams.setdefault(what, []).append(stream)
        return stream

    def _corpus(self) -> Corpus:
        config = self.config
        self.listener.stage("reading")
        checked = [self._stream(name, "checked") for name in config.data]
        against = [self._stream(name, "against") for name in config.against]
        corpus = build_corpus(
            chain.from_iterable(checked),
            self.folder,
            against=chain.from_iterable(against),
            workers=self.workers,
            on_progress=self.listener.advance,
        )
        if corpus.groups.against.all():
            reasons = "; ".join(stream.report.summary() for stream in checked)
            raise DataError(f"no preferences in it ({reasons})", reason="no-groups", where=", ".join(config.data))
        self._refuse_empty("against")
        for name, stream in zip((*config.data, *config.against), (*checked, *against), strict=True):
            self.listener.say(f"{name}: {stream.report.summary()}")
        return corpus

    def _refuse_empty(self, what: str) -> None:
        """What holds nothing that can be read would be found clean without having been looked at."""
        for name, stream in zip(self._names(what), self.streams.get(what, []), strict=True):
            if not stream.report.groups:
                message = f"nothing in it can be read ({stream.report.summary()})"
                raise DataError(message, reason="no-groups", where=name)

    def _tokens(self) -> Check:
        config = self.config
        if config.tokenizer is None:
            return check_tokens(None, self.thresholds, max_length=config.max_length)
        from palate.model.backbone import load_tokenizer

        tokenizer, remarks = load_tokenizer(config.tokenizer)
        for remark in remarks:
            self.listener.say(f"warning: {remark}")
        counts = self._count(tokenizer)
        return check_tokens(
            counts,
            self.thresholds,
            name=config.tokenizer,
            specials=tokenizer.all_special_ids,
            max_length=config.max_length,
        )

    def _count(self, tokenizer: Any) -> TokenCounts:
        def counted(stream: GroupStream) -> Iterator[PreferenceGroup]:
            for group in stream:
                self.listener.advance(1)
                yield group

        config = self.config
        streams = (
            stream_groups(name, split=config.split, on_bad_row="skip", max_groups=config.max_groups)
            for name in config.data
        )
        groups = chain.from_iterable(map(counted, streams))
        return count_tokens(groups, tokenizer, workers=self.workers)

    def _verify_manifests(self) -> None:
        for name in (*self.config.data, *self.config.against):
            verify(Path(name))


def _writer(name: str) -> Callable[[Report, Path], None]:
    ending = Path(name).suffix.lower()
    if ending not in _WRITERS:
        raise ConfigError(f"out is {name!r}; its ending must be one of {', '.join(_WRITERS)}")
    return _WRITERS[ending]
