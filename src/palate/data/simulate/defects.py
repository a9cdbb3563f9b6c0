"""Ways for a response to be less than right, and what each is worth.

Most defects are made from sentences that are right somewhere: the answer to another question, the right words
in the wrong order, two answers that contradict each other, half a sentence. Word counts cannot see those, a
reader can at once. A smaller part is subtle: the same sentence with another number or name in it.
"""

import re
from dataclasses import dataclass, replace
from random import Random

from palate.data.simulate.refusals import REFUSALS
from palate.data.simulate.task import Task, say

QUALITY = {
    "": 0.96,
    "curt": 0.72,
    "repeats": 0.66,
    "aside": 0.60,
    "rude": 0.45,
    "unit-missing": 0.42,
    "count-wrong": 0.40,
    "format-ignored": 0.34,
    "wrong": 0.30,
    "unit-wrong": 0.28,
    "cut-off": 0.25,
    "contradiction": 0.22,
    "refuses": 0.12,
    "made-up": 0.11,
    "unseen": 0.10,
    "elsewhere": 0.08,
    "complies": 0.07,
    "shuffled": 0.06,
    "astray": 0.04,
}
"""What a response with each defect is worth to a reader who has all the time in the world; right and well put
is 1."""

OPENERS = (
    "Sure.", "Of course.", "Certainly.", "Happy to help.", "Let me see.", "Here you go.", "Good question.", "Gladly.",
)  # fmt: skip
RESTATEMENTS = (
    "So the answer is {answer}.", "In short: {answer}.", "That makes it {answer}.", "To sum up: {answer}.",
    "Which means: {answer}.", "Final answer: {answer}.",
)  # fmt: skip
COURTESIES = (
    "Let me know if anything is unclear.",
    "Ask me again whenever you like.",
    "You could work it out yourself once more to be sure.",
    "Anyone at school will tell you the same.",
    "Tell me if you have more of these to do.",
    "Next time you can try it on paper first.",
    "I hope it was worth your time.",
)
RUDENESS = (
    "Anyone who was at school would know that.",
    "Next time, try to think before you ask me.",
    "I have better things to do than this.",
    "You really could not work that out yourself?",
    "Do not waste my time with more of these.",
    "It must be hard to be so slow.",
    "I hope somebody else has to help you next time.",
    "Even my cat would find that one easy.",
)
UNSEEN = (
    "I do not see a question. Could you send it again?",
    "Your message came without any text. Please paste it here.",
    "There is nothing in what you wrote that I could answer yet.",
    "I would like to help, but the question seems to be missing from your message.",
)

WEIGHTS = {
    "chat": {
        "": 2, "curt": 4, "repeats": 3, "aside": 7, "rude": 6, "wrong": 15, "contradiction": 7, "cut-off": 8,
        "shuffled": 14, "elsewhere": 24, "astray": 16, "refuses": 5, "unseen": 3,
    },
    "note": {
        "": 2, "curt": 4, "wrong": 12, "cut-off": 8, "shuffled": 14, "elsewhere": 24, "astray": 16, "unseen": 4,
    },
    "form": {"": 2, "cut-off": 6, "elsewhere": 24, "astray": 16, "refuses": 5, "unseen": 4},
}  # fmt: skip
"""How often each defect is drawn, by style; a family's own faults come on top."""
OWN_FAULTS = 25
"""How often any of them is drawn, on the same scale."""


@dataclass(frozen=True, slots=True)
class Pool:
    """All tasks of a set, one tuple for each family: where answers to other questions come from."""

    families: tuple[tuple[Task, ...], ...]

    def elsewhere(self, rng: Random, task: Task) -> Task | None:
        """Another task of the same family whose answer cannot pass for this one's, or None after twenty tries."""
        family = next(tasks for tasks in self.families if tasks[0].family == task.family)
        for other in rng.choices(family, k=20):
            if other.subject != task.subject and (other.answer != task.answer or not task.answer):
                return other
        return None

    def astray(self, rng: Random, task: Task) -> Task | None:
        """A task of another family, or None if there is no other."""
        families = [tasks for tasks in self.families if tasks[0].family != task.family]
        return rng.choice(rng.choice(families)) if families else None


