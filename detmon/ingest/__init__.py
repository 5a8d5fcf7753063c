"""Logs into the store: read, stage, then write in as few and short transactions as make sense.

A batch holds about a million rows: small logs share one, a large log takes several. Everything that belongs to a batch
(rows, rollups, rejected records, the manifest) is written in one transaction, so a process that is killed leaves whole
batches behind; when the same log is read again, what it wrote before counts as duplicates, and only the batch that
reaches its end marks the log as seen. A stream is written every few seconds instead.
"""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from detmon import formats
from detmon.errors import DetmonError, InputRefused, StoreError, StoreLocked, UsageError
from detmon.formats import Options, Reading, Source, Warned
from detmon.formats.remote import Copies, keeping
from detmon.hookspecs import AnyReader
from detmon.ingest import folders
from detmon.ingest.batches import Batch, Conflict, Log
from detmon.ingest.records import Ingested, IngestedFile, LogPreview, LogWarning, Preview
from detmon.ingest.sources import STDIN, Progress, Settings, fingerprint, resolve, said, settings
from detmon.ingest.streams import Followed
from detmon.store import Store, statement
from detmon.verdicts import LATE

BATCH_ROWS = 1_000_000
BATCH_BOXES = 8_000_000
BATCH_LOGS = 20_000
"""A batch is written when it holds so many rows, boxes or logs; fewer cost more time and space a row, more memory."""
STREAM_SECONDS = 5.0
"""A stream's rows are written at least this often while more arrive, and at once when nothing waits."""
GAP = 0.2
"""Seconds between two batches in which others can open the store."""
SETTLED = timedelta(minutes=1)
"""Servers tell times in seconds: a version stands for a content that was not written just before it was read."""
SHOWN = 5
"""Records that a dry run shows."""
__all__ = ["preview", "run"]


@dataclass
class _Run:
    """One call of ingest."""

    store: Store
    clock: Callable[[], datetime]
    note: Callable[[str], None]
    look: Callable[[Progress], None]
    readers: Mapping[str, Sequence[AnyReader]]
    progress: Progress
    copies: Copies
    batch: Batch = field(default_factory=Batch)
    seen: dict[str, bool] = field(default_factory=dict)
    """The contents that are stored, and whether images without detections can still be supplied."""
    logs: list[Log] = field(default_factory=list)
    warnings: dict[int, list[Warned]] = field(default_factory=dict)
    errors: list[DetmonError] = field(default_factory=list)
    said: str = ""
    """How the last log was recognised."""
    begun: float = field(default_factory=time.monotonic)
    last_write: float | None = None

    def take(self, source: Source, chosen: Settings) -> None:
        """Read one source into the batch, and write the batch whenever it is time to."""
        log = Log(source.name, strict=chosen.options.bad_rows == "fail", everywhere=chosen.everywhere)
        self.logs.append(log)
        try:
            with self.copies.local(source) as local:
                if local is None:
                    log.status = "seen"
                else:
                    self._take(log, local, chosen.options)
        except (StoreError, StoreLocked):
            raise
        except InputRefused as error:
            self._give_up(log, "refused", error)
        except DetmonError as error:
            self._give_up(log, "failed", error)
        finally:
            if source.stream is not None and source.name != STDIN:
                source.stream.close()

    def write(self) -> None:
        """Write the batch, at least `GAP` seconds after the last one."""
        if self.last_write is not None:
            time.sleep(max(0.0, self.last_write + GAP - time.monotonic()))
        while True:
            try:
                joined, contrary = self.batch.write(self.store, self.clock())
                break
            except Conflict as conflict:
                text = f"{conflict.log.path}:{conflict.reject.line}: {conflict.reject.reason}"
                self._give_up(conflict.log, "refused", InputRefused(text, code=conflict.reject.code, curable=False))
        self.last_write = time.monotonic()
        if joined:
            self.note(f"{joined:,} verdicts had waited for these predictions")
        if contrary:
            self.note(f"{contrary:,} verdicts contradict their prediction: `quarantine list --file {LATE}`")

    def _take(self, log: Log, source: Source, options: Options) -> None:
        log.sha256, log.bytes = fingerprint(source, options)
        log.version = _version(source, options, self.clock())
        if not _is_seen(log.sha256, options, self.seen):
            log.supplies = log.sha256 in self.seen
            self._read(log, source, options)
            return
        log.status = "seen"
        if log.version:  # next time it need not be copied
            self.batch.end(log)

    def _read(self, log: Log, source: Source, options: Options) -> None:
        reading = self._open(source, options)
        log.format, log.denominator = reading.format, reading.denominator
        self._say(log, reading)
        if log.strict and source.path:
            for _ in reading.parts():  # raises at the first bad record, before anything is written
                pass
            reading = self._open(source, options)
        for part in reading.parts():
            if self._full():
                self.write()
            if log.status != "taken":  # what was written said no
                return
            self.batch.add(log, part)
            self.progress.rows += part.read
            self.look(self.progress)
            if source.stream and self._due(source.stream):
                self.write()
        self.batch.end(log)
        self.warnings[id(log)] = reading.warnings()
        if log.sha256:
            self.seen[log.sha256] = log.denominator == "unknown"

    def _say(self, log: Log, reading: Reading) -> None:
        """How a log was recognised; logs that are like the one before need no word."""
        how = f"read as {reading.format}: {reading.because}"
        if how != self.said:
            self.note(f"{log.path} {how}")
        self.said = how

    def _open(self, source: Source, options: Options) -> Reading:
        return formats.open_source(source, options, now=self.clock(), readers=self.readers)

    def _full(self) -> bool:
        batch = self.batch
        return batch.rows >= BATCH_ROWS or batch.boxes >= BATCH_BOXES or batch.logs >= BATCH_LOGS

    def _due(self, stream: BinaryIO) -> bool:
        waited = time.monotonic() - (self.last_write or self.begun)
        return waited >= STREAM_SECONDS or not select.select([stream], [], [], 0)[0]

    def _give_up(self, log: Log, status: str, error: DetmonError) -> None:
        log.status = status
        self.batch.drop(log)
        self.errors.append(error)


