r"""Dialogues as one string, the way Anthropic's HH-RLHF writes them: "\n\nHuman: ...\n\nAssistant: ...".

The two markers above, and nothing else, begin a turn. In particular a line that begins with "Human:" after a
single line break stays part of its turn. The format has oddities that its annotators saw too (an empty last
answer, the same speaker twice in a row, dialogues that part before the last turn); they are kept and counted,
since dropping them would change the data that others report figures on.
"""

import re

from palate.data.cells import Cell
from palate.data.turns import SharedPrompt, part
from palate.records import Conversation, Message

_MARKER = re.compile(r"\n\n(Human|Assistant):")


def is_transcript(text: str) -> bool:
    r"""Whether a text begins, white space aside, with a human's turn.

    >>> is_transcript("\n\nHuman: Hi\n\nAssistant: Hello"), is_transcript("Humans are ...")
    (True, False)
    """
    return text.lstrip().startswith("Human:")


def parse_transcript(text: str) -> Conversation:
    r"""Divide a transcript into turns, without the white space around each.

    >>> turns = parse_transcript("\n\nHuman: Hi\nHuman: you\n\nAssistant: Yes?\n\n")
    >>> [(turn.role, turn.content) for turn in turns]
    [('user', 'Hi\nHuman: you'), ('assistant', 'Yes?')]
    """
    _, *pieces = _MARKER.split("\n\n" + text.lstrip())
    return tuple(
        Message("user" if speaker == "Human" else "assistant", content.strip())
        for speaker, content in zip(pieces[::2], pieces[1::2], strict=True)
    )


def part_transcripts(chosen: Cell, rejected: Cell) -> SharedPrompt:
    """Two transcripts as a shared prompt and two responses, with notes on their oddities.

    Raises:
        DataError: `ambiguous-prompt` where one is not a transcript; see `palate.data.turns.part` for the
            others.
    """
    conversations = []
    for cell in (chosen, rejected):
        text = cell.text()
        if not is_transcript(text):
            message = (
                'there is no prompt, and this is no transcript ("\\n\\nHuman: ...\\n\\nAssistant: ..."), '
                "so where the prompt ends would be a guess; add a prompt column"
            )
            raise cell.fault("ambiguous-prompt", message)
        conversations.append(parse_transcript(text))
    parted = part(conversations[0], conversations[1], (chosen, rejected))
    if all(response[-1].content for response in (parted.first, parted.second)):
        return parted
    notes = (*parted.notes, "empty-response-in-transcript")
    return SharedPrompt(parted.prompt, parted.first, parted.second, notes)
