"""One question with its ways of being answered: what a family of questions hands over.

A family knows what is true and how people would say it; it knows nothing of annotators, defects or data
files. It hands over a `Task`: the prompt, the right answer, answers that are subtly wrong, and wordings. A
wording is a sentence in which `{answer}` still stands open, so the same sentence can be said rightly or
wrongly. That is what keeps word counts from telling good from bad: right and wrong responses are said in the
same words.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

Item = TypeVar("Item")
Style = Literal["chat", "note", "form"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A finished response that is wrong in a way only its family knows, such as a missing unit."""

    defect: str
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """Wordings of one kind of question, with named slots.

    Attributes:
        kind: `family/kind`.
        prompts: ways to ask.
        full: ways to answer that say what they answer.
        curt: ways to give the bare answer; empty where there is none.
        faults: bad answers of this kind, slots still open.
    """

    kind: str
    prompts: tuple[str, ...]
    full: tuple[str, ...]
    curt: tuple[str, ...] = ("{answer}.", "It is {answer}.")
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One question, ready to be answered well or badly.

    Attributes:
        kind: `family/kind`.
        prompt: the question.
        answer: the right answer, as it stands in every right response of a checkable family.
        subject: what the question is about; an answer to a task with another subject misses this one.
        wrong: subtly wrong answers, none equal to `answer`.
        full: wordings that say what they answer, `{answer}` open.
        curt: bare wordings, `{answer}` open.
        faults: finished responses with a defect of the family's own.
        style: `chat` may be opened and closed with a sentence of courtesy; `note` is prose that is finished
            as it stands; `form` is text whose layout matters.
    """

    kind: str
    prompt: str
    answer: str
    subject: str
    wrong: tuple[str, ...]
    full: tuple[str, ...]
    curt: tuple[str, ...]
    faults: tuple[Fault, ...]
    style: Style

    @property
    def family(self) -> str:
        """The part of `kind` before the slash."""
        return self.kind.partition("/")[0]


def ask(
    rng: Random,
    template: Template,
    *,
    answer: str,
    wrong: tuple[str, ...] = (),
    style: Style = "chat",
    **slots: object,
) -> Task:
    """Fill a template's slots; the prompt's wording is drawn, everything else is kept.

    >>> tea = Template("facts/colour", ("Which colour is {thing}?",), ("The colour of {thing} is {answer}.",))
    >>> task = ask(Random(0), tea, answer="black", wrong=("white",), thing="coal")
    >>> task.prompt, say(task.full[0], "white")
    ('Which colour is coal?', 'The colour of coal is white.')
    """

    def fill(text: str) -> str:
        filled = text.format(answer="{answer}", **slots)
        return filled[0].upper() + filled[1:]

    return Task(
        kind=template.kind,
        prompt=fill(rng.choice(template.prompts)).replace("{answer}", answer),
        answer=answer,
        subject=" ".join(str(value) for value in slots.values()),
        wrong=tuple(other for other in dict.fromkeys(wrong) if other != answer),
        full=tuple(fill(text) for text in template.full),
        curt=tuple(fill(text) for text in template.curt),
        faults=tuple(Fault(fault.defect, say(fill(fault.text), answer)) for fault in template.faults),
        style=style,
    )


def say(wording: str, answer: str) -> str:
    """The wording with its answer put in, and a capital where the answer opens it.

    >>> say("{answer} is right.", "forty")
    'Forty is right.'
    """
    text = wording.replace("{answer}", answer)
    return text[0].upper() + text[1:] if wording.startswith("{answer}") else text


def listed(items: tuple[str, ...], last: str = "and") -> str:
    """Items as prose.

    >>> listed(("tea", "milk", "sugar"))
    'tea, milk and sugar'
    """
    return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else items[0]


def others(rng: Random, items: tuple[Item, ...], besides: Item, number: int) -> tuple[Item, ...]:
    """Up to `number` distinct items other than `besides`, in drawn order."""
    rest = [item for item in dict.fromkeys(items) if item != besides]
    return tuple(rng.sample(rest, min(number, len(rest))))
