"""Edits of held-out responses: which texts are taken, how they are scored, and what is counted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from palate.auditing.local import LocalScorer
from palate.auditing.probes.catalogue import PROBES
from palate.auditing.probes.probe import Probe, of_response
from palate.auditing.probes.run import ProbeResult, run_probes
from palate.data.read import read_preferences
from palate.records import Comparison, Message, PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.tiny import tiny_reward_model

APPEND = Probe("append", "a word more", "must not gain", of_response(lambda text: f"{text} more"))
DIGITS = Probe(
    "digits", "no digits", "must lose", of_response(lambda text: text.replace("7", "") if "7" in text else None)
)
BORROW = Probe("borrow", "another answer", "must lose", lambda prompt, response, others: "|".join(others) or None)
ECHO = Probe("echo", "the prompt", "must not gain", lambda prompt, response, others: prompt)


class Scorer:
    """Rewards by a function of the last message; groups with a text of more than `longest` characters have none."""

    name = "fake"

    def __init__(self, reward: Callable[[str], float] = len, longest: int = 10**9) -> None:
        self.reward, self.longest = reward, longest
        self.calls: list[list[PreferenceGroup]] = []

    def score(self, groups: Sequence[PreferenceGroup]) -> list[NDArray[np.float64]]:
        self.calls.append(list(groups))
        return [self._score([response[-1].content for response in group.responses]) for group in groups]

    def _score(self, texts: list[str]) -> NDArray[np.float64]:
        if max(map(len, texts)) > self.longest:
            return np.full(len(texts), np.nan)
        return np.array([self.reward(text) for text in texts], dtype=np.float64)


def pair(prompt: str, chosen: str, rejected: str = "worse", where: str = "a:1") -> PreferenceGroup:
    responses = tuple((Message("assistant", text),) for text in (rejected, chosen))
    return PreferenceGroup(where, (Message("user", prompt),), responses, (Comparison(1, 0),), where)


GROUPS = [pair(f"prompt {n}", f"answer {n}", where=f"a:{n}") for n in range(30)]


def texts_of(result: ProbeResult, probe: int) -> list[str]:
    return [text for text, number in zip(result.text_E, result.probe_E, strict=True) if number == probe]


def test_originals_and_edits_of_a_text_are_one_group_and_keep_their_rewards() -> None:
    scorer = Scorer()
    result = run_probes(scorer, GROUPS, probes=(APPEND, DIGITS))
    (groups,) = scorer.calls
    assert sorted(group.where for group in groups) == sorted(group.where for group in GROUPS)
    for group in groups:
        original, *edits = (response[-1].content for response in group.responses)
        assert edits == [f"{original} more"] + ([original.replace("7", "")] if "7" in original else [])
        assert group.comparisons == ()
    assert result.not_applied_P.tolist() == [0, 27]  # 7, 17, 27 have a seven
    assert len(texts_of(result, 0)) == 30
    assert result.gain_E.tolist() == [
        len(text) - len(result.sources[source].response)
        for text, source in zip(result.text_E, result.source_E, strict=True)
    ]
    assert result.reward_S.tolist() == [len(source.response) for source in result.sources]
    assert (result.looked_at, result.left_out, result.scored_alone) == (30, {}, 0)


def test_takes_the_best_response_and_counts_groups_without_one() -> None:
    ranking = replace(
        pair("r", ""),
        responses=tuple((Message("assistant", text),) for text in ("bad", "good", "best")),
        comparisons=(Comparison(1, 0), Comparison(2, 1), Comparison(2, 0), Comparison(0, 2, probability=0.5)),
    )
    tie = replace(pair("t", "a"), comparisons=(Comparison(1, 0, probability=0.5),))
    groups = [ranking, tie, pair("e", " "), pair("s", "same"), pair("s", "same", "other"), pair("S ", "differs")]
    result = run_probes(Scorer(), groups, probes=(APPEND,))
    assert sorted(source.response for source in result.sources) == ["best", "differs", "same"]
    assert result.left_out == {
        "no comparison has a right answer": 1,
        "the best response is empty": 1,
        "the best response is that of another group of the prompt": 1,
    }


def test_most_bounds_every_probe_and_rare_ones_are_looked_for() -> None:
    many = [pair(f"prompt {n}", f"answer {n}", where=f"a:{n}") for n in range(100)]
    scorer = Scorer()
    result = run_probes(scorer, many, probes=(APPEND, DIGITS), most=5)
    assert (len(texts_of(result, 0)), len(texts_of(result, 1))) == (5, 5)
    assert result.looked_at < 100  # stops when every probe has enough
    assert len(scorer.calls[0]) == len(result.sources) <= 10
    never = run_probes(Scorer(), many, probes=(DIGITS,), most=1, seed=2)
    assert len(texts_of(never, 0)) == 1
    no_sevens = [group for group in many if "7" not in group.id]
    assert run_probes(Scorer(), no_sevens, probes=(DIGITS,), most=2).looked_at == 40  # 20 for each wanted text


def test_the_same_seed_takes_the_same_texts() -> None:
    first, again, other = (run_probes(Scorer(), GROUPS, most=10, seed=seed) for seed in (1, 1, 2))
    assert first.text_E == again.text_E
    assert first.sources == again.sources
    assert first.sources != other.sources


def test_every_prompt_gives_a_text_before_one_gives_two() -> None:
    groups = [pair("often", f"answer {n}") for n in range(50)] + [pair(f"rare {n}", "yes") for n in range(5)]
    result = run_probes(Scorer(), groups, probes=(APPEND,), most=8)
    prompts = [source.prompt for source in result.sources]
    assert len(set(prompts[:6])) == 6
    assert prompts[6:] == ["often", "often"]


def test_others_answer_other_prompts() -> None:
    groups = [pair("one", f"first {n}") for n in range(5)] + [pair(f"two {n}", f"second {n}") for n in range(12)]
    result = run_probes(Scorer(), groups, probes=(BORROW,))
    for text, source in zip(result.text_E, result.source_E, strict=True):
        others = text.split("|")
        assert 1 <= len(others) <= 8
        assert result.sources[source].response not in others
        if result.sources[source].prompt == "one":
            assert not any(other.startswith("first") for other in others)
    alone = run_probes(Scorer(), [pair("one", f"first {n}") for n in range(5)], probes=(BORROW,))
    assert (alone.text_E, alone.sources, alone.not_applied_P.tolist()) == ((), (), [5])


def test_only_the_last_message_is_edited() -> None:
    turns = (Message("assistant", "a"), Message("user", "and?"), Message("assistant", "b"))
    group = PreferenceGroup("g", (Message("user", "p"),), (turns, turns[:1]), (Comparison(0, 1),))
    scorer = Scorer()
    result = run_probes(scorer, [group], probes=(APPEND, ECHO))
    assert scorer.calls[0][0].responses == (
        turns,
        (*turns[:2], Message("assistant", "b more")),
        (*turns[:2], Message("assistant", "and?")),
    )
    assert result.sources[0].prompt == "and?"


def test_a_text_that_is_too_long_costs_its_own_reward_alone() -> None:
    groups = [pair("p", "x" * 10), pair("q", "y" * 5)]
    scorer = Scorer(longest=12)
    result = run_probes(scorer, groups, probes=(APPEND, ECHO))
    assert result.scored_alone == 1
    assert len(scorer.calls[1]) == 3  # original, longer, echo
    gain = {
        (result.sources[source].prompt, int(probe)): gain
        for source, probe, gain in zip(result.source_E, result.probe_E, result.gain_E, strict=True)
    }
    assert np.isnan(gain.pop(("p", 0)))
    assert gain == {("p", 1): -9, ("q", 0): 5, ("q", 1): -4}


def test_sharing_prompts_and_openings_changes_no_reward() -> None:
    model = tiny_reward_model(max_length=4096)
    groups = random_groups(3, words=30)
    result = run_probes(LocalScorer(model, "tiny"), groups)
    assert result.scored_alone == 0
    assert len(result.text_E) > 60
    for number, source in enumerate(result.sources):
        prompt = next(group.prompt for group in groups if group.where == source.where)
        rows = np.flatnonzero(result.source_E == number)
        together = [result.reward_S[number], *result.reward_E[rows]]
        separate = [model.score(prompt, [text])[0] for text in (source.response, *(result.text_E[row] for row in rows))]
        assert together == pytest.approx(separate, abs=1e-4)


def test_most_probes_find_texts_in_published_dialogues(real_data: Path) -> None:
    groups = read_preferences(str(real_data / "hh_rlhf/helpful-base/test.jsonl.gz"), on_bad_row="skip").groups
    result = run_probes(Scorer(), groups, most=20)
    found = np.bincount(result.probe_E, minlength=len(PROBES))
    assert (found == 20).sum() >= 55
    assert set(result.never_applied) <= {
        *("compatibility-form", "bold-marks", "fence-language", "fence-marks", "latex-delimiters", "boxed"),
        *("header-marks", "ellipsis", "html-entities", "unicode-form", "dashes", "broken-code"),
    }


def test_nothing_to_edit() -> None:
    scorer = Scorer()
    result = run_probes(scorer, [])
    assert (result.sources, result.text_E, result.gain_E.tolist(), scorer.calls) == ((), (), [], [])
    assert result.never_applied == tuple(probe.name for probe in PROBES)
