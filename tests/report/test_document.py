"""The report's nouns and its JSON."""

import dataclasses
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.example import PROVENANCE, example_report

from palate.report.document import SCHEMA, Report, Subject, gather_provenance
from palate.report.findings import Check, Example, Fact, Finding, Measure, Section, Severity


def check(key: str = "a", *findings: Finding, facts: dict[str, Fact] | None = None, skipped: str = "") -> Check:
    return Check(Section(key, key.title(), "Why.", ()), findings, facts or {}, skipped)


def finding(severity: Severity, name: str = "x", value: float = 0.5, low: float | None = None) -> Finding:
    return Finding(name, severity, "Title", Measure(value, "share", low), "Cure.")


def report(*checks: Check) -> Report:
    return Report("Data", (Subject("a.jsonl", "pairs", {"rows": 3}),), checks, PROVENANCE)


def matches(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "report") -> None:
    """Assert that a value is as the schema says; of JSON Schema no more than ours uses, and nothing of it unread."""
    if "$ref" in schema:
        return matches(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    known = {
        "$schema",
        "$defs",
        "title",
        "type",
        "required",
        "properties",
        "items",
        "enum",
        "const",
        "additionalProperties",
    }
    assert schema.keys() <= known, schema.keys() - known
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    if "type" in schema:
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, kinds[kind]) for kind in wanted), f"{at} is {value!r}, not {wanted}"
    assert value in schema.get("enum", [value]), at
    assert value == schema.get("const", value), at
    assert set(schema.get("required", ())) <= (value.keys() if isinstance(value, dict) else set()), at
    for key, part in schema.get("properties", {}).items():
        matches(value[key], part, root, f"{at}.{key}")
    for item in value if "items" in schema else ():
        matches(item, schema["items"], root, f"{at}[]")
    for key, part in value.items() if "additionalProperties" in schema else ():
        matches(part, schema["additionalProperties"], root, f"{at}.{key}")
    return None


def the_schema() -> dict[str, Any]:
    return json.loads(files("palate.report").joinpath("report.schema.json").read_text())


def test_json_is_as_the_schema_says(tmp_path: Path) -> None:
    example_report().write_json(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    matches(written, the_schema(), the_schema())
    assert the_schema()["title"] == SCHEMA == written["schema"]
    matches(report().to_json(), the_schema(), the_schema())


@pytest.mark.parametrize("path", [("verdict",), ("findings", 0, "measure", "value"), ("subject", 0, "counts", "rows")])
def test_the_schema_refuses_what_is_wrong(path: tuple[Any, ...]) -> None:
    broken = json.loads(json.dumps(example_report().to_json()))
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "nonsense"
    with pytest.raises(AssertionError):
        matches(broken, the_schema(), the_schema())


def test_the_schema_knows_every_key() -> None:
    def keys(schema: dict[str, Any]) -> set[str]:
        return set(schema["properties"])

    parts, written = the_schema()["$defs"], example_report().to_json()
    assert keys(the_schema()) == written.keys()
    assert keys(parts["finding"]) == written["findings"][0].keys()
    assert keys(parts["measure"]) == written["findings"][0]["measure"].keys()
    assert keys(parts["example"]) == written["findings"][0]["examples"][0].keys()
    assert keys(parts["provenance"]) == written["provenance"].keys()


def test_the_documentation_knows_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "report-schema.md").read_text(encoding="utf-8")
    shown = json.loads(text.split("```json\n")[1].split("```")[0])
    matches(shown, the_schema(), the_schema())
    for key in (*the_schema()["properties"], *the_schema()["$defs"]["finding"]["properties"]):
        assert f"| `{key}` |" in text


def test_everything_of_a_finding_survives() -> None:
    whole = Finding(
        "prompt-leak",
        "fail",
        "Title",
        Measure(0.1, "share", 0.05, 0.2, 0.01),
        "Cure",
        "palate data split",
        7,
        (Example("a.jsonl:3", (("prompt", "x" * 10_000),), "note"),),
    )
    [written] = json.loads(json.dumps(report(check("leaks", whole)).to_json()))["findings"]
    assert written.pop("section") == "leaks"
    [example] = written.pop("examples")
    expected = dataclasses.asdict(whole)
    del expected["examples"]
    assert written == expected
    assert example == {"where": "a.jsonl:3", "texts": [{"what": "prompt", "text": "x" * 10_000}], "note": "note"}


