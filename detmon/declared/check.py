"""`config check`: everything that is wrong with a configuration, at once, and what this machine lacks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from detmon import gate, metrics, notify, reviewed
from detmon.ab_tests import settings as comparisons
from detmon.alerts import policy
from detmon.alerts.regex import Re2
from detmon.config import KEYS, Config
from detmon.declared import reading
from detmon.declared.schema import Schema, schema
from detmon.drift import settings as drift
from detmon.errors import Collector, ConfigError, nearest
from detmon.formats import Source
from detmon.ingest import sources
from detmon.metrics import usual
from detmon.notify import settings
from detmon.notify.settings import default_targets
from detmon.store import connect
from detmon.training import settings as training

PLAIN = ("backend", "ingest", "notify", "plugins", "training")
"""Tables whose types nobody else checks before they are used."""


def check(config: Config, parse_target: Callable[[str], str]) -> list[str]:
    """What the settings lack on this machine, a line each. Raises Mistakes, each with its file and key."""
    found = Collector(config.mistakes)
    wrong = _types(config, found)  # tables that are not looked at any closer
    _tables(config, wrong, found)
    parse = str if "plugins" in wrong or "notify" in wrong else parse_target
    declared = _declarations(config, parse, found)
    lacking = [] if parse is str else _targets(config, declared, found)
    found.check()
    return lacking


def _file(config: Config, *names: str) -> str:
    """The file that has the key or table, for messages."""
    for depth in (2, 1):
        if origin := config.origins.get(".".join(names[:depth])):
            return str(origin)
    return "configuration"


# --- types ---------------------------------------------------------------------------------------------------------


def _types(config: Config, found: Collector) -> set[str]:
    """The tables in which something is of the wrong type, which goes into `found`."""
    wrong = set()
    for table, wanted in schema()["properties"].items():
        if table not in PLAIN or table not in config.data:
            continue
        for path, complaint in mistakes(config.data[table], wanted, (table,)):
            *tables, key = path
            where = f"[{'.'.join(map(_quoted, tables))}] {key}" if tables else key
            found.errors.append(ConfigError(f"{_file(config, *path)}: {where}: {complaint}"))
            wrong.add(table)
    return wrong


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'


def mistakes(value: Any, wanted: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where `value` is not what `wanted` (a JSON Schema as `schema` makes them) says, and how."""
    if "anyOf" in wanted:
        if all(any(mistakes(value, one, path)) for one in wanted["anyOf"]):
            yield path, f"{value!r} is not {' or '.join(map(_said, wanted['anyOf']))}"
    elif "enum" in wanted:
        if value not in wanted["enum"]:
            yield path, f"{value!r} is not one of {', '.join(map(str, wanted['enum']))}"
    elif not _is(value, wanted.get("type")):
        yield path, f"{value!r} is not {_said(wanted)}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inner = wanted.get("properties", {}).get(key, wanted.get("additionalProperties", True))
            if isinstance(inner, dict):
                yield from mistakes(item, inner, (*path, str(key)))
            elif not inner:
                yield (*path, str(key)), "unknown key"
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from mistakes(item, wanted.get("items", {}), (*path[:-1], f"{path[-1]} {number}"))
    elif isinstance(value, str):
        if "pattern" in wanted and not re.search(wanted["pattern"], value):
            yield path, f"{value!r} is not a duration such as 30s, 15m or 7d"
    elif not wanted.get("minimum", value) <= value <= wanted.get("maximum", value):
        yield path, f"{value!r} is out of range"


_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "array": (list, "a list"),
    "object": (dict, "a table"),
}


def _is(value: Any, kind: str | None) -> bool:
    if kind is None:
        return True
    return isinstance(value, _TYPES[kind][0]) and (kind == "boolean" or not isinstance(value, bool))


def _said(wanted: Schema) -> str:
    return _TYPES[wanted["type"]][1] if "type" in wanted else str(wanted.get("const", "a value"))


# --- meaning -------------------------------------------------------------------------------------------------------


def _tables(config: Config, wrong: set[str], found: Collector) -> None:
    """What each feature says of its own table."""
    full_match = Re2(connect())
    readers: Mapping[str, Callable[[Config], object]] = {
        "drift": drift.constants,
        "ab": comparisons.settings,
        "quality": reviewed.settings,
        "anomaly": usual.settings,
        "training": training.read,
        "notify": settings.read,
        "maintenance": lambda config: policy.check_patterns(policy.maintenance(config), (), full_match),
        "inhibit": lambda config: policy.check_patterns((), policy.inhibitions(config), full_match),
    }
    for table, read in readers.items():
        if table not in wrong:
            with found.at(_file(config, table)):
                read(config)
    for pattern, table in _each(config, "ingest", found) if "ingest" not in wrong else ():
        with found.at(f'{_file(config, "ingest", pattern)}: [ingest."{pattern}"]'):
            sources.settings(table, {}, Source(pattern))
    for name, _ in _each(config, "gate", found):
        with found.at(_file(config, "gate", name)):
            gate.check(name, config.table("gate"))


def _each(config: Config, name: str, found: Collector) -> list[tuple[str, Any]]:
    """The tables within a table."""
    with found.at(_file(config, name)):
        return list(config.table(name).items())
    return []


def _declarations(config: Config, parse_target: Callable[[str], str], found: Collector) -> reading.Declarations:
    """What is declared, read with the metrics that are right."""
    known = dict(metrics.CATALOGUE)
    for name, table in _each(config, "metrics", found):
        with found.at(_file(config, "metrics", name)):
            known |= metrics.catalogue(replace(config, data={"metrics": {name: table}}))
    files = [config.origins[table] for table in ("alerts", "models", "ab_tests") if table in config.origins]
    return reading.read(config.data, files[0] if files else Path(), found, metrics=known, parse_target=parse_target)


def _targets(config: Config, declared: reading.Declarations, found: Collector) -> list[str]:
    """What the targets lack that are named anywhere; those of alerts were parsed before."""
    told = config.table("notify")
    named = {target: _file(config, "notify") for target in (*default_targets(config), told.get("fallback")) if target}
    for scheme, table in told.items():
        if f"notify.{scheme}.*" in KEYS:
            named |= {f"{scheme}:{name}": _file(config, "notify", scheme) for name in table}
    for alert in declared.alerts:
        named |= dict.fromkeys(alert.definition.notify, alert.where)
    lacking = list(_unserved(config))
    for target, where in named.items():
        with found.at(where):
            for problem in notify.check_target(config, target):
                if problem.level == "error":
                    found.errors.append(ConfigError(f"{where}: {problem.text}", problem.hint))
                else:
                    lacking.append(str(problem))
    return lacking


def _unserved(config: Config) -> Iterator[str]:
    """The tables of `[notify]` that nobody reads."""
    served = notify.schemes(config)
    for scheme, table in config.table("notify").items():
        if isinstance(table, Mapping) and scheme not in served:
            alike = nearest(scheme, served)
            yield f"[notify.{scheme}]: no plugin here has this scheme" + (f"; did you mean {alike!r}?" if alike else "")