def draw_defect(rng: Random, task: Task) -> str:
    """One of the defects that a response to this task can have; empty for none."""
    weights: dict[str, float] = dict(WEIGHTS[task.style])
    if not task.wrong:
        weights = {name: weight for name, weight in weights.items() if name not in ("wrong", "contradiction")}
    if not task.curt:
        weights.pop("curt", None)
    if task.family == "missing":
        del weights["unseen"]  # there, not seeing it is right
    for fault in task.faults:
        weights[fault.defect] = weights.get(fault.defect, 0) + OWN_FAULTS / len(task.faults)
    return rng.choices(list(weights), list(weights.values()))[0]


def respond(rng: Random, task: Task, defect: str, pool: Pool) -> str | None:
    """A response with the defect, in words drawn anew; None where this draw has no such response.

    Args:
        rng: draws the wording.
        task: the question.
        defect: a key of `QUALITY`.
        pool: the other questions.
    """
    own = [fault.text for fault in task.faults if fault.defect == defect]
    if own:
        return rng.choice(own)
    if defect == "elsewhere":
        other = pool.elsewhere(rng, task)
        return right(rng, replace(other, full=_telling(other))) if other else None
    if defect == "astray":
        other = pool.astray(rng, task)
        return right(rng, other) if other else None
    if defect == "aside":
        other = pool.astray(rng, task)
        return f"{right(rng, task)} {say(rng.choice(other.full), other.answer)}" if other else None
    if defect in ("refuses", "unseen"):
        return rng.choice(REFUSALS if defect == "refuses" else UNSEEN)
    return _own_words(rng, task, defect)


def right(rng: Random, task: Task, answer: str | None = None) -> str:
    """The answer (the right one if not given) in a full wording, dressed as people do where the style allows."""
    answer = task.answer if answer is None else answer
    text = say(rng.choice(task.full), answer)
    if task.style != "chat":
        return text
    opening = f"{rng.choice(OPENERS)} " if rng.random() < 0.2 else ""
    ending = rng.random()
    if ending < 0.3:
        return f"{opening}{text} {say(rng.choice(RESTATEMENTS), answer)}"
    return f"{opening}{text} {rng.choice(COURTESIES)}" if ending < 0.45 else opening + text


def _telling(task: Task) -> tuple[str, ...]:
    """The wordings that let a reader see which question they answer, where there are any."""
    return tuple(text for text in task.full if any(word in text for word in task.subject.split())) or task.full


def _own_words(rng: Random, task: Task, defect: str) -> str | None:
    if defect == "":
        return right(rng, task)
    if defect == "curt":
        return say(rng.choice(task.curt), task.answer)
    if defect == "wrong":
        return right(rng, task, rng.choice(task.wrong))
    if defect == "rude":
        return f"{right(rng, task)} {rng.choice(RUDENESS)}"
    if defect == "repeats":
        first, second = rng.sample(task.full, 2)
        return f"{say(first, task.answer)} {say(second, task.answer)} {say(rng.choice(RESTATEMENTS), task.answer)}"
    if defect == "contradiction":
        claims = [task.answer, rng.choice(task.wrong)]
        rng.shuffle(claims)
        return f"{say(rng.choice(task.full), claims[0])} {say(rng.choice(RESTATEMENTS), claims[1])}"
    if defect == "cut-off":
        return _cut(rng, say(rng.choice(task.full), task.answer))
    return _shuffled(rng, right(rng, task))


def _cut(rng: Random, text: str) -> str | None:
    """The text up to the end of a word between a third and four fifths of it, never the end of a sentence."""
    ends = [match.end() for match in re.finditer(r"[\w\"']+(?=[ ,;\n])", text)]
    inside = [end for end in ends if len(text) / 3 < end < len(text) * 0.8]
    return text[: rng.choice(inside)] if inside else None


def _shuffled(rng: Random, text: str) -> str | None:
    words = text.split()
    if len(words) < 6:  # shorter ones may still read well
        return None
    mixed = rng.sample(words, len(words))
    return " ".join(mixed) if mixed != words else None
