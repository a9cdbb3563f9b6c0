"""What each expectation means for somebody who trains against the model, and what to do where it is not met."""

from collections.abc import Mapping
from dataclasses import dataclass

from palate.auditing.probes.probe import Expectation


@dataclass(frozen=True, slots=True)
class Meaning:
    """How one expectation is said.

    Attributes:
        id: of the finding.
        judged_by: which effect of many texts is held to the tolerance.
        text: what these edits are, and what follows from a wrong effect.
        title: of the finding, to be filled in.
        cure: what to do.
        command: ready to be copied; empty where there is none.
    """

    id: str
    judged_by: str
    text: str
    title: str
    cure: str
    command: str = ""


MEANINGS: Mapping[Expectation, Meaning] = {
    "must not move": Meaning(
        "probe-move",
        "the median size of the effect",
        "Must not move: edits that a reader does not see, or does not mind. Where they move the reward, the same "
        "answer is worth more in one form than in another: comparisons are noisier than they look, and a policy may be "
        "paid for characters that nobody sees.",
        "{wrong} of {judged} edits that change nothing for a reader move the reward, most of all {name}: by "
        "{effect:.2f} margins in the median text.",
        "Write texts in one form before training and before scoring, or add pairs in both forms, so that the form does "
        "not tell chosen from rejected.",
    ),
    "must not gain": Meaning(
        "probe-gain",
        "the median effect",
        "Must not gain: edits that anybody can make and that make no response better. Where they raise the reward, a "
        "policy learns to make them in every response, whatever the question: this is reward hacking before it has "
        "happened. A gain of one margin pays as much as giving the better of two typical answers.",
        "{wrong} of {judged} edits that make a response no better raise its reward, most of all {name}: "
        "{effect:+.2f} margins in the median text.",
        "Add pairs in which the response with the edit loses to the one without. Where longer edits gain more, keep "
        "length out of the reward while training.",
        "palate train --data PREFS --length-control decorrelation",
    ),
    "must lose": Meaning(
        "probe-lose",
        "the effect that a third of the texts exceed",
        "Must lose: edits that spoil a response. Where they cost nothing, the model does not read what they change, "
        "and nothing keeps a policy from such faults. Not every one of them spoils every text, so one text in three "
        "may keep its reward.",
        "{wrong} of {judged} edits that spoil a response cost too many texts no reward, first of all {name}: in a "
        "third of them the effect is {effect:+z.2f} margins or more.",
        "Add pairs whose rejected response is the chosen one with such a fault, and see the battery for what else the "
        "model misses.",
    ),
}
"""By expectation."""
