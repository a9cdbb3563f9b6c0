"""A report as `palate data check` could write it: every kind of block, six findings, one check that could not look."""

import math
import random

from palate.report.document import Provenance, Report, Subject
from palate.report.findings import Check, Example, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars, Histogram, Line, Lines, Scatter

PROVENANCE = Provenance(
    palate="0.1.0",
    command="palate data check data/train.jsonl --against data/dev.jsonl --out report.html report.json",
    time="2026-02-11T09:14:52+00:00",
    seconds=74.2,
    versions={"python": "3.11.7", "numpy": "2.3.1", "scikit-learn": "1.7.2"},
)
PROMPT = "How do I remove a wine stain from a wool carpet without making it worse?"
LONG_ANSWER = (
    "Act quickly, and blot, never rub: rubbing drives the wine into the fibres.\n\n"
    "1. Press a dry white cloth on the stain until it takes up no more.\n"
    "2. Mix a teaspoon of wool detergent in a cup of cold water.\n"
    "3. Dab it on from the edge towards the middle.\n\n"
) * 4


def leaks() -> Check:
    finding = Finding(
        id="prompt-leak",
        severity="fail",
        title="412 of 3,210 prompts of dev (12.8 %) are in train as well",
        measure=Measure(412 / 3210, "share of dev prompts", 0.117, 0.140, threshold=0.005),
        cure="Split again by prompt, so that no prompt is on both sides. Accuracy on the present dev is an "
        "accuracy on what the model has seen.",
        command="palate data split data/train.jsonl data/dev.jsonl --by prompt --out data/split/ --dev-fraction 0.05",
        count=412,
        examples=(
            Example("data/dev.jsonl:17", (("prompt", PROMPT),), "also data/train.jsonl:20411"),
            Example(
                "data/dev.jsonl:203",
                (("prompt in dev", "write a haiku about rain "), ("prompt in train", "Write a haiku about  rain")),
                "equal up to case and spaces",
            ),
        ),
    )
    near = Finding(
        id="near-duplicate",
        severity="warn",
        title="2.1 % of train prompts are nearly the same as another one",
        measure=Measure(0.021, "share of train prompts", threshold=0.01),
        cure="Keep one of each cluster, or split by cluster.",
        command="palate data split data/train.jsonl --by near-duplicates --out data/split/",
        count=921,
        examples=(
            Example(
                "data/train.jsonl:88",
                (
                    ("prompt", "Summarise the article below in three sentences."),
                    ("prompt", "Summarize the article below in 3 sentences."),
                ),
                "Jaccard similarity 0.83",
            ),
        ),
    )
    table = Table(
        ("file", "against", "prompts", "shared", "share"),
        (
            ("data/train.jsonl", "data/dev.jsonl", 43_835, 412, 0.12835),
            ("data/train.jsonl", "rewardbench.jsonl", 43_835, 3, 0.00101),
            ("data/dev.jsonl", "rewardbench.jsonl", 3_210, 0, 0.0),
        ),
        caption="Prompts that two files share",
        omitted=2,
    )
    rng = random.Random(3)
    edges = tuple(n / 20 for n in range(21))
    near_counts = tuple(float(int(900 * math.exp(-((e - 0.12) ** 2) / 0.02) + rng.random() * 12)) for e in edges[:-1])
    similar = Histogram(
        "Similarity of each dev prompt to its nearest in train",
        "Jaccard similarity of word 5-grams",
        edges,
        (("dev prompts", (*near_counts[:-1], 412.0)),),
        marker=0.7,
        marker_label="counted as near-duplicate",
    )
    section = Section(
        "leaks",
        "Leaks",
        "A prompt that is in the training data and in the data that you test on makes the test easier than the "
        "world will be. A model may look better for having seen the answers.",
        (table, similar),
    )
    facts = {
        "leaks.shared_prompts": 412,
        "leaks.dev_share": 412 / 3210,
        "leaks.near_duplicates": 921,
        "leaks.by_file": {"rewardbench.jsonl": 3},
    }
    return Check(section, (finding, near), facts)


