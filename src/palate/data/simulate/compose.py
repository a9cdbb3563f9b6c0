"""From tasks to groups: who answers what, what is compared with what, and which flaws are planted.

A group has one right response and, mostly, spoiled ones. Each response but the best is compared with one that
is clearly better, so K responses have K - 1 comparisons that hang together. Lengths are kept out of it:
whether a spoiled response is to be longer or shorter than the right one is tossed first, and wordings are
drawn until one fits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from palate.data.simulate.annotators import CLEAR, Annotators, Pair, label
from palate.data.simulate.arithmetic import arithmetic
from palate.data.simulate.dates import dates
from palate.data.simulate.defects import QUALITY, Pool, draw_defect, respond, right
from palate.data.simulate.facts import facts
from palate.data.simulate.flaws import decorate, duplicate
from palate.data.simulate.formats import formats
from palate.data.simulate.lists import lists
from palate.data.simulate.manners import manners
from palate.data.simulate.missing import missing
from palate.data.simulate.passages import passages
from palate.data.simulate.refusals import refusals
from palate.data.simulate.strings import strings
from palate.data.simulate.task import Task
from palate.data.simulate.truth import Entry, Flaws, GroupTruth, ResponseTruth, SimulatedSet
from palate.data.simulate.units import units
from palate.errors import ConfigError
from palate.records import Message, PreferenceGroup, prompt_hash

_DRAW: dict[str, Callable[[Random], Task]] = {
    "arithmetic": arithmetic,
    "units": units,
    "dates": dates,
    "lists": lists,
    "strings": strings,
    "facts": facts,
    "passages": passages,
    "formats": formats,
    "manners": manners,
    "refusals": refusals,
    "missing": missing,
}
FAMILIES = tuple(_DRAW)
"""Names of all families of questions."""

GREETINGS = (
    "Hello!",
    "Hi there.",
    "Good morning.",
    "Quick question.",
    "I hope you can help me.",
    "One more thing.",
)
THANKS = ("Thanks!", "Thank you.", "Many thanks in advance.")
MOST_RESPONSES = 32
"""Of a prompt; every family has wordings for so many that are no two alike."""
_TRIES = 8  # wordings drawn in search of one that is longer, or shorter, than the right response
_PATIENCE = 200  # prompts drawn in search of one that has not been asked


@dataclass(frozen=True, slots=True)
class _Response:
    text: str
    quality: float
    defect: str


@dataclass(frozen=True, slots=True)
class _Setting:
    """What holds for every group of a set."""

    pool: Pool
    responses: tuple[int, int]
    annotators: Annotators
    flaws: Flaws


def simulate(
    num_prompts: int = 1200,
    *,
    seed: int = 0,
    families: tuple[str, ...] | None = None,
    responses: tuple[int, int] = (2, 6),
    annotators: Annotators | None = None,
    flaws: Flaws | None = None,
) -> SimulatedSet:
    """Make a preference set with known truth; the same arguments give the same set on every machine.

    Args:
        num_prompts: distinct prompts, spread evenly over the families. Planted leaks and duplicates come on
            top.
        seed: of every draw.
        families: some of `FAMILIES`; None for all.
        responses: fewest and most responses a prompt; each number is about half as frequent as the one below.
        annotators: who votes; None for `Annotators()`.
        flaws: what to plant; None for nothing.

    Returns:
        Groups in drawn order, each response at a drawn place, and the truth about them.

    Raises:
        ConfigError: a family is unknown, a number is out of range, or the families hold too few prompts.

    >>> made = simulate(22, seed=3)
    >>> len(made.groups), made.groups[0].id == made.truth[0].id
    (22, True)
    """
    names = FAMILIES if families is None else families
    _check(num_prompts, names, responses)
    rng = Random(f"palate/{seed}")
    tasks = _distinct_tasks(rng, num_prompts, names)
    pool = Pool(tuple(tuple(task for task in tasks if task.family == name) for name in names[:num_prompts]))
    setting = _Setting(pool, responses, annotators or Annotators(), flaws or Flaws())
    entries = [_build(rng, task, f"sim-{number:05d}", setting) for number, task in enumerate(tasks, 1)]
    return _with_additions(rng, entries, tasks, setting)


def _check(num_prompts: int, families: tuple[str, ...], responses: tuple[int, int]) -> None:
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        raise ConfigError(f"unknown families {unknown}; choose from {', '.join(FAMILIES)}")
    if num_prompts < 1:
        raise ConfigError(f"num-prompts is {num_prompts}; at least 1 is needed")
    if not 2 <= responses[0] <= responses[1] <= MOST_RESPONSES:
        raise ConfigError(f"responses is {responses}; give the fewest and the most, between 2 and {MOST_RESPONSES}")


def _distinct_tasks(rng: Random, number: int, families: tuple[str, ...]) -> tuple[Task, ...]:
    """Tasks with distinct prompts, the families taking turns, in shuffled order."""
    tasks: dict[str, Task] = {}
    asked: set[str] = set()
    for place in range(number):
        family = families[place % len(families)]
        for drawn in range(_PATIENCE):
            task = _DRAW[family](rng)
            question = task.prompt
            task = replace(task, prompt=_greeted(rng, question))
            identity = prompt_hash((Message("user", task.prompt),))
            # the same question under another greeting would leak from part to part of a split: only as a last resort
            if identity not in tasks and (question not in asked or drawn >= _PATIENCE // 10):
                tasks[identity] = task
                asked.add(question)
                break
        else:
            raise ConfigError(f"family {family} has no more prompts after {len(tasks)} in all; ask for fewer prompts")
    ordered = list(tasks.values())
    rng.shuffle(ordered)
    return tuple(ordered)


def _greeted(rng: Random, prompt: str) -> str:
    greeting = f"{rng.choice(GREETINGS)} " if rng.random() < 0.25 else ""
    thanks = f" {rng.choice(THANKS)}" if rng.random() < 0.15 else ""
    return greeting + prompt + ("" if prompt.endswith(":") else thanks)  # behind a colon it would be the material


def _build(rng: Random, task: Task, identity: str, setting: _Setting) -> Entry:
    """One group: responses, then comparisons, then votes."""
    best, *rest = _responses(rng, task, setting)
    artefact = rng.random() < setting.flaws.artefact
    if artefact:
        best = replace(best, text=decorate(rng, best.text))
    shown = [best, *rest]
    rng.shuffle(shown)
    labels = [label(rng, pair, setting.annotators, setting.flaws) for pair in _pairs(rng, shown, shown.index(best))]
    group = PreferenceGroup(
        id=identity,
        prompt=(Message("user", task.prompt),),
        responses=tuple((Message("assistant", response.text),) for response in shown),
        comparisons=tuple(made.comparison for made in labels),
    )
    truth = GroupTruth(
        id=identity,
        kind=task.kind,
        answer=task.answer,
        responses=tuple(ResponseTruth(response.quality, response.defect) for response in shown),
        comparisons=tuple(made.truth for made in labels),
        artefact=artefact,
    )
    return Entry(group, truth)


def _responses(rng: Random, task: Task, setting: _Setting) -> list[_Response]:
    """A right response first, then others, no two alike."""
    low, high = setting.responses
    number = rng.choices(range(low, high + 1), [0.55**step for step in range(high - low + 1)])[0]
    best = _Response(right(rng, task), _quality(rng, ""), "")
    made = [best]
    for _ in range(_PATIENCE):
        if len(made) == number:
            return made
        defect = draw_defect(rng, task)
        text = _fitting(rng, task, defect, setting.pool, len(best.text))
        if text is not None and all(text != other.text for other in made):
            made.append(_Response(text, _quality(rng, defect), defect))
    raise ConfigError(f"no {number} different responses to {task.prompt!r}; ask for fewer responses or more prompts")


def _quality(rng: Random, defect: str) -> float:
    return round(QUALITY[defect] + rng.uniform(-0.03, 0.03), 4)


def _fitting(rng: Random, task: Task, defect: str, pool: Pool, length: int) -> str | None:
    """A response with the defect, longer or shorter than `length` as a coin decides, if a few draws give one."""
    longer = rng.random() < 0.5
    text = None
    for _ in range(_TRIES):
        drawn = respond(rng, task, defect, pool)
        text = drawn or text
        if drawn and len(drawn) != length and (len(drawn) > length) == longer:
            break
    return text


def _pairs(rng: Random, shown: list[_Response], best: int) -> tuple[Pair, ...]:
    """Each response but the best against one that is clearly better, or against the best where none is."""
    pairs = []
    for place, response in enumerate(shown):
        if place == best:
            continue
        better = [other for other, that in enumerate(shown) if that.quality - response.quality >= CLEAR]
        first, second = sorted((place, rng.choice(better or [best])))
        qualities = (shown[first].quality, shown[second].quality)
        pairs.append(Pair(first, second, qualities, (len(shown[first].text), len(shown[second].text))))
    return tuple(pairs)


def _with_additions(rng: Random, entries: list[Entry], tasks: tuple[Task, ...], setting: _Setting) -> SimulatedSet:
    """Plant repeated prompts and copies, at drawn places."""
    plain = len(entries)
    added: list[Entry] = []
    for place in rng.sample(range(plain), round(setting.flaws.leaks * plain)):
        again = _build(rng, tasks[place], f"sim-{plain + len(added) + 1:05d}", setting)
        added.append(replace(again, truth=replace(again.truth, leaked_from=entries[place].group.id)))
    for place in rng.sample(range(plain), round(setting.flaws.duplicates * plain)):
        added.append(duplicate(entries[place], f"sim-{plain + len(added) + 1:05d}"))
    everything = list(entries)
    for entry in added:
        everything.insert(rng.randrange(len(everything) + 1), entry)
    return SimulatedSet(tuple(entry.group for entry in everything), tuple(entry.truth for entry in everything))
