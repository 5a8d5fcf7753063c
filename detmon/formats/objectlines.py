"""Logs of JSON objects: whole lines in chunks, read by DuckDB; line by line where something is odd."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from detmon.formats import objects
from detmon.formats.chunk import RAW_KEPT, Chunk, Seen, raw_schema
from detmon.formats.contract import Options, Reject
from detmon.formats.inputs import Input
from detmon.formats.lineshape import count, not_json
from detmon.formats.temporary import temporary

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

NEWLINE = ord("\n")
CHUNK = 6 << 20
"""Bytes of a chunk: few enough for its arrays to reuse the memory of the one before."""
PATIENCE = 5.0
"""Seconds after which a chunk of a stream is handed on, however small."""
LONGEST_LINE = 16 << 20
FEW = 256 << 10
"""Bytes that are read line by line rather than cut smaller to find a bad line among them."""
SMALL = 64 << 10
"""Bytes that are read line by line rather than with an engine, which costs more to start."""
PEEKED = 500
"""Lines of a file that are read with Python too: their keys, types and the shape of their boxes are known then."""
ITEMS = 20_000
"""Items of an array in a chunk."""
UNREAD = object()
Query = Callable[[Mapping[str, str]], "pa.Table"]
"""Reads lines with DuckDB: columns with their types in, the table of them out."""


class Form(Protocol):
    """What the objects of a format say: each way of reading them gives the same records."""

    joins: bool
    """Whether the chunks of one read can be joined."""
    odd: bool
    """Whether lines are to be read one by one."""

    def peek(self, lines: list[bytes], seen: list[Seen]) -> None:
        """Look at the first lines before any is read; count what is found in them and `table` does not count."""
        ...

    def narrow(self) -> None:
        """`table` gave up: it will be asked for parts of the same lines."""
        ...

    def table(self, query: Query, data: bytes) -> pa.Table | None:
        """Lines in canonical raw columns, a row a line; None when they must be read one by one."""
        ...

    def record(self, found: Any, seen: list[Seen]) -> dict[str, Any] | None:
        """One object as a canonical record, or None to leave it out; raises objects.Unusable."""
        ...


class ObjectLog:
    """Base of the readers of JSON objects, one a line, or the items of one array."""

    denominator = "known"
    patience = PATIENCE
    because = ""
    """How such objects are recognised, for the note."""

    def fits(self, head: bytes) -> bool:
        """JSON objects, or an array."""
        return objects.container(head) is not None

    def sniff(self, head: bytes, path: str) -> str | None:
        """Why the source is of this format, or None."""
        found = objects.first_objects(head)
        if not found or not self.recognises(found):
            return None
        return f"{'an array of ' if objects.container(head) == 'array' else ''}JSON objects with {self.because}"

    def recognises(self, found: list[dict[str, Any]]) -> bool:
        """Whether the first objects are of this format."""
        raise NotImplementedError

    def form(self, options: Options) -> Form:
        """What the objects say under these options."""
        raise NotImplementedError

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records, a chunk at a time; `line` counts the items of an array."""
        form = self.form(options)
        array = objects.container(source.head) == "array"
        yield from _items(source, form) if array else _lines(source, form, self.patience)


def _lines(source: Input, form: Form, patience: float) -> Iterator[Chunk]:
    parser = _Parser(form)
    try:
        for lines in whole_lines(source, patience=patience):
            yield from parser.chunks(lines)
    finally:
        parser.close()


def _items(source: Input, form: Form) -> Iterator[Chunk]:
    made = Collected(form)
    for number, item, text in objects.array_items(source):
        made.add(number, text, item)
        if len(made) >= ITEMS:
            yield made.chunk()
            made = Collected(form)
    yield made.chunk()


