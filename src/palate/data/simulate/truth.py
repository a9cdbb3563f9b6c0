"""What a simulated set is made of, and what is known about it: every claim about the data can be checked."""

from dataclasses import dataclass, fields

from palate.errors import ConfigError
from palate.records import PreferenceGroup


@dataclass(frozen=True, slots=True)
class Flaws:
    """Faults of real preference data, planted on request; each is a rate in [0, 1], and 0 plants nothing.

    Attributes:
        length_bias: share of votes that go to the longer response, whatever it says.
        flipped: share of comparisons whose label is turned round.
        dominant: share of all votes that one annotator casts (0: votes are spread evenly).
        leaks: groups added that ask an earlier group's prompt again, as a share of the groups.
        duplicates: groups added that copy an earlier group word for word, as a share of the groups.
        artefact: share of groups whose best response, and no other, carries marks of style.

    Raises:
        ConfigError: a rate is outside [0, 1].
    """

    length_bias: float = 0.0
    flipped: float = 0.0
    dominant: float = 0.0
    leaks: float = 0.0
    duplicates: float = 0.0
    artefact: float = 0.0

    def __post_init__(self) -> None:
        for flaw in fields(self):
            rate = getattr(self, flaw.name)
            if not 0 <= rate <= 1:
                raise ConfigError(f"flaws.{flaw.name} is {rate}; a rate lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class ResponseTruth:
    """What a response is worth in [0, 1], and the name of its defect; empty for none."""

    quality: float
    defect: str


@dataclass(frozen=True, slots=True)
class ComparisonTruth:
    """What lies behind a label.

    Attributes:
        better: index of the response of higher quality, which the label may have missed.
        gap: by how much, >= 0.
        strength: the gap in words: `slightly better`, `better` or `much better`.
        flipped: whether the label was turned round on purpose.
        length_votes: votes cast by planted length bias.
    """

    better: int
    gap: float
    strength: str
    flipped: bool = False
    length_votes: int = 0


@dataclass(frozen=True, slots=True)
class GroupTruth:
    """What is known about a group; `responses` and `comparisons` are aligned with the group's.

    Attributes:
        id: the group's id.
        kind: `family/kind` of the question.
        answer: the right answer; empty where there is no single one.
        responses: of each response.
        comparisons: of each comparison.
        leaked_from: id of the group whose prompt this one repeats.
        duplicate_of: id of the group that this one copies.
        artefact: whether the best response was given marks of style.
    """

    id: str
    kind: str
    answer: str
    responses: tuple[ResponseTruth, ...]
    comparisons: tuple[ComparisonTruth, ...]
    leaked_from: str = ""
    duplicate_of: str = ""
    artefact: bool = False

    @property
    def family(self) -> str:
        """The part of `kind` before the slash."""
        return self.kind.partition("/")[0]


@dataclass(frozen=True, slots=True)
class PlantedCounts:
    """How many of each flaw a set holds, with what they are counted among."""

    groups: int
    comparisons: int
    votes: int
    length_votes: int
    flipped: int
    dominant_votes: int
    leaks: int
    duplicates: int
    artefacts: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A group with its truth."""

    group: PreferenceGroup
    truth: GroupTruth


@dataclass(frozen=True, slots=True)
class SimulatedSet:
    """Groups as any reader would give them, and aligned with them the truth that no reader has."""

    groups: tuple[PreferenceGroup, ...]
    truth: tuple[GroupTruth, ...]

    @property
    def planted(self) -> PlantedCounts:
        """Counts over the set; votes of the busiest annotator count as dominant."""
        comparisons = [truth for group in self.truth for truth in group.comparisons]
        voters = [vote.annotator for group in self.groups for label in group.comparisons for vote in label.votes]
        return PlantedCounts(
            groups=len(self.groups),
            comparisons=len(comparisons),
            votes=len(voters),
            length_votes=sum(truth.length_votes for truth in comparisons),
            flipped=sum(truth.flipped for truth in comparisons),
            dominant_votes=max((voters.count(name) for name in dict.fromkeys(voters)), default=0),
            leaks=sum(bool(truth.leaked_from) for truth in self.truth),
            duplicates=sum(bool(truth.duplicate_of) for truth in self.truth),
            artefacts=sum(truth.artefact for truth in self.truth),
        )
