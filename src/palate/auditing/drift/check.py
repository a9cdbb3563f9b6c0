"""Whether policy outputs lie where the reward model's labels do, and the findings about it."""

from dataclasses import asdict

import numpy as np

from palate.auditing.drift.compare import FEWEST, Drift, compare_sides
from palate.auditing.drift.distance import NOMINAL
from palate.auditing.drift.exchange import PERMUTATIONS
from palate.auditing.drift.figures import blocks_of
from palate.auditing.drift.shift import Feature
from palate.auditing.drift.sides import Side
from palate.auditing.scorer import Floats
from palate.health.thresholds import Thresholds
from palate.report.findings import Block, Check, Example, Fact, Finding, Measure, Paragraph, Section

_TITLE = "Policy outputs"
_WHY = (
    "A reward model knows the kind of responses that people judged for it; a policy that is trained against it soon "
    "writes others, and there its rewards are guesses that nobody has checked. The further the two are apart, the less "
    "a rising reward means."
)
_EXAMPLES = 10
_CURE = (
    "Collect fresh preferences on such outputs: let people judge two responses of the policy to each prompt, add them "
    "to the training data and continue training. Until then keep the policy close to where it started, and read the "
    "responses below before believing a rising reward."
)


def check_drift(
    reference: Side,
    policy: Side,
    thresholds: Thresholds,
    *,
    reference_name: str,
    outputs: str = "OUTPUTS",
    control: Side | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Check:
    """Policy outputs against the data that the reward model was trained on or is tested on.

    Args:
        reference: responses of that data.
        policy: responses of the policy.
        thresholds: for `distribution-shift`, `response-shift` and `prompt-shift`.
        reference_name: what the reference is, for people.
        outputs: the policy's file, for the command of the cure.
        control: held-out responses, where the reference is the training data: what new data of the same kind comes to.
        permutations: exchanges of each test.
        seed: of all draws.
    """
    section = Section("drift", _TITLE, _WHY, ())
    counts = [len(np.unique(side.prompt)) for side in (reference, policy)]
    if min(counts) < FEWEST:
        short = f"{counts[0]} prompts of the {reference_name} and {counts[1]} of the policy have rewards"
        return Check(section, skipped=f"{short}; {FEWEST} of each are needed")
    drift = compare_sides(reference, policy, permutations=permutations, seed=seed)
    blocks = list(blocks_of(drift, reference, policy, reference_name))
    facts = _facts(drift, reference, policy, reference_name)
    if control is not None and len(np.unique(control.prompt)) >= FEWEST:
        usual = compare_sides(reference, control, permutations=permutations, seed=seed)
        blocks.insert(1, _control(usual))
        facts["drift.control_outliers"] = usual.states.outliers.value if usual.states is not None else None
        facts["drift.control_difference_low"] = max((one.low for one in usual.responses), default=0.0)
    findings = (
        *_outliers(drift, reference, policy, outputs, thresholds),
        *_features(drift, policy, outputs, thresholds),
        *_prompts(drift, thresholds),
    )
    return Check(Section("drift", _TITLE, _WHY, tuple(blocks)), findings, facts)


def _outliers(drift: Drift, reference: Side, policy: Side, outputs: str, thresholds: Thresholds) -> tuple[Finding, ...]:
    if drift.states is None:
        return ()
    share, far = drift.states.outliers, drift.states.distance[len(reference.row) :]
    more, low, high = (value - NOMINAL for value in (share.value, share.low, share.high))
    return thresholds.find(
        "distribution-shift",
        f"{share.value:.0%} of the policy's responses lie further out than all but {NOMINAL:.0%} of the reference's.",
        Measure(more, f"share of responses too far out, beyond the nominal {NOMINAL:.0%}", low, high),
        cure=_CURE,
        command=f"palate data convert {outputs} --to label-studio --out tasks.json",
        count=int((far > 1).sum()),
        examples=_examples(
            policy, drift.states.distance[len(reference.row) :], "{:.1f} times the threshold of distance"
        ),
    )


def _features(drift: Drift, policy: Side, outputs: str, thresholds: Thresholds) -> tuple[Finding, ...]:
    """What parts the responses most; not the reward, which is meant to rise."""
    worst = next((one for one in drift.responses if one.name != "reward"), None)
    if worst is None:
        return ()
    examples: tuple[Example, ...] = ()
    if worst.name in (values := policy.features()):
        far = np.abs(values[worst.name] - worst.reference)
        examples = _examples(policy, far, f"{worst.name} {{:.3g}} from the reference's mean")
    return thresholds.find(
        "response-shift",
        _title(worst, "responses"),
        _measure(worst, "responses"),
        cure=_CURE,
        command=f"palate data convert {outputs} --to label-studio --out tasks.json",
        examples=examples,
    )


def _prompts(drift: Drift, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not drift.prompts:
        return ()
    return thresholds.find(
        "prompt-shift",
        _title(drift.prompts[0], "prompts"),
        _measure(drift.prompts[0], "prompts"),
        cure="Part of what parts the responses is then what was asked, not how the policy answers. Compare on prompts "
        "of one kind, or collect labels on the policy's prompts too.",
    )


def _title(one: Feature, what: str) -> str:
    return (
        f"The policy's {what} differ in {one.name}: {one.policy:.3g} on average, against {one.reference:.3g} in the "
        f"reference; {one.difference:.0%} would have to be others."
    )


def _measure(one: Feature, what: str) -> Measure:
    return Measure(one.difference, f"share of {what} that would have to be others (KS)", one.low)


def _examples(policy: Side, far: Floats, note: str) -> tuple[Example, ...]:
    """The responses that are furthest out."""
    order = np.argsort(-far, kind="stable")[:_EXAMPLES].tolist()
    notes = [f"{note.format(far[place])}; reward {policy.reward[place]:+.3f}" for place in order]
    return tuple(policy.example(place, text) for place, text in zip(order, notes, strict=True))


def _control(usual: Drift) -> Block:
    far = f"{usual.states.outliers.value:.1%} of them lie far out, and " if usual.states is not None else ""
    surest = usual.responses[0]
    return Paragraph(
        f"For comparison, the held-out responses against the same reference: {far}the surest difference is in "
        f"{surest.name}, where {surest.low:.1%} would have to be others beyond doubt. A model that has learned its "
        "training data by heart shows here."
    )


def _facts(drift: Drift, reference: Side, policy: Side, name: str) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "drift.reference": name,
        "drift.reference_responses": len(reference.row),
        "drift.reference_prompts": len(np.unique(reference.prompt)),
        "drift.policy_responses": len(policy.row),
        "drift.policy_prompts": len(np.unique(policy.prompt)),
        "drift.unscored": reference.unscored + policy.unscored,
        "drift.undrawn": reference.undrawn + policy.undrawn,
        "drift.shared_prompts": drift.shared_prompts,
        "drift.responses_a_prompt": drift.responses_a_prompt,
        "drift.nominal": NOMINAL,
        "drift.no_states": drift.no_states,
        "drift.prompt_states": False,
        "drift.responses": {one.name: _known(one) for one in drift.responses},
        "drift.prompts": {one.name: _known(one) for one in drift.prompts},
    }
    if drift.states is not None:
        outliers, energy = drift.states.outliers, drift.states.energy
        facts |= {
            "drift.outliers": outliers.value,
            "drift.outliers_low": outliers.low,
            "drift.outliers_high": outliers.high,
            "drift.energy": energy.value,
            "drift.energy_by_chance": energy.by_chance,
            "drift.energy_p": energy.p_value,
        }
    return facts


def _known(one: Feature) -> dict[str, Fact]:
    return {name: value for name, value in asdict(one).items() if name != "name"}
