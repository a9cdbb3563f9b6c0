"""Length kept out of a reward that is trained on people who prefer long arguments.

    python -m benchmarks.length_bias_ukp --model smollm2

UKPConvArg1 asks which of two arguments convinces more; the longer one wins 72 % of the decided pairs. The same body is
trained on as many of them as they are, on a set from `palate data balance`, with either length control, and with
balance and decorrelation together. All are judged on arguments of debates that they have not seen: how much of the
reward is length, and how well it ranks arguments that are equally long.
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import palate
from benchmarks.data import UKP, default_data
from benchmarks.report import RESULTS, Report, Row, Target
from palate.curate.balance import balance
from palate.data.read import read_preferences
from palate.data.render import tokenize
from palate.metrics import accuracy_interval
from palate.model.reward_model import RewardModel
from palate.records import Comparison, Conversation, PreferenceGroup
from palate.scoring import score_groups
from palate.testing.runs import write_groups

Floats = NDArray[np.float64]

RUNS = {
    "none": ("plain", "none"),
    "balance": ("balanced", "none"),
    "covariate": ("plain", "covariate"),
    "decorrelation": ("plain", "decorrelation"),
    "both": ("balanced", "decorrelation"),
}
"""By name of the run, the pairs that it is trained on and `--length-control`."""
TABLE = "Length in the reward, on unseen debates"
NOTES = [
    "r2: of the reward on the logarithm of the response's characters, over all held-out arguments; within: the "
    "same with both taken from their mean over the arguments to one prompt, which is what ranking sees.",
    "matched: accuracy on held-out pairs whose lengths differ by at most 10 %, with an interval over prompts; "
    "change: of it, against the run without length control, pair by pair, with its interval. all: on "
    "all held-out pairs, where preferring the longer one is right 72 % of the time. gap: by how much more often the "
    "reward is right where the longer argument won than where the shorter one did.",
    "All runs see as many pairs, in steps of the same size. Held-out debates share no argument with the others; both "
    "sides of a debate are held out together.",
]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One group a prompt, of all its arguments; pairs are its comparisons."""

    groups: tuple[PreferenceGroup, ...]

    def lengths(self) -> list[Floats]:
        """Logarithm of the characters of each argument, by group."""
        return [np.log([max(1, characters(one)) for one in group.responses]) for group in self.groups]


@dataclass(frozen=True, slots=True)
class Judged:
    """A reward model on the held-out pairs.

    Attributes:
        right: 1, 0, or 0.5 for equal rewards.
        difference: log length of the winner less the loser's.
        prompt: numbers of the prompts.
        r2, within: see the notes.
    """

    right: Floats
    difference: Floats
    prompt: NDArray[np.int64]
    r2: float
    within: float

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Pairs whose lengths differ by at most 10 %."""
        return np.abs(self.difference) <= np.log(1.1)


def characters(response: Conversation) -> int:
    return sum(len(turn.content) for turn in response)


def usable(path: Path, longest: int) -> list[PreferenceGroup]:
    """Decided pairs of two different arguments that are both short enough to be read whole."""
    groups = read_preferences(str(path)).groups
    return [
        group
        for group in groups
        if not group.comparisons[0].is_tie
        and group.responses[0] != group.responses[1]
        and max(map(characters, group.responses)) <= longest
    ]


def debate(group: PreferenceGroup) -> str:
    """What both sides of a debate have in common: the quoted name in the prompt."""
    return group.prompt[0].content.split('"')[1]


def merged(groups: list[PreferenceGroup]) -> HeldOut:
    """Each distinct argument once, so that it is scored once."""
    by_prompt: dict[str, list[PreferenceGroup]] = {}
    for group in groups:
        by_prompt.setdefault(group.prompt_hash, []).append(group)
    whole = []
    for several in by_prompt.values():
        place: dict[Conversation, int] = {}
        comparisons = []
        for group in several:
            at = [place.setdefault(response, len(place)) for response in group.responses]
            one = group.comparisons[0]
            comparisons.append(Comparison(at[one.winner], at[one.loser]))
        whole.append(replace(several[0], responses=tuple(place), comparisons=tuple(comparisons)))
    return HeldOut(tuple(whole))


def judged(model: RewardModel, held_out: HeldOut, max_length: int) -> Judged:
    """Score the held-out arguments and compare them."""
    tokens = tokenize(held_out.groups, model.tokenizer, max_length=max_length, over_long="error").groups
    rewards = [found.astype(np.float64) for found in score_groups(model, tokens)]
    lengths = held_out.lengths()
    rows = [
        (reward[one.winner] - reward[one.loser], length[one.winner] - length[one.loser], number)
        for number, (group, reward, length) in enumerate(zip(held_out.groups, rewards, lengths, strict=True))
        for one in group.comparisons
    ]
    gap, difference, prompt = np.array(rows).T
    return Judged(
        right=(np.sign(gap) + 1) / 2,
        difference=difference,
        prompt=prompt.astype(np.int64),
        r2=squared_correlation(np.concatenate(rewards), np.concatenate(lengths)),
        within=squared_correlation(centred(rewards), centred(lengths)),
    )


def figures(found: Judged, without: Judged | None) -> Row:
    """A row of the table; `change` is against the run without length control."""
    matched, right = found.matched, found.right
    interval = accuracy_interval(right[matched], found.prompt[matched].tolist())
    row: Row = {
        "r2": found.r2,
        "within": found.within,
        "matched": float(right[matched].mean()),
        "low": interval.low,
        "high": interval.high,
        "change": None,
        "change_low": None,
        "change_high": None,
        "matched_pairs": int(matched.sum()),
        "all": float(right.mean()),
        "gap": float(right[found.difference > 0].mean() - right[found.difference < 0].mean()),
        "pairs": len(right),
    }
    if without is not None:
        change = (right - without.right)[matched]
        of_prompt = np.bincount(found.prompt[matched], weights=change - change.mean())
        half = 1.96 * float(np.sqrt(np.square(of_prompt).sum())) / len(change)
        row |= {"change": change.mean(), "change_low": change.mean() - half, "change_high": change.mean() + half}
    return row


def squared_correlation(a: Floats, b: Floats) -> float:
    """R^2 of either on the other; 0 where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1] ** 2) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def centred(values: list[Floats]) -> Floats:
    return np.concatenate([group - group.mean() for group in values])


