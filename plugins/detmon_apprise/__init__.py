"""Notices through Apprise, which knows some 130 services: `apprise:NAME`, with the extra `detmon[apprise]`.

Apprise says only whether all went well. So this is best effort: what failed is tried again, and may come twice.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Literal

from detmon.hookspecs import (
    CRON,
    Capabilities,
    Message,
    MissingSetting,
    NamedNotifier,
    Outcome,
    Permanent,
    Problem,
    RegisterNotifier,
    Retry,
    Secret,
    SendContext,
    Sent,
    Target,
    hookimpl,
)

_ABSENT = "Apprise is not installed: pip install 'detmon[apprise]'"
_UNREADABLE = "Apprise does not understand this address"


class Apprise(NamedNotifier):
    """The service behind one of Apprise's addresses, which is a secret."""

    scheme = "apprise"
    capabilities = Capabilities(timeout_s=20.0)

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        level: Literal["error", "warning"] = "error" if online else "warning"
        if find_spec("apprise") is None:
            return [Problem(level, _ABSENT)]
        url = self._url(target)
        if url is None:
            return [Problem(level, self._missing(target))]
        return [Problem("error", _UNREADABLE, "see `apprise --details`")] if online and not _understands(url) else []

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        url = self._url(target)
        if url is None:
            raise MissingSetting(self._missing(target))
        if find_spec("apprise") is None:
            raise MissingSetting(_ABSENT)
        import apprise

        _quiet()
        service = apprise.Apprise()
        if not service.add(url.reveal()):
            return Permanent(_UNREADABLE, "see `apprise --details`")
        done = service.notify(title=message.title, body=message.text, body_format=apprise.NotifyFormat.TEXT)
        return Sent() if done else Retry("Apprise could not deliver it and does not say why", ambiguous=True)

    def _url(self, target: Target) -> Secret | None:
        config = self.settings(target)
        return config.secret("url") or config.secret(self._variable(target))

    def _missing(self, target: Target) -> str:
        lacking = self.settings(target).unresolved("url")
        if lacking:
            return f"{self.table_name(target)} {lacking}"
        return f"neither {self.table_name(target)} url nor {self._variable(target)} is set ({CRON})"

    def _variable(self, target: Target) -> str:
        return f"APPRISE_{target.rest.upper().replace('-', '_')}"


def _understands(url: Secret) -> bool:
    import apprise

    _quiet()
    return bool(apprise.Apprise().add(url.reveal()))


def _quiet() -> None:
    """Apprise logs addresses, which are secrets, on standard error."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


@hookimpl
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    register("apprise", Apprise)
