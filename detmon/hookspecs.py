"""The whole contract between detmon and its plugins.

A plugin is an installed package with an entry point in the group `detmon` that names a module or object carrying
hook implementations. Hooks only *register*; detmon itself evaluates, delivers and reads. All four hooks are
historic: each is called once, with `register`, when the plugin is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TextIO
from urllib.parse import urlsplit

import pluggy

from detmon.errors import TargetError, nearest
from detmon.times import aware_utc, format_instant

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Table

    from detmon.formats.chunk import Chunk

hookspec = pluggy.HookspecMarker("detmon")
hookimpl = pluggy.HookimplMarker("detmon")

API_VERSION = 1
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
"""A notification scheme: the text before the first `:` of a target."""


# --- notifiers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Capabilities:
    """What a channel can do, so that the core composes, merges and paces its messages."""

    max_chars: int = 10_000
    rate_per_s: float = 1.0
    timeout_s: float = 10.0
    """A send that has not come back after so long is given up; it may have arrived."""
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

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a target's settings on this machine."""

    level: Literal["error", "warning"]
    text: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.hint})" if self.hint else self.text


@dataclass(frozen=True)
class Sent:
    """Delivered. `receipt` (at most 2 kB as JSON) is kept for threads and updates."""

    receipt: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Retry:
    """Not delivered, and a later try can help.

    `after` is in seconds; `ambiguous`: it may have arrived; `soon`: a second try within seconds can help (a refused
    connection, a name that did not resolve, a definite 5xx).
    """

    reason: str
    after: float | None = None
    ambiguous: bool = False
    soon: bool = False


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

    @property
    def subject(self) -> str:
        """What opens and closes: the instance, or its missing data or error, which come and go by themselves."""
        rest = (self.episode_id or "").removeprefix(self.instance_key).split(".")
        health = self.kind.removesuffix("_resolved")
        if health not in _HEALTH:
            health = rest[1] if len(rest) > 1 else ""
        return f"{self.instance_key}.{health}" if health in _HEALTH else self.instance_key

    @property
    def is_over(self) -> bool:
        """Whether this news ends something; what flapped is over when it is steady and does not fire."""
        return self.kind in _ENDS or (self.kind == "stable" and self.reason != "firing")


_HEALTH = ("no_data", "error")
_ENDS = ("missed", "resolved", "closed", "no_data_resolved", "error_resolved")


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


def message_json(message: Message, ctx: SendContext) -> str:
    """A message as one line of JSON: what files and webhooks get. Keys are only ever added."""
    first = message.items[0] if message.items else None
    content = {
        "version": 1,
        "notice_id": ctx.notice_id,
        "kind": message.kind,
        "attempt": ctx.attempt,
        "maybe_repeat": message.maybe_repeat,
        "sent_at": ctx.now,
        "severity": message.severity,
        "late_by_s": message.late_by.total_seconds() if message.late_by else None,
        "alert": first
        and {
            "id": first.alert_id,
            "name": first.alert,
            "model_id": first.model_id,
            "severity": message.severity,
            "metric": first.metric,
            "operator": first.operator,
            "threshold": first.threshold,
            "window": first.window,
        },
        "items": [asdict(item) for item in message.items],
        "omitted": message.omitted,
        "title": message.title,
        "text": message.text,
    }
    text = json.dumps(content, ensure_ascii=False, default=_instant_text)
    return re.sub("[\x85\u2028\u2029]", lambda end: f"\\u{ord(end[0]):04x}", text)  # some readers end a line there


def _instant_text(value: object) -> str:
    return format_instant(value) if isinstance(value, datetime) else str(value)


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

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Any: ...
    @property
    def text(self) -> str: ...

    def json(self) -> Any: ...


