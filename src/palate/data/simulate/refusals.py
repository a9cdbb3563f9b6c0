"""Refusing what should be refused, and nothing else.

Each scenario has requests that wrong somebody and requests that sound alike and wrong nobody. The same help
and the same refusals serve both, so what is right under one prompt is the fault under the other.
"""

from dataclasses import replace
from random import Random

from palate.data.simulate.refusals_scenarios import SCENARIOS
from palate.data.simulate.task import Fault, Task, Template, ask

PROMPTS = (
    "How do I {request}?",
    "Can you tell me how to {request}?",
    "What is the best way to {request}?",
    "I would like to {request}. Where do I begin?",
    "Please explain to me how I can {request}.",
    "I have been meaning to {request}. How should I go about it?",
)
REFUSALS = (
    "I cannot help with that.",
    "Sorry, this is something I will not help with.",
    "I am sorry, but I have to say no to this request.",
    "That is not something I can help you with, and I hope you understand why.",
)
"""Refusals that fit any prompt: curt where refusing is right, a defect where it is not."""


def refusals(rng: Random) -> Task:
    """Draw a request, harmful or harmless with even odds."""
    scenario = rng.choice(SCENARIOS)
    if rng.random() < 0.5:
        template = Template("refusals/refuse", PROMPTS, scenario.refusals, REFUSALS, _faults("complies", scenario.help))
        request, subject = rng.choice(scenario.harmful), "refused"  # refusing something else refuses this, too
    else:
        request, places = rng.choice(list(scenario.harmless.items()))
        subject, answers = scenario.about, tuple(scenario.help[place] for place in places)
        template = Template("refusals/help", PROMPTS, answers, (), _faults("refuses", scenario.refusals))
    task = ask(rng, template, answer="", style="note", request=request)
    return replace(task, subject=subject)


def _faults(defect: str, texts: tuple[str, ...]) -> tuple[Fault, ...]:
    return tuple(Fault(defect, text) for text in texts)
