"""Accuracy on held-out prompts that were trained on, against those that were not."""

import numpy as np

from palate.auditing.scorer import Scored
from palate.health.corpus import Corpus
from palate.health.thresholds import Thresholds
from palate.metrics import accuracy_interval
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table

_WHY = (
    "A model remembers what it was trained on. Held-out prompts that are in the training data make it look better than "
    "it is, and the difference between the two accuracies says by how much."
)


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
    rows: list[tuple[str, int, float, float, float]] = []
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
        findings = thresholds.find(
            "inflated",
            f"Held-out accuracy is {whole:.3f} with leaked prompts and {rows[1][2]:.3f} without them.",
            Measure(whole - rows[1][2], "accuracy"),
            cure="Report the accuracy on the clean part, and split by prompt next time.",
            command="palate data split DATA --out DIR",
        )
    table = Table(("prompts", "pairs", "accuracy", "low", "high"), tuple(rows), "Accuracy by whether a prompt leaked")
    return Check(Section(section.key, section.title, _WHY, (table,)), findings, facts)
