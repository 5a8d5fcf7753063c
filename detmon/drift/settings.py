"""How a drift check is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.config import Config, weekend
from detmon.errors import ConfigError, UnknownName, UsageError
from detmon.stats.blocks import Settings
from detmon.times import parse_duration


@dataclass(frozen=True)
class Asked:
    """How to check: the size of a block, the constants, a check a source or not, the clock."""

    block: timedelta | str
    settings: Settings
    now: datetime
    by_source: bool = False


def parse_block(text: str) -> timedelta | str:
    """`auto`, `source`, or a duration. Raises UsageError."""
    if text in ("auto", "source"):
        return text
    try:
        return parse_duration(text)
    except UsageError:
        raise UsageError(
            f"--block {text!r} is not a size of a block", "auto, source, or a length from 1s to 1d"
        ) from None


def by_source(by: str | None) -> bool:
    """Whether there is a check a source, too. Raises UnknownName for anything else than `source`."""
    if by not in (None, "source"):
        raise UnknownName("--by", str(by), ["source"])
    return by is not None


_SHARES = ("q", "min_effect", "min_relative_change", "min_volume", "low_confidence")
_COUNTS = ("min_class", "min_reference_blocks", "min_current_blocks", "min_events", "min_fine_blocks")


def constants(config: Config) -> Settings:
    """The constants of `[drift]`. Raises ConfigError for one out of its range."""
    table = dict(config.table("drift"))
    for name in _SHARES:
        value = table.get(name, 0.5)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            raise ConfigError(f"[drift] {name} = {value!r}", "write a number between 0 and 1")
    for name in _COUNTS:
        value = table.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"[drift] {name} = {value!r}", "write a whole number, 1 or more")
    if round(table.get("low_confidence", 0.5) * 1000, 9) % 1:
        raise ConfigError(f"[drift] low_confidence = {table['low_confidence']}", "at most three decimals")
    if "weekend" in table:
        table["weekend"] = weekend("drift", table["weekend"])
    return Settings(**table)