def training_sets(groups: list[PreferenceGroup], number: int, folder: Path, seed: int) -> dict[str, Path]:
    """So many pairs as they are, and so many of the balanced ones; the draw does not look at lengths."""
    everything = write_groups(folder / "all.jsonl", groups)
    found = balance(str(everything), out=str(folder / "balanced.jsonl"), seed=seed)
    print(f"palate data balance: {found.summary()}", flush=True)
    sets = {}
    for name, some in (("plain", groups), ("balanced", list(read_preferences(str(found.out)).groups))):
        if len(some) < number:
            raise SystemExit(f"--pairs {number}: only {len(some)} are left, {name}")
        drawn = np.random.default_rng(seed).permutation(len(some))[:number]
        sets[name] = write_groups(folder / f"{name}-drawn.jsonl", [some[row] for row in sorted(drawn)])
    return sets


def trained(run: str, data: Path, options: Namespace, folder: Path) -> tuple[RewardModel, float]:
    """The model, and the seconds that it took."""
    started = time.perf_counter()
    control = RUNS[run][1]
    settings = {"length_coefficient": options.coefficient} if control == "decorrelation" else {}
    result = palate.train(
        model=options.model,
        data=str(data),
        out=str(folder / run),
        eval_fraction=0,
        max_length=options.max_length,
        pairs_per_step=options.pairs_per_step,
        tokens_per_pack=options.tokens_per_pack,
        epochs=options.epochs,
        lr=options.lr,
        dtype=options.dtype,
        length_control=control,
        seed=options.seed,
        save_every=0,
        cache=False,
        **settings,
    )
    return result.model, time.perf_counter() - started


def parsed(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--data", type=Path, help="pairs.jsonl.gz of UKPConvArg1, as palate's shared data has it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--runs", default=",".join(RUNS))
    parser.add_argument("--pairs", type=int, default=480)
    parser.add_argument("--debates", type=int, default=5, help="held out, of 16")
    parser.add_argument("--longest", type=int, default=700, help="characters of an argument")
    parser.add_argument("--max-length", type=int, default=320)
    parser.add_argument("--pairs-per-step", type=int, default=16)
    parser.add_argument("--tokens-per-pack", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--coefficient", type=float, default=10.0, help="of decorrelation")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parsed(arguments)
    groups = usable(options.data or default_data(UKP), options.longest)
    names = sorted({debate(group) for group in groups})
    out = set(np.random.default_rng(options.seed).permutation(names)[: options.debates])
    held_out = merged([group for group in groups if debate(group) in out])
    settings = {name: value for name, value in vars(options).items() if name not in ("data", "out")}
    report = Report("length_bias_ukp", "Length kept out of the reward", settings, NOTES)
    rows: dict[str, Row] = {}
    without: Judged | None = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training = [group for group in groups if debate(group) not in out]
        sets = training_sets(training, options.pairs, folder, options.seed)
        for run in options.runs.split(","):
            model, seconds = trained(run, sets[RUNS[run][0]], options, folder)
            found = judged(model, held_out, options.max_length)
            rows[run] = figures(found, without)
            without = found if run == "none" else without
            report.add(TABLE, run=run, **rows[run], seconds=round(seconds))
    if "none" in rows:
        report.targets = [Target("R^2 without length control", "at least", 0.3, rows.pop("none")["r2"])]
        for name, row in rows.items():
            report.targets += [
                Target(f"R^2 with {name}", "at most", 0.1, row["r2"]),
                Target(f"change of matched accuracy with {name}", "at least", 0.0, row["change"]),
            ]
    report.write(options.out)


if __name__ == "__main__":
    main()