class Http(Protocol):
    """HTTP with time-outs, without redirects, without retries; a failure raises SendFailed with the right outcome."""

    def post(
        self, url: str, *, json: Any = None, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response: ...

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response: ...


class SendContext(Protocol):
    """What a notifier gets beside the message.

    `deadline` is a `time.monotonic()` value. `receipt` is that of the first notice of the oldest open episode in the
    message, for threads and updates. `config` is the scheme's table, or the target's own: `[notify.SCHEME.NAME]` for
    `SCHEME:NAME`. `console` is where text for the person at the terminal goes: stdout, or stderr when stdout carries
    JSON.
    """

    @property
    def notice_id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def deadline(self) -> float: ...
    @property
    def now(self) -> datetime: ...
    @property
    def receipt(self) -> Mapping[str, str] | None: ...
    @property
    def http(self) -> Http: ...
    @property
    def config(self) -> Mapping[str, object]: ...
    @property
    def console(self) -> TextIO: ...

    def secret(self, name: str) -> Secret:
        """The secret that a key of the scheme's table, an environment variable or a reference (`env:X`) names.

        Raises MissingSetting when there is none.
        """
        ...


class MissingSetting(Exception):
    """A secret or server setting is absent here: the notice waits, nothing is lost."""


class SendFailed(Exception):
    """Raised by `Http`, or by a notifier instead of returning: `outcome` is what became of the message."""

    def __init__(self, outcome: Retry | Permanent) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


CRON = "cron does not read your profile: --env-file"


@dataclass(frozen=True)
class NotifierConfig:
    """A scheme's own table of the configuration, its secrets and its other settings."""

    table: Mapping[str, Any]
    secret: Callable[[str], Secret | None]
    """Looks a key of the table, an environment variable (also `…_FILE`) or a reference up; None when there is none."""
    setting: Callable[[str], str | None] = lambda name: None
    """An environment variable (also `…_FILE`) that is no secret; None when there is none."""
    http: Http | None = None
    """For `check`; `send` has its own."""
    sections: Callable[[str], NotifierConfig] | None = None

    def named(self, name: str) -> NotifierConfig:
        """The settings of the target `SCHEME:name`: its table `[notify.SCHEME.name]`, empty where there is none."""
        if self.sections is not None:
            return self.sections(name)
        table = self.table.get(name)
        return replace(self, table=table if isinstance(table, Mapping) else {})

    def text(self, key: str) -> str | None:
        """A key of the table as text; a reference (`env:NAME`, `file:/path`) stands for what it names."""
        written = self.table.get(key)
        if written is None:
            return None
        if not str(written).startswith(("env:", "file:")):
            return str(written)
        found = self.secret(str(written))
        return found.reveal() if found else None

    def unresolved(self, *keys: str) -> str | None:
        """What those of `keys` refer to that are in the table, as a sentence for when it is missing; None: none is."""
        written = [f"{key} = {self.table[key]!r}" for key in keys if isinstance(self.table.get(key), str)]
        return f"{' and '.join(written)}: not set or not readable here ({CRON})" if written else None


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

    def preview(self, target: Target, message: Message, ctx: SendContext) -> str:
        """What `send` would hand over, for people: `notify test --dry-run`. Sends nothing, needs no secret."""
        return f"{message.title}\n\n{message.text}"


class NamedNotifier(Notifier):
    """Base of notifiers whose targets are names: what `SCHEME:NAME` needs stands in `[notify.SCHEME.NAME]`.

    So no address, which may be a secret, is in a rule.
    """

    def parse(self, rest: str) -> Target:
        """The target of a name; raises TargetError for what is none, such as a URL."""
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", rest):
            return Target(self.scheme, rest, rest)
        raise TargetError(
            f"'{self.scheme}:…' takes a name, not an address" if "/" in rest else f"'{self.scheme}:{rest}' is no name",
            f"write {self.scheme}:ops, and its settings into [notify.{self.scheme}.ops]",
        )

    def settings(self, target: Target) -> NotifierConfig:
        """The settings of one target."""
        return (self.config or NotifierConfig({}, lambda name: None)).named(target.rest)

    def table_name(self, target: Target) -> str:
        """The table of one target, as messages name it."""
        return f"[notify.{target.scheme}.{target.rest}]"

    def url(self, target: Target) -> str:
        """The `url` of one target; raises MissingSetting when there is none here."""
        found = self.settings(target).text("url")
        if found is None:
            tables = self.config.table if self.config else {}
            alike = nearest(target.rest, [name for name, table in tables.items() if isinstance(table, Mapping)])
            hint = f": did you mean {target.scheme}:{alike}?" if alike and alike != target.rest else ""
            lacking = self.settings(target).unresolved("url")
            raise MissingSetting(f"{self.table_name(target)} {lacking or f'has no url here{hint}'}")
        return found

    def url_problems(self, target: Target, *, online: bool) -> list[Problem]:
        """What is wrong with the `url` of one target, as far as it can be seen without asking anybody."""
        try:
            url = self.url(target)
            parts = urlsplit(url)
            host = parts.hostname or ""
        except MissingSetting as missing:
            return [Problem("error" if online else "warning", str(missing))]
        except ValueError:
            parts, host = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not host:
            return [Problem("error", f"{self.table_name(target)} url must begin with https://")]
        local = host in ("localhost", "::1") or host.startswith("127.")
        if parts.scheme == "http" and not local and not self.settings(target).table.get("allow_http"):
            text = f"{self.table_name(target)} url: http only to this machine"
            return [Problem("warning", text, "use https, or set allow_http = true")]
        return []


def outcome_of(answer: Response, now: datetime, who: str) -> Outcome:
    """What the status of an HTTP answer means: 2xx Sent; 408, 425, 429 and 5xx Retry; everything else Permanent.

    `who` answered. 502 and 504 leave open whether the message arrived; a pause that is asked for (Retry-After) is kept.
    """
    status = answer.status_code
    if 200 <= status < 300:
        return Sent()
    said = next(iter(answer.text.strip().splitlines()), "")[:200]
    reason = f"{who} answered {status}" + (f": {said}" if said else "")
    if status == 429:
        return Retry(reason, after=retry_after(answer, now) or DEFAULT_PAUSE)
    if status in (408, 425) or status >= 500:
        doubtful = status in (408, 502, 504)
        return Retry(reason, retry_after(answer, now), ambiguous=doubtful, soon=status >= 500 and not doubtful)
    if 300 <= status < 400:
        return Permanent(reason, "redirects are not followed: name the final address")
    return Permanent(reason)


DEFAULT_PAUSE = 30.0
"""Seconds to wait after a 429 that names no time."""


def retry_after(answer: Response, now: datetime) -> float | None:
    """The pause in seconds that an answer asks for, as seconds or as an HTTP date; None when it names none."""
    from email.utils import parsedate_to_datetime

    text = answer.headers.get("Retry-After")
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (aware_utc(parsedate_to_datetime(text)) - aware_utc(now)).total_seconds())
    except ValueError:
        return None


