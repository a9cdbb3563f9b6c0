"""Everything in which a policy's responses and prompts are compared with the reference's."""

from dataclasses import dataclass

import numpy as np

from palate.auditing.drift.exchange import PERMUTATIONS, exchange
from palate.auditing.drift.shift import Feature, features_of
from palate.auditing.drift.sides import Side
from palate.auditing.drift.states import StateShift, state_shift, why_not

FEWEST = 20
"""Prompts with rewards that each side needs before anything is said."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A policy against a reference.

    Attributes:
        responses: columns of responses, the surest difference first.
        prompts: columns of prompts, likewise.
        states: None where there are none to compare.
        no_states: why; empty where there are.
        shared_prompts: prompts that both have.
        responses_a_prompt: that columns and energy distance look at.
    """

    responses: tuple[Feature, ...]
    prompts: tuple[Feature, ...]
    states: StateShift | None
    no_states: str
    shared_prompts: int
    responses_a_prompt: int


def compare_sides(reference: Side, policy: Side, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Drift:
    """Responses by reward, length, style and, where both sides have them, hidden states; prompts by length and style.

    Args:
        reference: with prompts enough, see `FEWEST`.
        policy: likewise.
        permutations: exchanges of each test.
        seed: of all draws.
    """
    draw = exchange(reference.prompt, policy.prompt, permutations=permutations, seed=seed)
    ours, theirs = reference.features(), policy.features()
    columns = {name: np.concatenate([ours[name], theirs[name]]) for name in ours}
    states, no_states = None, why_not(reference, policy)
    if reference.state is not None and policy.state is not None and not no_states:
        state = np.concatenate([reference.state, policy.state])
        prompt = np.concatenate([reference.prompt, policy.prompt])
        states = state_shift(state, prompt, np.arange(len(prompt)) >= len(reference.row), draw, seed=seed)
        columns |= {"state: distance": states.distance, "state: direction": states.direction}
    (our_keys, our_prompts), (their_keys, their_prompts) = reference.prompts(), policy.prompts()
    prompts = exchange(our_keys, their_keys, permutations=permutations, seed=seed)
    return Drift(
        features_of(columns, draw),
        features_of({name: np.concatenate([our_prompts[name], their_prompts[name]]) for name in our_prompts}, prompts),
        states,
        no_states,
        len(np.intersect1d(our_keys, their_keys)),
        draw.responses_a_prompt,
    )
