"""Rules: what a user may say, what it means when he says nothing, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from detmon.baselines import NOT_FROZEN
from detmon.errors import Collector, UnknownName, UsageError
from detmon.metrics import Labels, Metric, Selection, check_selection, find
from detmon.notices import canonical
from detmon.store import Connection, statement
from detmon.times import floor_slot, format_duration, parse_duration

OPERATORS = ("lt", "le", "gt", "ge", "eq", "ne", "anomaly")
SIGNS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "=": "eq", "==": "eq", "!=": "ne"}
"""What users may write instead, for hints."""
NO_DATA_POLICIES = ("no_data", "ok", "alerting", "keep")
ERROR_POLICIES = ("error", "ok", "alerting", "keep")
SEVERITIES = ("info", "warning", "error", "critical")
DIRECTIONS = ("both", "up", "down")
SENSITIVITIES = ("low", "normal", "high")
BEHAVIOUR = (
    "metric", "operator", "threshold", "relative_to", "recover_threshold", "window", "every", "delay", "by", "where",
    "for_", "keep_firing_for", "min_samples", "direction", "sensitivity",
)  # fmt: skip
"""The fields whose change makes a new version: state starts anew."""
OF_COMPARISON = (
    "threshold", "recover_threshold", "relative_to", "for", "keep_firing_for", "direction", "sensitivity",
)  # fmt: skip
"""What has another meaning for an anomaly than for a threshold."""
DAY = timedelta(days=1)
LARGEST_Z = 30
"""Scores end at 37."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a rule says, with every default filled in; `repeat` None: never; `min_samples` None: the metric's own."""

    metric: str
    operator: str
    threshold: float
    window: timedelta
    every: timedelta
    delay: timedelta = timedelta()
    by: tuple[str, ...] = ()
    where: Labels = ()
    for_: timedelta = timedelta()
    keep_firing_for: timedelta = timedelta()
    recover_threshold: float | None = None
    relative_to: str | None = None
    min_samples: int | None = None
    no_data: str = "no_data"
    no_data_for: timedelta
    on_error: str = "error"
    error_for: timedelta
    repeat: timedelta | None = timedelta(hours=4)
    send_resolved: bool = True
    notify: tuple[str, ...] = ()
    severity: str = "warning"
    labels: Labels = ()
    description: str | None = None
    runbook: str | None = None
    catch_up: timedelta = DAY
    forget_after: timedelta = 7 * DAY
    max_instances: int = 500
    flap: str = "3/1h"
    direction: str = "both"
    sensitivity: str = "normal"

    def to_dict(self) -> dict[str, Any]:
        """Keys as users write them, durations as text."""
        shown: dict[str, Any] = {field.name.rstrip("_"): getattr(self, field.name) for field in fields(self)}
        shown["where"], shown["labels"] = dict(self.where), dict(self.labels)
        shown["repeat"] = "never" if self.repeat is None else self.repeat
        return {key: format_duration(value) if isinstance(value, timedelta) else value for key, value in shown.items()}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A stored rule."""

    id: str
    name: str
    model_id: str
    version: int
    enabled: bool
    definition: Definition
    last_slot: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def selection(self) -> Selection:
        """The rows it looks at."""
        return Selection(self.model_id, self.definition.by, self.definition.where)

    def newest_slot(self, now: datetime) -> datetime:
        """The newest slot that may be evaluated at `now`."""
        return floor_slot(now - self.definition.delay, self.definition.every)


# --- what users write ----------------------------------------------------------------------------------------------


def define(
    said: Mapping[str, Any],
    *,
    metrics: Mapping[str, Metric],
    parse_target: Callable[[str], str] = str,
) -> Definition:
    """The definition in a user's words: keys of the table in docs/alerts.md, values as text, numbers or lists.

    Raises UsageError or UnknownName, naming the field and the nearest valid value; Mistakes where several are wrong.
    """
    found = Collector()
    values = _fields(said, found)
    anomaly = values.get("operator") == "anomaly"
    for key in ("metric", "operator", *(() if anomaly else ("threshold",)), "window"):
        if said.get(key) is None:
            found.errors.append(UsageError(f"an alert needs {key}", f"--{key}"))
    if "metric" in values:
        with found.at():
            find(metrics, values["metric"])
    targets = []
    for target in values.pop("notify", ()):
        with found.at():
            targets.append(parse_target(target))
    found.check()
    metric = metrics[values["metric"]]
    every = values.setdefault("every", min(timedelta(minutes=5), values["window"]))
    values.setdefault("no_data_for", max(2 * every, values["window"]))
    values.setdefault("error_for", 2 * every)
    if anomaly:
        _complete_anomaly(values, metric)
    definition = Definition(**values, notify=tuple(targets))
    _check(definition, metric)
    return definition


def _fields(said: Mapping[str, Any], found: Collector) -> dict[str, Any]:
    """What is said, by the names of the fields; what is no field, or has no such value, goes into `found`."""
    known = {field.name.rstrip("_"): field.name for field in fields(Definition)}
    values = {}
    for key, value in said.items():
        with found.at():
            if key not in known:
                raise UnknownName("field of an alert", key, known)
            if value is not None:
                values[known[key]] = _parse(key, value)
    return values


def _complete_anomaly(values: dict[str, Any], metric: Metric) -> None:
    """Fill in the defaults of operator `anomaly`: three consecutive evaluations fire, and three quiet ones resolve."""
    from detmon.stats.anomaly import DEFAULTS

    if "recover_threshold" in values:
        raise UsageError("recover_threshold has no meaning with anomaly", "[anomaly] resolve_z says when it is over")
    constants = metric.anomaly or DEFAULTS
    threshold = values.setdefault("threshold", constants.threshold(values.get("sensitivity", "normal")))
    values["recover_threshold"] = min(constants.resolve_z, threshold)
    for key in ("for_", "keep_firing_for"):
        values.setdefault(key, (constants.for_ - 1) * values["every"])


def from_json(text: str) -> Definition:
    """The definition that `Definition.to_dict` wrote."""
    values = {
        key + "_" if key == "for" else key: _parse(key, value)
        for key, value in json.loads(text).items()
        if value is not None
    }
    return Definition(**values)


def _check(definition: Definition, metric: Metric) -> None:
    _check_comparison(definition, metric)
    check_selection(metric, Selection("", definition.by, definition.where))
    for name in ("window", "every", "forget_after"):
        if getattr(definition, name) <= timedelta():
            raise UsageError(f"{name} must be longer than nothing")
    if definition.every < timedelta(seconds=1):
        raise UsageError("every must be at least 1s")
    if definition.max_instances < 1:
        raise UsageError("max_instances must be at least 1")
    _check_recovery(definition)
    if definition.runbook and not definition.runbook.startswith(("http://", "https://")):
        raise UsageError(f"runbook {definition.runbook!r} is no http(s) address")


def _check_comparison(definition: Definition, metric: Metric) -> None:
    """Options that belong to one kind of comparison, and what it cannot be of."""
    if definition.operator == "anomaly":
        if definition.relative_to is not None:
            raise UsageError("an anomaly is relative to the days before", "without --relative-to")
        if not 0 < definition.threshold <= LARGEST_Z:
            raise UsageError(
                f"threshold {definition.threshold:g}: the score of an anomaly",
                f"above 0, at most {LARGEST_Z}; 3.5 is usual, or --sensitivity low|normal|high",
            )
        return
    for name, default in (("direction", "both"), ("sensitivity", "normal")):
        if getattr(definition, name) != default:
            raise UsageError(f"{name} has no meaning with {definition.operator}", "--operator anomaly")
    if definition.relative_to is not None and metric.name in NOT_FROZEN:
        raise UsageError(f"{metric.name} has no value in a baseline", "without --relative-to")


def _check_recovery(definition: Definition) -> None:
    recover, threshold, operator = definition.recover_threshold, definition.threshold, definition.operator
    if recover is None or operator == "anomaly":
        return
    if operator not in ("lt", "le", "gt", "ge"):
        raise UsageError(f"recover_threshold has no meaning with {operator}")
    if (recover < threshold) if operator in ("lt", "le") else (recover > threshold):
        side = "above" if operator in ("lt", "le") else "below"
        raise UsageError(f"recover_threshold {recover:g} must not be on the breach side of {threshold:g}", f"{side} it")


def _parse(key: str, value: Any) -> Any:
    parser: Callable[[str, Any], Any] = _PARSERS.get(key, _text)
    return parser(key, value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key}: {value!r} is not a text")
    return value


def _number(key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UsageError(f"{key}: {value!r} is not a finite number")
    return number


def _count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdigit():
        raise UsageError(f"{key}: {value!r} is not a whole number, 0 or more")
    return int(value)


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{key}: {value!r} is not true or false")
    return value


def _duration(key: str, value: Any) -> timedelta:
    if isinstance(value, timedelta):
        length = value
    else:
        try:
            length = parse_duration(str(value))
        except UsageError as error:
            raise UsageError(f"{key}: {error.message}", error.hint) from None
    if length < timedelta():
        raise UsageError(f"{key}: a duration cannot be negative")
    return length


def _repeat(key: str, value: Any) -> timedelta | None:
    return None if value == "never" else _duration(key, value)


def _choice(choices: Sequence[str]) -> Callable[[str, Any], str]:
    def parse(key: str, value: Any) -> str:
        if value not in choices:
            meant = f"did you mean {SIGNS[value]!r}?" if key == "operator" and value in SIGNS else None
            listed = None if isinstance(value, str) else "one of " + " ".join(choices)
            raise UnknownName(key, str(value), choices, meant or listed)
        return str(value)

    return parse


def _texts(key: str, value: Any) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise UsageError(f"{key}: {value!r} is not a list of texts")
    return tuple(dict.fromkeys(_text(key, part) for part in parts))


def _labels(key: str, value: Any) -> Labels:
    if isinstance(value, Mapping):
        return tuple(sorted((_text(key, name), str(content)) for name, content in value.items()))
    found = {}
    for part in _texts(key, value):
        name, equals, content = part.partition("=")
        if not (name and equals):
            raise UsageError(f"{key}: {part!r} is not of the form NAME=VALUE")
        found[name] = content
    return tuple(sorted(found.items()))


def _flap(key: str, value: Any) -> str:
    text = _text(key, value)
    if text != "off":
        times, _, within = text.partition("/")
        if not within or _count(key, times) < 2 or _duration(key, within) <= timedelta():
            raise UsageError(f"{key}: {text!r} is not of the form 3/1h", "3 firings within 1h, or off")
    return text


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "operator": _choice(OPERATORS),
    "threshold": _number,
    "recover_threshold": _number,
    "relative_to": _choice(("baseline",)),
    **dict.fromkeys(
        (
            "window", "every", "delay", "for", "keep_firing_for", "no_data_for", "error_for", "catch_up",
            "forget_after",
        ),
        _duration,
    ),
    "by": _texts,
    "where": _labels,
    "min_samples": _count,
    "no_data": _choice(NO_DATA_POLICIES),
    "on_error": _choice(ERROR_POLICIES),
    "repeat": _repeat,
    "send_resolved": _truth,
    "notify": _texts,
    "severity": _choice(SEVERITIES),
    "labels": _labels,
    "max_instances": _count,
    "flap": _flap,
    "direction": _choice(DIRECTIONS),
    "sensitivity": _choice(SENSITIVITIES),
}  # fmt: skip
"""How each field is read; the others are text."""


def altered(rule: Rule, said: Mapping[str, Any], *, metrics: Mapping[str, Metric]) -> Rule:
    """The rule with some fields in a user's words changed."""
    kept = {key: value for key, value in rule.definition.to_dict().items() if key not in _outdated(rule, said)}
    return replace(rule, definition=define({**kept, **said}, metrics=metrics))


