"""Configuration: TOML files and environment variables, read at each run.

Order: flag > environment > project file (`./detmon.toml`) > user file > default. Every table's keys are known here, so
that a misspelt one is refused with the nearest that exists. Relative paths are relative to the file that holds them.
"""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from detmon.errors import Collector, ConfigError, DetmonError, UsageError, nearest
from detmon.times import WEEKDAYS, parse_duration

ANY = "*"
"""In KEYS: any key (names that the user chooses, or keys that a feature checks itself)."""

ANY_TABLE = "*.*"
"""In KEYS: any table (those of plugins); a misspelt plain key is still refused."""

KEYS: dict[str, tuple[str, ...]] = {
    "": (
        "db", "lock_timeout", "backend", "ingest", "maintenance", "inhibit", "metrics", "models", "alerts", "ab_tests",
        "notify", "plugins", "gate", "training", "drift", "ab", "anomaly", "quality",
    ),
    "backend": ("url", "path"),
    "ingest.*": (
        "log_format", "model", "source", "images", "frames", "complete", "categories", "category_offset", "label",
        "start", "fps", "tz", "image_size", "image_id", "box_format", "score_scale", "latency_unit", "confidence_floor",
        "merge_boxes", "map", "bad_rows", "dedup",
    ),
    "maintenance": ("name", "zone", "days", "start", "end", "match"),
    "inhibit": ("source", "target", "equal"),
    "metrics.*": ("sql", "over", "unit", "bad", "min_samples", "description"),
    "ab": ("alpha", "srm_alpha", "min_units", "min_clusters", "review_complete"),
    "anomaly": (
        "z", "for", "resolve_z", "days", "min_days", "min_days_of_type", "min_samples", "floor", "log_floor", "weekend",
    ),
    "models.*": ("name", "version", "uri", "zone", "baseline", "engine"),
    "models.*.engine": (
        "low_confidence", "edge_cases", "random_sample", "rare_classes", "new_classes", "disagreement", "budget",
        "salt", "dataset",
    ),
    "quality": ("iou", "background_iou", "review_iou", "min_images", "min_detections", "assume_random"),
    "plugins": ("prefer", "disable"),
    "training": (
        "trainer", "command", "format", "images", "image_root", "folder", "timeout", "grace", "repository", "workflow",
        "ref", "token", "inputs", "address", ANY_TABLE,
    ),
    "training.inputs": (ANY,),
    "drift": (
        "q", "min_effect", "min_relative_change", "min_class", "min_reference_blocks", "min_current_blocks",
        "min_volume", "min_events", "min_fine_blocks", "low_confidence", "weekend",
    ),
    "notify": (
        "default", "fallback", "overdue_after", "group_by", "zone", "include_examples", "deliver_closed", ANY_TABLE,
    ),
    "notify.email": (
        "host", "port", "tls", "ca_file", "username", "password", "from", "subject_state", "allow_plain_secrets",
    ),
    "notify.sendmail": ("path", "from", "subject_state"),
    "notify.webhook": (ANY_TABLE,),
    "notify.webhook.*": ("url", "secret", "format", "authorization", "allow_http", "allow_plain_secrets"),
    "notify.alertmanager": (ANY_TABLE,),
    "notify.alertmanager.*": ("url", "authorization", "allow_http", "allow_plain_secrets"),
    "notify.pagerduty": (ANY_TABLE,),
    "notify.pagerduty.*": ("routing_key", "url", "allow_http", "allow_plain_secrets"),
    "notify.apprise": (ANY_TABLE,),
    "notify.apprise.*": ("url", "allow_plain_secrets"),
    "notify.slack": ("token", "webhook", "webhooks", "api_url", "allow_plain_secrets", "allow_http"),
}  # fmt: skip
"""The known keys of each table; `*` in a table's name stands for a name of the user's."""


@dataclass(frozen=True)
class Config:
    """The merged settings. `table("notify", "slack")` gives a table, or an empty one."""

    db: Path = Path("detmon.duckdb")
    lock_timeout: timedelta = timedelta(seconds=60)
    data: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    mistakes: tuple[DetmonError, ...] = ()
    """What is wrong with the files, where that was asked for."""
    origins: Mapping[str, Path] = field(default_factory=dict)
    """Key or table (`db`, `notify`, `notify.slack`) → the file that says most of it."""

    def table(self, *names: str) -> Mapping[str, Any]:
        """The table at `names`; an empty mapping where the files do not have it."""
        found: Any = self.data
        for name in names:
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        if not isinstance(found, Mapping):
            raise ConfigError(f"[{'.'.join(names)}] must be a table")
        return found


def load(
    path: Path | None = None,
    *,
    db: Path | str | None = None,
    lock_timeout: timedelta | None = None,
    lenient: bool = False,
) -> Config:
    """The configuration in force; `db` and `lock_timeout` are the flags, which win.

    Raises ConfigError for a file that cannot be read or is no TOML, Mistakes for unknown keys and wrong types of what
    every command needs; `lenient` has them in the result's `mistakes` instead, and leaves them out of its `data`.
    """
    data: dict[str, Any] = {}
    files = []
    origins: dict[str, Path] = {}
    found = Collector()
    for file, required in _candidates(path):
        if not file.is_file():
            if required:
                raise ConfigError(f"no configuration file at {file}")
            continue
        read = _read(file, found)
        data = _merged(data, read)
        files.append(file)
        for key, value in read.items():
            inner = value if isinstance(value, dict) else {}
            origins |= dict.fromkeys((key, *(f"{key}.{name}" for name in inner)), file)
    if lock_timeout is None:
        lock_timeout = Config.lock_timeout
        with found.at():
            lock_timeout = _duration(data, "lock_timeout", Config.lock_timeout)
    if not lenient:
        found.check()
    chosen = db or os.environ.get("DETMON_DB") or data.get("db") or Config.db
    return Config(Path(chosen).expanduser(), lock_timeout, data, tuple(files), tuple(found.errors), origins)


