"""The whole contract between detmon and its plugins.

A plugin is an installed package with an entry point in the group `detmon` that names a module or object carrying
hook implementations. Hooks only *register*; detmon itself evaluates, delivers and reads. All four hooks are
historic: each is called once, with `register`, when the plugin is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pluggy

if TYPE_CHECKING:
    from pyarrow import RecordBatch

hookspec = pluggy.HookspecMarker("detmon")
hookimpl = pluggy.HookimplMarker("detmon")

API_VERSION = 1


# --- notifiers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Capabilities:
    """What a channel can do, so that the core composes, merges and paces its messages."""

    max_chars: int = 10_000
    rate_per_s: float = 1.0
    per_instance: bool = False
    """One notice an instance instead of one a rule."""
    stateful: bool = False
    """The receiver keeps the state: only the latest of an instance matters."""
    refresh: bool = False
    """A firing instance is sent again at every run."""
    ttl_s: int = 86_400
    """A notice older than this is dead."""
    secrets: tuple[str, ...] = ()
    """Environment variables that hold this channel's secrets."""


@dataclass(frozen=True)
class Target:
    """Where a notice goes: `scheme:rest` as the rule says it, with the plugin's reading of `rest`."""

    scheme: str
    rest: str
    address: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a target's settings on this machine."""

    level: Literal["error", "warning"]
    text: str
    hint: str | None = None


@dataclass(frozen=True)
class Sent:
    """Delivered. `receipt` (at most 2 kB as JSON) is kept for threads and updates."""

    receipt: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Retry:
    """Not delivered, and a later try can help. `after` is in seconds; `ambiguous`: it may have arrived."""

    reason: str
    after: float | None = None
    ambiguous: bool = False


@dataclass(frozen=True)
class Permanent:
    """Not delivered, and the same message never will be."""

    reason: str
    hint: str | None = None


Outcome = Sent | Retry | Permanent


@dataclass(frozen=True)
class Item:
    """One instance's news within a message."""

    alert: str
    alert_id: str
    model_id: str
    instance_key: str
    episode_id: str | None
    kind: str
    labels: Mapping[str, str]
    metric: str
    operator: str
    threshold: float
    window: str
    value: float | None
    n: int | None
    fired_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """What a notifier sends. `title` and `text` are plain; `html` is escaped; `items` are for rich layouts."""

    kind: str
    severity: str
    title: str
    text: str
    html: str
    items: tuple[Item, ...]
    omitted: int
    started_at: datetime
    ended_at: datetime | None
    late_by: timedelta | None
    maybe_repeat: bool
    footers: tuple[str, ...]
    links: Mapping[str, str]
    labels: Mapping[str, str]


class Secret:
    """A secret that no `print`, log or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it."""
        return self._value


class Response(Protocol):
    """What `Http` answers: the part of `requests.Response` a notifier needs."""

    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any: ...


class Http(Protocol):
    """HTTP with time-outs, without redirects, without retries; failures come as `Retry`-ready exceptions."""

    def post(
        self, url: str, *, json: Any = None, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response: ...

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response: ...


class SendContext(Protocol):
    """What a notifier gets beside the message. `deadline` is a `time.monotonic()` value."""

    notice_id: str
    attempt: int
    deadline: float
    now: datetime
    receipt: Mapping[str, str] | None
    http: Http
    config: Mapping[str, object]

    def secret(self, name: str) -> Secret:
        """The secret a setting or environment variable names; raises MissingSetting when there is none."""
        ...


class MissingSetting(Exception):
    """A secret or server setting is absent here: the notice waits, nothing is lost."""


@dataclass(frozen=True)
class NotifierConfig:
    """A scheme's own table of the configuration, and its secrets."""

    table: Mapping[str, Any]
    secret: Callable[[str], Secret | None]
    """Looks a setting or environment variable up (also `…_FILE`); None when there is none."""


class Notifier:
    """Base of all notifiers: subclass it and write `send`."""

    scheme: str = ""
    capabilities: Capabilities = Capabilities()

    def __init__(self, config: NotifierConfig | None = None) -> None:
        self.config = config

    def parse(self, rest: str) -> Target:
        """The target behind `scheme:`; raises TargetError. Pure: it runs when the rule is made."""
        return Target(self.scheme, rest, rest)

    def check(self, target: Target, *, online: bool) -> list[Problem]:
        """What is missing on this machine; with `online` the server is asked too."""
        return []

    def send(self, target: Target, message: Message, ctx: SendContext) -> Outcome:
        """Send one message. Must come back before `ctx.deadline`."""
        raise NotImplementedError


class RegisterNotifier(Protocol):
    def __call__(self, scheme: str, factory: Callable[[NotifierConfig], Notifier], *, api: int = 1) -> None: ...


# --- formats -----------------------------------------------------------------------------------------------------


class FormatReader(Protocol):
    """One foreign log format. Batches carry the columns of `detmon.formats.CANONICAL`, `line` among them."""

    def sniff(self, head: bytes, path: str) -> str | None:
        """Why these first bytes are this format, or None."""
        ...

    def read(self, source: Any, options: Any) -> Iterator[RecordBatch]:
        """The records of one file, in bounded memory."""
        ...


class RegisterFormat(Protocol):
    def __call__(self, name: str, reader: FormatReader, *, api: int = 1) -> None: ...


# --- metrics and trainers ----------------------------------------------------------------------------------------


class RegisterMetric(Protocol):
    def __call__(self, metric: Any, *, api: int = 1) -> None: ...


class RegisterTrainer(Protocol):
    def __call__(self, name: str, factory: Callable[..., Any], *, api: int = 1) -> None: ...


# --- the hooks ---------------------------------------------------------------------------------------------------


@hookspec(historic=True)
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    """Call `register(scheme, factory)` once for each scheme; `factory(NotifierConfig)` makes the notifier."""


@hookspec(historic=True)
def detmon_register_formats(register: RegisterFormat) -> None:
    """Call `register(name, reader)` once for each log format."""


@hookspec(historic=True)
def detmon_register_metrics(register: RegisterMetric) -> None:
    """Call `register(Metric(…))` once for each metric."""


@hookspec(historic=True)
def detmon_register_trainers(register: RegisterTrainer) -> None:
    """Call `register(name, factory)` once for each trainer."""
