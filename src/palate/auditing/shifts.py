"""How far a reward moves when something changes that should not matter, or that must be known.

Everything is measured on the same few texts, in standard deviations of the rewards on held-out data: a shift of one
means that the reward says as much about the wiring as about the response.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from palate.auditing.scorer import Floats, Scorer
from palate.auditing.subject import Opened, can_be_served
from palate.data.render import FALLBACK_TEMPLATE, tokenize
from palate.errors import ModelError
from palate.model.as_served import ServedClassifier
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded
from palate.records import PreferenceGroup, TokenizedGroup

TEXTS = 24
"""Texts that are looked at."""
_LONGEST, _CUTTABLE = 6, 12  # texts whose end is cut off; characters of a response that can be cut


@dataclass(frozen=True, slots=True)
class Shift:
    """How far rewards move when something changes that should not matter, or that must be known.

    Attributes:
        name: of the change.
        value: mean absolute change of the reward in standard deviations; NaN where it could not be tried.
        note: what was done, or why not.
    """

    name: str
    value: float
    note: str = ""


def sample(groups: Sequence[PreferenceGroup]) -> list[PreferenceGroup]:
    """Some groups of one response each, from short to long, as different in length as the data has them."""
    singles = [
        PreferenceGroup(f"{group.id}#{number}", group.prompt, (response,), where=group.where)
        for group in groups
        for number, response in enumerate(group.responses)
    ]
    singles.sort(key=lambda group: sum(len(m.content) for c in (group.prompt, *group.responses) for m in c))
    places = np.unique(np.linspace(0, len(singles) - 1, min(TEXTS, len(singles))).astype(int))
    return [singles[place] for place in places]


def shifts_of_scorer(scorer: Scorer, texts: Sequence[PreferenceGroup], std: float) -> Iterator[Shift]:
    """What any scorer must not care about: being asked again, and what a text is scored together with."""
    together = np.concatenate(scorer.score(texts))
    again = np.concatenate(scorer.score(texts))
    yield Shift("asked again", _shift(together, again, std), "the same texts, scored twice")
    alone = np.concatenate([scorer.score([text])[0] for text in texts])
    yield Shift("alone", _shift(together, alone, std), "each text in a request of its own")
    backwards = np.concatenate(scorer.score(list(reversed(texts))))[::-1]
    yield Shift("in another order", _shift(together, backwards, std), "the same texts, last first")


def unread_ends(scorer: Scorer, texts: Sequence[PreferenceGroup]) -> float | None:
    """Share of the longest texts whose reward is the very same without the last quarter of the response.

    Args:
        scorer: the model.
        texts: of one response each, from short to long.

    Returns:
        None where no text is long enough to be cut.
    """
    whole = [text for text in texts if len(text.responses[0][-1].content) >= _CUTTABLE][-_LONGEST:]
    if not whole:
        return None
    rewards = np.concatenate(scorer.score([*whole, *(_without_end(text) for text in whole)]))
    before, after = np.split(rewards, 2)
    return float((np.isfinite(before) & (before == after)).mean())


def _without_end(text: PreferenceGroup) -> PreferenceGroup:
    *earlier, last = text.responses[0]
    cut = replace(last, content=last.content[: len(last.content) * 3 // 4])
    return replace(text, id=f"{text.id}/cut", responses=((*earlier, cut),))


@torch.no_grad()
def shifts_of_model(opened: Opened, texts: Sequence[PreferenceGroup], std: float) -> Iterator[Shift]:
    """What a checkpoint's reward hangs on: its tokens, its template, and the padding of other loaders."""
    model = opened.model
    assert model is not None
    dtype, model.compute_dtype = model.compute_dtype, torch.float32  # as `ServedClassifier` computes
    try:
        yield from _shifts_in_float32(opened, model, texts, std)
    finally:
        model.compute_dtype = dtype


