"""What the curves say: where gold peaks, where it parts from the proxy, and what is left of the gain."""

import math
from collections.abc import Sequence

import numpy as np

from palate.auditing.hacking.curves import Curves, draw_curves
from palate.auditing.hacking.samples import Samples
from palate.auditing.scorer import Floats
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate, best_of_n_kl
from palate.report.findings import Check, Example, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Line, Lines

_WHY = (
    "Whoever takes the best of n answers by reward, or trains a policy on it, pushes the reward up; what is really "
    "wanted follows only as long as the reward tells good from bad among the best. Up to which n it does is the "
    "budget: beyond it, the reward is being gamed, and answers get worse while the numbers get better."
)
_EXAMPLES = 10
_COMMAND = "palate train --model MODEL --data PREFS_WITH_SUCH_ANSWERS --out RM"


def check_hacking(
    samples: Samples, proxy: Sequence[Floats], gold: Sequence[Floats], thresholds: Thresholds, *, gold_name: str
) -> Check:
    """Best-of-n curves of proxy and gold, their fit, and whether gold falls or hardly rises.

    Args:
        samples: P prompts with their samples.
        proxy: rewards of each prompt's samples by the model that is audited.
        gold: likewise, by what is trusted.
        thresholds: for `reward-hacking` and `hollow-gain`.
        gold_name: what gold is, for people.
    """
    section = Section("hacking", "Reward-hacking budget", _WHY, ())
    curves = draw_curves(proxy, gold)
    if isinstance(curves, str):
        return Check(section, skipped=curves)
    blocks = (_plot(curves), _table(curves), _said(curves, gold_name))
    findings = _findings(curves, thresholds, _examples(samples, proxy, gold, curves))
    return Check(Section(section.key, section.title, _WHY, blocks), findings, _facts(curves, gold_name))


def _findings(curves: Curves, thresholds: Thresholds, examples: tuple[Example, ...]) -> tuple[Finding, ...]:
    budget, last, share = curves.budget, curves.budget.curve[-1], curves.share_of_best
    falls = thresholds.find(
        "reward-hacking",
        f"Gold is highest at best of {budget.peak.value:.3g} and {budget.regret.value:.2f} standard deviations lower "
        f"at best of {last.n}, while the reward goes on rising.",
        Measure(budget.regret.value, "standard deviations of gold", budget.regret.low, budget.regret.high),
        cure=f"Choose among no more than {max(1, math.floor(_finite(budget.peak.value, last.n)))} samples, or stop a "
        "policy at that divergence. Label pairs of answers with the highest rewards and train on them too.",
        command=_COMMAND,
        count=len(examples),
        examples=examples,
    )
    if any(finding.severity == "fail" for finding in falls):
        return falls  # whatever is gained at the last n: it was more before
    return falls + thresholds.find(
        "hollow-gain",
        f"At best of {last.n} the reward is {last.proxy.value:.2f} standard deviations higher, and gold has gained "
        f"{share.value:.0%} of what these samples have to offer.",
        Measure(share.value, "share of the gold that could be gained", share.low, share.high),
        cure="The reward hardly tells this policy's answers apart as gold does: label pairs of them, and train on "
        "those too; or see whether gold measures what the labels of the training data did.",
        command=_COMMAND,
        count=len(examples),
        examples=examples,
    )


def _facts(curves: Curves, gold_name: str) -> dict[str, Fact]:
    budget = curves.budget
    by_n: list[Fact] = [
        {"n": one.n, "kl": one.kl, "gold_best": float(best)} | _ends("proxy", one.proxy) | _ends("gold", one.gold)
        for one, best in zip(budget.curve, curves.best, strict=True)
    ]
    facts: dict[str, Fact] = {
        "gold": gold_name,
        "prompts": budget.prompts,
        "samples_a_prompt": curves.fewest,
        "prompts_unscored": curves.unscored,
        "prompts_with_too_few": curves.too_few,
        "proxy_std": curves.proxy_std,
        "gold_std": curves.gold_std,
        "n_max": budget.curve[-1].n,
        "curve": by_n,
        "peak_kl": _kl(budget.peak.value),
        "parts_at_kl": _kl(budget.parts_at.value),
    }
    for name in ("alpha", "beta", "peak", "regret", "realised", "parts_at"):
        facts |= _ends(name, getattr(budget, name))
    facts |= _ends("share_of_best", curves.share_of_best) | _ends("share_of_proxy", curves.share_of_proxy)
    return {f"hacking.{name}": value for name, value in facts.items()}


