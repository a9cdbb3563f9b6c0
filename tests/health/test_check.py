"""The whole check: what it reads, what it writes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

import palate
from palate.data.simulate import Flaws, simulate, write_jsonl
from palate.errors import ConfigError, DataError, ModelError
from palate.health.check import Listener, check_data
from palate.testing.tiny import save_tiny_causal_lm

SECTIONS = [
    "rows",
    "leaks",
    "contamination",
    "contradictions",
    "length",
    "artefacts",
    "baseline",
    "noise",
    "annotators",
    "tokens",
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "prefs.jsonl"
    write_jsonl(simulate(150, seed=5), path)
    return path


def test_every_section_is_there_and_every_report_is_written(clean: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("r.html", "r.json", "r.md")]
    report = palate.check_data(data=(str(clean),), out=tuple(map(str, outputs)), workers=1)
    assert [check.section.key for check in report.checks] == SECTIONS
    assert {check.section.key for check in report.skipped} == {"contamination", "tokens"}
    page, values, summary = (path.read_text() for path in outputs)
    assert "Labels that may be wrong" in page
    read: dict[str, Any] = json.loads(values)
    assert read["facts"]["rows.groups"] == 150
    assert read["subject"][0]["name"] == str(clean)
    assert read["verdict"] in summary.lower() or summary


def test_bad_rows_are_findings_and_do_not_stop_it(clean: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    same = {"prompt": "Why?", "chosen": "So.", "rejected": "So."}
    broken.write_text(clean.read_text() + json.dumps(same) + "\n{oh\n")
    report = check_data(data=(str(broken),), workers=1)
    places = {f.id: [example.where for example in f.examples] for f in report.checks[0].findings}
    assert places == {"identical-pair": [f"{broken}:151"], "unusable-row": [f"{broken}:152"]}


def test_leaks_into_other_files_and_benchmarks_are_found(clean: Path, tmp_path: Path) -> None:
    lines = clean.read_text().splitlines(keepends=True)
    dev = tmp_path / "dev.jsonl"
    dev.write_text("".join(lines[:20]))
    report = check_data(data=(str(clean),), against=(str(dev),), benchmark=(str(dev),), workers=1)
    assert report.facts["leaks.same_prompt_groups"] == 20
    assert report.verdict == "fail"
    assert "prompt-leak" in {placed.finding.id for placed in report.placed}
    assert [subject.what for subject in report.subject] == ["checked", "against", "benchmark"]
    assert report.subject[1].counts["groups"] == 20


def test_thresholds_decide_what_fails(clean: Path, tmp_path: Path) -> None:
    planted = tmp_path / "planted.jsonl"
    write_jsonl(simulate(150, seed=5, flaws=Flaws(duplicates=0.1)), planted)

    def severity(*thresholds: str) -> str | None:
        report = check_data(data=(str(planted),), threshold=thresholds, workers=1)
        return next((p.finding.severity for p in report.placed if p.finding.id == "duplicate"), None)

    assert severity() == "warn"
    assert severity("duplicate=0.01") == "fail"
    for wrong in ("duplicate", "duplicate=x", "nothing=1"):
        with pytest.raises(ConfigError):
            check_data(data=(str(clean),), threshold=(wrong,))


def test_tokens_are_counted_with_a_tokenizer(clean: Path, tmp_path: Path) -> None:
    model = save_tiny_causal_lm(tmp_path / "model")
    report = check_data(data=(str(clean),), tokenizer=str(model), max_length=100, workers=1)
    assert report.facts["tokens.tokenizer"] == str(model)
    assert report.facts["tokens.saving"] > 1.2
    assert "over-long" in {placed.finding.id for placed in report.placed}
    with pytest.raises(ModelError, match="no such directory"):
        check_data(data=(str(clean),), tokenizer="./nowhere")


def test_tokens_are_counted_of_the_groups_that_are_checked_alone(clean: Path, tmp_path: Path) -> None:
    model = save_tiny_causal_lm(tmp_path / "model")
    short = tmp_path / "short.jsonl"
    short.write_text("".join(clean.read_text().splitlines(keepends=True)[:20]))
    limited, whole = (
        check_data(data=(str(path),), tokenizer=str(model), max_groups=most, workers=1).facts
        for path, most in ((clean, 20), (short, None))
    )
    assert limited["rows.groups"] == 20
    assert limited["tokens.unshared"] == whole["tokens.unshared"]


def test_rewards_of_a_model_rank_the_labels(clean: Path, tmp_path: Path) -> None:
    made = simulate(150, seed=5)
    scores = tmp_path / "scores.jsonl"
    rows = [
        {"id": group.id, "rewards": [response.quality for response in truth.responses]}
        for group, truth in zip(made.groups, made.truth, strict=True)
    ]
    scores.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check_data(data=(str(clean),), scores=str(scores), workers=1)
    assert report.facts["noise.scores_from"] == str(scores)
    assert report.facts["noise.agreement"] > 0.8
    scores.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(DataError, match="1 groups of the data have no rewards"):
        check_data(data=(str(clean),), scores=str(scores), workers=1)
    scores.write_text(json.dumps({"id": "x"}) + "\n")
    with pytest.raises(DataError, match=r"scores\.jsonl:1: no id and rewards"):
        check_data(data=(str(clean),), scores=str(scores), workers=1)


def test_it_says_how_far_it_is(clean: Path) -> None:
    stages: list[str] = []
    read: list[int] = []
    said: list[str] = []
    check_data(data=(str(clean),), listener=Listener(stages.append, read.append, said.append), workers=1)
    assert stages[0] == "reading"
    assert stages[-1] == "tokens"
    assert sum(read) == 150
    assert said == [f"{clean}: 150 rows of format palate-group -> 150 groups, 295 comparisons"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"out": ("report.pdf",)}, ConfigError, "its ending must be one of .html, .json, .md"),
        ({"workers": -1}, ConfigError, "workers is -1"),
        ({"data": ()}, ConfigError, "name at least one file"),
        ({"max_groups": 0}, ConfigError, "max-groups is 0"),
    ],
)
def test_wrong_settings_are_refused(
    clean: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_data(**{"data": (str(clean),), **settings})


def test_a_file_without_preferences_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a"}\n')
    with pytest.raises(DataError, match="no preferences in it"):
        check_data(data=(str(path),))
    with pytest.raises(DataError, match="no such file"):
        check_data(data=("./missing.jsonl",))


@pytest.mark.parametrize("where", ["benchmark", "against"])
def test_what_holds_nothing_that_can_be_read_is_not_found_clean(clean: Path, tmp_path: Path, where: str) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "q", "answer": "a"}\n')
    with pytest.raises(DataError, match=r"other\.jsonl: nothing in it can be read"):
        check_data(data=(str(clean),), workers=1, **{where: (str(other),)})


def test_a_benchmark_that_is_named_twice_is_one(clean: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": "q", "chosen": "a", "rejected": "b"}\n')
    report = check_data(data=(str(clean),), workers=1, benchmark=(str(other), str(other)))
    assert [subject.name for subject in report.subject if subject.what == "benchmark"] == [str(other)]
