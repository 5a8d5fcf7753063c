"""Opening a source: recognise, look at the sample, refuse or read on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused
from detmon.formats import ambiguity, validation
from detmon.formats.ambiguity import Finding
from detmon.formats.chunk import Chunk, Seen, chunks
from detmon.formats.contract import Options, Part, Reject, Source, Warned
from detmon.formats.frame import Frame, frame_of
from detmon.formats.inputs import Input
from detmon.formats.instants import State
from detmon.formats.registry import Recognised, recognise
from detmon.formats.stored import stored
from detmon.formats.supply import Supply, check_options

if TYPE_CHECKING:
    from detmon.hookspecs import FormatReader

SAMPLE = 10_000
"""Records that the detector judges."""
CURES = {
    "model_id": "--model NAME",
    "timestamp": "--start TIME --fps F, or --map timestamp=COLUMN",
    "image_id": "--map image_id=COLUMN",
    "label": "--label NAME, or --map label=COLUMN",
    "detections": "--map detections=FIELD",
}
"""What supplies a field that no record of the log has."""


def open_source(
    source: Source, options: Options, *, now: datetime, readers: Mapping[str, FormatReader] | None = None
) -> OpenReading:
    """Open a source and judge its sample.

    Raises InputRefused when an option must settle something first (or nothing can), OperationError when the source
    cannot be read, UsageError for an option without meaning. `now` is naive UTC.
    """
    check_options(options)
    data = Input(source)
    try:
        return OpenReading(data, options, recognise(data, options, readers or {}), now)
    except BaseException:
        data.close()
        raise


class OpenReading:
    """An open source whose sample was judged; see `contract.Reading`."""

    def __init__(self, data: Input, options: Options, recognised: Recognised, now: datetime) -> None:
        self.name = data.name
        self.format = recognised.name
        self.because = recognised.because
        self.denominator = _denominator(recognised, options)
        self.mapping: Mapping[str, str] = {**recognised.mapping, **options.map}
        self._data = data
        self._options = options
        self._now = now
        self._tally = validation.Tally()
        self._supply = Supply(data.name, options, recognised.layout)
        self._chunks = chunks(recognised.reader.read(data, options)) if recognised.reader else iter(())
        self._first = self._open()

    def parts(self) -> Iterator[Part]:
        """The records, in bounded memory, in the file's order."""
        try:
            while self._first:
                yield self._first.pop(0)
            for chunk in self._chunks:
                yield self._part(self._frame(chunk), chunk)
        finally:
            self._data.close()

    def warnings(self) -> list[Warned]:
        """What was found; complete once `parts` is exhausted."""
        return self._tally.warnings()

    def sample(self, n: int) -> list[dict[str, Any]]:
        """The first `n` records that would be stored (of the sample)."""
        rows: list[dict[str, Any]] = []
        for part in self._first:
            rows += part.table.slice(0, n - len(rows)).to_pylist()
        return rows

    def _open(self) -> list[Part]:
        """Read the sample, refuse what must be refused, and keep the parts made of it."""
        read: list[tuple[Chunk, Frame]] = []
        n = 0
        for chunk in self._chunks:
            frame = self._frame(chunk)
            read.append((chunk, frame))
            n += chunk.read
            if n >= SAMPLE or self._data.live:
                break
        if not n:
            self._tally.add([Seen("empty_file", f"nothing in {self.name}")])
        left = SAMPLE
        samples = []
        for chunk, frame in read:
            samples.append(frame.head(max(0, left)))
            left -= chunk.read
        self._judge(samples)
        parts = [self._part(frame, chunk) for chunk, frame in read]
        self._refuse_mostly_bad(parts)
        return parts

    def _frame(self, chunk: Chunk) -> Frame:
        return self._supply(frame_of(chunk, self._options.tz))

    def _part(self, frame: Frame, chunk: Chunk) -> Part:
        validation.find_faults(frame, self._now)
        rejects = sorted([*chunk.rejects, *validation.rejects(frame)], key=lambda reject: reject.line)
        self._refuse_bad_row(rejects)
        frame = validation.good(frame)
        self._tally.add(chunk.seen)
        self._tally.add(validation.repair(frame, self._now))
        made = stored(frame)
        self._tally.look(frame, made.twins)
        if made.duplicates:
            self._tally.add([Seen("duplicate_box", "{n} boxes repeat another of their image", made.duplicates)])
        return Part(made.table, tuple(rejects), chunk.read)

    def _refuse_bad_row(self, rejects: list[Reject]) -> None:
        if rejects and self._options.bad_rows == "fail":
            first = rejects[0]
            raise InputRefused(f"{self.name}:{first.line}: {first.reason}", code=first.code, curable=False)

    def _refuse_mostly_bad(self, parts: list[Part]) -> None:
        read, bad, first = 0, 0, None
        for part in parts:
            some = part.rejects
            if read + part.read > SAMPLE:
                last = sorted([*part.table["line"].to_pylist(), *(reject.line for reject in some)])[SAMPLE - read - 1]
                some = tuple(reject for reject in some if reject.line <= last)
            bad += len(some)
            first = first or next(iter(some), None)
            read = min(read + part.read, SAMPLE)
        if first is not None and bad > read / 2:
            cure = CURES.get(first.field or "") if first.code == "missing_field" else None
            what = f"{bad} of {read} records unusable, first at line {first.line}: {first.reason}"
            raise InputRefused(f"{self.name}: {what}", cure, code="mostly_bad", curable=cure is not None)

    def _judge(self, samples: list[Frame]) -> None:
        """Refuse the source when the detector finds that its meaning is not settled."""
        for finding in _findings(samples, self._supply.layout):
            given = finding.option is not None and getattr(self._options, finding.option) is not None
            if not finding.refuse:
                self._tally.add([Seen(finding.code, finding.message)])
            elif given and not finding.impossible:
                flag = f"--{(finding.option or '').replace('_', '-')}"
                self._tally.add([Seen("option_contradicted", f"{flag} was given, but {finding.message}")])
            else:
                raise InputRefused(
                    f"{self.name}: {finding.message}",
                    finding.hint,
                    code=finding.code,
                    curable=finding.option is not None,
                )