def length() -> Check:
    finding = Finding(
        id="length-bias",
        severity="fail",
        title="The longer response is chosen in 74.5 % of pairs",
        measure=Measure(0.745, "share of pairs whose chosen is longer", 0.737, 0.753, threshold=0.65),
        cure="Balance the pairs, or train with length held out.\nCompare both on length-matched pairs.",
        command="palate data balance data/train.jsonl --by length --out data/balanced.jsonl",
        count=32_657,
        examples=(
            Example(
                "data/train.jsonl:5",
                (("prompt", PROMPT), ("chosen", LONG_ANSWER), ("rejected", "Blot it.")),
                "23 times as long",
            ),
        ),
    )
    rng = random.Random(1)
    gap = [rng.gauss(0.3, 0.8) for _ in range(700)]
    score = [0.9 * g + rng.gauss(0, 0.7) for g in gap]
    bins = tuple(float(64 * n) for n in range(17))
    shape = [math.exp(-((n - 4) ** 2) / 14) for n in range(16)]
    blocks = (
        Paragraph("Equal lengths count as half. Lengths are in tokens of the tokenizer that the model will use."),
        Bars(
            "How often the longer response is chosen, by source",
            "share of pairs",
            ("helpful-base", "helpful-online", "harmless-base", "ukp-convarg", "stack-exchange-preferences-en"),
            (0.598, 0.567, 0.446, 0.745, 0.683),
            ((0.585, 0.611), (0.541, 0.593), (0.428, 0.464), (0.737, 0.753), (0.651, 0.715)),
            labels=("2,354 pairs", "1,137 pairs", "2,312 pairs", "12,792 pairs", "811 pairs"),
            reference=0.5,
            reference_label="no preference for length",
        ),
        Histogram(
            "Length of responses",
            "tokens",
            bins,
            (
                ("chosen", tuple(float(int(2400 * s)) for s in shape)),
                ("rejected", tuple(float(int(2900 * s)) for s in [*shape[2:], 0.02, 0.01])),
            ),
            marker=1024.0 - 128,
            marker_label="maximum length 896",
        ),
        Scatter(
            "Reward gap against length gap, 700 of 43,835 pairs",
            "log length gap",
            "reward gap",
            tuple(gap),
            tuple(score),
            labels=tuple(f"data/train.jsonl:{61 * n + 1}" for n in range(700)),
            fit=(0.9, 0.0),
        ),
        Lines(
            "Accuracy by length gap",
            "length of the longer over the shorter",
            "accuracy",
            (
                Line(
                    "longer is right",
                    (1, 1.5, 2, 4, 8, 16),
                    (0.62, 0.68, 0.74, 0.8, 0.84, 0.87),
                    (0.58, 0.65, 0.71, 0.77, 0.8, 0.8),
                    (0.66, 0.71, 0.77, 0.83, 0.88, 0.94),
                ),
                Line(
                    "shorter is right",
                    (1, 1.5, 2, 4, 8, 16),
                    (0.6, 0.57, 0.5, math.nan, 0.37, 0.31),
                    (0.56, 0.53, 0.46, math.nan, 0.3, 0.2),
                    (0.64, 0.61, 0.54, math.nan, 0.44, 0.42),
                ),
            ),
            log_x=True,
        ),
    )
    section = Section(
        "length",
        "Length",
        "People tend to prefer longer answers even where they are no better. A reward model learns that first, "
        "because it is easiest, and a policy trained on it learns to ramble.",
        blocks,
    )
    facts = {
        "length.longer_wins": 0.7451,
        "length.pairs": 43_835,
        "length.correlation": 0.3127,
        "length.p_value": 1.2e-31,
    }
    return Check(section, (finding,), facts)


def agreement() -> Check:
    low = Finding(
        id="low-agreement",
        severity="warn",
        title="Annotators agree little more than by chance: alpha is 0.31",
        measure=Measure(0.31, "Krippendorff's alpha", 0.29, 0.33, threshold=0.4),
        cure="Train on the share of votes instead of the majority. No reward model can be right more often than "
        "73 % on single votes of this data.",
        command="palate data aggregate data/train.jsonl --method dawid-skene --soft --out data/soft.jsonl",
    )
    top = Finding(
        id="dominant-annotator",
        severity="info",
        title="One annotator of 3,815 gave 5.3 % of all votes",
        measure=Measure(0.053, "share of votes", threshold=0.2),
        cure="Nothing has to be done. Hold this annotator out once to see whose taste was learned.",
    )
    blocks = (
        Bars("Votes a pair", "pairs", ("3", "4", "5", "6", "7+"), (1204.0, 2210.0, 38_112.0, 1904.0, 405.0)),
        Lines(
            "Do predicted shares match observed ones?",
            "predicted share of votes",
            "observed share of votes",
            (
                Line(
                    "Dawid-Skene",
                    (0.1, 0.3, 0.5, 0.7, 0.9),
                    (0.14, 0.33, 0.5, 0.68, 0.86),
                    (0.1, 0.29, 0.46, 0.64, 0.82),
                    (0.18, 0.37, 0.54, 0.72, 0.9),
                ),
                Line("majority", (0.1, 0.3, 0.5, 0.7, 0.9), (0.24, 0.38, 0.49, 0.61, 0.77)),
            ),
            diagonal=True,
        ),
        Table(
            ("annotator", "votes", "agreement", "left share", "median seconds"),
            (
                ("w-1138", 4218, 0.731, 0.502, 21.4),
                ("w-0044", 3906, 0.498, 0.871, 2.1),
                ("w-2210", 2215, 0.7649, 0.51, None),
            ),
            caption="The most active annotators",
            omitted=3812,
        ),
    )
    section = Section(
        "annotators",
        "Annotators",
        "Labels are opinions of people, and people differ. How much they agree bounds how often any model can be "
        "right, and one careless voter can bend a whole data set.",
        blocks,
    )
    return Check(section, (low, top), {"annotators.alpha": 0.31, "annotators.count": 3815, "annotators.gini": math.nan})


def noise() -> Check:
    finding = Finding(
        id="template",
        severity="warn",
        title="34 responses contain a special token of the chat template",
        measure=Measure(34, "responses"),
        cure="Remove them, or keep them as text if they are meant.",
        count=34,
        examples=(
            Example("data/train.jsonl:731", (("response", "Sure!<|im_end|>\n<script>alert(1)</script> مرحبا"),)),
        ),
    )
    section = Section(
        "tokens",
        "Tokens and template",
        "The model reads tokens, not text. What the template adds or cuts is what it learns from.",
        (Bars("Nothing measured", "share", (), ()),),
    )
    return Check(section, (finding,), {"tokens.over_long": 0})


def unseen() -> Check:
    section = Section(
        "position",
        "Position",
        "An annotator who always takes the left answer says nothing about answers.",
        (),
    )
    return Check(section, skipped="the data does not say which response was shown first")


def example_report() -> Report:
    subject = (
        Subject("data/train.jsonl", "training pairs", {"rows": 43_835, "prompts": 41_207}),
        Subject("data/dev.jsonl", "dev", {"rows": 3_402, "prompts": 3_210}),
    )
    return Report("Preference data", subject, (leaks(), length(), agreement(), noise(), unseen()), PROVENANCE)
