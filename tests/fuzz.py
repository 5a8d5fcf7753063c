"""`python -m tests.fuzz [--inputs N] [--seconds S] [--reader NAME]`: damaged logs into every reader.

Each input is a good sample of a format with bytes changed, cut, repeated or spliced, its JSON values swapped for odd
ones, or its cells; read to the end in this process with options of a user who says everything. What may come out are
whole records, rejected records with a reason, warnings, and errors of detmon; never another exception or warning, and
never more than SECONDS or MEMORY an input.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import io
import json
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from logs import FIRST, NOW, SECOND, lines  # noqa: E402
from test_formats_objects import EVENT, ROBOFLOW, TORCHVISION, ULTRALYTICS  # noqa: E402

from detmon import formats  # noqa: E402
from detmon.errors import DetmonError  # noqa: E402
from detmon.formats import Options, Source  # noqa: E402

SECONDS = 20.0
"""An input that takes longer hangs."""
SLOW = 2.0
"""One that keeps the processor busy for longer is a fault."""
MEMORY = 3 << 30
"""Bytes of address space that inputs may take beside what the program has."""
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
RESULT = {"image_id": 7, "category_id": 3, "bbox": [12.5, 40, 100, 60], "score": 0.88}
CORNERS = {"x_min": 10, "y_min": 20, "x_max": 110, "y_max": 80}
SINK = {**CORNERS, "class_id": 2, "confidence": 0.91, "tracker_id": "", "class_name": "car", "frame": 0}
DATASET = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 640, "height": 480}, {"id": 8, "file_name": "b.jpg"}],
    "categories": [{"id": 3, "name": "car"}],
    "annotations": [{"id": 1, **RESULT}, {"id": 2, **RESULT, "image_id": 8}] * 2,
}
HOME = {"frame": 0, "found": [{"x": 1061, "y": 316, "w": 51, "h": 33, "prob": 0.29, "name": "car"}]}
MAP = {"image_id": "frame", "detections": "found", "detections.bbox": "x,y,w,h", "detections.confidence": "prob",
       "detections.label": "name"}  # fmt: skip
BOXES = [{"image": f"{k}.jpg", "ts": 1_763_625_600 + k, "label": "car", "score": 0.9, "x1": 1, "y1": 2, "x2": 30,
          "y2": 40} for k in range(5)]  # fmt: skip
MANY = 4
"""Good records beside a damaged one: a log of which most is bad would be refused as a whole."""
GOOD = [FIRST, SECOND] * MANY
CSV = (
    b"image_id,timestamp,label,confidence,x1,y1,x2,y2,latency_ms,tags\n"
    b'a.jpg,2026-11-20T08:00:00Z,car,0.91,10,20,110,80,3.5,"{""site"": ""n""}"\n'
    b"b.jpg,2026-11-20T08:00:01Z,,,,,,,,\n"
    + b"".join(b"c%d.jpg,2026-11-20T08:00:02Z,van,0.5,10,20,110,80,3,\n" % k for k in range(MANY))
)
SAID = {"model": "m", "label": "x", "start": START, "tz": "UTC", "image_size": (640, 480)}


def _parquet(*records: dict[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(records)), file := io.BytesIO())
    return file.getvalue()


def _zstd(data: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(data, "zstd", asbytes=True))


@dataclass(frozen=True)
class Sample:
    """A good log of a format, and what is said about it."""

    name: str
    data: bytes
    options: dict[str, Any] = field(default_factory=dict)
    beside: bytes = b""
    """What lies beside it, when a file is of one image."""


def samples() -> list[Sample]:
    """Of every format, and of every container it comes in."""
    made = [
        Sample("detmon", lines(*GOOD)),
        Sample("detmon", json.dumps(GOOD).encode()),
        Sample("detmon", gzip.compress(lines(*GOOD))),
        Sample("detmon", _zstd(lines(*GOOD))),
        Sample("detmon", _parquet(FIRST, {**SECOND, "timestamp": "2026-11-20T10:00:01"})),
        Sample("detmon", lines(*({**HOME, "frame": k} for k in range(MANY))), {"map": MAP}),
        Sample("roboflow", lines(*[ROBOFLOW] * MANY, {**ROBOFLOW, "predictions": []})),
        Sample("torchvision", lines(*[TORCHVISION] * MANY, {**TORCHVISION, "boxes": [], "labels": [], "scores": []})),
        Sample("torchvision", _parquet(TORCHVISION, TORCHVISION)),
        Sample("ultralytics-json", lines(*[ULTRALYTICS] * MANY, {**ULTRALYTICS, "results": []})),
        Sample("frigate", lines({**EVENT, "type": "new"}, *[EVENT] * MANY)),
        Sample("coco", json.dumps(DATASET).encode()),
        Sample("coco-results", json.dumps([{**RESULT, "image_id": k} for k in range(MANY)]).encode()),
        Sample("ultralytics-val", json.dumps([{**RESULT, "file_name": f"{k}.jpg"} for k in range(MANY)]).encode()),
        Sample("supervision-json", json.dumps([{**SINK, "frame": k} for k in range(MANY)]).encode(),
               {"map": {"image_id": "frame"}}),
        Sample("supervision-csv", (",".join(SINK) + ("\n" + ",".join(map(str, SINK.values()))) * MANY + "\n").encode(),
               {"map": {"image_id": "frame"}}),
        Sample("flat", CSV),
        Sample("flat", CSV.replace(b",", b"\t")),
        Sample("flat", _parquet({"image_id": "a", "timestamp": START, "label": "car", "confidence": 0.5,
                                 "x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0})),
        Sample("flat", lines(*BOXES)),
        Sample("flat", json.dumps(BOXES).encode()),
        Sample("mot", b"1,-1,10,20,100,60,0.91,-1,-1,-1\n2,3,10,20,100,60,0.9,-1,-1,-1\n" * MANY, {"fps": 25.0}),
        Sample("ultralytics-txt", b"2 0.5 0.5 0.2 0.1 0.9134\n0 0.25 0.5 0.5 0.5 0.5 7\n" * MANY,
               beside=b"0 0.5 0.5 0.2 0.1 0.9\n"),
    ]  # fmt: skip
    return made


# --- damage ------------------------------------------------------------------------------------------------------

ODD = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -1e308, 1e-320, 0.5, 99999999999999999,
    "", " ", "\0", "\ud800", "é" * 300, "x" * 600, "NaN", "-inf", "1e999", "2026-13-01", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "03/04/2026", "2026-W47-5", "1763625600", "99999999999999999999",
    "2026-11-20T08:00:00+99:00", [], {}, [[]], [None], {"": {}},
    [1, 2, 3, 4], [1, 2, 3, "4"], [1e308, 1e308, 1e308, 1e308], {"x": 1, "y": 2, "w": 3, "h": 4}, {"w": []},
    [{"label": "car"}], [{"label": {}, "confidence": [], "bbox": {}}], [[1, 2, 3, 4]] * 3, "@stem", "../../passwd",
]  # fmt: skip
CHUNKS = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"\\", b"\n", b"\r\n", b"\r", b",", b"{", b"}", b"[", b"]", b":", b" ",
    b"\t", b";", b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"\\ud800", b'\\"', b"99999999999999999999", b"-",
    b"PAR1", b"0", b"\xf0\x9f\x92\xa9", b"\xc3\x28", b"\x1f\x8b", b'""', b"'", b"#", b"=", b"/",
    b"\xe2\x80\xa8", b"\x85",
]  # fmt: skip


def damaged(sample: bytes, chance: random.Random) -> bytes:
    """The sample with one or a few things wrong."""
    if chance.random() < 0.45:
        found = _values_swapped(sample, chance)
        if found is not None:
            return found
    if sample.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")) and chance.random() < 0.3:
        return gzip.compress(bytes(_bytes_changed(bytearray(lines(FIRST, SECOND)), chance)), 1)
    data = bytearray(sample)
    if not sample.isascii() or chance.random() < 0.7:
        return bytes(_bytes_changed(data, chance))
    return _lines_changed(sample, chance)


def _bytes_changed(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(data))
        end = place + chance.choice((0, 0, 1, 1, 2, 8, 60))
        what = chance.random()
        if what < 0.5:
            data[place:end] = chance.choice(CHUNKS) * chance.choice((1, 1, 1, 2, 40))
        elif what < 0.7:
            data[place:end] = chance.randbytes(chance.randint(0, 4))
        elif what < 0.8:
            del data[place:]
        elif what < 0.9:
            data[place:place] = data[place:end] * chance.choice((1, 3, 30))
        elif data:
            data[place % len(data)] ^= 1 << chance.randrange(8)
    return data


def _lines_changed(sample: bytes, chance: random.Random) -> bytes:
    found = sample.split(b"\n")
    place = chance.randrange(len(found))
    mark = next((mark for mark in (b",", b"\t", b" ") if mark in found[place]), b" ")
    cells = found[place].split(mark)
    cell = chance.choice(ODD)
    text = cell if isinstance(cell, str) else json.dumps(cell)
    cells[chance.randrange(len(cells))] = text.encode("utf-8", "replace")
    found[place] = mark.join(cells)
    chance.shuffle(found) if chance.random() < 0.1 else None
    return b"\n".join(found * chance.choice((1, 1, 5)))


def _values_swapped(sample: bytes, chance: random.Random) -> bytes | None:
    """JSON with one value in another's place, a key renamed or doubled; the first lines stay mostly as they are."""
    try:
        copies = [json.loads(sample)]
    except ValueError:
        try:
            copies = [json.loads(line) for line in sample.splitlines() * chance.choice((1, 2, 3, 30))]
        except ValueError:
            return None
    for _ in range(chance.randint(1, 3)):
        one = chance.randrange(len(copies))
        places = list(_places(copies[one]))
        if not places:
            continue
        holder, key = chance.choice(places)
        what = chance.random()
        if what < 0.75:
            holder[key] = copy.deepcopy(chance.choice(ODD))
        elif what < 0.85 and isinstance(holder, dict):
            holder[str(chance.choice(["", "a.b", "x" * 99, "\ud800", *holder]))] = holder.pop(key)
        elif what < 0.95:
            del holder[key]
        else:
            holder[key] = _deep(chance.choice((20, 200, 3000)))
    text = "\n".join(json.dumps(one, ensure_ascii=chance.random() < 0.8) for one in copies) + "\n"
    return text.encode("utf-8", "surrogatepass")


