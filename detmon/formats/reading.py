"""Opening a source: recognise, look at the sample, refuse or read on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from detmon.errors import DetmonError, InputRefused, UsageError
from detmon.formats import ambiguity, validation
from detmon.formats.ambiguity import SAMPLE, Finding
from detmon.formats.chunk import Chunk, Seen, chunks
from detmon.formats.contract import STEM, Options, Part, Reject, Source, Warned
from detmon.formats.frame import LARGEST, Frame, frame_of
from detmon.formats.hive import by_folders
from detmon.formats.images import Images, missing_ids, of_frames, read_images
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.instants import State
from detmon.formats.names import read_names
from detmon.formats.objects import container
from detmon.formats.refused import ONE_AN_IMAGE
from detmon.formats.registry import Recognised, reader_failed, recognise, unmappable
from detmon.formats.stored import stored
from detmon.formats.supply import Supply, check_options, image_ids
from detmon.plugins import own_formats

if TYPE_CHECKING:
    from detmon.formats.registry import Readers, unmappable

LINE = "line"
CURES = {
    "model_id": "--model NAME",
    "timestamp": "--start TIME --fps F, or --map timestamp=COLUMN",
    "image_id": "--map image_id=COLUMN",
    "label": "--label NAME, or --map label=COLUMN",
    "detections": "--map detections=FIELD",
}
"""What supplies a field that no record of the log has."""


def open_source(source: Source, options: Options, *, now: datetime, readers: Readers | None = None) -> OpenReading:
    """Open a source and judge its sample.

    Raises InputRefused when an option must settle something first (or nothing can), OperationError when the source
    cannot be read, UsageError for an option without meaning. `now` is naive UTC; `readers` are those of all plugins
    (default: detmon's own).
    """
    readers = own_formats() if readers is None else readers
    check_options(options)
    options = by_folders(source, options)
    data = Input(source)
    try:
        found = recognise(data, options, readers)
        if options.image_is_file or getattr(found.reader, "per_image", False):
            _refuse_nameless(source)
        return OpenReading(data, options, found, now)
    except BaseException:
        data.close()
        raise


def _refuse_nameless(source: Source) -> None:
    """A file of one image has its name, and lies in a folder beside the others."""
    if source.remote is not None:
        what = f"{source.name}: a file of one image is read as part of its folder, and that on this machine only"
        raise InputRefused(what, "copy the folder, and ingest the copy", code=ONE_AN_IMAGE, curable=False)
    if source.name == "-":
        what = "a file of one image is named after it, and standard input has no name"
        raise InputRefused(what, "detmon ingest FOLDER", code=ONE_AN_IMAGE, curable=False)


class OpenReading:
    """An open source whose sample was judged; see `contract.Reading`."""

    def __init__(self, data: Input, options: Options, recognised: Recognised, now: datetime) -> None:
        self.name = data.name
        self.format = recognised.name
        self.because = recognised.because
        reader = recognised.reader
        if options.image_is_file and reader is not None and not getattr(reader, "takes_stem", False):
            raise UsageError(f"--map image_id={STEM}: {self.format} names its images itself", "text and CSV files only")
        if fixed := unmappable(reader, options):
            what = f"--map {fixed[0]}={options.map[fixed[0]]}: {self.format} has its fields in fixed places"
            raise UsageError(what, "leave out --map, or say what it describes: --log-format flat")
        prepare = getattr(reader, "prepare", None)
        options = prepare(data, options) if prepare is not None else options
        aliases = [f"{name} = {column}" for name, column in getattr(reader, "mapping", {}).items() if name != column]
        self.because += f" ({'; '.join(aliases)})" if aliases else ""
        self.denominator = _denominator(reader, options)
        self.mapping: Mapping[str, str] = {**getattr(reader, "mapping", {}), **options.map}
        self._data = data
        self._options = options
        self._now = now
        self._unit = _unit(data, reader)
        prefix: str = getattr(reader, "frame_prefix", "")
        self._tally = validation.Tally(numbered=self.denominator == "unknown", frame_prefix=prefix)
        names_classes = getattr(reader, "names_classes", False)
        names = read_names(options.categories) if options.categories is not None and not names_classes else None
        self._supply = Supply(data.name, options, getattr(reader, "layout", "xywh"), names)
        self._supply.base_told = getattr(reader, "from_zero", False)
        self._supply.frame_prefix = prefix
        self._supply.first_frame = options.frames[0] if options.frames else getattr(reader, "first_frame", None)
        self._images = _images(options, getattr(reader, "frame_id", None))
        if self._images is not None and (options.image_is_file or getattr(reader, "per_image", False)):
            self._tally.add(self._images.answer_to_stems())
        self._chunks = chunks(self._read(reader, options))
        self._first = self._open()

    def _read(self, reader: Any, options: Options) -> Iterator[Any]:
        """What the reader yields; a mistake in it is an error about this source."""
        try:
            yield from reader.read(self._data, options) if reader is not None else ()
        except DetmonError:
            raise
        except Exception as error:
            raise reader_failed(self.name, self.format, error) from error

    def parts(self) -> Iterator[Part]:
        """The records, in bounded memory, in the file's order."""
        try:
            while self._first:
                yield self._first.pop(0)
            for chunk in self._chunks:
                yield self._part(self._frame(chunk), chunk)
            for chunk in self._images.missing() if self._images is not None else ():
                yield self._part(self._supply(frame_of(chunk, self._options.tz)), chunk)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the source; `parts` does it at its end."""
        self._chunks.close()
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
        self._supply.left = 0
        if not n:
            self._tally.add([Seen("empty_file", f"nothing in {self.name}")])
        left = SAMPLE
        samples = []
        for chunk, frame in read:
            samples.append(frame.head(max(0, left)))
            left -= chunk.read
        self._judge(samples)
        lacking = _lacking(samples)
        for unit in sorted(set().union(*(frame.times.units for frame in samples))):
            self.because += f"; times read as {unit}"
        parts = [self._part(frame, chunk) for chunk, frame in read]
        self._refuse_mostly_bad(parts, lacking)
        return parts

    def _frame(self, chunk: Chunk) -> Frame:
        frame = frame_of(chunk, self._options.tz)
        if self._images is not None:
            frame.texts["image_id"] = image_ids(frame.texts["image_id"], self._options.image_id)
            self._images.fill(frame)
        return self._supply(frame)

    def _part(self, frame: Frame, chunk: Chunk) -> Part:
        validation.find_faults(frame, self._now)
        rejects = sorted([*chunk.rejects, *validation.rejects(frame)], key=lambda reject: reject.line)
        if self._unit != LINE:
            rejects = [replace(one, reason=f"{one.reason} ({self._unit} {one.line})") for one in rejects]
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
            where = f"{self.name}:{first.line}" if self._unit == LINE else self.name
            raise InputRefused(f"{where}: {first.reason}", code=first.code, curable=False)

    def _refuse_mostly_bad(self, parts: list[Part], lacking: list[str]) -> None:
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
            where = f"at line {first.line}: " if self._unit == LINE else ""
            what = f"{bad} of {read} records unusable, first {where}{first.reason}"
            cures = []
            if first.code == "missing_field":
                cures = [CURES[name] for name in lacking or [first.field or ""] if name in CURES]
                if lacking:
                    what = f"{bad} of {read} records unusable: " + ", ".join(f"no `{name}`" for name in lacking)
            spread = first.code == "bad_json" and self._data.head.lstrip()[:2] in (b"{\n", b"{\r")
            hint = "; ".join(cures) or ("write one JSON object a line: jq -c . FILE" if spread else None)
            raise InputRefused(f"{self.name}: {what}", hint, code="mostly_bad", curable=bool(cures))

    def _id_findings(self, samples: list[Frame]) -> list[Finding]:
        if self._images is None:
            return []
        missing, n, example = missing_ids(samples)
        return ambiguity.ids(missing, n, example, self._images.example())

    def _judge(self, samples: list[Frame]) -> None:
        """Refuse the source when the detector finds that its meaning is not settled."""
        for finding in [*self._id_findings(samples), *_findings(samples, self._supply.layout, self._options)]:
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


def _lacking(samples: list[Frame]) -> list[str]:
    """The required fields that no record of the samples has."""
    has = dict.fromkeys(CURES, False)
    boxes = False
    for frame in samples:
        boxes |= len(frame.boxes) > 0
        has["timestamp"] |= bool((frame.times.state != State.missing).any())
        has["detections"] |= bool(frame.listed.any())
        has["label"] |= frame.boxes.label.null_count < len(frame.boxes)
        for name in ("model_id", "image_id"):
            has[name] |= frame.texts[name].null_count < len(frame)
    return [name for name, there in has.items() if not there and (boxes or name != "label")]


def _unit(data: Input, reader: Any) -> str:
    """What the places of records count: the lines of a text, the items of an array, the rows of a table."""
    own: str | None = getattr(reader, "unit", None)
    if own is not None:
        return own
    return "row" if data.head.startswith(PARQUET) else "item" if container(data.head) == "array" else LINE


def _denominator(reader: Any, options: Options) -> str:
    own: str = getattr(reader, "denominator", "unknown") if reader is not None else "known"
    if options.complete or own == "known":
        return "known"
    return "inferred" if options.images is not None or options.frames is not None else own


def _images(options: Options, frame_id: Any) -> Images | None:
    """The list of images that the options give; `frame_id` is how the format names a frame."""
    if options.images is not None:
        return read_images(options.images, options)
    if options.frames is not None:
        return of_frames(*options.frames, lambda number: frame_id(options, number) if frame_id else str(number))
    return None


def _findings(samples: list[Frame], layout: str, options: Options) -> Iterator[Finding]:
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
    yield from ambiguity.boxes(*_sample_boxes(samples), layout, options.box_format is not None)
    latency = np.concatenate([frame.numbers["latency_ms"] for frame in samples])
    yield from ambiguity.latency(latency[np.isfinite(latency)])
    yield from ambiguity.floors(_floors(samples))


def _first_slashed(samples: list[Frame]) -> Iterator[str]:
    for frame in samples:
        reasons = (fault.reason for fault in frame.faults.found.values())
        yield from (reason.split('"')[1] for reason in reasons if "day or month" in reason)


def _sample_boxes(samples: list[Frame]) -> tuple[Any, Any, Any]:
    """Boxes that say something about their layout, with the sizes of their images."""
    import numpy as np

    sides = np.concatenate([frame.boxes.xywh for frame in samples], axis=1)
    sizes = [
        np.concatenate([np.repeat(frame.numbers[name], frame.boxes.counts) for frame in samples])
        for name in ("image_width", "image_height")
    ]
    sizes = [np.where(size > 0, size, np.nan) for size in sizes]
    placeholder = (sides == 0).all(axis=0) | (sides == -1).all(axis=0)
    telling = (np.abs(sides) < LARGEST).all(axis=0) & ~placeholder
    return sides[:, telling], sizes[0][telling], sizes[1][telling]


def _floors(samples: list[Frame]) -> dict[str, set[float]]:
    """The confidence floors of each source."""
    import numpy as np

    found: dict[str, set[float]] = {}
    for frame in samples:
        floors = frame.numbers["confidence_floor"]
        if np.isnan(floors).all():
            continue
        for source, floor in set(zip(frame.texts["source"].to_pylist(), floors.tolist(), strict=True)):
            if source is not None and floor == floor:
                found.setdefault(source, set()).add(floor)
    return found