def _outdated(rule: Rule, said: Mapping[str, Any]) -> Sequence[str]:
    """The fields of a rule that mean nothing, or something else, once it is changed."""
    anomaly = rule.definition.operator == "anomaly"
    if (said.get("operator", rule.definition.operator) == "anomaly") != anomaly:
        return OF_COMPARISON
    if not anomaly:
        return ()
    return ("recover_threshold", "threshold") if "sensitivity" in said else ("recover_threshold",)


def draft(model_id: str, definition: Definition, now: datetime, name: str = "draft") -> Rule:
    """A rule that is stored nowhere."""
    return Rule(
        id="draft",
        name=name,
        model_id=model_id,
        version=1,
        enabled=True,
        definition=definition,
        last_slot=None,
        created_at=now,
        updated_at=now,
    )


# --- stored rules --------------------------------------------------------------------------------------------------


def every(con: Connection, *, deleted: bool = False) -> list[Rule]:
    """All rules by model and name; `deleted` ones only when asked for."""
    found = con.execute(statement("list_alerts"), {"deleted": deleted}).fetchall()
    return [
        Rule(
            id=id,
            name=name,
            model_id=model_id,
            version=version,
            enabled=enabled,
            definition=from_json(definition),
            last_slot=last_slot,
            created_at=created_at,
            updated_at=updated_at,
        )
        for id, name, model_id, version, enabled, definition, last_slot, created_at, updated_at in found
    ]


def pick(rules: Sequence[Rule], id_or_name: str, model: str | None = None) -> Rule:
    """The rule with this id, or the only one of this name. Raises UnknownName, or UsageError for several."""
    among = [rule for rule in rules if model is None or model in (rule.model_id, rule.model_id.rpartition("@")[0])]
    found = [rule for rule in among if rule.id == id_or_name] or [rule for rule in among if rule.name == id_or_name]
    if len(found) > 1:
        raise UsageError(
            f"{id_or_name!r} fits {len(found)} alerts: {', '.join(f'{rule.id} ({rule.model_id})' for rule in found)}",
            "name one by its id, or add --model",
        )
    if not found:
        known = [rule.name for rule in among]
        raise UnknownName("alert", id_or_name, known, None if known else "no alert yet")
    return found[0]


def definition_json(definition: Definition) -> str:
    """The canonical text under which a definition is stored and compared."""
    return canonical(definition.to_dict())
