"""Facts given in a short passage inside the prompt: the answer has to be read, not known.

The passages name two things of each sort, so a wrong answer is often one that the passage mentions too.
"""

from random import Random

from palate.data.simulate.task import Task, Template, ask
from palate.data.simulate.vocabulary import NAMES, THINGS, TOWNS, WEEKDAYS

BROUGHT = Template(
    "passages/brought",
    prompts=(
        "{a} brought the {x} to the party and {b} brought the {y}. Who brought the {y}?",
        "At the picnic, {b} took care of the {y}, while {a} came with the {x}. Who came with the {y}?",
        "Read this: the {x} are from {a} and the {y} are from {b}. Tell me who gave the {y}.",
    ),
    full=(
        "The {y} came from {answer}.",
        "{answer} was the one with the {y}.",
        "It was {answer} who took care of the {y}.",
        "According to the text, the person behind the {y} was {answer}.",
    ),
    curt=("{answer}.", "It was {answer}."),
)
TRAIN = Template(
    "passages/train",
    prompts=(
        "The train to {x} leaves from platform {a} and the one to {y} from platform {b}. Where do I go for {y}?",
        "Platform {b} serves {y}; for {x} you need platform {a}. Which platform is right for {y}?",
    ),
    full=(
        "Go to platform {answer}.",
        "For {y}, go to platform {answer}.",
        "The train to {y} leaves from platform {answer}.",
        "Since you want to travel to {y}, the platform for you is {answer}.",
    ),
    curt=("{answer}.", "Platform {answer}."),
)
PRICE = Template(
    "passages/price",
    prompts=(
        "At the stall, the {x} cost {a} euros and the {y} cost {b} euros. How much are the {y}?",
        "{name} paid {b} euros for the {y} and {a} euros for the {x}. What did the {y} cost?",
    ),
    full=(
        "They cost {answer} euros.",
        "The {y} cost {answer} euros.",
        "For the {y} the price was {answer} euros.",
        "The text says that {answer} euros is what the {y} cost.",
    ),
    curt=("{answer}.", "{answer} euros."),
)
MOVED = Template(
    "passages/moved",
    prompts=(
        "{a} was born in {x}, moved to {y} in {year} and opened a shop there. Where is the shop?",
        "In {year}, {a} left {x} to open a shop in {y}. In which town is the shop of {a}?",
    ),
    full=(
        "The shop is in {answer}.",
        "{a} opened the shop in {answer}.",
        "In {year} the shop of {a} opened its doors in {answer}.",
        "You will find the shop of {a} in the town of {answer}.",
    ),
    curt=("{answer}.", "In {answer}."),
)
BOXES = Template(
    "passages/boxes",
    prompts=(
        "The {x} are in the {a} box and the {y} are in the {b} box. Where are the {y}?",
        "{name} put the {y} into the {b} box, the {x} into the {a} one. Which box has the {y}?",
    ),
    full=(
        "Look in the {answer} box.",
        "The {y} are in the {answer} box.",
        "Open the {answer} box and you will find the {y}.",
        "The box that holds the {y} must be the {answer} one.",
    ),
    curt=("{answer}.", "In the {answer} one."),
)
CLASSES = Template(
    "passages/classes",
    prompts=(
        "{name} has a {x} class on {a} and a {y} class on {b}. On which day is the {y} class?",
        "The {y} class meets every {b}, the {x} class every {a}. When does the {y} class meet?",
    ),
    full=(
        "It is on {answer}.",
        "The {y} class is on {answer}.",
        "The day of the {y} class is {answer}.",
        "Anyone who joins the {y} class should keep {answer} free.",
    ),
    curt=("{answer}.", "On {answer}."),
)
PETS = Template(
    "passages/pets",
    prompts=(
        "{name} owns two animals: the {x} is called {a} and the {y} is called {b}. What is the {y}'s name?",
        "Our {y} answers to {b}, but our {x} only to {a}. What is the {y} called?",
    ),
    full=(
        "Its name is {answer}.",
        "The {y} is called {answer}.",
        "{answer} is the name of the {y}.",
        "If you want the {y} to come, you have to call {answer}.",
    ),
    curt=("{answer}.", "It is {answer}."),
)

COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "grey")
COURSES = ("drawing", "cooking", "dance", "chess", "music", "pottery", "Spanish", "sewing")
ANIMALS = ("dog", "cat", "parrot", "rabbit", "pony", "hamster", "goat", "turtle")
PETNAMES = ("Biscuit", "Pepper", "Shadow", "Daisy", "Rusty", "Olive", "Rocket", "Mango", "Pebble", "Ginger")
NUMBERS = tuple(str(number) for number in range(2, 20))
SORTS = (
    (BROUGHT, THINGS, NAMES),
    (TRAIN, TOWNS, NUMBERS),
    (PRICE, THINGS, NUMBERS),
    (MOVED, TOWNS, TOWNS),
    (BOXES, THINGS, COLOURS),
    (CLASSES, COURSES, WEEKDAYS),
    (PETS, ANIMALS, PETNAMES),
)


def passages(rng: Random) -> Task:
    """Draw a passage about x and y, whose values are a and b; the question is always about y."""
    template, subjects, values = rng.choice(SORTS)
    x, y = rng.sample(subjects, 2)
    a, b, elsewhere = rng.sample(values, 3)
    name = rng.choice(NAMES)
    if template is MOVED:  # here the town itself is the answer, and a is the person
        a, b, elsewhere = name, y, rng.choice([town for town in TOWNS if town not in (x, y)])
    wrong = (x if template is MOVED else a, elsewhere)
    return ask(rng, template, answer=b, wrong=wrong, a=a, b=b, x=x, y=y, name=name, year=rng.randint(1985, 2015))