def _shifts_in_float32(
    opened: Opened, model: RewardModel, texts: Sequence[PreferenceGroup], std: float
) -> Iterator[Shift]:
    groups = tokenize(texts, model.tokenizer, max_length=model.max_length).groups
    if not groups:
        yield Shift("as transformers serves it", np.nan, "every text that was looked at is too long for the model")
        return
    plain = _rewards(model, groups)
    bos, eos = model.tokenizer.bos_token_id, model.tokenizer.eos_token_id
    if bos is not None:
        doubled = [np.concatenate(([bos], group.sequences[0])) for group in groups]
        yield Shift("second BOS", _shift(plain, _rewards(model, _with(groups, doubled)), std), "one more BOS in front")
    cut = [group.sequences[0][:-1] for group in groups]
    yield Shift("last token missing", _shift(plain, _rewards(model, _with(groups, cut)), std), "the end cut off")
    if eos is not None:
        ended = [np.concatenate((group.sequences[0], [eos])) for group in groups]
        yield Shift("EOS added", _shift(plain, _rewards(model, _with(groups, ended)), std), "one EOS at the end")
    yield _template_shift(model, texts, plain, std)
    yield from _padding_shifts(opened, groups, plain, std)


def _template_shift(model: RewardModel, texts: Sequence[PreferenceGroup], plain: Floats, std: float) -> Shift:
    name, own = "another template", model.tokenizer.chat_template
    try:
        model.tokenizer.chat_template = FALLBACK_TEMPLATE
        other = tokenize(texts, model.tokenizer, max_length=model.max_length).groups
        if len(other) != len(plain):
            return Shift(name, np.nan, "some texts are too long under it")
        return Shift(name, _shift(plain, _rewards(model, other), std), "User: ... Assistant: ... instead of its own")
    finally:
        model.tokenizer.chat_template = own


def _padding_shifts(opened: Opened, groups: Sequence[TokenizedGroup], plain: Floats, std: float) -> Iterator[Shift]:
    obstacle = can_be_served(opened)
    if obstacle:
        yield Shift("as transformers serves it", np.nan, obstacle)
        return
    sequences = [group.sequences[0].tolist() for group in groups]
    try:
        served = ServedClassifier(opened.directory)
        alone = served.rewards(sequences, side=None)
        yield _served_shift(opened, plain, alone, std)
        sides: tuple[Literal["right", "left"], ...] = ("right", "left")
        for side in sides:
            padded = served.rewards(sequences, side=side)
            yield Shift(f"padded on the {side}", _shift(alone, padded, std), "all texts in one padded batch")
    except ModelError as error:
        yield Shift("as transformers serves it", np.nan, str(error).partition("\n")[0])


def _served_shift(opened: Opened, plain: Floats, alone: Floats, std: float) -> Shift:
    assert opened.model is not None
    bias = opened.model.head.score.bias
    constant = 0.0 if bias is None else float(bias.detach().item())
    shift, without = _shift(plain, alone, std), _shift(plain - constant, alone, std)
    if without < shift:  # a fault of its own, see `head-bias`
        return Shift("as transformers serves it", without, "each text on its own; it leaves out the head's bias")
    return Shift("as transformers serves it", shift, "each text on its own")


def _rewards(model: RewardModel, groups: Sequence[TokenizedGroup]) -> Floats:
    found: list[float] = []
    for group in groups:
        batch = collate_padded([group], pad_token_id=model.tokenizer.pad_token_id or 0).to(model.device)
        found += model(batch).double().cpu().tolist()
    return np.array(found)


def _with(groups: Sequence[TokenizedGroup], sequences: Sequence[NDArray[np.int64]]) -> list[TokenizedGroup]:
    starts = [min(group.response_starts[0], len(s) - 1) for group, s in zip(groups, sequences, strict=True)]
    return [
        TokenizedGroup(group.id, group.prompt_hash, (s,), (start,), ())
        for group, s, start in zip(groups, sequences, starts, strict=True)
    ]


def _shift(one: Floats, other: Floats, std: float) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    if not both.any() or std == 0:
        return 0.0 if np.array_equal(one, other, equal_nan=True) else np.nan
    return float(np.abs(one[both] - other[both]).mean() / std)