def read_file(file: Path) -> dict[str, Any]:
    """The tables of one file. Raises ConfigError, or Mistakes for unknown keys."""
    found = Collector()
    data = _read(file, found)
    found.check()
    return data


def _candidates(path: Path | None) -> list[tuple[Path, bool]]:
    if path is None and os.environ.get("DETMON_CONFIG"):
        path = Path(os.environ["DETMON_CONFIG"])
    if path is not None:
        return [(path, True)]
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return [(Path(home).expanduser() / "detmon" / "detmon.toml", False), (Path("detmon.toml"), False)]


def _read(file: Path, found: Collector) -> dict[str, Any]:
    """A file's tables without unknown keys, which go into `found`; paths are those the file means."""
    try:
        data = tomllib.loads(file.read_text("utf-8-sig"))  # editors on Windows begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None
    found.errors += check_keys(data, file)
    if not isinstance(data.get("db", ""), str):
        found.errors.append(ConfigError(f"{file}: db must be text: the path of the store"))
        del data["db"]
    for holder, key in (
        (data, "db"),
        (_table(data, "notify", "email"), "ca_file"),
        (_table(data, "training"), "folder"),
    ):
        if isinstance(holder.get(key), str):
            holder[key] = str(file.parent / Path(holder[key]).expanduser())
    if isinstance(data.get("ingest"), dict):
        data["ingest"] = _anchored(data["ingest"], file.parent.absolute())
    return data


def _anchored(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tables of `[ingest]` with their globs, and the files they name, as absolute paths."""
    result = {}
    for pattern, table in tables.items():
        place = pattern if pattern == "-" or "://" in pattern else f"{glob.escape(str(folder))}/{pattern}"
        if Path(pattern).expanduser().is_absolute():
            place = str(Path(pattern).expanduser())
        files = {key: str(table[key]) for key in ("images", "categories") if key in table}
        files = {key: file if "://" in file else str(folder / Path(file).expanduser()) for key, file in files.items()}
        result[place] = {**table, **files}
    return result


def _table(data: dict[str, Any], *names: str) -> dict[str, Any]:
    """A table as it was read; an empty one where there is none."""
    for name in names:
        found = data.get(name)
        data = found if isinstance(found, dict) else {}
    return data


def _known(key: str, value: Any, known: tuple[str, ...]) -> bool:
    return key in known or ANY in known or (ANY_TABLE in known and isinstance(value, Mapping))


def check_keys(data: dict[str, Any], file: Path, table: str = "", shown: str = "") -> Iterator[ConfigError]:
    """What is wrong with the keys of `data` that no feature knows; they are taken out of it.

    `table` is its entry in KEYS.
    """
    known = KEYS.get(table)
    for key, value in list(data.items()):
        if known is not None and not _known(key, value, known):
            alike = nearest(key, known)
            where = f" in [{shown}]" if shown else ""
            names = ", ".join(name for name in known if name != ANY_TABLE)
            hint = f"known: {names}" if names else f"it belongs into a table of its own, [{shown}.NAME]"
            yield ConfigError(f"{file}: unknown key {key!r}{where}", f"did you mean {alike!r}?" if alike else hint)
            del data[key]
            continue
        path, general = (f"{table}.{key}", f"{table}.*") if table else (key, "*")
        below = path if path in KEYS or f"{path}.*" in KEYS else general if general in KEYS else None
        for one in value if isinstance(value, list) else [value]:
            if below is not None and isinstance(one, dict):
                yield from check_keys(one, file, below, f"{shown}.{key}" if shown else key)


def weekend(table: str, days: Any) -> tuple[int, ...]:
    """The days that `weekend = ["Sat", "Sun"]` of a table names, Monday = 0. Raises ConfigError."""
    if not isinstance(days, list) or not all(day in WEEKDAYS for day in days):
        raise ConfigError(f"[{table}] weekend = {days!r}", 'write weekend = ["Sat", "Sun"]')
    return tuple(sorted(WEEKDAYS.index(day) for day in set(days)))


def _duration(data: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    if key not in data:
        return default
    try:
        return parse_duration(str(data[key]))
    except UsageError as error:
        raise ConfigError(f"{key}: {error.message}", error.hint) from None


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


TEMPLATE = "template.toml"
SECRET_KEYS = ("password", "token", "secret", "routing_key", "webhook", "webhooks", "url", "authorization")


def write_template(folder: Path) -> Path:
    """Write the commented `detmon.toml` into `folder`; raises UsageError when one is there."""
    path = folder / "detmon.toml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(resources.files("detmon").joinpath(TEMPLATE).read_text("utf-8"))
    except FileExistsError:
        raise UsageError(f"{path} is there already", "edit it, or move it away") from None
    return path


def files_with_secrets(config: Config) -> list[Path]:
    """The files in force that hold a secret itself, not only the name of a variable or a file."""
    told = [(file, tomllib.loads(file.read_text("utf-8")).get("notify", {})) for file in config.files]
    return [file for file, table in told if masked(table) != table]


def masked(value: Any, key: str = "") -> Any:
    """`value` as it may be shown: references to secrets as they are, anything literal in their place as `***`."""
    if isinstance(value, Mapping):
        return {name: masked(item, key if key == "webhooks" else str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in value]
    if key in SECRET_KEYS and isinstance(value, str) and not value.startswith(("env:", "file:")):
        return "***"
    return value