def _deep(levels: int) -> Any:
    found: Any = 1
    for level in range(min(levels, 400)):
        found = [found] if level % 2 else {"a": found}
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(found):
        yield value, key
        yield from _places(inner)


# --- reading -----------------------------------------------------------------------------------------------------


def read(path: Path, data: bytes, options: Options, beside: bytes = b"") -> str:
    """Read a log to its end; says what became of it. Raises what is no error of detmon, and AssertionError."""
    path.unlink(missing_ok=True)  # a file cut to nothing and written anew is waited for by some file systems
    path.write_bytes(data)
    others = [path.with_name(f"{k}.txt") for k in range(MANY if beside else 0)]
    for other in others:
        other.write_bytes(beside)
    stream = None if len(data) % 4 or beside else path.open("rb")
    try:
        folder = Source(path.parent.name, path.parent, files=(*others, path))
        source = folder if beside else Source("-", stream=stream) if stream else Source(path.name, path)
        reading = formats.open_source(source, options, now=NOW)
        rows = 0
        for part in reading.parts():
            part.table.validate(full=True)
            assert part.table.schema.equals(formats.stored_schema()), part.table.schema
            assert part.read >= part.table.num_rows
            assert all(one.reason and one.code and len(one.raw) <= 2000 for one in part.rejects), part.rejects
            _whole(part.table)
            rows += part.table.num_rows
        assert all(warned.code and not {"{n}", "{worst}"} & {*warned.message.split()} for warned in reading.warnings())
        return "records" if rows else "none"
    except DetmonError as error:
        if getattr(error, "code", None) == "reader_failed":
            raise (error.__cause__ or error) from None
        return "refused" if error.exit_code == 2 or hasattr(error, "code") else "error"
    finally:
        if stream:
            stream.close()


