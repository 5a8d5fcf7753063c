"""JSON Lines, the canonical log: whole lines in chunks, read by DuckDB; line by line where something is odd."""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from detmon.formats import lineshape, objects
from detmon.formats.chunk import RAW_KEPT, Chunk, Seen, raw_schema
from detmon.formats.contract import Options, Reject
from detmon.formats.inputs import Input
from detmon.formats.lineshape import Shape, count

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

NEWLINE = ord("\n")
CHUNK = 16 << 20
"""Bytes of a chunk."""
PATIENCE = 5.0
"""Seconds after which a chunk of a stream is handed on, however small."""
LONGEST_LINE = 16 << 20
FEW = 256 << 10
"""Bytes that are read line by line rather than cut smaller to find a bad line among them."""
PEEKED = 500
"""Lines of a file that are read with Python too: their keys, types and the shape of their boxes are known then."""


@dataclass
class Lines:
    """Whole lines of a file: `data` ends with a newline (or the file), `first` is the number of its
    first line, `ends` how many newlines there are."""

    data: bytes
    first: int
    ends: int
    rejects: list[Reject]
    last: bool = False


class JsonLines:
    """Canonical records, one JSON object a line."""

    denominator = "known"
    patience = PATIENCE

    def fits(self, head: bytes) -> bool:
        """JSON objects."""
        return objects.container(head) == "object"

    def sniff(self, head: bytes, path: str) -> str | None:
        """An object with an image id and a list of detections."""
        found = objects.first_object(head) if self.fits(head) else None
        if found is None:
            return None
        if isinstance(found.get("detections"), list) and "image_id" in found:
            return "JSON objects with `image_id` and a list `detections`"
        return None

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records, a chunk of lines at a time."""
        parser = _Parser(options)
        try:
            for lines in whole_lines(source, patience=self.patience):
                yield from parser.chunks(lines)
        finally:
            parser.close()


def whole_lines(source: Input, size: int = CHUNK, patience: float = PATIENCE) -> Iterator[Lines]:
    """Cut a source into whole lines of about `size` bytes; a stream's are handed on after `patience` seconds."""
    number, kept, rejects = 1, b"", []
    skipped = 0  # bytes of an over-long line that were read and let go, beside `kept`
    start_of_file = True
    while True:
        parts, ended = _parts(source, size, patience)
        if start_of_file and parts:
            parts, start_of_file = [b"".join(parts).removeprefix(b"\xef\xbb\xbf")], False
        if skipped:
            block = b"".join(parts)
            end = block.find(b"\n")
            skipped += len(block) if end < 0 else end
            if end < 0 and not ended:
                continue
            rejects.append(_too_long(number, skipped, kept))
            parts, kept, skipped = [block[end + 1 :] if end >= 0 else b""], b"", 0
            number += 1
        whole: Sequence[bytes | memoryview]
        whole, rest = (parts, b"") if ended else _cut(parts)
        data = b"".join([kept, *whole]) if whole or ended else b""
        kept = rest if whole or ended else kept + rest
        if data:
            data, long_ones = _without_long_lines(data, number)
            ends = count(data, NEWLINE)
            yield Lines(data, number, ends, rejects + long_ones, last=ended)
            number += ends
            rejects = []
        elif rejects:
            yield Lines(b"", number, 0, rejects, last=ended)
            rejects = []
        if ended:
            return
        if len(kept) > LONGEST_LINE:
            skipped, kept = len(kept), kept[: 4 * RAW_KEPT]


def _cut(parts: list[bytes]) -> tuple[list[bytes | memoryview], bytes]:
    """The parts up to the last newline, and what follows it."""
    for place in range(len(parts) - 1, -1, -1):
        end = parts[place].rfind(b"\n") + 1
        if end:
            last = memoryview(parts[place])[:end]
            return [*parts[:place], last], b"".join([parts[place][end:], *parts[place + 1 :]])
    return [], b"".join(parts)


def _parts(source: Input, size: int, patience: float) -> tuple[list[bytes], bool]:
    """About `size` more bytes, or what came within `patience` seconds (at least a line); and whether that is all."""
    parts: list[bytes] = []
    length, deadline, whole = 0, None, False
    while length < size:
        if source.live and whole and deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not source.wait(left):
                break
        more = source.read(min(size - length, 1 << 20) if source.live else size - length)
        if not more:
            if not source.follow or source.path is None:
                return parts, True
            if not source.grown(patience if deadline is None else max(deadline - time.monotonic(), 0.0)):
                break
            continue
        deadline = deadline or time.monotonic() + patience
        parts.append(more)
        length += len(more)
        whole = whole or b"\n" in more
    return parts, False


