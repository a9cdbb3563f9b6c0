import pytest

from palate.errors import ConfigError
from palate.health import thresholds
from palate.health.thresholds import Limit, Thresholds
from palate.report.findings import Finding, Measure


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"high": Limit(0.1, 0.5), "low": Limit(0.4, 0.2, "low"), "never-fails": Limit(0.1, None)}
    monkeypatch.setattr(thresholds, "LIMITS", table)


def found(id: str, measure: Measure, changed: dict[str, float] | None = None) -> Finding | None:
    every = Thresholds(changed).find(id, "It is so.", measure, cure="Mend it.")
    return every[0] if every else None


@pytest.mark.parametrize(
    ("id", "value", "severity", "limit"),
    [
        ("high", 0.09, None, None),
        ("high", 0.1, "warn", 0.1),
        ("high", 0.5, "fail", 0.5),
        ("low", 0.41, None, None),
        ("low", 0.4, "warn", 0.4),
        ("low", 0.1, "fail", 0.2),
        ("never-fails", 1.0, "warn", 0.1),
    ],
)
def test_severity_begins_at_its_limit(id: str, value: float, severity: str | None, limit: float | None) -> None:
    finding = found(id, Measure(value, "share"))
    assert (finding and finding.severity) == severity
    assert (finding and finding.measure.threshold) == limit


def test_an_estimate_is_judged_by_the_harmless_end_of_its_interval() -> None:
    assert found("high", Measure(0.6, "share", low=0.05, high=0.9)) is None
    warned = found("high", Measure(0.6, "share", low=0.3, high=0.9))
    assert warned is not None
    assert (warned.severity, warned.measure.value, warned.measure.low) == ("warn", 0.6, 0.3)
    assert found("low", Measure(0.1, "alpha", low=0.0, high=0.5)) is None


def test_limits_can_be_set() -> None:
    def severity(id: str, value: float, fail: float) -> str | None:
        finding = found(id, Measure(value, "share"), {id: fail})
        return finding and finding.severity

    assert severity("high", 0.5, 0.9) == "warn"
    assert severity("high", 0.06, 0.05) == "fail"
    assert severity("high", 0.04, 0.05) is None
    assert severity("low", 0.5, 0.6) == "fail"
    assert severity("never-fails", 0.9, 0.8) == "fail"
    with pytest.raises(ConfigError, match="there is no finding 'other'; thresholds can be set for high, low, never"):
        Thresholds({"other": 1.0})
