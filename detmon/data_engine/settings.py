"""What an engine is told: its strategies, checked, with every default filled in."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detmon.errors import ConfigError, UsageError, nearest
from detmon.times import format_duration, parse_duration

SALT = "detmon"
EDGE_CASES = ("no_detections", "high_density", "unusual_size")
"""The conditions of `edge_cases`."""
STAGES = ("gap", "source_day", "day")
"""The caps of a budget, in the order in which they act."""

Check = Callable[[Any], Any]


class _Wrong(Exception):
    """A value that cannot be; says what it must be."""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _Wrong("a number from 0 to 1")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Wrong("a whole number above 0")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong("text")
    return value


def _length(value: Any) -> str:
    try:
        length = parse_duration(_text(value))
    except UsageError:
        raise _Wrong("a duration such as 10s") from None
    if length.total_seconds() <= 0:
        raise _Wrong("longer than nothing")
    return format_duration(length)


def _conditions(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise _Wrong(f"a list of {', '.join(EDGE_CASES)}")
    for one in value:
        if one not in EDGE_CASES:
            alike = nearest(one, EDGE_CASES)
            raise _Wrong(f"a list of {', '.join(EDGE_CASES)}; {one!r} is none" + (f" ({alike}?)" if alike else ""))
    return [one for one in EDGE_CASES if one in value]


STRATEGIES: Mapping[str, Mapping[str, tuple[Check, Any]]] = {
    "low_confidence": {"threshold": (_share, 0.5), "sample_rate": (_share, 1.0)},
    "edge_cases": {
        "conditions": (_conditions, list(EDGE_CASES)),
        "rate": (_share, 1.0),
        "min_detections": (_count, 10),
        "overlap": (_share, 0.5),
        "min_area": (_share, None),
        "max_area": (_share, None),
    },
    "random_sample": {"rate": (_share, 0.05)},
    "rare_classes": {"share": (_share, 0.01), "rate": (_share, 1.0)},
    "new_classes": {"rate": (_share, 1.0)},
    "disagreement": {
        "other_model": (_text, None),
        "iou": (_share, 0.5),
        "min_confidence": (_share, 0.0),
        "rate": (_share, 1.0),
    },
}
"""Strategy → key → how it is checked, and its default."""
BUDGET: Mapping[str, tuple[Check, Any]] = {
    "per_day": (_count, None),
    "per_source_day": (_count, None),
    "gap": (_length, None),
}
KEYS = (*STRATEGIES, "budget", "salt", "dataset")
"""The keys of an engine file, and of `[models.NAME.engine]`."""


def complete(given: Mapping[str, Any], where: str = "engine") -> dict[str, Any]:
    """`given` with every default filled in; a strategy that is not named is off.

    Raises ConfigError, naming the key as `where` has it, for an unknown key, a wrong type or a value out of range.
    """
    _known(given, KEYS, where)
    found: dict[str, Any] = {}
    for name, fields in STRATEGIES.items():
        table = _table(given, name, where)
        _known(table, ("enabled", *fields), f"{where}: {name}")
        enabled = _checked(table, "enabled", (_flag, name in given), f"{where}: {name}")
        found[name] = {"enabled": enabled}
        found[name] |= {key: _checked(table, key, field, f"{where}: {name}") for key, field in fields.items()}
    budget = _table(given, "budget", where)
    _known(budget, tuple(BUDGET), f"{where}: budget")
    found["budget"] = {key: _checked(budget, key, field, f"{where}: budget") for key, field in BUDGET.items()}
    found["salt"] = _checked(given, "salt", (_text, SALT), where)
    _check_sense(found, where)
    return found


def dataset(given: Mapping[str, Any], where: str) -> str | None:
    """The dataset that a configuration names, if it does. Raises ConfigError for one that is no text."""
    named: str | None = _checked(given, "dataset", (_text, None), where)
    return named


def _check_sense(found: Mapping[str, Any], where: str) -> None:
    if ":" in found["salt"]:
        raise ConfigError(f"{where}: a salt must not hold ':'", "two salts could select the same images")
    edge, other = found["edge_cases"], found["disagreement"]
    if None not in (edge["min_area"], edge["max_area"]) and edge["min_area"] > edge["max_area"]:
        raise ConfigError(f"{where}: edge_cases: min_area is above max_area")
    if other["enabled"] and other["other_model"] is None:
        raise ConfigError(f"{where}: disagreement needs other_model", 'other_model = "vehicles@2"')
    if not any(found[name]["enabled"] for name in STRATEGIES):
        raise ConfigError(
            f"{where}: no strategy is enabled, so nothing would be flagged",
            "for example random_sample = { enabled = true, rate = 0.05 }",
        )


def _table(given: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    table = given.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: {name} must be a table", f"{name} = {{ enabled = true }}")
    return table


def _known(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            alike = nearest(str(key), keys)
            raise ConfigError(
                f"{where}: unknown key {key!r}", f"did you mean {alike!r}?" if alike else f"known: {', '.join(keys)}"
            )


def _checked(table: Mapping[str, Any], key: str, field: tuple[Check, Any], where: str) -> Any:
    check, default = field
    if key not in table or (table[key] is None and default is None):
        return default
    try:
        return check(table[key])
    except _Wrong as wrong:
        raise ConfigError(f"{where}: {key} must be {wrong}, not {table[key]!r}") from None


def read(path: Path) -> dict[str, Any]:
    """The tables of an engine file. Raises ConfigError for one that cannot be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def canonical(config: Any) -> str:
    """The text under which a configuration is stored and compared."""
    return json.dumps(config, sort_keys=True, ensure_ascii=False)


def takes(config: Mapping[str, Any]) -> bool:
    """Whether a condition of `config` takes something from the model's own log."""
    edge = config["edge_cases"]
    sizes = edge["enabled"] and "unusual_size" in edge["conditions"] and None in (edge["min_area"], edge["max_area"])
    return bool(sizes or config["rare_classes"]["enabled"] or config["new_classes"]["enabled"])


def just_below(confidence: float) -> float:
    """Half a millionth below a confidence: they count in whole millionths, however a FLOAT holds them."""
    return (round(confidence * 1e6) - 0.5) / 1e6


def reaches_all(config: Mapping[str, Any]) -> bool:
    """Whether every prediction has a chance to be selected, so that estimates can speak for all of them."""
    return bool(config["random_sample"]["enabled"] and config["random_sample"]["rate"] > 0)
