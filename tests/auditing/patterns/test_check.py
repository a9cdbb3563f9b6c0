"""A pattern that is paid for is found, and is a fault where people do not pay for it."""

from pathlib import Path

import numpy as np
import pytest

from palate.auditing.limits import audit_thresholds
from palate.auditing.patterns import check_patterns
from palate.auditing.patterns.check import FEWEST
from palate.auditing.scorer import Floats, Scored
from palate.health.corpus import Corpus, build_corpus
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check, Table

PROMPTS = 500
OPENING = 'praise of the question ("Great question")'


def build(folder: Path, liked: float, *, responses: int = 2) -> tuple[Corpus, Floats, Floats]:
    """Responses with a quality and, one in five, an opening that is worth `liked` to people."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(PROMPTS, responses))
    opens = rng.random((PROMPTS, responses)) < 0.2
    worth = quality + liked * opens + 0.3 * rng.normal(size=quality.shape)
    groups = []
    for n in range(PROMPTS):
        texts = [f"{'Great question. ' if opens[n, k] else ''}It is {k} of {n}." for k in range(responses)]
        order = np.argsort(-worth[n]).tolist()
        pairs = tuple(Comparison(i, j) for place, i in enumerate(order) for j in order[place + 1 :])
        said = tuple((Message("assistant", text),) for text in texts)
        groups.append(PreferenceGroup(str(n), (Message("user", f"what is {n}"),), said, pairs, f"x.jsonl:{n + 1}"))
    return build_corpus(groups, folder), quality.ravel(), opens.ravel().astype(np.float64)


def check(corpus: Corpus, reward: Floats) -> Check:
    return check_patterns(Scored(corpus, reward), audit_thresholds())


def test_an_opening_that_the_model_alone_likes_is_a_fault(tmp_path: Path) -> None:
    corpus, quality, opens = build(tmp_path, liked=0.0)
    found = check(corpus, quality + 1.5 * opens)
    (finding,) = found.findings
    assert (finding.id, finding.severity) == ("top-pattern", "warn")
    assert "reat question" in finding.title
    assert finding.measure.low is not None
    assert finding.measure.low > 0.1
    assert finding.examples[0].where.startswith("x.jsonl:")
    rejected = dict(finding.examples[0].texts)["rejected"]
    assert rejected.startswith("Great question.")
    fact = found.facts["patterns.shared"][OPENING]
    assert fact["lift"] > 2
    assert fact["low"] > 1.5
    assert fact["people"]["low"] < 0.5 < fact["people"]["high"]
    assert OPENING in found.facts["patterns.unsupported"]


@pytest.mark.parametrize("worth", [1.0, 5.0])  # as much as to people, and far more
def test_an_opening_that_people_like_as_well_is_shown_and_is_none(tmp_path: Path, worth: float) -> None:
    corpus, quality, opens = build(tmp_path, liked=1.0)
    found = check(corpus, quality + worth * opens)
    assert found.findings == ()
    assert found.facts["patterns.shared"][OPENING]["people"]["low"] > 0.5
    assert found.facts["patterns.unsupported"] == []
    table = next(block for block in found.section.blocks if isinstance(block, Table))
    verdicts = {row[0]: row[-1] for row in table.rows}
    assert verdicts[OPENING] == "preferred too"


def test_a_reward_that_is_quality_shares_nothing(tmp_path: Path) -> None:
    corpus, quality, _ = build(tmp_path, liked=0.0)
    found = check(corpus, quality)
    assert found.findings == ()
    assert found.facts["patterns.shared"] == {}
    assert found.facts["patterns.tested"] > 0
    assert "No pattern" in str(found.section.blocks)


def test_noise_is_seldom_taken_for_a_taste(tmp_path: Path) -> None:
    corpus, _, _ = build(tmp_path, liked=0.0)
    rng = np.random.default_rng(2)
    found = [check(corpus, rng.normal(size=2 * PROMPTS)) for _ in range(20)]
    assert sum(bool(one.facts["patterns.shared"]) for one in found) <= 2
    assert not any(one.findings for one in found)


def test_what_the_model_avoids_is_in_the_facts(tmp_path: Path) -> None:
    corpus, quality, opens = build(tmp_path, liked=0.0)
    found = check(corpus, quality - 2 * opens)
    assert OPENING in found.facts["patterns.avoided"]
    assert found.facts["patterns.shared"].keys().isdisjoint({OPENING})


def test_one_response_a_prompt_is_compared_with_all(tmp_path: Path) -> None:
    corpus, quality, opens = build(tmp_path, liked=0.0, responses=1)
    found = check(corpus, quality + 1.5 * opens)
    assert found.facts["patterns.within_prompt"] is False
    shared = found.facts["patterns.shared"][OPENING]
    assert (shared["people"], found.findings) == (None, ())  # nobody compared anything: no telling


@pytest.mark.parametrize("reward", [np.nan, 0.0])
def test_too_little_is_said(tmp_path: Path, reward: float) -> None:
    corpus, quality, _ = build(tmp_path, liked=0.0)
    found = check(corpus, np.full(len(quality), reward))
    assert found.skipped
    assert str(FEWEST) in found.skipped or "equal" in found.skipped
