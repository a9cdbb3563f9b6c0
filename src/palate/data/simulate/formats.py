"""Following a format: the same few words, wanted as JSON, as bullets, in lower case, in so many sentences.

The content is right in every response but those about another topic; what is asked is the form. Each form is
wanted by some prompts and a fault under all others, so the form alone says nothing.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from palate.data.simulate.task import Fault, Task, Template, ask, listed, others

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """How a prompt asks for a form, and the forms of a right answer."""

    name: str
    wishes: tuple[str, ...]
    forms: tuple[Callable[[str, Words], str], ...]


def _sentences(topic: str, words: Words) -> str:
    frames = (
        "You could take {}.",
        "Another one is {}.",
        "Then there is {}.",
        "People also like {}.",
        "Last comes {}.",
    )
    return " ".join(frame.format(word) for frame, word in zip(frames, words, strict=False))


def _short_sentences(topic: str, words: Words) -> str:
    return " ".join(f"{word.capitalize()} is one." for word in words)


def _plain(topic: str, words: Words) -> str:
    return f"Some {topic} are {listed(words)}."


def _plain_long(topic: str, words: Words) -> str:
    return f"If you are looking for {topic}, you could think of {listed(words)}."


def _numbered(topic: str, words: Words) -> str:
    return "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1))


FORMATS = (
    Format(
        "json",
        (
            'Reply with a JSON object whose only key "{topic}" holds the list.',
            'Give me JSON: a list under "{topic}".',
        ),
        (
            lambda topic, words: json.dumps({topic: words}),
            lambda topic, words: json.dumps({topic: words}, indent=1),
        ),
    ),
    Format(
        "bullets",
        ("Use a bullet list, one item a line.", "I want one bullet point for each of them."),
        (
            lambda topic, words: "\n".join(f"- {word}" for word in words),
            lambda topic, words: "\n".join(f"* {word}" for word in words),
        ),
    ),
    Format("numbered", ("Make it a numbered list.", "Number them, one to a line."), (_numbered,)),
    Format(
        "commas",
        (
            "Only the words, on one line, with commas between.",
            "Separate them by commas and write nothing else.",
        ),
        (lambda topic, words: ", ".join(words),),
    ),
    Format(
        "semicolons",
        (
            "Put semicolons between them and write nothing else.",
            "One line, please, with semicolons in between.",
        ),
        (lambda topic, words: "; ".join(words),),
    ),
    Format(
        "lower",
        ("Answer in one sentence, all in lower case.", "Write a sentence without any capital letter."),
        (
            lambda topic, words: _plain(topic, words).lower(),
            lambda topic, words: _plain_long(topic, words).lower(),
        ),
    ),
    Format(
        "upper",
        ("Answer in one sentence, in capital letters only.", "Write a sentence that is all in upper case."),
        (
            lambda topic, words: _plain(topic, words).upper(),
            lambda topic, words: _plain_long(topic, words).upper(),
        ),
    ),
    Format(
        "sentences",
        ("Use exactly {count} sentences, one for each.", "Give every item a sentence of its own."),
        (_sentences, _short_sentences),
    ),
    Format(
        "plain",
        ("An ordinary sentence will do, no list.", "Just tell me in one normal sentence."),
        (_plain, _plain_long),
    ),
)
ASKS = (
    "Name {count} {topic}. {wish}",
    "I need {count} examples of {topic}. {wish}",
    "Please think of {count} {topic} for me. {wish}",
    "Which {count} {topic} come to your mind? {wish}",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five")
TOPICS = {
    "fruits": "apple pear plum cherry grape peach lemon mango banana",
    "vegetables": "carrot onion leek spinach cabbage turnip celery pumpkin",
    "colours": "red blue green yellow purple orange brown grey",
    "instruments": "piano violin flute trumpet drum guitar harp cello",
    "trees": "oak pine birch maple willow beech ash cedar",
    "tools": "hammer saw drill pliers wrench chisel file spade",
    "sports": "tennis football rowing hockey judo skiing golf rugby",
    "birds": "robin sparrow eagle crow heron swallow owl finch",
    "drinks": "water tea coffee milk juice cocoa lemonade cider",
    "flowers": "rose tulip daisy lily poppy violet iris orchid",
    "gems": "ruby emerald sapphire opal topaz diamond garnet amethyst",
    "garments": "shirt coat scarf hat glove sock skirt jumper",
    "metals": "iron copper silver gold tin zinc lead nickel",
    "spices": "pepper ginger cumin saffron nutmeg cinnamon paprika turmeric",
    "vehicles": "bus train tram bicycle lorry ferry taxi scooter",
}


def formats(rng: Random) -> Task:
    """Draw a topic, a number of words and a wanted form; the faults are other forms and another number of words."""
    topic, vocabulary = rng.choice(list(TOPICS.items()))
    count = rng.randint(3, 4)
    words = tuple(rng.sample(vocabulary.split(), count + 1))
    right, miscounted = words[:count], rng.choice((words, words[: count - 1]))
    wanted = rng.choice(FORMATS)
    faults = [
        Fault("format-ignored", form(topic, right)) for other in _clashing(rng, wanted) for form in other.forms
    ] + [Fault("count-wrong", form(topic, miscounted)) for form in wanted.forms]
    wish = rng.choice(wanted.wishes)
    template = Template(f"formats/{wanted.name}", tuple(text.replace("{wish}", wish) for text in ASKS), (), ())
    task = ask(rng, template, answer=", ".join(right), style="form", topic=topic, count=NUMBERS[count])
    return replace(task, subject=topic, full=tuple(form(topic, right) for form in wanted.forms), faults=tuple(faults))


def _clashing(rng: Random, wanted: Format) -> tuple[Format, ...]:
    """Forms that break the wish: all others, but a sentence in lower case passes for an ordinary one."""
    clashing = tuple(form for form in FORMATS if (wanted.name, form.name) != ("plain", "lower"))
    return others(rng, clashing, wanted, 4)
