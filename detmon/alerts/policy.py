"""What the configuration says of telling: to whom, how grouped, and when not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, TypeVar

from detmon.alerts import matchers
from detmon.alerts.inhibition import Inhibition
from detmon.alerts.maintenance import DAYS, Maintenance
from detmon.alerts.matchers import FullMatch, Matcher
from detmon.alerts.targets import Targets
from detmon.config import Config
from detmon.errors import ConfigError, UsageError
from detmon.times import parse_zone

GROUPINGS = ("rule", "model")
T = TypeVar("T")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Policy:
    """`group_by`: rule, or model to tell the rules of a model together; `examples`: name a few images in messages."""

    targets: Targets
    group_by: str = "rule"
    examples: bool = False
    maintenance: tuple[Maintenance, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()

    def check(self, full_match: FullMatch) -> None:
        """Raise ConfigError for the first regular expression that is none."""
        check_patterns(self.maintenance, self.inhibitions, full_match)


def read(config: Config, targets: Targets) -> Policy:
    """The policy in force. Raises ConfigError naming table and key."""
    notify = config.table("notify")
    group_by, examples = notify.get("group_by", "rule"), notify.get("include_examples", False)
    if group_by not in GROUPINGS:
        raise ConfigError(f"[notify] group_by: {group_by!r} is not one of {', '.join(GROUPINGS)}")
    if not isinstance(examples, bool):
        raise ConfigError(f"[notify] include_examples: {examples!r} is not true or false")
    return Policy(
        targets=targets,
        group_by=group_by,
        examples=examples,
        maintenance=maintenance(config),
        inhibitions=inhibitions(config),
    )


def maintenance(config: Config) -> tuple[Maintenance, ...]:
    """The tables `[[maintenance]]`. Raises ConfigError naming table and key."""
    return tuple(_maintenance(table) for table in _tables(config, "maintenance"))


def inhibitions(config: Config) -> tuple[Inhibition, ...]:
    """The tables `[[inhibit]]`. Raises ConfigError naming table and key."""
    return tuple(_inhibition(table) for table in _tables(config, "inhibit"))


def check_patterns(windows: Iterable[Maintenance], causes: Iterable[Inhibition], full_match: FullMatch) -> None:
    """Raise ConfigError for the first regular expression that is none."""
    named = [(f"[[maintenance]] {window.name} match", window.matchers) for window in windows]
    for number, one in enumerate(causes, start=1):
        named += [(f"[[inhibit]] {number} source", one.source), (f"[[inhibit]] {number} target", one.target)]
    for where, found in named:
        try:
            matchers.check(found, full_match)
        except UsageError as error:
            raise ConfigError(f"{where}: {error.message}", error.hint) from None


def _tables(config: Config, key: str) -> Iterator[_Table]:
    found = config.data.get(key, [])
    if not (isinstance(found, list) and all(isinstance(table, Mapping) for table in found)):
        raise ConfigError(f"[[{key}]] must be tables", f"write [[{key}]], in two brackets, above each")
    for number, table in enumerate(found, start=1):
        yield _Table(f"[[{key}]] {table.get('name', number)}", table)


def _maintenance(table: _Table) -> Maintenance:
    name = table.read("name", _text)
    return Maintenance(
        name=name,
        zone=table.read("zone", lambda value: parse_zone(_text(value)), "UTC"),
        start=table.read("start", _clock),
        end=table.read("end", lambda value: time() if value == "24:00" else _clock(value)),
        days=table.read("days", _days, ()),
        matchers=table.read("match", _matchers, ()),
    )


def _inhibition(table: _Table) -> Inhibition:
    return Inhibition(
        source=table.read("source", _some_matchers),
        target=table.read("target", _some_matchers),
        equal=table.read("equal", _texts, ()),
    )


@dataclass(frozen=True)
class _Table:
    """One of several tables of a name; `name` is what complaints call it."""

    name: str
    values: Mapping[str, Any]

    def read(self, key: str, parse: Callable[[Any], T], default: Any = None) -> T:
        """The value of `key`, parsed. Raises ConfigError naming table and key."""
        value = self.values.get(key, default)
        if value is None:
            raise ConfigError(f"{self.name} needs {key}")
        try:
            return parse(value)
        except UsageError as error:
            raise ConfigError(f"{self.name} {key}: {error.message}", error.hint) from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{value!r} is not a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{value!r} is not a list of texts")
    return tuple(_text(one) for one in value)


def _matchers(value: Any) -> tuple[Matcher, ...]:
    return tuple(matchers.parse(text) for text in _texts(value))


def _some_matchers(value: Any) -> tuple[Matcher, ...]:
    found = _matchers(value)
    if not found:
        raise UsageError("no matcher", 'for example ["alertname=Camera down"]')
    return found


def _clock(value: Any) -> time:
    written = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if not written:
        raise UsageError(f"{value!r} is not a time of day", "write HH:MM, for example 23:00")
    return time(int(written[1]), int(written[2]))


def _days(value: Any) -> frozenset[int]:
    found = _texts(value)
    for day in found:
        if day not in DAYS:
            raise UsageError(f"{day!r} is not a day", f"one of {' '.join(DAYS)}")
    return frozenset(DAYS.index(day) for day in found)
