"""Draining the outbox: claim, send, record; the store is never open while a network call runs."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any, TextIO, TypeVar

from detmon import failpoints, notices, processes
from detmon.config import Config
from detmon.errors import DetmonError, OperationError, StoreLocked
from detmon.hookspecs import Item, Message, Permanent, Retry, Sent
from detmon.notify import merge, messages, outbox, settings
from detmon.notify.channels import Channel, Channels
from detmon.notify.merge import Waiting
from detmon.notify.outbox import Claimed, Glance, Outage
from detmon.notify.secrets import Redactor
from detmon.notify.sending import Done, Job, Unready, Worker
from detmon.records import Delivery
from detmon.store import Connection, Store, transaction
from detmon.times import format_duration

THREADS = 8
RUN_BUDGET, TARGET_BUDGET = 60.0, 20.0
"""Seconds after which a run begins no further message, to any target and to one."""
LEASE_LEFT = 30.0
"""Seconds of lease that must be left to begin a send."""
INSTANCES_A_RUN = 50
"""News that a target with one notice an instance gets in a run; the others wait for the next."""
STOP_WAIT = 10.0
LONGEST_PAUSE = 3600.0
TRANSACTION_TRIES = 5
T = TypeVar("T")


@dataclass(frozen=True)
class _Served:
    """The claimed notices of one target."""

    target: str
    channel: Channel
    claimed: list[Claimed]


@dataclass
class _Tally:
    """What the run has done; `passed` are the targets that it does not try again, `taken` what it claimed of each."""

    sent: int = 0
    merged: int = 0
    problems: list[str] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    taken: Counter[str] = field(default_factory=Counter)


class Run:
    """One run of the delivery: `now` is its clock's beginning, `console` is where `stdout:` targets write."""

    def __init__(self, store: Store, config: Config, now: datetime, console: TextIO) -> None:
        self._store = store
        self._settings = settings.read(config)
        self._redact = Redactor()
        self._channels = Channels(config, self._redact)
        self._console = console
        self._now = now
        self._begun = time.monotonic()
        self._claimant = processes.identity()
        self._lease = timedelta(seconds=max(180.0, 2 * store.lock_timeout + 60))
        self._stop = threading.Event()
        self._stopped_at = float("inf")
        self._first_send: dict[str, float] = {}
        self._footers: dict[str, tuple[str, ...]] = {}
        self._left: tuple[Glance, list[Outage]] | None = None
        self._tally = _Tally()

    def deliver(self, due: Sequence[str]) -> Delivery:
        """The whole run, which will serve the targets `due` and others; see `detmon.notify.deliver`."""
        for target in due:
            with suppress(DetmonError):
                self._channels.open(target)  # plugins are imported before the store is locked
        with self._signals():
            self._drain()
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._left is None:  # out of time
            with self._store.reading() as con:
                self._left = self._look(con)
        return self._result(*self._left)

    # --- the loop ---

    def _drain(self) -> None:
        while not self._stop.is_set() and time.monotonic() - self._begun < RUN_BUDGET:
            served = self._claim()
            if not served:
                return
            self._serve(served)

    def _claim(self) -> list[_Served]:
        served = self._committed(self._take_or_look)
        if served:
            failpoints.reach("notify.after_claim")
        return served

    def _committed(self, work: Callable[[Connection], T]) -> T:
        """`work` in a transaction of its own, again when another connection of this process was faster."""
        import duckdb

        with self._store.writing() as con:
            for _ in range(TRANSACTION_TRIES):
                before = deepcopy(self._tally)
                try:
                    with transaction(con):
                        return work(con)
                except (duckdb.TransactionException, duckdb.ConstraintException):
                    self._tally = before
        raise OperationError(f"other deliveries got in the way {TRANSACTION_TRIES} times", "run it again")

    def _take_or_look(self, con: Connection) -> list[_Served]:
        served = self._take(con)
        if served:
            failpoints.reach("notify.in_claim")
        self._left = None if served else self._look(con)
        return served

    def _take(self, con: Connection) -> list[_Served]:
        now = self._time()
        outbox.recover(con, now)
        outbox.forget_refreshes(con, now)
        self._bury_expired(con, now)
        self._tell_fallback(con, now)
        served = []
        for target in outbox.candidates(con, now):
            if target in self._tally.passed:
                continue
            try:
                served.append(self._take_target(con, target, now))
            except DetmonError as error:
                self._cannot(con, target, _sentence(error), now)
        outages = outbox.outages(con)
        self._footers = {one.target: self._footer(one.target, outages) for one in served}
        return [one for one in served if one.claimed]

    def _take_target(self, con: Connection, target: str, now: datetime) -> _Served:
        channel = self._channels.open(target)
        self._tidy(con, target, channel, now)
        rows = outbox.waiting(con, target)
        if channel.notifier.capabilities.per_instance:
            rows = _portion(rows, INSTANCES_A_RUN - self._tally.taken[target])
        claimed = outbox.claim(con, rows, self._claimant, now + self._lease)
        self._tally.taken[target] += sum(_is_news(one.row) for one in claimed)
        return _Served(target, channel, claimed)

    def _tidy(self, con: Connection, target: str, channel: Channel, now: datetime) -> None:
        """Make one story of what waits for a target, in the portions that its channel wants."""
        can = channel.notifier.capabilities
        if can.per_instance:
            outbox.merge(con, merge.split(outbox.waiting(con, target)), now)
        merges = merge.backlog(
            outbox.waiting(con, target),
            per_instance=can.per_instance,
            stateful=can.stateful,
            deliver_closed=self._settings.deliver_closed,
        )
        self._tally.merged += outbox.merge(con, merges, now)

    def _cannot(self, con: Connection, target: str, reason: str, now: datetime) -> None:
        self._tally.passed.add(target)
        reason = self._redact(reason)
        outbox.cannot_send(con, target, reason)
        outbox.failing(con, target, reason, now)
        self._problem(f"{target}: {reason}")

    def _bury_expired(self, con: Connection, now: datetime) -> None:
        for notice_id, target, created_at, attempts, last_error in outbox.expired(con, now):
            can = self._channels.capabilities(target)
            until = created_at + timedelta(seconds=can.ttl_s) if can else now
            if until > now:  # this channel's notices live longer than most
                outbox.extend(con, notice_id, until)
                continue
            why = f": {last_error}" if last_error else ""
            outbox.dead(con, notice_id, f"expired after {attempts} attempts{why}", now)
            self._problem(f"{target}: a notice expired after {attempts} attempts{why}")

    def _tell_fallback(self, con: Connection, now: datetime) -> None:
        fallback = self._settings.fallback
        for outage in outbox.outages(con) if fallback else ():
            late = now - outage.since >= self._settings.overdue_after
            if fallback and late and outage.fallback_sent_at is None and outage.target != fallback:
                notice = _outage_notice(fallback, outage, now)
                notices.queue(con, [notice], run_id="delivery", now=now, expires_after=timedelta(days=1))
                outbox.fallback_sent(con, outage.target, now)

    # --- sending ---

    def _serve(self, served: list[_Served]) -> None:
        results: SimpleQueue[Done] = SimpleQueue()
        lease_ends = time.monotonic() + self._lease.total_seconds() - LEASE_LEFT
        idle = deque(Worker(self._job(one, lease_ends), results) for one in served)
        busy: list[Worker] = []
        while idle or busy:
            while idle and len(busy) < THREADS:
                busy.append(idle.popleft())
                busy[-1].start()
            done = self._collect(results, busy)
            if done:
                self._record(done)
            busy = [worker for worker in busy if worker.remaining]

    def _job(self, one: _Served, lease_ends: float) -> Job:
        return Job(
            one.channel,
            one.claimed,
            lambda claimed: self._compose(one.channel, claimed),
            self._time,
            lambda: self._may_start(one.target, lease_ends),
            self._stop,
            self._redact,
            self._console,
        )

    def _may_start(self, target: str, lease_ends: float) -> bool:
        here = time.monotonic()
        first = self._first_send.setdefault(target, here)
        in_time = here < lease_ends and here - self._begun < RUN_BUDGET and here - first <= TARGET_BUDGET
        return in_time and not self._stop.is_set()

    def _compose(self, channel: Channel, claimed: Claimed) -> Message:
        row = claimed.row
        about = messages.Circumstances(
            zone=self._settings.zone,
            host=self._settings.host,
            queued_at=row.created_at,
            now=self._time(),
            maybe_repeat=row.ambiguous,
            footers=self._footers.get(row.notice.target, ()),
            max_chars=channel.notifier.capabilities.max_chars,
        )
        return messages.compose(row.notice, about)

    def _collect(self, results: SimpleQueue[Done], busy: list[Worker]) -> list[Done]:
        """What has come back by now; waits for the first, and gives up on those that are over their time."""
        limit = min(worker.deadline for worker in busy)
        limit = min(limit, self._stopped_at + STOP_WAIT, time.monotonic() + 1.0)
        done = []
        try:
            done.append(results.get(timeout=max(0.0, limit - time.monotonic())))
            while True:
                done.append(results.get_nowait())
        except Empty:
            pass
        settled = [one for one in done if _settles(one)]
        here = time.monotonic()
        for worker in busy:
            if worker.remaining and here >= min(worker.deadline, self._stopped_at + STOP_WAIT):
                settled += worker.give_up()
        return settled

    # --- recording ---

    def _record(self, done: list[Done]) -> None:
        if any(one.outcome is not None for one in done):
            failpoints.reach("notify.after_send")
        try:
            self._committed(lambda con: self._write_down(con, done))
        except StoreLocked as locked:
            hint = "what was sent could not be written down: the next run may repeat it"
            raise StoreLocked(locked.message, hint, locked.pid) from None
        if any(one.outcome is not None for one in done):
            failpoints.reach("notify.after_ack")

    def _write_down(self, con: Connection, done: list[Done]) -> None:
        for one in done:
            self._record_one(con, one)

    def _record_one(self, con: Connection, one: Done) -> None:
        row, outcome, now = one.claimed.row, one.outcome, self._time()
        target = row.notice.target
        if outcome is None:
            self._tally.passed.add(target)
            outbox.release(con, one.claimed, self._claimant)
        elif isinstance(outcome, Sent):
            outbox.sent(con, row, outcome.receipt, now)
            self._tally.sent += 1
        elif isinstance(outcome, Unready):
            outbox.release(con, one.claimed, self._claimant, outcome.reason)
            self._cannot(con, target, outcome.reason, now)
        elif isinstance(outcome, Retry):
            self._tally.passed.add(target)
            after = None if outcome.after is None else min(max(outcome.after, 0.0), LONGEST_PAUSE)
            can = self._channels.capabilities(target)
            longest = outbox.LONGEST_BACKOFF_REFRESHED if can and can.refresh else outbox.LONGEST_BACKOFF
            begins = outbox.requeue(
                con, one.claimed, self._claimant, outcome.reason, after, outcome.ambiguous, now, longest=longest
            )
            if begins:
                self._problem(f"{_by(target, outcome.reason)}; detmon will try again")
        elif isinstance(outcome, Permanent):
            outbox.dead(con, row.notice_id, outcome.reason, now)
            outbox.failing(con, target, outcome.reason, now)
            hint = f" ({outcome.hint})" if outcome.hint else ""
            self._problem(f"{_by(target, outcome.reason)}{hint}; the notice is dead")

    # --- small things ---

    def _time(self) -> datetime:
        """The run's clock: its `now`, and what has passed since."""
        return self._now + timedelta(seconds=time.monotonic() - self._begun)

    def _look(self, con: Connection) -> tuple[Glance, list[Outage]]:
        """What is left in the outbox, and which targets fail."""
        return outbox.glance(con, self._time(), self._settings.overdue_after), outbox.outages(con)

    def _problem(self, text: str) -> None:
        self._tally.problems.append(self._redact(text))

    def _footer(self, target: str, outages: list[Outage]) -> tuple[str, ...]:
        return tuple(self._outage_line(outage) for outage in outages if outage.target != target)

    def _outage_line(self, outage: Outage) -> str:
        since = messages.moment(outage.since, self._settings.zone)
        return f"⚠ {outage.target} unreachable since {since}, {_left(outage)}"

    def _result(self, seen: Glance, outages: list[Outage]) -> Delivery:
        if seen.overdue:
            length = format_duration(self._settings.overdue_after)
            who = "; ".join(self._outage_line(outage)[2:] for outage in outages if outage.waiting)
            self._problem(
                f"{messages.counted(seen.overdue, 'notice')} overdue ({length})" + (f": {who}" if who else "")
            )
        tally = self._tally
        problems = tuple(dict.fromkeys((*tally.problems, *outbox.dead_letters(seen))))
        late = seen.overdue > 0
        return Delivery(tally.sent, seen.queued, seen.dead, seen.sending, tally.merged, problems, overdue=late)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """While it lasts, the first SIGINT or SIGTERM ends the run in good order, a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {}

        def ask(number: int, frame: object) -> None:
            self._stopped_at = time.monotonic()
            self._stop.set()
            for each in before:
                signal.signal(each, signal.SIG_DFL)

        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def _by(target: str, reason: str) -> str:
    """The reason, with the target in front unless it says so itself."""
    return reason if reason.startswith(f"{target} ") else f"{target}: {reason}"


def _is_news(row: Waiting) -> bool:
    return row.notice.kind != "refresh"


def _portion(rows: Sequence[Waiting], most: int) -> list[Waiting]:
    """So many rows with news, and all that only uphold what is open: it would lapse while they wait."""
    news = {row.notice_id for row in [row for row in rows if _is_news(row)][:most]}
    return [row for row in rows if row.notice_id in news or not _is_news(row)]


def _sentence(error: DetmonError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _settles(one: Done) -> bool:
    """Whether a result is news: a worker that was given up on can still report that it had sent."""
    expected = one.worker.remaining.pop(one.claimed.row.notice_id, None) is not None
    return expected or isinstance(one.outcome, Sent)


def _left(outage: Outage) -> str:
    count, state = (outage.waiting, "waiting") if outage.waiting else (outage.dead, "dead")
    return f"{messages.counted(count, 'notice')} {state}"


def _outage_notice(fallback: str, outage: Outage, now: datetime) -> notices.Notice:
    key = notices.digest(["outage", outage.target])
    item = Item(
        alert=outage.target,
        alert_id="",
        model_id="",
        instance_key=key,
        episode_id=f"{key}.{outage.since.isoformat()}",
        kind="delivery_failing",
        labels={},
        metric="",
        operator="",
        threshold=0.0,
        window="",
        value=None,
        n=None,
        fired_at=outage.since,
        ended_at=None,
        reason=f"{outage.target} is unreachable, {_left(outage)}: {outage.error or 'unknown'}",
    )
    return notices.Notice(fallback, "delivery_failing", f"outage:{outage.target}", now, "error", (item,))
