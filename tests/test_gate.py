"""Gates: what CI is told, and by which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell

from detmon.gate import Quality, Status, decide, run


class Told:
    """Answers that a test chooses."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def model(self, name: str) -> str:
        return name

    def drift(self, *_: object) -> Any:
        return self.answers["drift"]

    def firing(self, *_: object) -> Any:
        return self.answers["firing"]

    def metric(self, *_: object) -> Any:
        return self.answers["metric"]

    def quality(self, *_: object) -> Any:
        return self.answers["quality"]

    def items(self, *_: object) -> Any:
        return self.answers["items"]

    def ab(self, *_: object) -> Any:
        return self.answers["ab"]


def status(check: dict[str, Any], **answers: Any) -> Status:
    return run("g", {"g": {"model": "m", "checks": [check]}}, Told(**answers)).checks[0].status


@pytest.mark.parametrize(
    ("statuses", "every", "one"),
    [
        ("pp", "pass", "pass"),
        ("pf", "fail", "pass"),
        ("pu", "undecided", "pass"),
        ("fu", "fail", "undecided"),
        ("ff", "fail", "fail"),
        ("uu", "undecided", "undecided"),
    ],
)
def test_all_and_any(statuses: str, every: str, one: str) -> None:
    words: dict[str, Status] = {"p": "pass", "f": "fail", "u": "undecided"}
    found = [words[letter] for letter in statuses]
    assert (decide(found, "all"), decide(found, "any")) == (every, one)


def test_drift() -> None:
    for found, expect, says in ((True, True, "pass"), (True, False, "fail"), (None, True, "undecided")):
        assert status({"check": "drift", "expect": expect}, drift=(found, "")) == says


def test_numbers() -> None:
    at_most = {"check": "alerts", "operator": "le", "threshold": 0}
    assert [status(at_most, firing=n) for n in (0, 1)] == ["pass", "fail"]
    many = {"check": "items", "dataset": "d", "operator": "ge", "threshold": 200}
    assert [status(many, items=n) for n in (199, 200)] == ["fail", "pass"]
    low = {"check": "metric", "metric": "avg_confidence", "operator": "lt", "threshold": 0.7}
    answers = [(0.6, None), (0.8, None), (None, "no_rows")]
    assert [status(low, metric=answer) for answer in answers] == ["pass", "fail", "undecided"]


def test_reviews_must_be_enough() -> None:
    low = {"check": "metric", "metric": "precision", "operator": "lt", "threshold": 0.85}
    enough = Quality(0.8, 50, 10, None)
    few = [Quality(0.8, 29, 10, None), Quality(0.8, 50, 7, None), Quality(None, 0, 0, "nobody reviewed")]
    assert status(low, quality=enough) == "pass"
    assert [status(low, quality=one) for one in few] == ["undecided"] * 3


def test_winners() -> None:
    check = {"check": "ab", "test": "t", "winner": "b"}
    said = [("b", True), ("a", True), ("a", False), (None, True), (None, False)]
    assert [status(check, ab=(*one, "")) for one in said] == ["pass", "fail", "fail", "fail", "undecided"]


@pytest.mark.parametrize(
    ("checks", "says"),
    [
        ('[{ check = "drfit" }]', "did you mean 'drift'?"),
        ('[{ check = "drift", expct = true }]', "did you mean 'expect'?"),
        ('[{ check = "alerts", operator = "le" }]', "needs threshold"),
        ('[{ check = "alerts", operator = "leq", threshold = 0 }]', "unknown operator"),
        ('[{ check = "alerts", operator = "le", threshold = "0" }]', "write a number"),
        ('[{ check = "ab", test = "t", winner = "c" }]', "winner"),
        ('[{ check = "drift", reference = 3 }]', "reference = 3"),
        ('[{ check = "metric", metric = "recall", label = "car", operator = "ge", threshold = 1 }]', "leave label out"),
        ("[]", "has no checks"),
    ],
)
def test_what_a_gate_cannot_mean(detmon: Shell, checks: str, says: str) -> None:
    (detmon.folder / "detmon.toml").write_text(f'[gate.promote]\nmodel = "m"\nchecks = {checks}\n')
    assert says in detmon("gate", "promote", code=2).err