def run(
    store: Store,
    named: Sequence[str],
    *,
    given: Mapping[str, Any],
    tables: Mapping[str, Any],
    clock: Callable[[], datetime],
    readers: Mapping[str, Sequence[AnyReader]],
    follow: bool = False,
    note: Callable[[str], None] = lambda _: None,
    look: Callable[[Progress], None] = lambda _: None,
) -> Ingested:
    """Ingest files, folders, globs and `-` (docs/ingest.md).

    `given` are the options of the call, `tables` those of the configuration by glob, `readers` the formats of plugins.
    A log that is refused or fails leaves the others untouched and stands in the result, with its error in `errors`.
    """
    sources = folders.joined(resolve(named), given, tables, readers)
    chosen = [settings(given, tables, source) for source in sources]
    copies = Copies(sources, _versions(store, sources, chosen))
    call = _Run(store, clock, note, look, readers, Progress(len(sources)), copies, seen=_seen(store))
    ended_by = None
    try:
        with copies, keeping(), _followed(sources) if follow else nullcontext() as followed:
            for number, source in enumerate([followed.source] if followed else sources):
                call.progress.log, call.progress.path = number + 1, source.name
                look(call.progress)
                call.take(source, chosen[number])
            call.write()
            ended_by = followed.signal if followed else None
    finally:
        call.batch.close()
    return _report(call, interrupted=ended_by == signal.SIGINT)


@contextmanager
def _followed(sources: Sequence[Source]) -> Iterator[Followed]:
    if len(sources) != 1:
        raise UsageError(f"--follow takes one file or `-`, not {len(sources)}")
    if sources[0].remote is not None:
        raise UsageError(f"--follow takes a file of this machine or `-`, not {sources[0].name}")
    followed = Followed(sources[0])
    try:
        with followed.until_signal():
            yield followed
    finally:
        followed.close()


def _seen(store: Store) -> dict[str, bool]:
    if not store.path.exists():
        return {}
    with store.reading() as con:
        return dict(con.execute(statement("seen_sources")).fetchall())