def test_findings_come_worst_first_and_else_in_the_order_of_checks() -> None:
    made = report(
        check("a", finding("info", "1"), finding("warn", "2")), check("b", finding("warn", "3"), finding("fail", "4"))
    )
    assert [(one.number, one.finding.id, one.section.key) for one in made.placed] == [
        (1, "4", "b"),
        (2, "2", "a"),
        (3, "3", "b"),
        (4, "1", "a"),
    ]
    assert made.counts == {"fail": 1, "warn": 2, "info": 1}


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [((), "sound"), (("info",), "sound"), (("info", "warn"), "warn"), (("warn", "fail"), "fail")],
)
def test_verdict(severities: tuple[Severity, ...], verdict: str) -> None:
    assert report(check("a", *map(finding, severities))).verdict == verdict


def test_what_is_no_number_is_null_at_any_depth(tmp_path: Path) -> None:
    nothing: dict[str, Fact] = {"a.x": math.nan, "a.y": {"z": [1.5, math.inf, {"w": -math.inf}]}, "a.flag": True}
    made = report(check("a", finding("fail", value=math.nan, low=math.inf), facts=nothing))
    made.write_json(tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text()
    assert not any(word in text for word in ("NaN", "Infinity"))
    written = json.loads(text)
    assert written["facts"] == {"a.x": None, "a.y": {"z": [1.5, None, {"w": None}]}, "a.flag": True}
    assert written["findings"][0]["measure"]["value"] is written["findings"][0]["measure"]["low"] is None


def test_numbers_of_numpy_are_numbers() -> None:
    facts: dict[str, Any] = {"n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True), "nan": np.float64("nan")}
    assert json.dumps(report(check(facts=facts)).to_json()["facts"]) == '{"n": 3, "x": 0.5, "b": true, "nan": null}'


def test_a_fact_that_json_does_not_have_is_named() -> None:
    facts: dict[str, Any] = {"a.b": {"c": {1, 2}}}
    with pytest.raises(TypeError, match=r"facts\.a\.b\.c: set"):
        report(check(facts=facts)).to_json()


def test_two_checks_may_not_state_one_fact() -> None:
    with pytest.raises(ValueError, match=r"fact 'a\.n' comes from more than one check"):
        report(check("a", facts={"a.n": 1}), check("b", facts={"a.n": 1}))
    with pytest.raises(ValueError, match="section 'a' comes from more than one check"):
        report(check("a"), check("a"))


def test_skipped_checks_are_listed_with_the_reason() -> None:
    made = report(check("a"), check("b", skipped="no votes"))
    assert made.to_json()["skipped"] == [{"section": "b", "why": "no votes"}]


def test_a_lone_surrogate_survives_in_json(tmp_path: Path) -> None:
    made = report(check(facts={"text": "a\ud800b", "plain": "\u00e9"}))
    made.write_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["facts"]["text"] == "a\ud800b"
    assert "\u00e9" in (tmp_path / "r.json").read_text(encoding="utf-8")


def test_markdown_is_written_as_it_is(tmp_path: Path) -> None:
    example_report().write_markdown(tmp_path / "r.md")
    assert (tmp_path / "r.md").read_text(encoding="utf-8") == example_report().to_markdown()


def test_a_report_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    report().write_json(path)
    before = path.read_bytes()
    facts: dict[str, Any] = {"a": object()}
    with pytest.raises(TypeError):
        report(check(facts=facts)).write_json(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["r.json"]


def test_provenance_says_the_command_as_a_shell_takes_it() -> None:
    made = gather_provenance(["palate", "data", "check", "my file.jsonl"], 1.5, ["numpy", "scipy"])
    assert made.command == "palate data check 'my file.jsonl'"
    assert made.versions.keys() == {"python", "numpy", "scipy"}
    assert made.versions["numpy"] == np.__version__
    assert made.time.endswith("+00:00")