def _whole(table: Any) -> None:
    """No record is stored half: what it needs is there, and its sums are those of its boxes."""
    for name in ("model_id", "ts", "image_id", "detections", "n_detections", "confidence_n", "confidence_sum"):
        assert table[name].null_count == 0, name
    for row in table.to_pylist():
        boxes = row["detections"]
        scores = [box["confidence"] for box in boxes if box["confidence"] is not None]
        assert (row["n_detections"], row["confidence_n"]) == (len(boxes), len(scores)), row
        assert abs(row["confidence_sum"] - sum(scores)) < 1e-3 * (1 + len(scores)), row
        assert all(0 <= score <= 1 for score in scores), row
        for box in boxes:
            assert box["label"], row
            sides = [box[side] for side in "xywh"]
            assert all(side is None for side in sides) or (
                all(side is not None and side == side for side in sides) and box["w"] > 0 and box["h"] > 0
            ), row


class TooLong(BaseException):
    """An input took longer than it may."""


@contextmanager
def limited(seconds: float = SECONDS, memory: int | None = MEMORY) -> Iterator[Callable[[], None]]:
    """No more time for each input (call what is given before it), and no more memory."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if memory is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, hard))
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@dataclass
class Tally:
    """What became of the inputs of one reader."""

    inputs: int = 0
    seconds: float = 0.0
    """Of the processor."""
    slowest: float = 0.0
    longest: bytes = b""
    """The input that took longest."""
    became: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, bytes]] = field(default_factory=list)


def fuzz(
    inputs: int, seconds: float | None = None, reader: str | None = None, seed: int = 1, memory: int | None = MEMORY
) -> dict[str, Tally]:
    """So many inputs in all (or for so many seconds), shared by the readers in turn, and by the samples of each."""
    chance = random.Random(seed)
    tallies = {one.name: Tally() for one in samples() if reader in (None, one.name)}
    turns = {name: cycle([one for one in samples() if one.name == name]) for name in tallies}
    end = None if seconds is None else time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, limited(memory=memory) as begin, warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in islice(cycle(tallies), inputs):
            if end is not None and time.monotonic() > end:
                break
            sample = next(turns[name])
            asked = {**SAID, **sample.options} if chance.random() < 0.9 else {"model": "m"}
            if chance.random() < 0.5:
                asked["log_format"] = sample.name
            data = damaged(sample.data, chance)
            tally = tallies[name]
            begin()
            started = time.process_time()
            try:
                tally.became[read(Path(folder) / "log.txt", data, Options(**asked), sample.beside)] += 1
            except (Exception, TooLong) as error:
                where = "".join(traceback.format_exception(error)[-9:])
                tally.failures.append((f"{type(error).__name__}: {error}\n{where}", data))
            took = time.process_time() - started
            if took > SLOW:
                tally.failures.append((f"Slow: {took:.1f} s", data))
            tally.inputs, tally.seconds = tally.inputs + 1, tally.seconds + took
            if took > tally.slowest:
                tally.slowest, tally.longest = took, data
    return tallies


def main() -> int:
    """Print a table, and each kind of failure once with its input."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--reader", choices=sorted({one.name for one in samples()}))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    started = time.monotonic()
    found = fuzz(asked.inputs, asked.seconds, asked.reader, asked.seed)
    print(
        "| reader | inputs | records | nothing | refused or failed | seconds | slowest | faults |\n" + "|---" * 8 + "|"
    )
    for name, tally in found.items():
        became = tally.became
        print(
            f"| `{name}` | {tally.inputs:,} | {became['records']:,} | {became['none']:,} | "
            f"{became['refused'] + became['error']:,} | {tally.seconds:.0f} | {tally.slowest:.2f} | "
            f"{len(tally.failures)} |"
        )
    kinds: dict[str, tuple[str, bytes]] = {}
    for tally in found.values():
        for text, data in tally.failures:
            kinds.setdefault(re.sub(r"[^a-zA-Z ]", "", text.splitlines()[0])[:60], (text, data))
    for name, tally in found.items():
        if tally.slowest > SLOW / 4:
            print(f"\n{name}: {tally.slowest:.1f} s for {tally.longest[:400]!r}")
    for text, data in kinds.values():
        print(f"\n{text[:1500]}\n{data[:400]!r}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{sum(tally.inputs for tally in found.values()):,} inputs, "
          f"{sum(len(tally.failures) for tally in found.values())} faults, "
          f"{sum(tally.seconds for tally in found.values()):.0f} s of the processor in "
          f"{time.monotonic() - started:.0f} s, peak {peak:.0f} MB")  # fmt: skip
    return bool(kinds)


if __name__ == "__main__":
    sys.exit(main())
