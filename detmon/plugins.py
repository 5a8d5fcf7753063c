"""Loading plugins: each entry point of the group `detmon` on its own, so that a broken one stops nothing but itself.

Hooks only register; what a plugin registered is taken over once all of it has loaded without an error.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from detmon import __version__, hookspecs
from detmon.errors import UnknownName, UsageError

GROUP = "detmon"
OWN = (
    EntryPoint("detmon-formats", "detmon.readers", GROUP),
    EntryPoint("detmon-trainers", "detmon.trainers", GROUP),
)
"""detmon's own log formats and trainers: plugins like any other, but always there."""
KINDS = ("notifiers", "formats", "metrics", "trainers")
"""What a plugin can bring; each has a hook `detmon_register_KIND`."""


@dataclass(frozen=True)
class Loaded:
    """One entry point: where it comes from and what it brought, or why it did not load."""

    name: str
    distribution: str
    version: str
    origin: str
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Registry:
    """All that the plugins brought. `problems` are lines for people; `contested` names have two plugins."""

    notifiers: Mapping[str, Callable[[hookspecs.NotifierConfig], hookspecs.Notifier]]
    formats: Mapping[str, tuple[hookspecs.AnyReader, ...]]
    metrics: Mapping[str, Any]
    trainers: Mapping[str, hookspecs.AnyTrainer]
    plugins: tuple[Loaded, ...]
    problems: tuple[str, ...]
    contested: Mapping[tuple[str, str], str]

    def notifier(self, scheme: str) -> Callable[[hookspecs.NotifierConfig], hookspecs.Notifier]:
        """The factory of a scheme's notifier. Raises UnknownName, or UsageError when two plugins claim it."""
        if ("notifiers", scheme) in self.contested:
            raise UsageError(
                self.contested["notifiers", scheme],
                f'choose one: [plugins] prefer = {{ "{scheme}" = "ITS-NAME" }}',
            )
        if scheme not in self.notifiers:
            broken = [plugin.name for plugin in self.plugins if plugin.error]
            hint = f"not loaded: {', '.join(broken)}; see `detmon plugins`" if broken else None
            raise UnknownName("notification scheme", scheme, self.notifiers, hint)
        return self.notifiers[scheme]

    def trainer(self, name: str) -> Callable[[hookspecs.TrainerConfig], hookspecs.Trainer]:
        """The factory of a trainer. Raises UnknownName, or UsageError when two plugins bring it."""
        if ("trainers", name) in self.contested:
            raise UsageError(self.contested["trainers", name], f'choose one: [plugins] prefer = {{ "{name}" = "…" }}')
        if name not in self.trainers:
            raise UnknownName("trainer", name, self.trainers)
        factory = self.trainers[name]
        if callable(factory):
            return factory
        module, _, attribute = factory.partition(":")
        made: Callable[[hookspecs.TrainerConfig], hookspecs.Trainer] = getattr(import_module(module), attribute)
        return made


def load(settings: Mapping[str, Any] | None = None) -> Registry:
    """The registry of this process; `settings` is the table `[plugins]` (`prefer`, `disable`).

    Environment: `DETMON_DISABLE_PLUGINS=a,b` leaves these out, `DETMON_LOAD_PLUGINS=a,b` loads only these.
    """
    settings = settings or {}
    disabled = {*settings.get("disable", ()), *_names("DETMON_DISABLE_PLUGINS")}
    only = frozenset(_names("DETMON_LOAD_PLUGINS")) if "DETMON_LOAD_PLUGINS" in os.environ else None
    return _load(frozenset(disabled), only, tuple(sorted(settings.get("prefer", {}).items())))


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def own_formats() -> Mapping[str, tuple[hookspecs.AnyReader, ...]]:
    """The log formats that detmon has without any plugin."""
    return _load(frozenset(), frozenset(), ()).formats


@cache
def _load(disabled: frozenset[str], only: frozenset[str] | None, prefer: tuple[tuple[str, str], ...]) -> Registry:
    loader = _Loader()
    for entry in OWN:
        loader.load(entry)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name not in disabled and (only is None or entry.name in only):
            loader.load(entry)
    return loader.registry(dict(prefer))