def test_an_unknown_gate(detmon: Shell) -> None:
    assert "write [gate.promote]" in detmon("gate", "promote", code=2).err
    (detmon.folder / "detmon.toml").write_text('[gate.promote]\nmodel = "m"\nchecks = [{ check = "drift" }]\n')
    assert "did you mean 'promote'?" in detmon("gate", "promte", code=2).err


def test_a_gate_of_a_store(detmon: Shell) -> None:
    from datetime import UTC, datetime, timedelta

    from test_ab import traffic, write

    detmon("ingest", write(detmon.folder / "log.jsonl", traffic(3)))
    detmon("dataset", "create", "review")
    start = ("--start", "2026-03-02T00:00Z", "--duration-days", "3", "--traffic-split", "0.5")
    detmon("ab", "create", "t", "--model-a", "m@1", "--model-b", "m@2", *start)
    (detmon.folder / "detmon.toml").write_text(
        """
[gate.quiet]
model = "m@1"
checks = [{ check = "alerts", operator = "le", threshold = 0 },
  { check = "metric", metric = "avg_confidence", operator = "gt", threshold = 0.5, period = "last 3d" }]
[gate.retrain]
model = "m@1"
require = "any"
checks = [{ check = "drift", expect = true }, { check = "items", dataset = "review", operator = "ge", threshold = 1 },
  { check = "metric", metric = "precision", operator = "lt", threshold = 0.9, period = "last 3d" }]
[gate.promote]
checks = [{ check = "ab", test = "t", winner = "b" }]
"""
    )
    now = ("--now", (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=3)).isoformat())
    quiet = detmon(*now, "gate", "quiet", "--json").json
    assert (quiet["gate"], quiet["decision"]) == ("quiet", "pass")
    assert list(quiet["checks"][1]) == ["check", "status", "observed", "required", "message"]
    retrain = detmon(*now, "gate", "retrain", "--json", code=3).json
    assert [one["status"] for one in retrain["checks"]] == ["undecided", "fail", "undecided"]
    shown = detmon(*now, "gate", "promote", code=1).out
    assert "The gate fails." in shown
    assert "nobody has reviewed" in shown
    assert "| check |" in detmon(*now, "gate", "promote", "--format", "markdown", code=1).out
    (annotation, said) = detmon(*now, "gate", "promote", "--format", "github", code=1).out.splitlines()
    assert annotation.startswith("::error title=gate promote%3A ab::fail: no winner")
    assert said == "The gate fails."
    suite = junit(detmon(*now, "gate", "retrain", "--format", "junit", code=3).out)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 1, 0, 2)
    assert [one.result[0].__class__.__name__ for one in suite] == ["Skipped", "Failure", "Skipped"]


def test_where_one_check_is_enough_another_is_no_failure(detmon: Shell) -> None:
    detmon("dataset", "create", "review")
    (detmon.folder / "detmon.toml").write_text(
        """
[gate.any]
require = "any"
checks = [{ check = "items", dataset = "review", operator = "ge", threshold = 1 },
  { check = "items", dataset = "review", operator = "le", threshold = 0 }]
"""
    )
    suite = junit(detmon("gate", "any", "--format", "junit").out)
    assert [[type(one).__name__ for one in case.result] for case in suite] == [["Skipped"], []]
    shown = detmon("gate", "any", "--format", "github").out.splitlines()
    assert [line.split()[0] for line in shown[:2]] == ["::notice", "::notice"]


# --- what CI reads -------------------------------------------------------------------------------------------------


def junit(text: str) -> Any:
    """The only suite of a JUnit document, as other programs read it."""
    from junitparser import JUnitXml

    (suite,) = JUnitXml.fromstring(text.encode())
    return suite


