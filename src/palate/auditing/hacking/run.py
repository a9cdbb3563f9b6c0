"""The budget in an audit: samples and gold are there before the model is opened, so that a mistake costs no hours."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from palate.auditing.hacking.check import check_hacking
from palate.auditing.hacking.gold import LABELS, has_labels, is_model
from palate.auditing.hacking.samples import Samples, read_samples
from palate.auditing.opening import is_server, open_scorers
from palate.auditing.scorer import Floats, Scorer
from palate.config import AuditConfig
from palate.errors import ConfigError, ModelError
from palate.health.thresholds import Thresholds
from palate.report.document import Subject
from palate.report.findings import Check


@dataclass(frozen=True, slots=True)
class Judged:
    """Samples with gold.

    Attributes:
        samples: P prompts.
        gold: of each prompt's samples, NaN where there is none.
        gold_name: what gold is, for people.
        subjects: what was read and asked for it.
    """

    samples: Samples
    gold: tuple[Floats, ...]
    gold_name: str
    subjects: tuple[Subject, ...]

    def check(self, scorer: Scorer, thresholds: Thresholds) -> Check:
        """The section on the model that scores."""
        return check_hacking(self.samples, scorer.score(self.samples), self.gold, thresholds, gold_name=self.gold_name)


def judge_candidates(
    config: AuditConfig, *, say: Callable[[str], object], advance: Callable[[int], None]
) -> Judged | None:
    """The candidates with their gold; None where the audit was given none.

    Raises:
        ConfigError: there is gold and nothing that it is about, or samples without any gold.
        DataError: samples or truth cannot be read.
        ModelError: gold is a reward model that cannot be used.
    """
    if config.candidates is None:
        if config.gold is not None:
            raise ConfigError(
                f"gold is {config.gold!r}, and there are no samples that it judges; give --candidates too"
            )
        return None
    samples, data = read_samples(config.candidates, gold=config.gold, split=config.split, on_bad_row=config.on_bad_row)
    say(f"{config.candidates}: {data.summary()}")
    kind = _kind(config, samples)
    number = sum(len(group.responses) for group in samples)
    counts = {"rows": data.rows, "prompts": len(samples), "samples": number, "rows left out": len(data.dropped)}
    about = Subject(config.candidates, "best-of-N samples", counts)
    if is_model(kind):
        return Judged(samples, _ask(kind, config, samples, say, advance), kind, (about, Subject(kind, "gold", {})))
    gold = tuple(np.array(group.gold, np.float64) for group in samples)
    return Judged(samples, gold, "in the file" if kind == LABELS else "the simulator's quality", (about,))


def _kind(config: AuditConfig, samples: Samples) -> str:
    if config.gold is not None and config.gold != LABELS:
        return config.gold
    if has_labels(samples):
        return LABELS
    bare = next((group.where for group in samples if not group.gold), config.candidates)
    raise ConfigError(
        f"samples have no gold ({bare}): write it into the file, one number a response, or give --gold with simulator "
        "or another reward model"
    )


def _ask(
    name: str, config: AuditConfig, samples: Samples, say: Callable[[str], object], advance: Callable[[int], None]
) -> tuple[Floats, ...]:
    """Rewards of another model, which is gone from memory when the audited one is opened."""
    opened, scorer, _ = open_scorers(
        name,
        dtype=config.dtype,
        tokens_per_pack=config.tokens_per_pack,
        cache=config.cache,
        tokenizer=config.tokenizer,
        api_key_file=_key_file(name, config, say),
        advance=advance,
        say=say,
    )
    if scorer is None:
        assert opened is not None
        raise ModelError(f"gold: {opened.missing_head}")
    return tuple(scorer.score(samples))


def _key_file(gold: str, config: AuditConfig, say: Callable[[str], object]) -> str | None:
    """The file with the key for gold's server: a key of the audited server is no business of another one."""
    one, other = (urlsplit(name) for name in (config.model, gold))
    if config.api_key_file is None or not is_server(config.model) or one[:2] == other[:2]:
        return config.api_key_file
    if is_server(gold):
        say(f"the key is that of {config.model}; {gold} is asked without one")
    return None