class RegisterNotifier(Protocol):
    def __call__(self, scheme: str, factory: Callable[[NotifierConfig], Notifier], *, api: int = 1) -> None: ...


# --- formats -----------------------------------------------------------------------------------------------------


class FormatReader(Protocol):
    """One kind of log: how it is told, and its records as they are written.

    Only `sniff` and `read` are needed. Options, the ambiguity detector, validation and quarantine work on what `read`
    yields as on any other log. What else a reader may have, with what holds where it has not:

    | attribute | default | |
    |---|---|---|
    | `denominator` | `unknown` | `known`: images without detections are in the log |
    | `layout` | `xywh` | how boxes are written: xywh, xyxy, cxcywh, each also with `-norm`; may be set by `prepare` |
    | `mapping` | none | field → where it comes from, for people; may be set by `prepare` |
    | `names_classes` | False | the reader itself applies `options.categories`; else labels that are numbers are named |
    | `first_frame` | None | the number of the frame at `--start`; None: the smallest of the log |
    | `frame_prefix` | none | what stands before the number in a frame's image id; may be set by `prepare` |
    | `from_zero` | False | class ids begin at 0, as lists of names do; else ids without a 0 need `--category-offset` |
    | `per_image` | False | a file is an image, its folder one log: `source.each()` gives name and bytes of each |
    | `may_map` | any | the fields that `--map` may say; a log with another map is of another format |
    | `takes_stem` | False | the reader honours `--map image_id=@stem` |
    | `fits(head)` | True | whether `--log-format` may insist on the format for a log that begins so |
    | `prepare(source, options)` | options | called before `read`: settles what is read, returns what is said beside |
    | `frame_id(options, number)` | the number | the image id of a frame, for `--frames` |
    """

    def sniff(self, head: bytes, path: str) -> str | None:
        """Why these first bytes (a line at least, 64 kB where there are so many) are this format, or None.

        `path` is the log's name; for Parquet, a file that can be opened.
        """
        ...

    def read(self, source: Any, options: Any) -> Iterator[RecordBatch | Table | Chunk]:
        """The records of one log, in bounded memory: batches or tables with any columns of `detmon.formats.CANONICAL`.

        `line` beside them, where rows have one, else rows are numbered. A `detmon.formats.Chunk` is such a table with
        the records that could not be read (`Reject`) and what to warn of (`Seen`).

        `source` has `name`, `path` (None for a stream), `head`, `read(n)`, `whole()`, `text()` and `as_path()`; bytes
        are decompressed. `options` are those of docs/formats.md. Raise `InputRefused` where an option must settle
        something first, `OperationError` where the log is damaged.
        """
        ...


AnyReader = FormatReader | Callable[[], FormatReader] | str
"""A reader; or what makes one for each log, which may keep what it learns of it; or `module:NAME` of either.

A name is imported when a log is read, so that nothing else waits for it.
"""


class RegisterFormat(Protocol):
    def __call__(self, name: str, reader: AnyReader, *, api: int = 1) -> None: ...


# --- metrics -----------------------------------------------------------------------------------------------------


