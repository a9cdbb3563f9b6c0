"""Accuracy on held-out prompts that were trained on, against those that were not."""

import math

import numpy as np

from palate.auditing.scorer import Scored
from palate.health.corpus import Corpus
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate, accuracy_interval
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table

_WHY = (
    "A model remembers what it was trained on. Held-out prompts that are in the training data make it look better than "
    "it is, and the difference between the two accuracies says by how much."
)

_Row = tuple[str, int, float, float, float]
"""Prompts, pairs, accuracy, and the ends of its interval."""


def check_training_data(both: Corpus, scored: Scored, thresholds: Thresholds) -> Check:
    """Accuracy on leaked and on clean prompts.

    Args:
        both: training data, with the held-out data as what it is compared against.
        scored: the held-out data with rewards.
        thresholds: for `inflated`.
    """
    section = Section("inflation", "Held-out accuracy with and without leaks", _WHY, ())
    usable = scored.usable_C
    prompts = scored.corpus.groups.prompt_key[scored.corpus.comparisons.group]
    leaked = np.isin(prompts, both.groups.prompt_key[~both.groups.against]) & usable
    clean = usable & ~leaked
    if not leaked.any():
        return Check(section, facts={"inflation.leaked_pairs": 0})
    rows: list[_Row] = []
    for name, member in (("also in the training data", leaked), ("not in it", clean)):
        if not member.any():
            continue
        correct = (np.sign(scored.margin_C[member]) + 1) / 2
        held = accuracy_interval(correct, prompts[member])
        rows.append((name, int(member.sum()), float(correct.mean()), held.low, held.high))
    facts: dict[str, Fact] = {"inflation.leaked_pairs": int(leaked.sum()), "inflation.clean_pairs": int(clean.sum())}
    facts |= {"inflation.leaked_accuracy": rows[0][2]}
    findings: tuple[Finding, ...] = ()
    if len(rows) > 1:
        facts |= {"inflation.clean_accuracy": rows[1][2]}
        whole = (rows[0][1] * rows[0][2] + rows[1][1] * rows[1][2]) / (rows[0][1] + rows[1][1])
        found = _inflation(*rows)
        facts |= {"inflation.value": found.value, "inflation.low": found.low, "inflation.high": found.high}
        findings = thresholds.find(
            "inflated",
            f"Held-out accuracy is {whole:.3f} with leaked prompts and {rows[1][2]:.3f} without them.",
            Measure(found.value, "accuracy", found.low, found.high),
            cure="Report the accuracy on the clean part, and split by prompt next time.",
            command="palate data split DATA --out DIR",
        )
    table = Table(("prompts", "pairs", "accuracy", "low", "high"), tuple(rows), "Accuracy by whether a prompt leaked")
    return Check(Section(section.key, section.title, _WHY, (table,)), findings, facts)


def _inflation(leaked: _Row, clean: _Row) -> Estimate:
    """Accuracy of the whole beyond that of the clean part: the leaked share of the pairs times the difference.

    No prompt is in both parts, so the interval of the difference comes from those of the parts (see
    `accuracy_interval`): an end is as far off as the root of the summed squares of theirs. Source: Newcombe (1998),
    method 10; for any two intervals Zou and Donner (2008).
    """
    _, leaked_pairs, one, one_low, one_high = leaked
    _, clean_pairs, other, other_low, other_high = clean
    share, apart = leaked_pairs / (leaked_pairs + clean_pairs), one - other
    below, above = math.hypot(one - one_low, other_high - other), math.hypot(one_high - one, other - other_low)
    return Estimate(share * apart, share * (apart - below), share * (apart + above))