def _without_long_lines(data: bytes, number: int) -> tuple[bytes, list[Reject]]:
    """The lines of at most 16 MiB; the others are left as blank lines, so that the numbers stay."""
    pieces, rejects, begin, done = [], [], 0, 0
    while len(data) - begin > LONGEST_LINE:
        end = data.rfind(b"\n", begin, begin + LONGEST_LINE + 1)
        if end < 0:
            end = data.find(b"\n", begin)
            end = len(data) if end < 0 else end
            place = number + data.count(b"\n", 0, begin)
            rejects.append(_too_long(place, end - begin, data[begin : begin + 4 * RAW_KEPT]))
            pieces.append(data[done:begin])
            done = end
        begin = end + 1
    return (b"".join([*pieces, data[done:]]) if rejects else data), rejects


def _too_long(line: int, length: int, begin: bytes) -> Reject:
    size = f"{length / 1e9:.1f} GB" if length >= 1e9 else f"{length / 1e6:.1f} MB"
    text = begin.decode("utf-8", "replace")[:RAW_KEPT]
    return Reject(line, None, "line_too_long", f"the line has {size}; only its first 2,000 characters are kept", text)


class _Parser:
    """Turns lines into chunks: the fast way while nothing is odd."""

    def __init__(self, options: Options) -> None:
        self.map = dict(options.map)
        self.con: Any = None
        self.shape = Shape()
        self.odd = False
        self.peeked = False
        self.spool: Any = None

    def chunks(self, lines: Lines) -> Iterator[Chunk]:
        """The records of some lines."""
        seen: list[Seen] = []
        if not self.peeked and lines.data and not lines.data.isspace():
            self.peeked = True
            seen = self._peek(lines.data)
        if self.map or self.odd:
            yield _slowly(lines, self.map, self.shape)
        else:
            found = list(self._narrowed(lines, seen))
            yield from found if self.shape.sides or len(found) == 1 else [_joined(found)]

    def _narrowed(self, lines: Lines, seen: list[Seen]) -> Iterator[Chunk]:
        """The fast way; where that fails, the same with parts of the lines, down to few that are read one by one."""
        found = self._fast(lines)
        if found is not None:
            found.rejects[:0] = lines.rejects
            found.seen += seen
            yield found
        elif len(lines.data) <= FEW:
            yield _slowly(lines, self.map, self.shape)
        else:
            self.shape.whole = True  # the parts are joined: all of them need all fields
            for piece in _pieces(lines):
                yield from self._narrowed(piece, seen)
                seen = []

    def _peek(self, data: bytes) -> list[Seen]:
        """Look at the first lines with Python: unknown keys, odd types, odd tags, how boxes are written."""
        seen: list[Seen] = []
        self.shape.spaced = b'": ' in data[:4096]
        for line in data[: PEEKED * 4096].split(b"\n", PEEKED)[:PEEKED]:
            try:
                found = objects.parse(line)
                objects.record(found, {}, seen)
            except objects.Unusable as fault:
                self.odd |= fault.code == "wrong_type"
                continue
            self.shape.look(found)
        return seen

    def _fast(self, lines: Lines) -> Chunk | None:
        """The lines through DuckDB; None when they must be read one by one."""
        import duckdb

        data = lines.data
        try:
            table = self._duckdb(data)
        except (duckdb.Error, UnicodeDecodeError):  # the latter: of a message that quotes the line
            return None
        if table is None or lineshape.lost_types(table):
            return None
        numbers = _line_numbers(lines, table.num_rows)
        if numbers is None:
            return None
        import pyarrow as pa

        table = table.append_column("line", pa.array(numbers))
        return Chunk(table, lambda rows: _texts(data, [int(numbers[row]) - lines.first for row in rows]))

    def _duckdb(self, data: bytes) -> pa.Table | None:
        """What DuckDB reads; None when it may have taken a text for a number."""
        self._spool(data)
        table = self._query()
        strict = lineshape.strictly(table, data, self.shape)
        if strict is None:
            self.shape.whole = True
            table = self._query()
            strict = lineshape.strictly(table, data, self.shape)
        return table if strict else None

    def _query(self) -> pa.Table:
        from detmon.store import statement

        values = {"file": self.spool.name, "columns": self.shape.columns()}
        return self.con.sql(statement("read_lines"), params=values).to_arrow_table()

    def _spool(self, data: bytes) -> None:
        if self.con is None:
            from detmon.store import connect

            self.con = connect()
            self.con.execute("SET preserve_insertion_order = true")
            self.con.execute("SET threads = 1")  # dearer in CPU time, and in copies, with more
            self.con.execute("SET enable_external_file_cache = false")  # no file is read twice
            self.spool = tempfile.NamedTemporaryFile(prefix="detmon-", suffix=".jsonl", buffering=0)  # noqa: SIM115
        self.spool.seek(0)  # written over: its pages are in memory already
        self.spool.write(data)
        self.spool.truncate(len(data))

    def close(self) -> None:
        """Let go of the engine and the spool."""
        if self.con is not None:
            self.con.close()
            self.spool.close()