@dataclass
class Lines:
    """Whole lines of a file: `data` ends with a newline (or the file), `first` is the number of its
    first line, `ends` how many newlines there are."""

    data: bytes
    first: int
    ends: int
    rejects: list[Reject]
    last: bool = False


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

    def __init__(self, form: Form) -> None:
        self.form = form
        self.con: Any = None
        self.peeked = False
        self.spool: Any = None

    def chunks(self, lines: Lines) -> Iterator[Chunk]:
        """The records of some lines."""
        if len(lines.data) <= SMALL and self.con is None:
            yield _slowly(lines, self.form)
            return
        seen: list[Seen] = []
        if not self.peeked and lines.data and not lines.data.isspace():
            self.peeked = True
            seen = self._peek(lines.data)
        if self.form.odd:
            yield _slowly(lines, self.form)
        else:
            found = list(self._narrowed(lines, seen))
            yield from [_joined(found)] if self.form.joins and len(found) > 1 else found

    def _narrowed(self, lines: Lines, seen: list[Seen]) -> Iterator[Chunk]:
        """The fast way; where that fails, the same with parts of the lines, down to few that are read one by one."""
        found = self._fast(lines)
        if found is not None:
            found.rejects[:0] = lines.rejects
            found.seen += seen
            yield found
        elif len(lines.data) <= FEW or len(pieces := list(_pieces(lines))) == 1:  # one long line fills most of it
            yield _slowly(lines, self.form)
        else:
            self.form.narrow()
            for piece in pieces:
                yield from self._narrowed(piece, seen)
                seen = []

    def _peek(self, data: bytes) -> list[Seen]:
        """Show the form the first lines, read with Python."""
        seen: list[Seen] = []
        lines = data[: PEEKED * 4096].split(b"\n", PEEKED)[:PEEKED]
        self.form.peek([line for line in lines if line.strip()], seen)
        if len(lines) == PEEKED:  # the others are read without a look at what is no field
            return [Seen(one.code, f"{one.text} (counted in the first {PEEKED} lines)", one.n) for one in seen]
        return seen

    def _fast(self, lines: Lines) -> Chunk | None:
        """The lines through DuckDB; None when they must be read one by one."""
        import duckdb

        data = lines.data
        if not_json(data):
            return None
        self._spool(data)
        try:
            table = self.form.table(self._query, data)
        except (duckdb.Error, UnicodeDecodeError, RuntimeError):  # the latter two: of a message that quotes the line
            return None
        if table is None:
            return None
        numbers = _line_numbers(lines, table.num_rows)
        if numbers is None:
            return None
        import pyarrow as pa

        table = table.append_column("line", pa.array(numbers))
        return Chunk(table, lambda rows: _texts(data, [int(numbers[row]) - lines.first for row in rows]))

    def _query(self, columns: Mapping[str, str]) -> pa.Table:
        from detmon.store import statement

        values = {"file": self.spool.name, "columns": columns}
        return self.con.sql(statement("read_lines"), params=values).to_arrow_table()

    def _spool(self, data: bytes) -> None:
        if self.con is None:
            from detmon.store import connect

            self.con = connect()
            self.con.execute("SET preserve_insertion_order = true")
            self.con.execute("SET threads = 1")  # dearer in CPU time, and in copies, with more
            self.con.execute("SET enable_external_file_cache = false")  # no file is read twice
            self.spool = temporary(".spool", buffering=0)
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


def _slowly(lines: Lines, form: Form) -> Chunk:
    """Line by line, with exact reasons."""
    made = Collected(form)
    everything = lines.data.split(b"\n")
    for place, line in enumerate(everything):
        if line.strip():
            last = lines.last and place == len(everything) - 1
            made.add(lines.first + place, line, cut_off=last)
    chunk = made.chunk()
    chunk.rejects[:0] = lines.rejects
    return chunk


class Collected:
    """Records made one by one, each of a line or of an object that was read already."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.rows: list[dict[str, Any]] = []
        self.texts: list[bytes | str] = []
        self.rejects: list[Reject] = []
        self.seen: list[Seen] = []

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejects)

    def add(self, number: int, text: bytes | str, found: Any = UNREAD, *, cut_off: bool = False) -> None:
        """One record; `cut_off`: a text that is no JSON was not written to its end."""
        try:
            record = self.form.record(objects.parse(text) if found is UNREAD else found, self.seen)
        except objects.Unusable as fault:
            code, reason = fault.code, fault.reason
            if cut_off and code == "bad_json":
                code, reason = "truncated_line", "the last line is cut off; ingest again when it is complete"
            self.rejects.append(Reject(number, fault.field, code, reason, _decoded(text)[:RAW_KEPT]))
            return
        if record is not None:
            self.rows.append({**record, "line": number})
            self.texts.append(text)

    def chunk(self) -> Chunk:
        """The records so far."""
        import pyarrow as pa

        texts = self.texts
        table = pa.Table.from_pylist(self.rows, schema=raw_schema())
        return Chunk(table, lambda rows: [_decoded(texts[row]) for row in rows], self.rejects, self.seen)


def _decoded(text: bytes | str) -> str:
    return text if isinstance(text, str) else text[: 4 * RAW_KEPT].decode("utf-8", "replace")