def _is_seen(sha256: str | None, options: Options, seen: Mapping[str, bool]) -> bool:
    """Whether a content is stored, and the options say nothing that was not known of its images."""
    return sha256 is not None and sha256 in seen and not (options.names_all_images and seen[sha256])


def _versions(store: Store, sources: Sequence[Source], chosen: Sequence[Settings]) -> dict[str, str]:
    """The version of each remote object that was read to its end last, under the same options, by name."""
    if not store.path.exists():
        return {}
    with store.reading() as con:
        rows = con.execute(statement("seen_versions")).fetchall()
    stored = {path: (version, unlisted) for path, version, unlisted in rows}
    found = {}
    for source, how in zip(sources, chosen, strict=True):
        besides = _besides(source, how.options)
        version, unlisted = stored.get(source.name, ("", False))
        if version.endswith(besides) and not (how.options.names_all_images and unlisted):
            found[source.name] = version.removesuffix(besides)
    return found


def _version(source: Source, options: Options, now: datetime) -> str | None:
    """What stands for the content of a remote object from now on, if anything does."""
    fetched = source.fetched
    if fetched is None or fetched.version is None or (fetched.written is not None and fetched.written > now - SETTLED):
        return None
    return fetched.version + _besides(source, options)


def _besides(source: Source, options: Options) -> str:
    """What is said of a log besides its content, as its version ends with it."""
    told = said(source, options)
    return f" {sorted(told.items())}" if told else ""


def _report(call: _Run, *, interrupted: bool) -> Ingested:
    files = tuple(_file(log, call.warnings.get(id(log), [])) for log in call.logs)
    counts = ("predictions", "detections", "duplicates", "rejected")
    totals = {name: sum(file[name] for file in files) for name in counts}
    return Ingested(**totals, files=files, errors=tuple(call.errors), interrupted=interrupted)


def _file(log: Log, found: list[Warned]) -> IngestedFile:
    counts = (log.predictions, log.detections, log.duplicates, log.rejected)
    warnings = tuple(LogWarning(item.code, item.message, item.count) for item in [*found, *log.findings()])
    return IngestedFile(log.path, log.format, log.status, *counts, warnings)


def preview(
    store: Store,
    named: Sequence[str],
    *,
    given: Mapping[str, Any],
    tables: Mapping[str, Any],
    clock: Callable[[], datetime],
    readers: Mapping[str, Sequence[AnyReader]],
) -> Preview:
    """What `run` would do, without writing: each log is read to its end. Duplicates are not looked for."""
    seen = _seen(store)
    files, errors = [], []
    sources = folders.joined(resolve(named), given, tables, readers)
    with Copies(sources) as copies, keeping():
        for source in sources:
            try:
                options = settings(given, tables, source).options
                with copies.local(source) as local:
                    files.append(_looked_at(local or source, options, readers, seen, clock()))
            except DetmonError as error:
                status = "refused" if isinstance(error, InputRefused) else "failed"
                files.append(LogPreview(source.name, None, None, status, {}, (), 0, 0, 0, ()))
                errors.append(error)
    return Preview(tuple(files), tuple(errors))


def _looked_at(
    source: Source, options: Options, readers: Mapping[str, Sequence[AnyReader]], seen: dict[str, bool], now: datetime
) -> LogPreview:
    import pyarrow.compute as pc

    status = "seen" if _is_seen(fingerprint(source, options)[0], options, seen) else "taken"
    reading = formats.open_source(source, options, now=now, readers=readers)
    records = tuple(reading.sample(SHOWN))
    predictions = detections = rejected = 0
    for part in reading.parts():
        predictions += part.table.num_rows
        detections += pc.sum(part.table["n_detections"]).as_py() or 0
        rejected += len(part.rejects)
    warnings = tuple(LogWarning(found.code, found.message, found.count) for found in reading.warnings())
    about = (source.name, reading.format, reading.because, status, reading.mapping, records)
    return LogPreview(*about, predictions, detections, rejected, warnings)
