"""What is usual of a metric: the scale on which its values vary, and the settings of `[anomaly]`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from detmon.config import Config, weekend
from detmon.errors import ConfigError
from detmon.metrics import Metric
from detmon.stats.anomaly import Scale, Settings

SHARES = ("share", "confidence", "distance")
"""Units of values between 0 and 1."""
_WHOLE = {"for": 1, "days": 2, "min_days": 2, "min_days_of_type": 2, "min_samples": 1}
"""Settings that count something, with their least."""


def scale_of(metric: Metric) -> Scale:
    """Shares as they are; counts, rates an image and times by their logarithm; a user's own metric as it is."""
    if metric.unit in SHARES:
        return "share"
    return "plain" if metric.configured else "log"


def settings(config: Config) -> Settings:
    """The `[anomaly]` table. Raises ConfigError for a value that cannot be."""
    table = dict(config.table("anomaly"))
    for name in (field.name.rstrip("_") for field in fields(Settings)):
        if name in table:
            table[name] = weekend("anomaly", table[name]) if name == "weekend" else _number(name, table[name])
    if "for" in table:
        table["for_"] = table.pop("for")
    found = Settings(**table)
    if found.min_days > found.days:
        raise ConfigError(f"[anomaly] min_days = {found.min_days}", f"at most days = {found.days}")
    if found.resolve_z > found.z:
        raise ConfigError(f"[anomaly] resolve_z = {found.resolve_z:g}", f"at most z = {found.z:g}")
    return found


def _number(name: str, value: Any) -> float:
    least = _WHOLE.get(name)
    kinds = (int,) if least else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not (value >= least if least else 0 < value <= 30):
        wanted = f"a whole number, {least} or more" if least else "a number above 0, at most 30"
        raise ConfigError(f"[anomaly] {name} = {value!r}", f"write {wanted}")
    return value