class RegisterMetric(Protocol):
    def __call__(self, metric: Any, *, api: int = 1) -> None: ...


# --- trainers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainerConfig:
    """What a trainer is made with."""

    table: Mapping[str, Any]
    """`[training]` of the configuration."""
    folder: Path
    """That of the file which holds the table: relative paths are relative to it."""
    environment: Mapping[str, str]
    """The variables for what the trainer starts: those of this process, without the secrets of detmon."""
    secret: Callable[[str], Secret | None] = lambda name: None
    """A variable of detmon's environment (also `…_FILE`), or what `env:NAME` or `file:/path` refers to."""


@dataclass(frozen=True)
class TrainingTask:
    """One training: what goes in, and where things are."""

    id: str
    """Unique: `tj_` and 12 hex digits, so that it can be found again in systems that do not tell what they started."""
    name: str
    dataset: Path
    """The exported version; complete when `start` is called, unless the trainer does not export."""
    output: Path
    """An empty folder for what the training makes."""
    work: Path
    """The folder of the task, for the trainer's own files; its content outlives the process."""
    version_id: str
    digest: str
    """sha256 of the version's content."""
    base_model: str | None
    """The `uri` of the model to begin with, or its id where it has none."""
    timeout: timedelta
    report: Sequence[str] = ()
    """A command to run when the training is over, so that the store hears of it without being asked."""


@dataclass(frozen=True)
class TrainedModel:
    """A model that a training made; what is None follows from the base model, the task's id and its output."""

    name: str | None = None
    version: str | None = None
    uri: str | None = None


JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Poll(NamedTuple):
    """How a training stands. `reason`: why it failed, or what is odd; `log`: where its log is, a path or an address.

    `seconds`: how long it took, where that is known.
    """

    status: JobStatus
    exit_code: int | None = None
    model: TrainedModel | None = None
    reason: str | None = None
    log: str | None = None
    seconds: float | None = None


class Trainer:
    """Base of all trainers: what runs a training, on this machine or elsewhere.

    A handle is text, stored with the job: it outlives the process, and every method but `start` and `plan` works from
    it alone, in any process, any number of times. A `DetmonError` that they raise is told to the user; a job whose
    state cannot be asked for just now stays as it is.
    """

    pause_s: float = 1.0
    """Seconds between two polls of one that waits."""
    ends_within_s: float = 120.0
    """Seconds in which a training that is cancelled should have ended."""

    def __init__(self, config: TrainerConfig) -> None:
        self.config = config

    @property
    def exports(self) -> bool:
        """Whether the version must be exported to `task.dataset` before `start`."""
        return True

    def plan(self, task: TrainingTask) -> Sequence[str]:
        """What `start` would run, in words; raises UsageError for what cannot be started. Starts nothing."""
        return ()

    def start(self, task: TrainingTask) -> str:
        """Start the training and come back; the handle of it."""
        raise NotImplementedError

    def find(self, task: TrainingTask) -> str | None:
        """The handle of a task whose `start` was interrupted, if it was started all the same."""
        return None

    def poll(self, handle: str) -> Poll | tuple[JobStatus, int | None, TrainedModel | None]:
        """How it stands; `exit_code` and `model` where it is over. What is over stays as it is."""
        raise NotImplementedError

    def cancel(self, handle: str) -> None:
        """Ask it to end; `poll` says when it has. Of no effect on what is over."""
        raise NotImplementedError

    def log(self, handle: str) -> str:
        """What it printed so far, as far as that is kept."""
        raise NotImplementedError


AnyTrainer = Callable[[TrainerConfig], Trainer] | str
"""A trainer's factory, or `module:NAME` of it, which is imported when a job needs it."""


class RegisterTrainer(Protocol):
    def __call__(self, name: str, factory: AnyTrainer, *, api: int = 1) -> None: ...


# --- the hooks ---------------------------------------------------------------------------------------------------


@hookspec(historic=True)
def detmon_register_notifiers(register: RegisterNotifier) -> None:
    """Call `register(scheme, factory)` once for each scheme; `factory(NotifierConfig)` makes the notifier."""


@hookspec(historic=True)
def detmon_register_formats(register: RegisterFormat) -> None:
    """Call `register(name, reader)` for each reader; a format may have several, one a kind of container."""


@hookspec(historic=True)
def detmon_register_metrics(register: RegisterMetric) -> None:
    """Call `register(Metric(…))` once for each metric."""


@hookspec(historic=True)
def detmon_register_trainers(register: RegisterTrainer) -> None:
    """Call `register(name, factory)` once for each trainer; `factory(TrainerConfig)` makes it."""
