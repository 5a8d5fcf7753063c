"""From the text of a target to the notifier that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from detmon import plugins
from detmon.config import Config
from detmon.errors import DetmonError, TargetError, UsageError
from detmon.hookspecs import Capabilities, Notifier, Problem, Target
from detmon.notify.secrets import Redactor, Settings


@dataclass(frozen=True)
class Channel:
    """A target, its notifier and its settings."""

    target: Target
    notifier: Notifier
    settings: Settings

    def problems(self, *, online: bool) -> list[Problem]:
        """What is missing for it on this machine."""
        try:
            return self.notifier.check(self.target, online=online)
        except UsageError as error:
            return [Problem("error", error.message, error.hint)]


class Channels:
    """All channels of a configuration; plugins are loaded when the first one is opened."""

    def __init__(self, config: Config, redact: Redactor) -> None:
        self._config = config
        self._redact = redact
        self._notifiers: dict[str, tuple[Notifier, Settings]] = {}

    @cached_property
    def registry(self) -> plugins.Registry:
        """What the plugins brought."""
        return plugins.load(self._config.table("plugins"))

    def open(self, text: str) -> Channel:
        """The channel of a target. Raises UsageError: no scheme, an unknown one, or an address its plugin refuses."""
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme:
            raise TargetError(f"{text!r} is not a target", "write SCHEME:ADDRESS, for example slack:#ml-alerts")
        notifier, settings = self._notifier(scheme)
        try:
            target = notifier.parse(rest)
        except DetmonError:
            raise
        except Exception as error:
            raise TargetError(f"{text!r}: the plugin cannot read it ({type(error).__name__})") from error
        own = isinstance(settings.table.get(target.rest), Mapping)
        return Channel(target, notifier, settings.section(target.rest) if own else settings)

    def capabilities(self, text: str) -> Capabilities | None:
        """What the channel of a target can do; None when its plugin cannot say."""
        try:
            return self._notifier(text.partition(":")[0])[0].capabilities
        except DetmonError:
            return None

    def _notifier(self, scheme: str) -> tuple[Notifier, Settings]:
        if scheme not in self._notifiers:
            factory = self.registry.notifier(scheme)
            settings = Settings(scheme, self._config.table("notify", scheme), self._redact)
            try:
                notifier = factory(settings.config())
            except DetmonError:
                raise
            except Exception as error:
                raise UsageError(f"the plugin of {scheme}: does not start: {type(error).__name__}: {error}") from error
            for name in notifier.capabilities.secrets:
                _learn(settings, name)
            self._notifiers[scheme] = notifier, settings
        return self._notifiers[scheme]


def _learn(settings: Settings, name: str) -> None:
    """Resolve a secret so that it is masked from now on, whoever reads it."""
    try:
        settings.secret(name)
    except UsageError:
        return