def _joined(pieces: list[Chunk]) -> Chunk:
    """Chunks that follow one another as one."""
    import pyarrow as pa

    names = raw_schema().names
    table = pa.concat_tables([piece.table.select(names).cast(raw_schema()) for piece in pieces])
    begins = list(accumulate((piece.table.num_rows for piece in pieces), initial=0))

    def raw(rows: Sequence[int]) -> list[str]:
        found = []
        for row in rows:
            place = bisect_right(begins, row) - 1
            found += pieces[place].raw([row - begins[place]])
        return found

    rejects = [reject for piece in pieces for reject in piece.rejects]
    return Chunk(table, raw, rejects, [one for piece in pieces for one in piece.seen])


def _pieces(lines: Lines) -> Iterator[Lines]:
    """The lines in about eight parts."""
    data, number, begin = lines.data, lines.first, 0
    rejects = lines.rejects
    while begin < len(data):
        end = data.find(b"\n", begin + len(data) // 8) + 1 or len(data)
        piece = data[begin:end]
        ends = piece.count(b"\n")
        yield Lines(piece, number, ends, rejects, last=lines.last and end == len(data))
        number, begin, rejects = number + ends, end, []


def _line_numbers(lines: Lines, rows: int) -> NDArray[np.int64] | None:
    """The line of each row; blank lines have none. None when the numbers do not fit."""
    import numpy as np

    if lines.ends + (not lines.data.endswith(b"\n")) == rows:
        return np.arange(lines.first, lines.first + rows, dtype=np.int64)
    filled = [place for place, line in enumerate(lines.data.split(b"\n")) if line.strip()]
    return np.array(filled, np.int64) + lines.first if len(filled) == rows else None


def _texts(data: bytes, places: Sequence[int]) -> list[str]:
    """Some lines, counted from 0, as text."""
    wanted, found = sorted(set(places)), {}
    begin, line = 0, 0
    for place in wanted:
        while line < place:
            begin = data.find(b"\n", begin) + 1
            line += 1
        end = data.find(b"\n", begin)
        found[place] = (
            data[begin : end if end >= 0 else len(data)][: 4 * RAW_KEPT].decode("utf-8", "replace").strip("\r")
        )
    return [found[place] for place in places]


def _slowly(lines: Lines, mapping: dict[str, str], shape: Shape) -> Chunk:
    """Line by line, with exact reasons."""
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = [*lines.rejects]
    seen: list[Seen] = []
    texts: list[bytes] = []
    everything = lines.data.split(b"\n")
    for place, line in enumerate(everything):
        if not line.strip():
            continue
        try:
            found = objects.parse(line)
            record = objects.record(found, mapping, seen)
        except objects.Unusable as fault:
            cut_off = lines.last and place == len(everything) - 1 and fault.code == "bad_json"
            code, reason = (
                ("truncated_line", "the last line is cut off; ingest again when it is complete")
                if cut_off
                else (fault.code, fault.reason)
            )
            text = line[: 4 * RAW_KEPT].decode("utf-8", "replace")[:RAW_KEPT]
            rejects.append(Reject(lines.first + place, fault.field, code, reason, text))
            continue
        if not mapping:
            shape.look(found)
        record["line"] = lines.first + place
        rows.append(record)
        texts.append(line)
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=raw_schema())
    return Chunk(table, lambda some: [texts[k].decode("utf-8", "replace") for k in some], rejects, seen)
