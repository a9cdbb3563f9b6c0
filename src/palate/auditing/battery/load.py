"""The pairs of the battery, read from the JSON lines beside this module: one file a family, one line a pair.

The lines are ordinary preference data: `palate evaluate --data` reads the files as they are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby

from palate.records import Comparison, Conversation, Message, PreferenceGroup

_QUICK = 2  # pairs a family and length relation: two fifths of the tokens, and every family is still there


@dataclass(frozen=True, slots=True)
class BatteryPair:
    """One prompt, a response that is better beyond dispute, and a worse one.

    Attributes:
        id: family and number, such as `dates-03`.
        family: what it tests; in adversarial pairs, the kind of the flaw.
        prompt: the conversation before the response.
        chosen, rejected: the assistant's texts.
        why: one line on why the chosen one is better.
        proof: a Python expression over `response` that is true of the chosen one and not of the rejected one. The
            tests of palate evaluate it, palate itself never does. Empty where only a reader can tell.
        where: file and line.
    """

    id: str
    family: str
    prompt: Conversation
    chosen: str
    rejected: str
    why: str
    proof: str
    where: str

    @property
    def longer(self) -> int:
        """By how many characters the chosen response is longer."""
        return len(self.chosen) - len(self.rejected)

    def to_group(self) -> PreferenceGroup:
        """For a scorer: the chosen response comes first."""
        responses = tuple((Message("assistant", text),) for text in (self.chosen, self.rejected))
        return PreferenceGroup(
            self.id, self.prompt, responses, (Comparison(0, 1),), where=self.where, source=self.family
        )


@cache
def battery() -> tuple[BatteryPair, ...]:
    """Trivial pairs: whoever can judge responses at all gets every one of them right. By family, then by number."""
    return _read("pairs")


@cache
def adversarial() -> tuple[BatteryPair, ...]:
    """A fluent response with one obvious flaw loses against a clumsy one without; half of the flawed are longer."""
    return _read("adversarial")


def quick(pairs: Sequence[BatteryPair], each: int = _QUICK) -> tuple[BatteryPair, ...]:
    """A small part of the pairs for every checkpoint of a training run, the same one each time.

    Of each family, the shortest pairs whose chosen response is the longer one, and those whose chosen response is the
    shorter one: short, since they are to cost little, and as many of both, since a few pairs chosen otherwise would
    reward a preference for length.

    Args:
        pairs: families must not be interleaved.
        each: of either kind in each family, where there are so many.
    """
    kept: list[BatteryPair] = []
    for _, family in groupby(pairs, key=lambda pair: pair.family):
        own = tuple(family)
        shortest = sorted(own, key=lambda pair: len(pair.chosen) + len(pair.rejected))
        longer = [pair for pair in shortest if pair.longer > 0][:each]
        shorter = [pair for pair in shortest if pair.longer < 0][:each]
        kept += [pair for pair in own if pair in (*longer, *shorter)]
    return tuple(kept)


def _read(folder: str) -> tuple[BatteryPair, ...]:
    pairs = []
    found = files(__package__).joinpath(folder).iterdir()
    for file in sorted((entry for entry in found if entry.name.endswith(".jsonl")), key=lambda entry: entry.name):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            row = json.loads(line)
            prompt = tuple(Message(turn["role"], turn["content"]) for turn in row["prompt"])
            where = f"battery/{folder}/{file.name}:{number}"
            texts = (row["chosen"], row["rejected"], row["why"], row.get("proof", ""))
            pairs.append(BatteryPair(row["id"], row["family"], prompt, *texts, where))
    return tuple(pairs)
