"""The table `[notify]` of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from detmon.config import Config
from detmon.errors import ConfigError, UsageError
from detmon.times import parse_duration, parse_zone


@dataclass(frozen=True)
class NotifySettings:
    """How notices are delivered. `overdue_after`: a notice that waits longer makes a run exit 4."""

    default: tuple[str, ...]
    fallback: str | None
    overdue_after: timedelta
    zone: tzinfo
    deliver_closed: bool
    host: str


def read(config: Config) -> NotifySettings:
    """The settings in force. Raises ConfigError naming the key."""
    import socket

    table = config.table("notify")
    return NotifySettings(
        default=default_targets(config),
        fallback=_text(table, "fallback"),
        overdue_after=_duration(table, "overdue_after", "15m"),
        zone=_zone(table),
        deliver_closed=bool(table.get("deliver_closed", False)),
        host=socket.gethostname(),
    )


def default_targets(config: Config) -> tuple[str, ...]:
    """The targets of rules that name none. Raises ConfigError for what is no list of texts."""
    default = config.table("notify").get("default", ())
    targets = (default,) if isinstance(default, str) else default
    if not (isinstance(targets, list | tuple) and all(isinstance(target, str) for target in targets)):
        raise ConfigError("[notify] default must be a list of targets", 'for example ["slack:#ml-alerts"]')
    return tuple(targets)


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"[notify] {key} must be text")
    return value


def _duration(table: Mapping[str, Any], key: str, default: str) -> timedelta:
    try:
        return parse_duration(str(table.get(key, default)))
    except UsageError as error:
        raise ConfigError(f"[notify] {key}: {error.message}", error.hint) from None


def _zone(table: Mapping[str, Any]) -> tzinfo:
    try:
        return parse_zone(str(table.get("zone", "UTC")))
    except UsageError as error:
        raise ConfigError(f"[notify] zone: {error.message}", error.hint) from None
