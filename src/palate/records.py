"""The nouns that cross module boundaries, without torch.

The atom is a **comparison group**, not a pair: one prompt, its K responses, and the comparisons among them.
A preference pair is K = 2 with one comparison; a ranking of K has up to K (K - 1) / 2; best-of-N scoring is a
group with no comparisons. The flow is

    rows -> PreferenceGroup -> TokenizedGroup -> PackPlan -> RewardBatch -> rewards -> loss

and everything before `RewardBatch` is made of plain Python and NumPy.
"""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from palate.prefix_tree import PrefixTree, find_prefix_tree

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Conversation = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    """One annotator's verdict on one comparison.

    Attributes:
        annotator: who voted.
        preferred: index of the response that they preferred, or None for a tie.
        first: index of the response that they were shown first (left or on top), or None where it is not known.
        seconds: how long they took, or None where it is not known.
    """

    annotator: str
    preferred: int | None
    first: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """That response `winner` is preferred to response `loser`, both indices into the group's responses.

    Attributes:
        winner: index of the preferred response.
        loser: index of the other.
        margin: by how much the rewards should differ at least, in reward units; 0 where nothing is known.
        probability: share of annotators who prefer `winner`, in [0.5, 1]; 0.5 is a tie and has no right answer.
        weight: multiplies this comparison's loss.
        votes: the single votes behind `probability`, where the data has them.
    """

    winner: int
    loser: int
    margin: float = 0.0
    probability: float = 1.0
    weight: float = 1.0
    votes: tuple[Vote, ...] = ()

    @property
    def is_tie(self) -> bool:
        """Whether the label itself says that neither response is better."""
        return self.probability == 0.5


@dataclass(frozen=True, slots=True)
class PreferenceGroup:
    """One prompt, its responses, and the comparisons among them.

    Attributes:
        id: unique within a file; the data's own id where it has one, else `file:line`.
        prompt: the conversation before the response; empty when the data has none.
        responses: K continuations of the prompt, each one or more messages that end with the assistant's.
        comparisons: among the responses; empty when the group is only to be scored.
        where: `file:line` that the group was read from.
        source: where the data says it comes from: a dataset, a domain, a campaign; empty where it does not say.
        models: who wrote each response, K names; empty where nothing is known.
        time: when the group was made, as the data writes it; empty where it does not say.
        gold: what each response is worth by a measure that is trusted, K numbers, more is better; empty without one.
    """

    id: str
    prompt: Conversation
    responses: tuple[Conversation, ...]
    comparisons: tuple[Comparison, ...] = ()
    where: str = ""
    source: str = ""
    models: tuple[str, ...] = ()
    time: str = ""
    gold: tuple[float, ...] = ()

    @property
    def prompt_hash(self) -> str:
        """Identity of the prompt for splitting: equal up to Unicode form, case and white space."""
        return prompt_hash(self.prompt)


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row or group that was left out, and why: never without being counted and listed.

    Attributes:
        where: `file:line`.
        reason: short fixed name, the key under which it is counted.
        field: the column at fault, or None.
        message: what was wrong, in words.
    """

    where: str
    reason: str
    field: str | None
    message: str


def prompt_hash(prompt: Conversation) -> str:
    """16 hex digits of SHA-256 over roles and normalised contents (NFKC, lower case, single spaces).

    >>> a = prompt_hash((Message("user", "What is  2+2?"),))
    >>> a == prompt_hash((Message("user", "what is 2+2? "),)), len(a)
    (True, 16)
    """
    digest = hashlib.sha256()
    for message in prompt:
        text = " ".join(unicodedata.normalize("NFKC", message.content).lower().split())
        digest.update(f"{message.role}\x1f{text}\x1e".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TokenizedGroup:
    """A group as token ids, each sequence exactly as an unshared run would see it.

    Attributes:
        id: the group's id.
        prompt_hash: the cluster for intervals and splits.
        sequences: K arrays of token ids (int64), each the whole rendered conversation.
        response_starts: per sequence, the index of the first token that holds any of the response.
        comparisons: as in the group.
        where: `file:line`.
        truncated_tokens: how many prompt tokens were cut from the left.
    """

    id: str
    prompt_hash: str
    sequences: tuple[NDArray[np.int64], ...]
    response_starts: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    where: str = ""
    truncated_tokens: int = 0
    tree: PrefixTree = field(init=False)
    """How the sequences are laid out with what they share once: found once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", find_prefix_tree(self.sequences))

    @property
    def shared(self) -> int:
        """Length of the longest token prefix that all sequences have in common, the prompt as a rule."""
        return min(self.tree.shared[1:], default=len(self.sequences[0]) - 1)

    @property
    def unshared_tokens(self) -> int:
        """Tokens that separate, unpadded forward passes would compute."""
        return sum(len(sequence) for sequence in self.sequences)

    @property
    def computed_tokens(self) -> int:
        """Tokens that the tree layout computes: what sequences share once, then each one's own."""
        return self.tree.num_tokens
