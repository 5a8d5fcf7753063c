"""The JSON Schema (draft 2020-12) of the configuration, for editors and other programs.

Which keys a table has is said by `config.KEYS` and the features' own tables, defaults and types by their dataclasses;
what is said here is only what these do not know. Descriptions are the comments of the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import timedelta
from importlib import resources
from typing import Any

from detmon import gate, reviewed, times
from detmon.ab_tests import definition as tests
from detmon.ab_tests import settings as comparisons
from detmon.alerts import rules
from detmon.config import ANY, ANY_TABLE, KEYS, TEMPLATE
from detmon.data_engine import settings as engines
from detmon.ingest.sources import CHOICES
from detmon.metrics import DIRECTIONS, OVER
from detmon.stats import anomaly, blocks
from detmon.training import settings as training

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
DURATION: Schema = {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?(ms|[smhdw])\s*)+$"}
TEXTS: Schema = {"type": "array", "items": TEXT}
ONE_OR_MORE: Schema = {"anyOf": [TEXT, TEXTS]}
LABELS: Schema = {"anyOf": [TEXT, TEXTS, {"type": "object", "additionalProperties": TEXT}]}


def _choice(choices: Iterable[str]) -> Schema:
    return {"enum": list(choices)}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


DAYS = _list(_choice(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")))
SECRET: Schema = {"anyOf": [TEXT, TEXTS], "description": 'a reference: "env:NAME" or "file:/path"'}

TYPES: Mapping[str, Mapping[str, Schema]] = {
    "": {"db": {**TEXT, "default": "detmon.duckdb"}, "lock_timeout": {**DURATION, "default": "60s"}},
    "backend": {"url": TEXT, "path": TEXT},
    "ingest.*": {
        **{key: _choice(choices) for key, choices in CHOICES.items()},
        **dict.fromkeys(("fps", "confidence_floor", "merge_boxes"), NUMBER),
        "complete": FLAG,
        "category_offset": {"type": "integer"},
        "map": {"anyOf": [TEXT, TEXTS, {"type": "object", "additionalProperties": TEXT}]},
        "frames": {"anyOf": [TEXT, _list({"type": "integer"}, minItems=2, maxItems=2)]},
        "image_size": {"anyOf": [TEXT, _list({"type": "integer"}, minItems=2, maxItems=2)]},
        "start": {},
    },
    "metrics.*": {"over": _choice(OVER), "bad": {**_choice(DIRECTIONS), "default": "both"}, "min_samples": COUNT},
    "notify": {
        "default": ONE_OR_MORE,
        "overdue_after": {**DURATION, "default": "15m"},
        "group_by": _choice(("rule", "model")),
        "zone": {**TEXT, "default": "UTC"},
        "include_examples": {**FLAG, "default": False},
        "deliver_closed": {**FLAG, "default": False},
    },
    "notify.*": {
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "tls": _choice(("starttls", "implicit", "none")),
        "webhooks": {"type": "object", "additionalProperties": TEXT},
        **dict.fromkeys(("subject_state", "allow_plain_secrets", "allow_http", "insecure", "deliver_closed"), FLAG),
        **dict.fromkeys(("token", "password", "webhook", "secret", "routing_key", "url", "authorization"), SECRET),
    },
    "notify.webhook.*": {"url": TEXT, "format": _choice(("detmon", "alertmanager"))},
    "notify.alertmanager.*": {"url": TEXT},
    "notify.pagerduty.*": {"url": {**TEXT, "default": "https://events.pagerduty.com"}},
    "plugins": {"prefer": {"type": "object", "additionalProperties": TEXT}, "disable": TEXTS},
    "drift": {"weekend": {**DAYS, "default": ["Sat", "Sun"]}},
    "anomaly": {"weekend": {**DAYS, "default": ["Sat", "Sun"]}},
    "maintenance": {"days": DAYS, "match": TEXTS},
    "inhibit": dict.fromkeys(("source", "target", "equal"), TEXTS),
    "gate.*": {"model": TEXT},
    "training": {
        "trainer": {**TEXT, "default": "command"},
        "command": {**TEXTS, "minItems": 1},
        "format": {**_choice(training.FORMATS), "default": "yolo"},
        "images": {**_choice(training.IMAGES), "default": "copy"},
        "folder": {**TEXT, "default": "runs"},
        "timeout": {**DURATION, "default": "24h"},
        "grace": {**DURATION, "default": "30s"},
        "ref": {**TEXT, "default": "main"},
        "token": SECRET,
    },
}
"""Table → key → its type, where it is not text and no dataclass says it."""

DEFAULTS: Mapping[str, type] = {
    "drift": blocks.Settings,
    "ab": comparisons.Settings,
    "quality": reviewed.Settings,
    "anomaly": anomaly.Settings,
}
"""Table → the dataclass that has its types and defaults."""

LISTS = ("maintenance", "inhibit")
"""Lists of tables."""

ENGINE_CHECKS: Mapping[str, Schema] = {
    "_flag": FLAG,
    "_share": SHARE,
    "_count": {"type": "integer", "minimum": 1},
    "_text": TEXT,
    "_length": DURATION,
    "_conditions": _list(_choice(engines.EDGE_CASES)),
}

ALERT_TYPES: Mapping[str, Schema] = {
    "operator": _choice(rules.OPERATORS),
    "threshold": NUMBER,
    "recover_threshold": NUMBER,
    "relative_to": _choice(("baseline",)),
    "by": ONE_OR_MORE,
    "where": LABELS,
    "labels": LABELS,
    "min_samples": COUNT,
    "no_data": _choice(rules.NO_DATA_POLICIES),
    "on_error": _choice(rules.ERROR_POLICIES),
    "repeat": {"anyOf": [DURATION, {"const": "never"}]},
    "send_resolved": FLAG,
    "notify": ONE_OR_MORE,
    "severity": _choice(rules.SEVERITIES),
    "max_instances": COUNT,
    "flap": {"type": "string", "pattern": r"^(off|\d+/.+)$"},
    "direction": _choice(rules.DIRECTIONS),
    "sensitivity": _choice(rules.SENSITIVITIES),
    **dict.fromkeys(
        (
            "window", "every", "delay", "for", "keep_firing_for", "no_data_for", "error_for", "catch_up",
            "forget_after",
        ),
        DURATION,
    ),
}  # fmt: skip
"""Fields of an alert that are not text."""


def schema() -> Schema:
    """The schema of a configuration file."""
    told = _comments()
    root = _table("", told)
    root["properties"] |= {"alerts": _alerts(), "ab_tests": _tests(), "gate": _gates()}
    return {"$schema": DIALECT, "title": "detmon.toml", "description": "Settings and declarations of detmon.", **root}


def _table(path: str, told: Mapping[str, Mapping[str, str]]) -> Schema:
    """The schema of the table that KEYS calls `path`."""
    known = KEYS.get(path, (ANY,))
    tables = {name.removeprefix(f"{path}.").partition(".")[0] for name in KEYS if name.startswith(f"{path}.")}
    keys = dict.fromkeys((*known, *sorted(tables - {ANY} if ANY_TABLE in known else ())))
    properties = {key: _key(path, key, told) for key in keys if key not in (ANY, ANY_TABLE)}
    more: Any = True if ANY in known else {"type": "object"} if ANY_TABLE in known else False
    return {"type": "object", "properties": properties, "additionalProperties": more}


def _key(path: str, key: str, told: Mapping[str, Mapping[str, str]]) -> Schema:
    below = f"{path}.{key}" if path else key
    if below == "models.*.engine":
        return _engine(told)
    if below in LISTS:
        return _list(_table(below, told))
    if f"{below}.*" in KEYS:
        return {"type": "object", "additionalProperties": _table(f"{below}.*", told)}
    if below in KEYS:
        return _table(below, told)
    kind = _kind(path, key)
    description = told.get(path, {}).get(key)
    return {**kind, "description": description} if description else kind


def _kind(path: str, key: str) -> Schema:
    for table in (path, "notify.*" if path.startswith("notify.") else path):  # the tables of all notifiers are alike
        if key in TYPES.get(table, {}):
            return dict(TYPES[table][key])
    if path in DEFAULTS:
        return _of_dataclass(DEFAULTS[path], key)
    return dict(TEXT) if path else {"type": "object"}


def _of_dataclass(of: type, key: str) -> Schema:
    """Type and default of a field."""
    for field in fields(of):
        if field.name.rstrip("_") == key and field.default is not MISSING:
            return {**_like(field.default), "default": field.default}
    return {}


def _like(default: Any) -> Schema:
    """The type of what has this default."""
    if isinstance(default, bool):
        return FLAG
    if isinstance(default, int):
        return COUNT
    if isinstance(default, float):
        return NUMBER
    return TEXTS if isinstance(default, tuple) else TEXT


def _engine(told: Mapping[str, Mapping[str, str]]) -> Schema:
    """`[models.NAME.engine]`, from the table that checks it."""
    enabled = {"enabled": (engines._flag, None)}
    tables = {name: {**enabled, **keys} for name, keys in engines.STRATEGIES.items()} | {"budget": engines.BUDGET}
    properties = {name: _closed({key: _checked(*said) for key, said in keys.items()}) for name, keys in tables.items()}
    properties |= {"salt": {**TEXT, "pattern": "^[^:]+$", "default": engines.SALT}, "dataset": dict(TEXT)}
    for key, text in told.get("models.*.engine", {}).items():
        properties[key]["description"] = text
    return _closed(properties)


def _checked(check: engines.Check, default: Any) -> Schema:
    kind = dict(ENGINE_CHECKS[check.__name__])
    return kind if default is None else {**kind, "default": default}


def _closed(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def _nested(inner: str, properties: Mapping[str, Schema], names: Sequence[tuple[str, ...]]) -> Schema:
    """A list of declarations whose keys stand flat or in the table `inner`; `names` are keys that each must have."""
    outer = {**properties, **{key: TEXT for alike in names for key in alike}, inner: _closed(properties)}
    needed = [{"anyOf": [{"required": [key]} for key in alike]} for alike in names]
    return _list({**_closed(outer), "allOf": needed})


def _alerts() -> Schema:
    defaults = {field.name.rstrip("_"): field.default for field in fields(rules.Definition)}
    properties = {}
    for key, default in defaults.items():
        kind = dict(ALERT_TYPES.get(key, TEXT))
        if isinstance(default, timedelta):
            kind["default"] = times.format_duration(default)
        elif isinstance(default, str | bool | int):
            kind["default"] = default
        properties[key] = kind
    return _nested("condition", properties, [("name",), ("model", "model_id")])


def _tests() -> Schema:
    properties = {field.name: {**_of_dataclass(tests.Definition, field.name)} for field in fields(tests.Definition)}
    properties["traffic_split"] |= {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
    properties["duration_days"] |= {"minimum": 1, "maximum": tests.LONGEST}
    properties["metrics"] |= _list(_choice(tests.METRICS))
    properties["mode"] |= _choice(tests.MODES)
    properties["unit"] |= {"pattern": "^(image_id|source|tag:.+)$"}
    properties["start"] = {"description": "when it begins (default: when it is first applied)"}
    return _nested("config", properties, [("name",), ("model_a", "model_a_id"), ("model_b", "model_b_id")])


def _gates() -> Schema:
    types: Mapping[str, Schema] = {
        "operator": _choice(gate.OPERATORS),
        "winner": _choice(("a", "b")),
        **dict.fromkeys(gate.NUMBERS, NUMBER),
        **dict.fromkeys(gate.FLAGS, FLAG),
    }
    checks = []
    for name, keys in gate.KEYS.items():
        said = {"check": {"const": name}, **{key: types.get(key, TEXT) for key in keys}}
        checks.append(_closed(said, ["check", *gate.NEEDED.get(name, ())]))
    table = {
        "model": TEXT,
        "require": {**_choice(("all", "any")), "default": "all"},
        "checks": _list({"anyOf": checks}, minItems=1),
    }
    return {"type": "object", "additionalProperties": _closed(table, ["checks"])}


def _comments() -> dict[str, dict[str, str]]:
    """Table → key → what the template says of it behind a `#`."""
    found: dict[str, dict[str, str]] = {}
    table = ""
    for line in resources.files("detmon").joinpath(TEMPLATE).read_text("utf-8").splitlines():
        if heading := re.match(r"# \[+([^\]]+)\]", line):
            name, quoted, rest = heading[1].partition('"')
            table = name + "*" + rest.partition('"')[2] if quoted else name
            table = "metrics.*" if table.startswith("metrics.") else table
        elif said := re.match(r"# (\w+) = .*?\s#\s+(.+)$", line):
            found.setdefault(table, {})[said[1]] = said[2]
    return found
