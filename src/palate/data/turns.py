"""Turns of a conversation, out of the shapes in which data spells them.

A prompt is text (one user turn) or a list of `{"role", "content"}` objects; a response is text (one assistant
turn) or such a list. Nothing is trimmed: what the data says is what the model will read. Two checks catch the
commonest mistakes of conversion, the response that repeats its prompt and the turn with the wrong author,
since both train a model without any sign that something is wrong.
"""

from dataclasses import dataclass
from itertools import pairwise

from palate.data.cells import Cell, filled
from palate.records import ROLES, Conversation, Message

_AS_SHOWN = ("empty-response", "prompt-in-response")  # what people judged is kept, however odd
_ECHO_WORDS = 3
"""A response that opens with a prompt of fewer words is no sign of a fault: "Good morning" answers itself."""


@dataclass(frozen=True, slots=True)
class TurnFault:
    """Why turns cannot be used.

    Attributes:
        reason: a short fixed name, as in `DataError`.
        message: what is wrong and how to mend it.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SharedPrompt:
    """Two whole conversations, divided where they part.

    Attributes:
        prompt: the leading turns that both share.
        first: the rest of the first conversation.
        second: the rest of the second.
        notes: what is unusual about them.
    """

    prompt: Conversation
    first: Conversation
    second: Conversation
    notes: tuple[str, ...]


def read_messages(cell: Cell) -> Conversation:
    """A list of `{"role", "content"}` objects.

    Raises:
        DataError: `not-a-list`, `missing-column`, `not-text`, `wrong-role` for a role that palate does not
            know.
    """
    return tuple(_message(item) for item in cell.items())


def read_prompt(cell: Cell) -> Conversation:
    """A prompt as text or as messages.

    Raises:
        DataError: `empty-prompt`, `wrong-role` where it ends with the assistant's turn, or a fault of a
            message.
    """
    prompt = read_messages(cell) if isinstance(cell.value, list) else (Message("user", cell.text()),)
    if fault := prompt_fault(prompt):
        raise cell.fault(fault.reason, fault.message)
    return prompt


def read_optional_prompt(row: Cell, names: tuple[str, ...]) -> Conversation:
    """The prompt in the first of these columns that holds something, else none at all; faults as in `read_prompt`."""
    cells = filled(row, names)
    return read_prompt(cells[0]) if cells else ()


def read_response(cell: Cell, prompt: Conversation, *, as_shown: bool = False) -> Conversation:
    """A response as text or as messages; a list of messages that repeats the whole prompt is relieved of it.

    Args:
        cell: where the response stands.
        prompt: what it answers.
        as_shown: keep an empty response and one that repeats its prompt, because people judged exactly that.

    Raises:
        DataError: `empty-response`, `prompt-in-response`, `wrong-role` where a turn at either end is not the
            assistant's, or a fault of a message.
    """
    if not isinstance(cell.value, list):
        response: Conversation = (Message("assistant", cell.text()),)
    else:
        response = read_messages(cell)
        if _starts_with(response, prompt):
            response = response[len(prompt) :]
    fault = response_fault(response, prompt)
    if fault and not (as_shown and response and fault.reason in _AS_SHOWN):
        raise cell.fault(fault.reason, fault.message)
    return response


def prompt_fault(prompt: Conversation) -> TurnFault | None:
    """What keeps a conversation from being a prompt: `empty-prompt` or `wrong-role`."""
    users = [message for message in prompt if message.role == "user"]
    if not users or not all(message.content.strip() for message in users):
        return TurnFault("empty-prompt", "a user turn is missing or holds no text; fill it or remove the row")
    if prompt[-1].role == "assistant":
        message = "ends with the assistant's turn; the prompt must end before the response, move that turn into it"
        return TurnFault("wrong-role", message)
    return None


def response_fault(response: Conversation, prompt: Conversation) -> TurnFault | None:
    """What keeps a conversation from being a response: `wrong-role`, `empty-response` or `prompt-in-response`."""
    if response and not response[0].role == response[-1].role == "assistant":
        return TurnFault("wrong-role", _strange_ends(response))
    if not response or not response[-1].content.strip():
        return TurnFault("empty-response", "the response holds no text; fill it or remove the row")
    question = prompt[-1].content.strip() if prompt else ""
    if len(question.split()) >= _ECHO_WORDS and response[0].content.lstrip().startswith(question):
        message = "begins with the prompt's text again; cut that off, so that the prompt is read once"
        return TurnFault("prompt-in-response", message)
    return None


def part(first: Conversation, second: Conversation, cells: tuple[Cell, Cell]) -> SharedPrompt:
    """Divide two whole conversations into their longest common prefix of turns and two responses.

    Each keeps at least its last turn as a response. A response may begin with a user's turn, where the
    conversations part early.

    Raises:
        DataError: `identical-pair`; `wrong-role` where one does not end with the assistant's turn;
            `no-shared-prompt` where they share no user turn.
    """
    for conversation, cell in zip((first, second), cells, strict=True):
        if not conversation or conversation[-1].role != "assistant":
            raise cell.fault("wrong-role", "does not end with an assistant's turn, so it holds no response")
    if first == second:
        raise cells[1].fault("identical-pair", "is the same as chosen, which says nothing; remove the row")
    shared = 0
    limit = min(len(first), len(second)) - 1
    while shared < limit and first[shared] == second[shared]:
        shared += 1
    prompt = first[:shared]
    if not any(message.role == "user" for message in prompt):
        message = "shares no user turn with chosen, so there is no prompt that both answer; remove the row"
        raise cells[1].fault("no-shared-prompt", message)
    early = ("parted-early",) if max(len(first), len(second)) > shared + 1 else ()
    return SharedPrompt(prompt, first[shared:], second[shared:], early)


def check_filled(cell: Cell, reason: str) -> str:
    """The text, which must hold more than white space; raises a `DataError` of that reason."""
    if not cell.text().strip():
        raise cell.fault(reason, "holds no text; fill it or remove the row")
    return cell.text()


def turn_notes(prompt: Conversation, responses: tuple[Conversation, ...]) -> tuple[str, ...]:
    """Oddities that are kept but worth saying: `repeated-role`, `empty-turn` (before the last)."""
    notes = set()
    for response in responses:
        turns = prompt + response
        if any(a.role == b.role != "tool" for a, b in pairwise(turns)):
            notes.add("repeated-role")
        if any(not turn.content.strip() for turn in turns[:-1] if turn.role != "system"):
            notes.add("empty-turn")
    return tuple(sorted(notes))


def _message(cell: Cell) -> Message:
    role = cell["role"].text()
    for known in ROLES:
        if role == known:
            return Message(known, cell["content"].text())
    raise cell["role"].fault("wrong-role", f"unknown role {role!r}; known are {', '.join(ROLES)}")


def _starts_with(response: Conversation, prompt: Conversation) -> bool:
    # outer white space is forgiven: published sets trim the prompt column but not the messages
    return len(response) > len(prompt) and all(
        ours.role == theirs.role and ours.content.strip() == theirs.content.strip()
        for ours, theirs in zip(response, prompt, strict=False)
    )


def _strange_ends(response: Conversation) -> str:
    roles = ", ".join(message.role for message in response)
    return (
        f"its turns are {roles}, but a response begins and ends with the assistant's; give it alone, "
        "or the whole conversation beginning with exactly the prompt"
    )