class _Loader:
    """Collects what each plugin registers, then settles who serves what."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        for kind in KINDS:
            hook = getattr(self._manager.hook, f"detmon_register_{kind}")
            hook.call_historic(kwargs={"register": getattr(self, f"_register_{kind}")})
        self._offers: dict[str, dict[str, Any]] = {}  # of the plugin that is being loaded
        self._taken: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)  # (kind, name) → plugin → thing
        self._plugins: list[Loaded] = []
        self._problems: list[str] = []

    def load(self, entry: EntryPoint) -> None:
        """Load one entry point; whatever it does wrong stays with it."""
        if self._manager.has_plugin(entry.name):
            self._problems.append(f"two plugins are named {entry.name!r}: that of {_origin(entry)[0]} is not loaded")
            return
        self._offers = {kind: {} for kind in KINDS}
        try:
            self._manager.register(entry.load(), name=entry.name)
        except (Exception, SystemExit) as error:
            self._failed(entry, error)
            return
        self._warn_of_misspelt_hooks(entry.name)
        for kind, things in self._offers.items():
            for name, thing in things.items():
                self._taken[kind, name][entry.name] = thing
        self._note(entry, {kind: tuple(things) for kind, things in self._offers.items()}, None)

    def registry(self, prefer: Mapping[str, str]) -> Registry:
        """What all of them brought; where two bring the same name, `prefer` decides, or neither serves it."""
        served: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        contested: dict[tuple[str, str], str] = {}
        for (kind, name), offers in self._taken.items():
            if len(offers) == 1:
                served[kind][name] = next(iter(offers.values()))
            elif prefer.get(name) in offers:
                served[kind][name] = offers[prefer[name]]
            else:
                who = " and ".join(f"{plugin} ({self._distribution(plugin)})" for plugin in offers)
                contested[kind, name] = f"two plugins bring {name!r}: {who}"
        problems = (*self._problems, *contested.values())
        return Registry(**served, plugins=tuple(self._plugins), problems=problems, contested=contested)

    def _failed(self, entry: EntryPoint, error: BaseException) -> None:
        if self._manager.has_plugin(entry.name):  # a hook that raises leaves its plugin registered
            self._manager.unregister(name=entry.name)
        first = (str(error).splitlines() or [""])[0]
        text = f"{type(error).__name__}: {first}" if first else type(error).__name__
        self._problems.append(f"plugin {entry.name} did not load: {text}")
        self._note(entry, {}, text)

    def _note(self, entry: EntryPoint, offers: Mapping[str, tuple[str, ...]], error: str | None) -> None:
        distribution, version = _origin(entry)
        self._plugins.append(Loaded(entry.name, distribution, version, entry.value, offers, error))

    def _warn_of_misspelt_hooks(self, name: str) -> None:
        for caller in self._manager.get_hookcallers(self._manager.get_plugin(name)) or ():
            if not caller.has_spec():
                self._problems.append(f"plugin {name} implements an unknown hook: {caller.name}")

    def _distribution(self, plugin: str) -> str:
        return next(loaded.distribution for loaded in self._plugins if loaded.name == plugin)

    def _offer(self, kind: str, name: str, thing: Any, api: int) -> None:
        if api != hookspecs.API_VERSION:
            raise ValueError(f"{name!r} wants plugin API {api}; this detmon has {hookspecs.API_VERSION}")
        self._offers[kind][name] = thing

    def _register_notifiers(
        self, scheme: str, factory: Callable[[hookspecs.NotifierConfig], hookspecs.Notifier], *, api: int = 1
    ) -> None:
        if not hookspecs.SCHEME.fullmatch(scheme):
            raise ValueError(f"{scheme!r} is not a scheme: lower-case letters, digits, + . - only")
        self._offer("notifiers", scheme, factory, api)

    def _register_formats(self, name: str, reader: hookspecs.AnyReader, *, api: int = 1) -> None:
        if not hookspecs.SCHEME.fullmatch(name) or name == "auto":
            raise ValueError(f"{name!r} is no name of a format: lower-case letters, digits, + . - only")
        self._offer("formats", name, (*self._offers["formats"].get(name, ()), reader), api)

    def _register_metrics(self, metric: Any, *, api: int = 1) -> None:
        self._offer("metrics", metric.name, metric, api)

    def _register_trainers(self, name: str, factory: hookspecs.AnyTrainer, *, api: int = 1) -> None:
        self._offer("trainers", name, factory, api)


def _origin(entry: EntryPoint) -> tuple[str, str]:
    if entry in OWN:
        return GROUP, __version__
    distribution = entry.dist
    return (distribution.name, distribution.version) if distribution else ("?", "?")
