"""One target's worker: sends its messages in order, within its time. It never touches the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from queue import SimpleQueue
from typing import Any, TextIO

from detmon.errors import DetmonError
from detmon.hookspecs import Http, Message, MissingSetting, Outcome, Permanent, Retry, Secret, SendFailed, Sent
from detmon.notify.channels import Channel
from detmon.notify.outbox import Claimed
from detmon.notify.secrets import Redactor, Settings

SECOND_TRY_AFTER = 1.0


@dataclass(frozen=True)
class Unready:
    """A setting, a secret or a plugin is missing here: the notice waits."""

    reason: str


@dataclass(frozen=True)
class Done:
    """What became of one claimed notice; `outcome` None: it was not tried."""

    worker: Worker
    claimed: Claimed
    outcome: Outcome | Unready | None


@dataclass(frozen=True)
class Context:
    """What a notifier gets beside the message (`detmon.hookspecs.SendContext`)."""

    notice_id: str
    attempt: int
    deadline: float
    now: datetime
    receipt: Mapping[str, str] | None
    http: Http
    settings: Settings
    console: TextIO

    @property
    def config(self) -> Mapping[str, Any]:
        """The scheme's table."""
        return self.settings.table

    def secret(self, name: str) -> Secret:
        """The secret behind a setting, a variable or a reference; raises MissingSetting."""
        found = self.settings.secret(name)
        if found is None:
            raise MissingSetting(f"{name} is not set (cron does not read your profile: --env-file)")
        return found


@dataclass(frozen=True)
class Job:
    """How a worker turns what was claimed into a message, and when it may begin one."""

    channel: Channel
    claimed: Sequence[Claimed]
    compose: Callable[[Claimed], Message]
    clock: Callable[[], datetime]
    may_start: Callable[[], bool]
    stop: threading.Event
    redact: Redactor
    console: TextIO


class Worker:
    """Sends the claimed notices of one target; `results` gets a Done for each."""

    def __init__(self, job: Job, results: SimpleQueue[Done]) -> None:
        self._job = job
        self._results = results
        self._lock = threading.Lock()
        self._current: Claimed | None = None
        self._deadline = float("inf")
        self._given_up = False
        self.remaining = {claimed.row.notice_id: claimed for claimed in job.claimed}
        self._thread = threading.Thread(target=self._run, name=str(job.channel.target), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def deadline(self) -> float:
        """When the current send must have come back (`time.monotonic()`)."""
        with self._lock:
            return self._deadline

    def give_up(self) -> list[Done]:
        """Wait no longer: the current send may have arrived, the others were not tried."""
        with self._lock:
            self._given_up = True
            current = self._current
        lost = Retry(f"no answer within {self._job.channel.notifier.capabilities.timeout_s:g} s", ambiguous=True)
        left, self.remaining = list(self.remaining.values()), {}
        return [Done(self, claimed, lost if claimed is current else None) for claimed in left]

    def _run(self) -> None:
        job = self._job
        last = 0.0
        stopped = False
        for number, claimed in enumerate(job.claimed):
            if number and not stopped:
                job.stop.wait(max(0.0, last + 1 / job.channel.notifier.capabilities.rate_per_s - time.monotonic()))
            last = time.monotonic()
            if stopped or not job.may_start():
                self._results.put(Done(self, claimed, None))
                continue
            outcome = self._attempt(claimed)
            if outcome is None:  # given up meanwhile: the others were handed back
                return
            with self._lock:
                self._current, self._deadline = None, float("inf")
            stopped = isinstance(outcome, (Retry, Unready))
            self._results.put(Done(self, claimed, outcome))

    def _attempt(self, claimed: Claimed) -> Outcome | Unready | None:
        outcome = self._send(claimed)
        if isinstance(outcome, Retry) and outcome.soon and not outcome.ambiguous and outcome.after is None:
            with self._lock:
                self._deadline += SECOND_TRY_AFTER + 1.0
            if not self._job.stop.wait(SECOND_TRY_AFTER) and self._job.may_start():
                outcome = self._send(claimed)
        return outcome

    def _send(self, claimed: Claimed) -> Outcome | Unready | None:
        deadline = time.monotonic() + self._job.channel.notifier.capabilities.timeout_s
        with self._lock:
            if self._given_up:
                return None
            self._current, self._deadline = claimed, deadline
        try:
            message = self._job.compose(claimed)
        except Exception as error:
            return Retry(f"cannot compose the message ({type(error).__name__})")
        return send(self._job, claimed.row.notice_id, claimed.attempt, message, claimed.receipt, deadline)


def send(
    job: Job, notice_id: str, attempt: int, message: Message, receipt: Mapping[str, str] | None, deadline: float
) -> Outcome | Unready:
    """One call of a notifier's `send`; whatever it raises becomes an outcome, without secrets."""
    channel = job.channel
    context = Context(
        notice_id,
        attempt,
        deadline,
        job.clock(),
        receipt,
        channel.settings.http(),
        channel.settings,
        job.console,
    )
    try:
        outcome: object = channel.notifier.send(channel.target, message, context)
    except SendFailed as failed:
        outcome = failed.outcome
    except MissingSetting as missing:
        return Unready(job.redact(str(missing)))
    except DetmonError as error:
        return Unready(job.redact(error.message + (f" ({error.hint})" if error.hint else "")))
    except (Exception, SystemExit) as error:
        outcome = Retry(f"the plugin failed: {type(error).__name__}: {error}", ambiguous=True)
    if not isinstance(outcome, (Sent, Retry, Permanent)):
        outcome = Retry(f"the plugin answered {type(outcome).__name__}", ambiguous=True)
    return cleaned(outcome, job.redact)


def cleaned(outcome: Outcome, redact: Redactor) -> Outcome:
    """The outcome without secrets, on one line, short."""
    if isinstance(outcome, Sent):
        return Sent({str(key): redact(str(value)) for key, value in outcome.receipt.items()})
    reason = echo(redact(outcome.reason))
    if isinstance(outcome, Permanent):
        return Permanent(reason, outcome.hint and redact(outcome.hint))
    return replace(outcome, reason=reason)


def echo(text: str) -> str:
    """What a stranger answered, fit to be shown: one line of at most 256 printable characters."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())[:256]
