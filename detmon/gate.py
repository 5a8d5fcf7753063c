"""Gates: statements about a model that CI can act on. Each check passes, fails, or cannot be decided.

The checks' answers come from elsewhere: a gate is given functions that ask (`Asks`), and knows what an answer means.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from detmon.errors import ConfigError, UnknownName
from detmon.records import Record

Status = Literal["pass", "fail", "undecided"]
OPERATORS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "lt": ("<", operator.lt),
    "le": ("<=", operator.le),
    "gt": (">", operator.gt),
    "ge": (">=", operator.ge),
    "eq": ("==", operator.eq),
    "ne": ("!=", operator.ne),
}
KEYS = {
    "drift": ("expect", "reference", "current"),
    "alerts": ("operator", "threshold"),
    "metric": ("metric", "operator", "threshold", "period", "label"),
    "items": ("dataset", "status", "operator", "threshold"),
    "ab": ("test", "winner"),
    "evaluate": (
        "version", "log", "metric", "operator", "threshold", "label", "split", "min_confidence", "missing_are_empty",
        "model", "image_id", "digest",
    ),
}  # fmt: skip
"""The checks, and the keys that each may have beside `check`."""
NEEDED = {
    "alerts": ("operator", "threshold"),
    "metric": ("metric", "operator", "threshold"),
    "items": ("dataset", "operator", "threshold"),
    "ab": ("test",),
    "evaluate": ("version", "log", "metric", "operator", "threshold"),
}
NUMBERS, FLAGS = ("threshold", "min_confidence"), ("expect", "missing_are_empty")
"""Keys whose values are no texts."""
EVALUATED = ("map", "map50", "map75", "ar100", "precision", "recall", "f1")
"""What can be measured against the labels of a version; of one label:"""
OF_LABEL = ("map", "map50", "precision", "recall")
QUALITY = ("precision", "recall")
"""Metrics that a gate judges only where so many clusters, and reviews worth so many boxes, stand behind them."""
CLUSTERS, EFFECTIVE_N = 8, 30


@dataclass(frozen=True)
class GateCheck(Record):
    """One check's answer: what was observed, what was required, and a sentence."""

    check: str
    status: Status
    observed: Any
    required: str
    message: str


@dataclass(frozen=True)
class GateResult(Record):
    """The decision of a gate: pass, fail or undecided."""

    gate: str
    decision: Status
    checks: tuple[GateCheck, ...]

    @property
    def exit_code(self) -> int:
        """What the shell gets: 0 pass, 1 fail, 3 undecided."""
        return {"pass": 0, "fail": 1, "undecided": 3}[self.decision]


@dataclass(frozen=True)
class Quality:
    """A reviewed metric: its value or the reason why there is none, and what stands behind it."""

    value: float | None
    effective_n: float
    clusters: int
    reason: str | None

    @property
    def doubt(self) -> str | None:
        """Why a gate cannot go by it."""
        if self.value is None:
            return self.reason or "no value"
        if self.clusters < CLUSTERS:
            return f"the reviews are of {self.clusters} days of sources, {CLUSTERS} needed"
        if self.effective_n < EFFECTIVE_N:
            return f"the reviews tell as much as {self.effective_n:.0f} boxes, {EFFECTIVE_N} needed"
        return None


@dataclass(frozen=True)
class Evaluated:
    """A measure of a log against labels, what was compared, and why a gate cannot go by it."""

    value: float | None
    about: str
    doubt: str | None


class Asks(Protocol):
    """Where a gate's answers come from."""

    def model(self, name: str) -> str:
        """The model that all checks are about: what stands behind an alias may change between two of them."""

    def drift(self, model: str, reference: str | None, current: str | None) -> tuple[bool | None, str]:
        """Whether there is drift, and the report's sentence."""

    def firing(self, model: str) -> int:
        """How many alert instances of the model fire."""

    def metric(self, model: str, metric: str, period: str, label: str | None) -> tuple[float | None, str | None]:
        """The metric's value over a period, or the reason why there is none."""

    def quality(self, model: str, metric: str, period: str) -> Quality:
        """A metric of reviews."""

    def items(self, dataset: str, status: str | None) -> int:
        """How many items a dataset has."""

    def ab(self, test: str) -> tuple[str | None, bool, str]:
        """The winner, whether that is the last word, and the verdict."""

    def evaluate(self, model: str | None, check: Mapping[str, Any]) -> Evaluated:
        """A measure of a model's log against the labels of a version; the keys are those of the check."""


def run(name: str, tables: Mapping[str, Any], asks: Asks) -> GateResult:
    """Run the gate `[gate.NAME]`. Raises UnknownName or ConfigError for what it cannot mean."""
    table = check(name, tables)
    model = asks.model(str(table.get("model", "")))
    done = tuple(_ANSWERS[one["check"]](one, model, asks) for one in table["checks"])
    return GateResult(name, decide([one.status for one in done], table.get("require", "all")), done)


