"""`[training]` of the configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from detmon import environment
from detmon.config import Config
from detmon.errors import ConfigError, UnknownName, UsageError
from detmon.hookspecs import Secret, TrainerConfig
from detmon.times import parse_duration

FORMATS = ("coco", "yolo")
IMAGES = ("copy", "link", "none")
SECRETS = (
    "SMTP_USERNAME", "SMTP_USER", "SMTP_PASSWORD", "SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL", "PAGERDUTY_ROUTING_KEY",
    "DETMON_WEBHOOK_SECRET", "DETMON_HEARTBEAT_URL", "LABEL_STUDIO_API_KEY", "GITHUB_TOKEN",
)  # fmt: skip
"""Variables that detmon itself needs and a training does not, each also as `…_FILE`."""
SECRET_PREFIXES = ("APPRISE_",)


@dataclass(frozen=True)
class Settings:
    """What holds for every trainer; `folder` is absolute, pictures below `image_root` go before those elsewhere."""

    trainer: str = "command"
    format: str = "yolo"
    images: str = "copy"
    image_root: str | None = None
    folder: Path = Path("runs")
    timeout: timedelta = timedelta(hours=24)


def read(config: Config) -> Settings:
    """The settings in force. Raises ConfigError."""
    table = config.table("training")
    said: dict[str, Any] = {}
    for key in ("trainer", "format", "images", "image_root", "folder"):
        if key in table and not (isinstance(table[key], str) and table[key]):
            raise ConfigError(f"[training] {key} = {table[key]!r}", "write a text")
        said |= {key: table[key]} if key in table else {}
    for key, choices in (("format", FORMATS), ("images", IMAGES)):
        if said.get(key, choices[0]) not in choices:
            raise UnknownName(f"{key} in [training]", said[key], choices)
    if "timeout" in table:
        said["timeout"] = _duration(table, "timeout")
    if "grace" in table:
        _duration(table, "grace")
    place = _folder(config) / Path(said.get("folder", Settings.folder)).expanduser()
    return Settings(**(said | {"folder": place}))


def trainer_config(config: Config) -> TrainerConfig:
    """What trainers are made with."""
    return TrainerConfig(config.table("training"), _folder(config), _environment(config), _secret)


def _folder(config: Config) -> Path:
    """That of the file which holds `[training]`, else the one at hand."""
    origin = config.origins.get("training")
    return (origin.parent if origin else Path()).absolute()


def _duration(table: Mapping[str, Any], key: str) -> timedelta:
    try:
        length = parse_duration(str(table[key]))
    except UsageError as error:
        raise ConfigError(f"[training] {key}: {error.message}", error.hint) from None
    if length <= timedelta():
        raise ConfigError(f"[training] {key} = {table[key]!r} is no time", "for example 24h")
    return length


def _environment(config: Config) -> dict[str, str]:
    """This process's variables without those that hold detmon's secrets, by their usual names or as configured."""
    hidden = {*SECRETS, *_referenced(config.data)}
    return {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in hidden and not name.startswith(SECRET_PREFIXES)
    }


def _referenced(value: Any) -> Iterator[str]:
    """The variables that a configuration refers to as `env:NAME`."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _referenced(item)
    elif isinstance(value, str) and (match := re.fullmatch(r"env:(\w+)", value)):
        yield match[1]


def _secret(name: str) -> Secret | None:
    kind, colon, rest = name.partition(":")
    found = environment.content(rest) if kind == "file" and colon else environment.value(rest if colon else name)
    return Secret(found) if found else None
