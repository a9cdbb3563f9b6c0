"""Message trees as OpenAssistant exports them (Köpf et al. 2023): dialogues that branch, replies ranked.

Every prompter's message whose replies are all ranked, two at least, is a comparison group: the way from the
root to it is the prompt, the replies are the responses, and rank 0 is the best. One row thus gives several
groups. Where only some of the replies have a rank, nothing says how the others compare; the message is passed
over and the row noted.
"""

from collections.abc import Iterator

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.rankings import compare_all
from palate.data.turns import check_filled
from palate.records import Conversation, Message

UNRANKED = "unranked-replies"


def read_tree(row: Cell) -> Reading:
    """All groups of one tree, root first, then in the order of the replies.

    Raises:
        DataError: `wrong-role`, `empty-prompt`, `empty-response`, `not-text`, `missing-column`, `bad-number`.
    """
    found = tuple(_walk(row["prompt"], ()))
    drafts = tuple(one for one in found if isinstance(one, Draft))
    notes = sorted({one for one in found if isinstance(one, str)})
    return Reading(drafts, tuple(notes))


def _walk(node: Cell, before: Conversation) -> Iterator[Draft | str]:
    turns = (*before, _message(node))
    replies = node["replies"].items() if node.has("replies") else ()
    if turns[-1].role == "user" and len(replies) > 1:
        yield from _compare(node, turns, replies)
    for reply in replies:
        yield from _walk(reply, turns)


def _compare(node: Cell, prompt: Conversation, replies: tuple[Cell, ...]) -> Iterator[Draft | str]:
    if not all(reply.has("rank") for reply in replies):
        yield UNRANKED
        return
    responses = tuple((_message(reply),) for reply in replies)
    comparisons = compare_all(responses, [-reply["rank"].finite() for reply in replies])
    if len(comparisons) < len(replies) * (len(replies) - 1) // 2:
        yield "identical-responses"
    if comparisons:
        name = node["message_id"].text() if node.has("message_id") else ""
        yield Draft(prompt, responses, comparisons, name)


def _message(node: Cell) -> Message:
    role, text = node["role"].text(), node["text"]
    if role == "prompter":
        return Message("user", check_filled(text, "empty-prompt"))
    if role == "assistant":
        return Message("assistant", check_filled(text, "empty-response"))
    raise node["role"].fault("wrong-role", f"unknown role {role!r}; known are prompter, assistant")