def _ends(name: str, one: Estimate) -> dict[str, Fact]:
    """An estimate and its ends, None where they are beyond the samples or not defined: JSON has no infinity."""
    ends = {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return {key: value if math.isfinite(value) else None for key, value in ends.items()}


def _kl(n: float) -> float | None:
    return float(best_of_n_kl(n)) if math.isfinite(n) else None


def _finite(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise


def _plot(curves: Curves) -> Lines:
    curve, budget = curves.budget.curve, curves.budget
    x = tuple(math.sqrt(one.kl) for one in curve)
    fine = np.linspace(0, x[-1], 81)
    fit = fine * (budget.alpha.value - budget.beta.value * fine)

    def banded(name: str, values: Sequence[Estimate]) -> Line:
        low, high = tuple(one.low for one in values), tuple(one.high for one in values)
        return Line(name, x, tuple(one.value for one in values), low, high)

    return Lines(
        f"Reward and gold of the best of n, up to n = {curve[-1].n}",
        "square root of the divergence from the policy, nats",
        "gain in standard deviations",
        (
            banded("reward (proxy)", [one.proxy for one in curve]),
            banded("gold", [one.gold for one in curve]),
            Line("gold, fitted", tuple(fine.tolist()), tuple(fit.tolist())),
            Line("gold, if gold chose", x, tuple(curves.best.tolist())),
        ),
    )


def _table(curves: Curves) -> Table:
    rows = tuple(
        (one.n, one.kl, one.proxy.value, one.gold.value, one.gold.low, one.gold.high, float(best))
        for one, best in zip(curves.budget.curve, curves.best, strict=True)
    )
    names = ("n", "KL, nats", "reward", "gold", "low", "high", "gold, if gold chose")
    return Table(names, rows, "Gain over an average sample in standard deviations within a prompt, 95 % intervals")


def _said(curves: Curves, gold_name: str) -> Paragraph:
    budget, last, share = curves.budget, curves.budget.curve[-1], curves.share_of_best
    said = [
        f"{budget.prompts:,} prompts with {curves.fewest} samples or more; gold is {gold_name}.",
        f"The fit d (alpha - beta d), d the square root of KL, has alpha {_interval(budget.alpha)} and beta "
        f"{_interval(budget.beta)}: {_peak_said(budget.peak.value, last.n)}. {_parts_said(budget.parts_at.value)}.",
        f"At n = {last.n} gold has gained {share.value:.0%} ({share.low:.0%} to {share.high:.0%}) of what these "
        "samples have to offer.",
    ]
    if curves.unscored:
        said.append(f"{curves.unscored:,} prompts are left out because a sample has no reward.")
    if curves.too_few:
        said.append(f"{curves.too_few:,} prompts are left out because they have fewer than {curves.fewest} samples.")
    return Paragraph(" ".join(said))


def _peak_said(peak: float, last: int) -> str:
    if math.isinf(peak):
        return f"gold still rises at n = {last}"
    return f"gold is highest at n = {peak:.3g} (KL {_kl(peak):.2f} nats)"


def _parts_said(parts_at: float) -> str:
    if math.isinf(parts_at):
        return "At every n gold gains what choosing between two lets expect"
    if parts_at == 2:
        return "Choosing between two gains no gold"
    return (
        f"Gold parts from the reward at n = {parts_at:.0f} (KL {_kl(parts_at):.2f} nats), where it gains a fifth less "
        "than choosing between two lets expect; gold that has a highest value, such as right or wrong, always does"
    )


def _interval(one: Estimate) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _examples(samples: Samples, proxy: Sequence[Floats], gold: Sequence[Floats], curves: Curves) -> tuple[Example, ...]:
    """Prompts where the sample that is chosen is furthest below the one that gold would choose."""
    lost = [(float(gold[place].max() - gold[place][proxy[place].argmax()]), place) for place in curves.kept]
    shown = []
    for loss, place in sorted(lost, key=lambda one: (-one[0], one[1]))[:_EXAMPLES]:
        if loss <= 0:
            break
        group = samples[place]
        chosen, wanted = (group.responses[int(one[place].argmax())][-1].content for one in (proxy, gold))
        texts = (
            ("prompt", group.prompt[-1].content if group.prompt else ""),
            ("highest reward", chosen),
            ("highest gold", wanted),
        )
        shown.append(Example(group.where, texts, f"gold {loss / curves.gold_std:.2f} standard deviations apart"))
    return tuple(shown)
