r"""A row for each decided comparison: chosen and rejected, as trainers and benchmarks want them.

A tie has no chosen response and is left out; so is a pair that palate's own reader would refuse (an empty response, the
same text twice), since a file that it cannot read back helps nobody. TRL's three shapes are those of its page on
dataset formats; `hh` is Anthropic's, one string a dialogue.
"""

from palate.data.transcripts import parse_transcript
from palate.data.turns import prompt_fault, response_fault
from palate.data.writers.pairing import Pair
from palate.data.writers.target import Job, Row, is_plain, turns
from palate.records import Conversation, Message

_SPEAKERS = {"user": "Human", "assistant": "Assistant"}


def trl_row(pair: Pair, job: Job) -> Row | None:
    """`prompt`, `chosen`, `rejected`, as texts or as messages."""
    if not _is_sound(pair, job):
        return None
    _count_order(pair, job)
    parts = {"prompt": pair.group.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
    return {name: turns(part, job.plain) for name, part in parts.items()} | _about(pair)


def trl_implicit_row(pair: Pair, job: Job) -> Row | None:
    """`chosen` and `rejected` as whole conversations; the prompt is what they share."""
    if not _is_sound(pair, job, ends=False):
        return None
    _count_order(pair, job)
    _count_boundary(pair, job)
    whole = {"chosen": pair.group.prompt + pair.chosen, "rejected": pair.group.prompt + pair.rejected}
    return {name: turns(part, plain=False) for name, part in whole.items()} | _about(pair)


def openrlhf_row(pair: Pair, job: Job) -> Row | None:
    """`context_messages`, `chosen`, `rejected`: for OpenRLHF with those names as keys, and its chat template option."""
    row = trl_row(pair, job)
    if row is not None:
        row["context_messages"] = row.pop("prompt")
    return row


def hh_row(pair: Pair, job: Job) -> Row | None:
    """`chosen` and `rejected` as transcripts, which know two speakers and no white space around a turn."""
    if not pair.group.prompt:
        job.leave_out("empty-prompt")
        return None
    texts = {}
    for name, response in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        conversation = pair.group.prompt + response
        if conversation[0].role != "user" or any(message.role not in _SPEAKERS for message in conversation):
            job.leave_out("role")
            return None
        texts[name] = "".join(f"\n\n{_SPEAKERS[one.role]}: {one.content.strip()}" for one in conversation)
        if parse_transcript(texts[name]) != _stripped(conversation):
            job.leave_out("speaker-in-text")  # a turn that holds "\n\nHuman:" itself
            return None
    if texts["chosen"] == texts["rejected"]:
        job.leave_out("identical-pair")
        return None
    if any(_stripped(part) != part for part in (pair.group.prompt, pair.chosen, pair.rejected)):
        job.lose("outer-space")
    _count_order(pair, job)
    _count_boundary(pair, job)
    return dict(texts)


def rewardbench_row(pair: Pair, job: Job) -> Row | None:
    """RewardBench's row: the responses are texts, the prompt may be several turns."""
    speakers = [message.role for message in pair.group.prompt]
    if not all(len(response) == 1 for response in (pair.chosen, pair.rejected)):
        job.leave_out("several-turns")
        return None
    if speakers != ["user", "assistant"] * (len(speakers) // 2) + ["user"]:
        job.leave_out("role")  # RewardBench takes them for alternating, whatever they say
        return None
    if not _is_sound(pair, job):
        return None
    _count_order(pair, job)
    row = {"prompt": turns(pair.group.prompt, job.plain), "subset": pair.group.source, "id": pair.id}
    row |= {"chosen": turns(pair.chosen, plain=True), "rejected": turns(pair.rejected, plain=True)}
    return row | _models(pair)


def llmbar_row(pair: Pair, job: Job) -> Row | None:
    """LLMBar's row, which keeps the order of the responses."""
    if not _is_sound(pair, job):
        return None
    return {
        "input": turns(pair.group.prompt, plain=True),
        "output_1": turns(pair.group.responses[pair.first], plain=True),
        "output_2": turns(pair.group.responses[pair.second], plain=True),
        "label": 1 if pair.comparison.winner == pair.first else 2,
        "id": pair.id,
        "source": pair.group.source,
    }


def judgebench_row(pair: Pair, job: Job) -> Row | None:
    """JudgeBench's row, whose responses are both by one model."""
    if not _is_sound(pair, job):
        return None
    model = pair.model(pair.first)
    if model != pair.model(pair.second):
        job.lose("models")
        model = ""
    return {
        "pair_id": pair.id,
        "source": pair.group.source,
        "question": turns(pair.group.prompt, plain=True),
        "response_model": model,
        "response_A": turns(pair.group.responses[pair.first], plain=True),
        "response_B": turns(pair.group.responses[pair.second], plain=True),
        "label": "A>B" if pair.comparison.winner == pair.first else "B>A",
    }


def _is_sound(pair: Pair, job: Job, *, ends: bool = True) -> bool:
    """Whether the reader of the row would take it.

    Args:
        pair: to be written.
        job: is told why not.
        ends: whether the responses stand alone, so that they must begin with the assistant and not repeat the prompt.
    """
    prompt = pair.group.prompt
    if ends:
        faults = [prompt_fault(prompt), *(response_fault(one, prompt) for one in (pair.chosen, pair.rejected))]
    else:
        asked = prompt if any(message.role == "user" for message in prompt) else ()
        faults = [None if asked else prompt_fault(asked)]
        faults += [response_fault(one[-1:], ()) for one in (pair.chosen, pair.rejected)]
    found = [fault.reason for fault in faults if fault is not None]
    if job.plain and not is_plain(pair.group):
        found.insert(0, "several-turns")
    if pair.chosen == pair.rejected:
        found.append("identical-pair")
    if found:
        job.leave_out(found[0])
    return not found


def _count_order(pair: Pair, job: Job) -> None:
    job.lose("response-order", int(pair.comparison.winner > pair.comparison.loser))


def _count_boundary(pair: Pair, job: Job) -> None:
    """Responses that begin with the same turn give it to the prompt, where only whole conversations are written."""
    openings = _stripped((pair.chosen[0], pair.rejected[0]))
    shares = min(len(pair.chosen), len(pair.rejected)) > 1 and openings[0] == openings[1]
    job.lose("prompt-boundary", int(shares))


def _about(pair: Pair) -> Row:
    group = pair.group
    about: Row = {"margin": pair.comparison.margin, "id": pair.id, "source": group.source, "time": group.time}
    return about | _models(pair)


def _models(pair: Pair) -> Row:
    return {
        "chosen_model": pair.model(pair.comparison.winner),
        "rejected_model": pair.model(pair.comparison.loser),
    }


def _stripped(conversation: Conversation) -> Conversation:
    return tuple(Message(message.role, message.content.strip()) for message in conversation)
