"""What every format yields, before the row's id, place, origin and system message are added."""

from dataclasses import dataclass

from palate.records import Comparison, Conversation


@dataclass(frozen=True, slots=True)
class Draft:
    """A comparison group in the making.

    Attributes:
        prompt: the turns before the response.
        responses: K continuations, in the order of the data (chosen first, then rejected).
        comparisons: among the responses.
        id: the group's own id where the format has one inside the row, else the row's id columns are asked.
        source: as in `PreferenceGroup` where the format says it, else the row's columns are asked.
        models: likewise.
        time: likewise.
        gold: as in `PreferenceGroup`.
    """

    prompt: Conversation
    responses: tuple[Conversation, ...]
    comparisons: tuple[Comparison, ...] = ()
    id: str = ""
    source: str = ""
    models: tuple[str, ...] = ()
    time: str = ""
    gold: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one row came to.

    Attributes:
        drafts: its groups; one for most formats, any number for a tree.
        notes: names of what is unusual but kept, each once.
        columns: those that were read, where they differ from row to row; the others stand in the format.
    """

    drafts: tuple[Draft, ...]
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