def check(name: str, tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table `[gate.NAME]`. Raises UnknownName or ConfigError for what it cannot mean."""
    if name not in tables:
        raise UnknownName(
            "gate", name, tables, None if tables else f"write [gate.{name}] in detmon.toml (docs/gate.md)"
        )
    table: Mapping[str, Any] = tables[name]
    where = f"[gate.{name}]"
    require = table.get("require", "all")
    if require not in ("all", "any"):
        raise ConfigError(f"{where} require = {require!r}", 'write "all" or "any"')
    checks = table.get("checks")
    if not isinstance(checks, list) or not checks or not all(isinstance(one, Mapping) for one in checks):
        raise ConfigError(f"{where} has no checks", 'for example checks = [{ check = "drift", expect = true }]')
    for one in checks:
        _valid(where, table, one)
    return table


def decide(statuses: list[Status], require: str) -> Status:
    """`all`: one fail fails, else one undecided leaves it open. `any`: one pass passes, else likewise."""
    settled: Status = "fail" if require == "all" else "pass"
    other: Status = "pass" if require == "all" else "fail"
    return settled if settled in statuses else "undecided" if "undecided" in statuses else other


def _valid(where: str, table: Mapping[str, Any], check: Mapping[str, Any]) -> None:
    kind = check.get("check")
    if kind not in KEYS:
        raise UnknownName("check of a gate", str(kind), KEYS)
    for key in check:
        if key not in ("check", *KEYS[kind]):
            raise UnknownName(f"key of the check {kind}", key, KEYS[kind])
    for key in NEEDED.get(kind, ()):
        if key not in check:
            raise ConfigError(f"{where}: the check {kind} needs {key}")
    if kind in ("drift", "alerts", "metric") and not table.get("model"):
        raise ConfigError(f"{where} needs a model", 'model = "vehicles@3"')
    for key, value in {"model": table.get("model", ""), **check}.items():
        _valid_value(where, key, value)
    if kind == "metric" and check.get("metric") in QUALITY and "label" in check:
        raise ConfigError(f"{where}: {check['metric']} of one label cannot be a check", "leave label out")
    if kind == "evaluate":
        _valid_evaluation(where, check)
    if "operator" in check and check["operator"] not in OPERATORS:
        raise UnknownName("operator", str(check["operator"]), OPERATORS)
    if check.get("winner", "b") not in ("a", "b"):
        raise ConfigError(f"{where}: winner = {check['winner']!r}", 'write "a" or "b"')


def _valid_value(where: str, key: str, value: Any) -> None:
    said = f"{where}: {key} = {value!r}"
    if key in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(said, "write a number")
    elif key in FLAGS:
        if not isinstance(value, bool):
            raise ConfigError(said, "write true or false")
    elif not isinstance(value, str):
        raise ConfigError(said, "write a text")


def _valid_evaluation(where: str, check: Mapping[str, Any]) -> None:
    measures = OF_LABEL if "label" in check else EVALUATED
    if check["metric"] not in measures:
        raise UnknownName(
            "metric of the check evaluate" + (" with a label" if "label" in check else ""), check["metric"], measures
        )
    for key in NUMBERS:
        if not 0 <= check.get(key, 0) <= 1:
            raise ConfigError(f"{where}: {key} = {check[key]:g}", "write a share: 0.6 is 60 %")


# --- checks --------------------------------------------------------------------------------------------------------


def _drift(check: Mapping[str, Any], model: str, asks: Asks) -> GateCheck:
    expected = check.get("expect", False)
    found, sentence = asks.drift(model, check.get("reference"), check.get("current"))
    status: Status = "undecided" if found is None else "pass" if found == expected else "fail"
    return GateCheck("drift", status, found, "drift" if expected else "no drift", sentence)


def _alerts(check: Mapping[str, Any], model: str, asks: Asks) -> GateCheck:
    firing = asks.firing(model)
    return _compared("alerts", check, firing, f"{firing} alert instances of {model} fire")


def _metric(check: Mapping[str, Any], model: str, asks: Asks) -> GateCheck:
    name, period = check["metric"], check.get("period", "last 7d")
    if name in QUALITY:
        found = asks.quality(model, name, period)
        value, reason = (None, found.doubt) if found.doubt else (found.value, None)
    else:
        value, reason = asks.metric(model, name, period, check.get("label"))
    sentence = f"{name} over {period}: " + (f"{value:.4g}" if value is not None else str(reason))
    return _compared(f"metric {name}", check, value, sentence)


def _items(check: Mapping[str, Any], _model: str, asks: Asks) -> GateCheck:
    status = check.get("status")
    found = asks.items(check["dataset"], status)
    return _compared(
        "items", check, found, f"{found:,} items of {check['dataset']}" + (f" are {status}" if status else "")
    )


def _ab(check: Mapping[str, Any], _model: str, asks: Asks) -> GateCheck:
    wanted = check.get("winner", "b")
    winner, last_word, sentence = asks.ab(check["test"])
    status: Status = "pass" if winner == wanted else "fail" if winner or last_word else "undecided"
    return GateCheck("ab", status, winner, f"winner {wanted}", sentence)


def _evaluate(check: Mapping[str, Any], model: str, asks: Asks) -> GateCheck:
    found = asks.evaluate(check.get("model") or model or None, check)
    name = check["metric"] + (f" of {check['label']}" if "label" in check else "")
    value = None if found.doubt else found.value
    said = f"is not known, {found.doubt or 'no box is served'}" if value is None else f"{value:.4g}"
    return _compared(f"evaluate {name}", check, value, f"{name} {said}: {found.about}")


def _compared(name: str, check: Mapping[str, Any], value: float | None, sentence: str) -> GateCheck:
    sign, holds = OPERATORS[check["operator"]]
    required = f"{sign} {check['threshold']:g}"
    if value is None:
        return GateCheck(name, "undecided", None, required, sentence)
    return GateCheck(name, "pass" if holds(value, check["threshold"]) else "fail", value, required, sentence)


_ANSWERS: dict[str, Callable[[Mapping[str, Any], str, Asks], GateCheck]] = {
    "drift": _drift,
    "alerts": _alerts,
    "metric": _metric,
    "items": _items,
    "ab": _ab,
    "evaluate": _evaluate,
}
