"""Gates: what CI is told, and by which exit code."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import Shell

from detmon.gate import Quality, Status, decide, run


class Told:
    """Answers that a test chooses."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

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
    suite = ElementTree.fromstring(detmon(*now, "gate", "retrain", "--format", "junit", code=3).out)
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["3", "1", "2"]
    assert [case[0].tag for case in suite] == ["error", "failure", "error"]


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
    suite = ElementTree.fromstring(detmon("gate", "any", "--format", "junit").out)
    assert [case[0].tag for case in suite] == ["skipped", "system-out"]
    shown = detmon("gate", "any", "--format", "github").out.splitlines()
    assert [line.split()[0] for line in shown[:2]] == ["::notice", "::notice"]