@pytest.fixture
def workflow(detmon: Shell) -> dict[str, Path]:
    """The files that a step of a GitHub workflow writes to."""
    files = {name: detmon.folder / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    for name, file in files.items():
        detmon.monkeypatch.setenv(name, str(file))
    return files


def items_gate(detmon: Shell, name: str, thresholds: list[int], require: str = "all") -> None:
    """A gate of checks that pass where the threshold is 0."""
    detmon("dataset", "create", "review")
    checks = [
        f'{{ check = "items", dataset = "review", operator = "ge", threshold = {threshold} }}'
        for threshold in thresholds
    ]
    text = f'[gate.{json.dumps(name)}]\nrequire = "{require}"\nchecks = [{", ".join(checks)}]\n'
    (detmon.folder / "detmon.toml").write_text(text)


@pytest.mark.parametrize(("threshold", "decision", "code"), [(0, "pass", 0), (1, "fail", 1)])
def test_a_step_of_a_workflow_is_told(
    detmon: Shell, workflow: dict[str, Path], threshold: int, decision: str, code: int
) -> None:
    items_gate(detmon, "promote", [threshold])
    workflow["GITHUB_OUTPUT"].write_text("before=1\n")
    detmon("gate", "promote", "--format", "github", code=code)
    assert workflow["GITHUB_OUTPUT"].read_text() == f"before=1\ndecision={decision}\n"
    assert workflow["GITHUB_STEP_SUMMARY"].read_text().startswith("## Gate promote\n")


def test_ten_annotations_of_a_kind_are_shown(detmon: Shell, workflow: dict[str, Path]) -> None:
    items_gate(detmon, "many", [*range(1, 13), *[0] * 11])
    shown = detmon("gate", "many", "--format", "github", code=1).out.splitlines()
    assert [sum(line.startswith(f"::{kind} ") for line in shown) for kind in ("error", "notice")] == [10, 10]
    assert workflow["GITHUB_STEP_SUMMARY"].read_text().count("| items |") == 23


def test_a_summary_is_cut_before_it_is_lost(detmon: Shell, workflow: dict[str, Path]) -> None:
    items_gate(detmon, "x" * 1000, [0] * 300)
    text = (detmon.folder / "detmon.toml").read_text()
    detmon("dataset", "create", "ü" * 2000)
    (detmon.folder / "detmon.toml").write_text(text.replace('"review"', f'"{"ü" * 2000}"'))
    detmon("gate", "x" * 1000, "--format", "github")
    summary = workflow["GITHUB_STEP_SUMMARY"].read_text("utf-8")
    assert 890_000 < len(summary.encode()) < 901_000
    assert summary.endswith("(cut: the summary was too long)\n")


HOSTILE = "a,b:c%0A\n::error::x\r\u2028::add-mask::y\x01<b>|`]]>&\u202e"


@pytest.mark.parametrize("format", ["text", "json", "junit", "github", "markdown", "html"])
def test_hostile_names(detmon: Shell, workflow: dict[str, Path], format: str) -> None:
    detmon("dataset", "create", HOSTILE)
    items_gate(detmon, HOSTILE, [0, 1], require="any")
    text = (detmon.folder / "detmon.toml").read_text()
    (detmon.folder / "detmon.toml").write_text(text.replace('"review"', json.dumps(HOSTILE)), "utf-8")
    out = detmon("gate", HOSTILE, "--format", format).out
    if format == "json":
        assert json.loads(out)["gate"] == HOSTILE
        return
    assert not [line for line in out.splitlines() if line.startswith(("::error", "::add-mask"))]
    assert "\x01" not in out
    if format == "junit":
        assert junit(out).tests == 2
    if format == "github":
        assert [line.split()[0] for line in out.splitlines()] == ["::notice", "::notice", "The"]
        assert workflow["GITHUB_OUTPUT"].read_text() == "decision=pass\n"
    if format == "html":
        assert "<b>" not in out


@pytest.mark.parametrize(("setting", "code"), [('db = "text.duckdb"', 4), ("nonsense = 1", 2)])
def test_a_gate_that_cannot_be_run(detmon: Shell, workflow: dict[str, Path], setting: str, code: int) -> None:
    items_gate(detmon, "promote", [0])
    (detmon.folder / "text.duckdb").write_text("no store")
    text = (detmon.folder / "detmon.toml").read_text()
    (detmon.folder / "detmon.toml").write_text(f"{setting}\n{text}")
    suite = junit(detmon("gate", "promote", "--format", "junit", code=code).out)
    assert (suite.tests, suite.errors) == (1, 1)
    shown = detmon("gate", "promote", "--format", "github", code=code).out
    assert shown.startswith("::error title=gate promote::")
    assert workflow["GITHUB_OUTPUT"].read_text() == "decision=error\n"
    assert detmon("gate", "promote", "--json", code=code).out == ""


def test_a_summary_that_cannot_be_written(detmon: Shell, workflow: dict[str, Path]) -> None:
    items_gate(detmon, "promote", [0])
    workflow["GITHUB_STEP_SUMMARY"].mkdir()
    assert "GITHUB_STEP_SUMMARY" in detmon("gate", "promote", "--format", "github", code=4).err