def _denominator(recognised: Recognised, options: Options) -> str:
    if options.complete:
        return "known"
    if options.images is not None or options.frames is not None:
        return "inferred"
    return recognised.denominator


def _findings(samples: list[Frame], layout: str) -> Iterator[Finding]:
    """All findings on the sample, the weightiest first."""
    import numpy as np

    samples = [frame for frame in samples if len(frame)]
    if not samples:
        return
    state = np.concatenate([frame.times.state for frame in samples])
    example = next(_first_slashed(samples), None)
    zoneless, slashed = int((state == State.zoneless).sum()), int((state == State.slashed).sum())
    yield from ambiguity.times(zoneless, slashed, len(state), example)
    scores = np.concatenate([frame.boxes.confidence for frame in samples])
    yield from ambiguity.scores(scores[np.isfinite(scores)])
    yield from ambiguity.boxes(*_sample_boxes(samples), layout)
    latency = np.concatenate([frame.numbers["latency_ms"] for frame in samples])
    yield from ambiguity.latency(latency[np.isfinite(latency)])
    yield from ambiguity.floors(_floors(samples))


def _first_slashed(samples: list[Frame]) -> Iterator[str]:
    for frame in samples:
        yield from (reason.split('"')[1] for _, code, reason in frame.faults.found.values() if "day or month" in reason)


def _sample_boxes(samples: list[Frame]) -> tuple[Any, Any, Any]:
    """Boxes that say something about their layout, with the sizes of their images."""
    import numpy as np

    sides = np.concatenate([frame.boxes.xywh for frame in samples], axis=1)
    sizes = [
        np.concatenate([np.repeat(frame.numbers[name], frame.boxes.counts) for frame in samples])
        for name in ("image_width", "image_height")
    ]
    placeholder = (sides == 0).all(axis=0) | (sides == -1).all(axis=0)
    telling = np.isfinite(sides).all(axis=0) & ~placeholder
    return sides[:, telling], sizes[0][telling], sizes[1][telling]


def _floors(samples: list[Frame]) -> dict[str, set[float]]:
    """The confidence floors of each source."""
    import numpy as np
    import pyarrow as pa

    found: dict[str, set[float]] = {}
    for frame in samples:
        known = ~np.isnan(frame.numbers["confidence_floor"]) & frame.texts["source"].is_valid().to_numpy(
            zero_copy_only=False
        )
        table = pa.table(
            {"source": frame.texts["source"].filter(pa.array(known)), "floor": frame.numbers["confidence_floor"][known]}
        )
        for row in table.group_by(["source", "floor"]).aggregate([]).to_pylist():
            found.setdefault(row["source"], set()).add(row["floor"])
    return found
