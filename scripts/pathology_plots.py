"""The drawings of docs/explanation/pathologies.md: `python scripts/pathology_plots.py` writes them as SVG, in seconds.

Each plants one pathology, in the built-in preference set, in a tiny model with random weights, or in numbers drawn
from a seed, and measures it. So they show how each looks, not how large it is in a model of yours.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from torch import nn

import palate
from palate.data.simulate import Flaws, simulate, write_jsonl
from palate.metrics.calibration import win_probability
from palate.report.plots import Bars, Histogram, Line, Lines, Plot
from palate.report.svg import make_figure
from palate.report.svg_parts import HEIGHT, WIDTH
from palate.testing.separate import sharp_reward_model

FOLDER = Path(__file__).parents[1] / "docs" / "explanation" / "images"
# Fixed colours on their own ground: the file is an image, which sees nothing of the page's theme.
STYLE = """text{font:11px system-ui,sans-serif;fill:#5a626b}.title{font-size:12px;fill:#1f2328;font-weight:600}
.s0{--c:#1f2328}.s1{--c:#2f6fb7}.s2{--c:#c66a10}.s3{--c:#1e4a30}
.grid{stroke:#e3e0da}.grid.faint{opacity:.6}.base{stroke:#5a626b}
.bar,.dot{fill:var(--c)}path.area{fill:var(--c);fill-opacity:.3;stroke:var(--c)}polyline{fill:none;stroke-width:2}
.curve{stroke:var(--c)}.curve.s2{stroke-dasharray:7 3}
.whisker,.reference{stroke:#1f2328}.reference{stroke-dasharray:4 3}
.mark,.unseen{fill:transparent;stroke:transparent}.swatch{fill:var(--c)}"""


def write(name: str, plot: Plot) -> None:
    """The drawing with title, legend and axes around it, as a file that stands alone."""
    figure = make_figure(plot)
    drawing = figure.drawing
    parts = [f'<text class="title" x="8" y="16">{Markup.escape(figure.title)}</text>']
    at = 8.0
    for entry in drawing.legend:
        colour = next((word for word in entry.look.split() if word[:1] == "s"), "s0")
        parts.append(f'<rect class="swatch {colour}" x="{at}" y="27" width="12" height="5"/>')
        parts.append(f'<text x="{at + 17}" y="34">{Markup.escape(entry.name)}</text>')
        at += 30 + 6.0 * len(entry.name)
    parts.append(f'<text x="8" y="52">{Markup.escape(drawing.y_title)}</text>')
    parts.append(f'<text x="{WIDTH - 8}" y="{HEIGHT + 78}" text-anchor="end">{Markup.escape(drawing.x_title)}</text>')
    inner = str(drawing.svg).replace("<svg ", f'<svg y="58" width="{WIDTH:.0f}" height="{HEIGHT:.0f}" ', 1)
    box = f'viewBox="0 0 {WIDTH:.0f} {HEIGHT + 88:.0f}" role="img"'
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" {box}><style>{STYLE}</style>'
    whole += '<rect width="100%" height="100%" rx="8" fill="#faf9f7"/>' + "".join(parts) + inner + "</svg>\n"
    (FOLDER / f"{name}.svg").write_text(whole, encoding="utf-8")


def length_bias() -> Plot:
    """Votes that go to the longer response, as planted and after `palate data balance`."""
    rates = (0.0, 0.2, 0.4, 0.6)
    shares: dict[str, list[float]] = {"as it is": [], "after palate data balance": []}
    with tempfile.TemporaryDirectory() as folder:
        for rate in rates:
            data = Path(folder) / "prefs.jsonl"
            write_jsonl(simulate(200, flaws=Flaws(length_bias=rate)), data)
            found = palate.balance(str(data), out=str(Path(folder) / "balanced.jsonl"))
            shares["as it is"].append(found.before.value)
            shares["after palate data balance"].append(found.after.value)
    lines = tuple(Line(name, rates, tuple(values)) for name, values in shares.items())
    return Lines("Length decides more labels than it seems", "share of votes for length", "longer preferred", lines)


def padding_side() -> Plot:
    """One text beside ever longer ones, padded on the right: read by the mask, and at the end of the row."""
    model = sharp_reward_model(max_position_embeddings=512)
    ids = model.tokenizer("user: What is 2 + 2? assistant: It is 4.", return_tensors="pt")["input_ids"][0]
    pads, by_mask, at_end = tuple(range(0, 121, 12)), [], []
    for count in pads:
        row = torch.cat([ids, ids.new_full((count,), model.tokenizer.pad_token_id)])[None]
        mask = (torch.arange(row.shape[1]) < len(ids)).long()[None]
        with torch.no_grad():
            hidden_TD = model.backbone(input_ids=row, attention_mask=mask).last_hidden_state[0]
            by_mask.append(float(model.head(hidden_TD[len(ids) - 1][None])[0]))
            at_end.append(float(model.head(hidden_TD[-1][None])[0]))
    places = tuple(map(float, pads))
    lines = (Line("last real token", places, tuple(by_mask)), Line("hidden[:, -1]", places, tuple(at_end)))
    return Lines("One text, one model, two rewards", "padding that company brings, tokens", "reward", lines)


def stale_template() -> Plot:
    """Rewards of the same conversations under the template of training and under one with another marker."""
    model = sharp_reward_model(max_position_embeddings=2048)
    model.max_length = 2048
    groups = simulate(40, seed=3).groups

    def rewards() -> NDArray[np.float64]:
        return np.concatenate([model.score(g.prompt, [r[-1].content for r in g.responses]) for g in groups]).astype(
            float
        )

    before = rewards()
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace("<|im_start|>{{", "### {{")
    shift = (rewards() - before) / before.std()
    return _histogram("Another template, another reward", "shift, standard deviations", shift=shift)


def exploding_reward() -> Plot:
    """What one pair pulls at the weights: 1 - p rightly labelled, p with the label turned round."""
    margin = np.linspace(0, 10, 41)
    wrong, right = win_probability(margin), win_probability(-margin)
    lines = tuple(Line(n, tuple(margin), tuple(y)) for n, y in (("label right", right), ("label turned", wrong)))
    return Lines(
        "The surer the model, the more a wrong label pulls",
        "margin of the true answer",
        "gradient on the margin",
        lines,
    )


def drift() -> Plot:
    """Distances of 24-dimensional states from the training data's: its own kind, and a policy that has moved."""
    draw = np.random.default_rng(0)
    train, held_out = draw.normal(size=(600, 24)), draw.normal(size=(600, 24))
    policy = draw.normal(size=(600, 24)) * 1.15 + 0.45
    covariance = np.linalg.inv(np.cov(train.T))

    def distance(states: NDArray[np.float64]) -> NDArray[np.float64]:
        off = states - train.mean(0)
        return np.sqrt(np.einsum("nd,de,ne->n", off, covariance, off))

    limit = float(np.quantile(distance(held_out), 0.95))
    series = {"held-out data": distance(held_out), "policy": distance(policy)}
    return _histogram(
        "A policy walks out of what people judged", "distance of the state", marker=(limit, "95 %"), **series
    )


def dominant_annotator() -> Plot:
    """Labels that follow one person's taste, by the share of pairs that this person judges."""
    draw = np.random.default_rng(0)

    def follows(votes: int, share: float) -> float:
        """Share of labels that go to the taste, by majority of so many people."""
        taste_LV = draw.random((20_000, votes)) < 0.5  # a coin to everybody else
        taste_LV[:, 0] |= draw.random(20_000) < share
        return float((taste_LV.sum(1) > votes / 2).mean())

    shares = tuple(np.linspace(0, 1, 11))
    lines = (
        Line("one vote a pair", shares, tuple(follows(1, share) for share in shares)),
        Line("majority of three people", shares, tuple(follows(3, share) for share in shares)),
    )
    title, axis = "Labels become one person's taste", "share of the pairs that this person judges"
    return Lines(title, axis, "labels to that taste", lines)


def leaked_prompts() -> Plot:
    """A model that only remembers prompts: right as often as a coin, unless prompts lie on both sides."""
    draw = np.random.default_rng(0)
    prompts = np.repeat(np.arange(500), 4)  # four pairs a prompt; which side wins is a matter of the prompt alone
    side = (draw.random(500) < 0.5)[prompts] ^ (draw.random(2000) < 0.1)

    def accuracy(held_out: NDArray[np.bool_]) -> float:
        votes = np.bincount(prompts[~held_out], np.where(side[~held_out], 1.0, -1.0), 500)[prompts[held_out]]
        return float(np.where(votes == 0, 0.5, (votes > 0) == side[held_out]).mean())

    by_row, by_prompt = draw.random(2000) < 0.2, (draw.random(500) < 0.2)[prompts]
    names, values = ("split by row", "split by prompt"), (accuracy(by_row), accuracy(by_prompt))
    title = "A model that remembers prompts and nothing else"
    return Bars(title, "held-out accuracy", names, values, reference=0.5, reference_label="chance")


def head_bias() -> Plot:
    """The same model with and without a bias on its head: every reward moves, no margin does."""
    model = sharp_reward_model(max_position_embeddings=2048)
    model.max_length = 2048
    rewards = np.concatenate(
        [model.score(g.prompt, [r[-1].content for r in g.responses]) for g in simulate(40, seed=3).groups]
    ).astype(float)
    series = {"no bias": rewards, "bias of 1.5": rewards + 1.5}
    return _histogram("A bias moves every reward and no margin", "reward", **series)


def two_towers() -> Plot:
    """Margins of one pair with the body's dropout at work, against the margin without."""
    model = sharp_reward_model(attention_dropout=0.1)
    model.max_length = 400
    prompt, pair = "What is 2 + 2?", ["It is 4.", "I like trains."]
    exact = model.score(prompt, pair)
    noise = nn.Dropout(0.1)
    handles = [layer.register_forward_hook(lambda _m, _i, out: _dropped(noise, out)) for layer in model.backbone.layers]
    margins = np.array([np.subtract(*model.score(prompt, pair)) for _ in range(200)], float)
    for handle in handles:
        handle.remove()
    marker = (float(np.subtract(*exact)), "without")
    return _histogram("Dropout makes noise of a margin", "margin of one pair", marker=marker, margins=margins)


def artefacts() -> Plot:
    """How often preferred and rejected responses carry bold text, where such marks were planted in a third."""
    made = simulate(600, flaws=Flaws(artefact=0.35))
    marks: dict[str, Callable[[str], bool]] = {
        "bold": lambda t: "**" in t,
        "list": lambda t: "\n- " in t or "\n* " in t,
    }
    marks |= {"exclamation": lambda t: "!" in t, "emoji": lambda t: any(ord(letter) > 0x1F000 for letter in t)}
    pairs = [
        (g.responses[c.winner][-1].content, g.responses[c.loser][-1].content)
        for g in made.groups
        for c in g.comparisons
    ]
    names = [f"{mark}, {side}" for mark in marks for side in ("preferred", "other")]
    values = [float(np.mean([has(pair[k]) for pair in pairs])) for has in marks.values() for k in (0, 1)]
    shown = [(n, v) for n, v in zip(names, values, strict=True) if max(values[names.index(n) // 2 * 2 :][:2]) > 0.02]
    return Bars("Form tells the preferred response", "share of responses", *map(tuple, zip(*shown, strict=True)))


def _dropped(noise: nn.Dropout, out: torch.Tensor) -> torch.Tensor:
    return noise.train()(out)


def _histogram(
    title: str, axis: str, *, marker: tuple[float, str] | None = None, **series: NDArray[np.float64]
) -> Plot:
    edges = np.linspace(min(v.min() for v in series.values()), max(v.max() for v in series.values()), 31)
    counts = tuple((name, tuple(np.histogram(values, edges)[0].astype(float))) for name, values in series.items())
    at, label = marker or (None, "")
    return Histogram(title, axis, tuple(edges), counts, at, label)


PLOTS = (
    length_bias,
    padding_side,
    stale_template,
    exploding_reward,
    drift,
    dominant_annotator,
    leaked_prompts,
    head_bias,
    two_towers,
    artefacts,
)

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for make in PLOTS:
        torch.manual_seed(0)
        write(make.__name__.replace("_", "-"), make())
