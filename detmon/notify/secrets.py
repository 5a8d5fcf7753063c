"""Secrets: references in, values only where they are needed, `***` in everything that leaves."""

from __future__ import annotations

import re
import stat
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detmon import environment
from detmon.errors import ConfigError
from detmon.hookspecs import NotifierConfig, Secret
from detmon.notify.http import HttpClient

SHORTEST = 6
"""Secrets shorter than this are not replaced: they would mask half of any text."""


class Redactor:
    """Replaces every secret it has met by `***`."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, value: str) -> None:
        """Remember a secret, and the parts of it that exceptions and logs show."""
        forms = {value, urllib.parse.quote(value, safe=""), repr(value)[1:-1]}
        if "://" in value:  # exceptions of requests show the path without the host
            parts = urllib.parse.urlsplit(value)
            forms |= {parts.path, f"{parts.path}?{parts.query}", parts.password or "", parts.path.rpartition("/")[2]}
        self._known |= {form for form in forms if len(form) >= SHORTEST}

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


class Settings:
    """The settings and secrets of one scheme: its table of the configuration, then the environment."""

    def __init__(self, scheme: str, table: Mapping[str, Any], redact: Redactor) -> None:
        self.scheme = scheme
        self.table = table
        self._redact = redact

    def secret(self, name: str) -> Secret | None:
        """The secret that a key of the table, an environment variable (also `…_FILE`) or a reference names.

        Raises ConfigError for a secret that is written into the configuration without `allow_plain_secrets`.
        """
        value = self._referenced(name, name) if name.startswith(("env:", "file:")) else self._named(name)
        if value is None:
            return None
        self._redact.learn(value)
        return Secret(value)

    def setting(self, name: str) -> str | None:
        """A value that is no secret: from the environment variable `name`, or the file that `name_FILE` names."""
        return environment.value(name)

    def section(self, name: str) -> Settings:
        """The settings of one target: the table `name` in this one, empty where there is none."""
        table = self.table.get(name)
        return Settings(f"{self.scheme}.{name}", table if isinstance(table, Mapping) else {}, self._redact)

    def config(self) -> NotifierConfig:
        """What the plugin's factory gets."""
        return NotifierConfig(
            self.table, self.secret, self.setting, self.http(), lambda name: self.section(name).config()
        )

    def http(self) -> HttpClient:
        """What the plugin reaches the network with."""
        return HttpClient(self._redact, allow_http=bool(self.table.get("allow_http")))

    def _named(self, name: str) -> str | None:
        written = self.table.get(name)
        if written is None:
            return environment.value(name)
        text = str(written)
        if not text.startswith(("env:", "file:")):
            self._redact.learn(text)
        return self._referenced(text, name)

    def _referenced(self, reference: str, name: str) -> str | None:
        kind, _, rest = reference.partition(":")
        if kind == "env":
            return environment.value(rest)
        if kind == "file":
            return environment.content(rest)
        if not self.table.get("allow_plain_secrets"):
            raise ConfigError(
                f"[notify.{self.scheme}] {name} is written as plain text",
                'write "env:VARIABLE" or "file:/path" (or set allow_plain_secrets = true)',
            )
        return reference


def read_env_file(path: Path) -> dict[str, str]:
    """The `KEY=VALUE` lines of a file that only its owner may read. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    if mode & (stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"{path} can be read by others", f"chmod 600 {path}")
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", line)
        if match is None:
            raise ConfigError(f"{path}, line {number}: not KEY=VALUE")  # never the text: it may be a secret
        value = match[2].strip()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
        found[match[1]] = value[1:-1] if quoted else value
    return found
