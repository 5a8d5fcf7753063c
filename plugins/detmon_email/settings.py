"""The SMTP server: from `[notify.email]`, then from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from detmon.errors import ConfigError
from detmon.hookspecs import CRON, MissingSetting, NotifierConfig, Secret

TLS = ("starttls", "implicit", "none")
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}


@dataclass(frozen=True)
class Server:
    """Where and how mail is handed over; `tls` is starttls, implicit or none."""

    host: str
    port: int
    tls: str
    username: str | None
    password: Secret | None
    sender: str
    ca_file: str | None


def read_server(config: NotifierConfig) -> Server:
    """The server in force. Raises MissingSetting when something is absent, ConfigError when it cannot be."""
    host = _setting(config, "host", "SMTP_HOST")
    if not host:
        raise MissingSetting(f"SMTP_HOST is not set ({CRON})")
    tls, port = _tls_and_port(config)
    username = _setting(config, "username", "SMTP_USERNAME", "SMTP_USER")
    password = config.secret("password") or config.secret("SMTP_PASSWORD")
    if username and password is None:
        lacking = config.unresolved("password")
        raise MissingSetting(f"[notify.email] {lacking}" if lacking else f"SMTP_PASSWORD is not set ({CRON})")
    if password is not None and tls == "none":
        raise ConfigError("a password is never sent over clear text", "use SMTP_TLS=starttls or SMTP_TLS=implicit")
    sender = _setting(config, "from", "SMTP_FROM") or (username if username and "@" in username else None)
    if sender is None:
        raise MissingSetting(f"SMTP_FROM is not set ({CRON})")
    return Server(host, port, tls, username, password, sender, _setting(config, "ca_file"))


def _tls_and_port(config: NotifierConfig) -> tuple[str, int]:
    written = _setting(config, "port", "SMTP_PORT")
    try:
        port = int(written) if written else None
    except ValueError:
        port = 0
    if port is not None and not 0 < port < 65536:
        raise ConfigError(f"SMTP port {written!r} is not a port")
    tls = _setting(config, "tls", "SMTP_TLS") or ("implicit" if port == _PORTS["implicit"] else "starttls")
    if tls not in TLS:
        raise ConfigError(f"SMTP_TLS {tls!r} is unknown", f"one of {', '.join(TLS)}")
    return tls, port or _PORTS[tls]


def _setting(config: NotifierConfig, key: str, *variables: str) -> str | None:
    written = config.table.get(key)
    if written is None:
        return next((value for name in variables if (value := config.setting(name))), None)
    return config.text(key)
