"""Flat logs: CSV, TSV or Parquet with one row a box, under their own column names."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from detmon.errors import InputRefused, UsageError
from detmon.formats.boxrows import GROUPED, SIDES, BoxRows, pieced, records
from detmon.formats.chunk import RAW_KEPT, Chunk, Seen
from detmon.formats.contract import STEM, Options, Reject
from detmon.formats.inputs import LONGEST_HEAD, PARQUET, Input
from detmon.formats.lineshape import QUOTE, count
from detmon.formats.objectlines import NEWLINE
from detmon.formats.supervision_json import SUPERVISION

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ALIASES: Mapping[str, tuple[str, ...]] = {
    "label": ("class_name", "class", "name", "category_name"),
    "confidence": ("score", "conf", "prob", "probability"),
    "image_id": ("image", "file_name", "filename", "image_path", "path"),
    "timestamp": ("time", "ts", "datetime", "date_time", "timestamp_ms"),
    "source": ("camera", "camera_id", "stream"),
    "model_id": ("model", "model_name"),
    **dict.fromkeys(
        ("prediction_id", "image_uri", "image_width", "image_height", "latency_ms", "status", "confidence_floor",
         "tags", "detection_id", "track_id", "bbox"),
        (),
    ),
}  # fmt: skip
"""Field → other names of its column, beside its own."""
BOXES: Mapping[tuple[str, str, str, str], str] = {
    ("x1", "y1", "x2", "y2"): "xyxy",
    ("x_min", "y_min", "x_max", "y_max"): "xyxy",
    ("xmin", "ymin", "xmax", "ymax"): "xyxy",
    ("left", "top", "right", "bottom"): "xyxy",
    ("left", "top", "width", "height"): "xywh",
    ("bbox_x", "bbox_y", "bbox_w", "bbox_h"): "xywh",
    ("cx", "cy", "w", "h"): "cxcywh",
    ("x", "y", "w", "h"): "?",
    ("x", "y", "width", "height"): "?",
}
"""Columns of a box → its layout; `?`: corner or centre, who knows."""
FILES = 10_000
"""Files of one image each that are put into columns at once: the first of them are the sample."""
ROWS = 50_000
"""Rows that are read cell by cell before they are put into columns."""
NUMBERS = ("confidence", "image_width", "image_height", "latency_ms", "confidence_floor", *SIDES)
CLASS_IDS = ("class_id", "category_id")
SPACED = ", "
"""Between cells, where a space follows each comma."""
TEXT, NUMBER = "text", "number"
"""What the cells of a column are."""
BLOCK = 8 << 20
"""Bytes of a text file in a piece; each has dictionaries of its own."""
HELD = 256 << 20
"""Bytes of a text file whose rows are all held at once; those of a larger one are read twice."""
PIECE_ROWS, HELD_ROWS = 200_000, 4_000_000
"""The same of a Parquet file, in rows."""


ESCAPED = re.compile("[\udc80-\udcff]")
"""Bytes that are not UTF-8, in a text decoded with `surrogateescape`."""


@dataclass
class Columns:
    """Which column holds which field. `box`: the four columns of its sides, or the one that holds the whole box."""

    fields: dict[str, str] = field(default_factory=dict)
    box: tuple[str, ...] = ()
    layout: str = "xywh"

    @property
    def mapping(self) -> dict[str, str]:
        """Field → column, for people."""
        return {**self.fields, **({"bbox": ",".join(self.box)} if self.box else {})}

    def grouped(self) -> Columns:
        """Only what says which rows belong to one record."""
        return Columns({name: column for name, column in self.fields.items() if name in GROUPED})


def columns_of(names: Sequence[str], options: Options, name: str) -> Columns:
    """Find the fields among the columns of a flat log.

    Raises InputRefused `two_columns`, `box_corner_or_centre`, UsageError for a `--map` of a column that is not there.
    """
    found = Columns()
    folded = {column.strip().casefold(): column for column in reversed(names)}
    for target, aliases in ALIASES.items():
        if target in options.map:
            continue
        present = [folded[alias] for alias in (target, *aliases) if alias in folded]
        if len(present) > 1:
            raise InputRefused(
                f"{name}: `{'` and `'.join(present)}` could both be {target}",
                f"--map {target}={_named(present)}",
                code="two_columns",
            )
        if present and target == "bbox":
            found.box = (present[0],)
        elif present:
            found.fields[target] = present[0]
    for target, path in options.map.items():
        target = target.removeprefix("detections.")
        wanted = tuple(part.strip() for part in path.split(","))
        for column in wanted:
            if column not in names and (target, column) != ("image_id", STEM):
                raise UsageError(
                    f"--map {target}={path}: {name} has no column {column!r}", "columns: " + ", ".join(names)
                )
        if target == "bbox":
            found.box = wanted
        elif target not in ALIASES:
            raise UsageError(f"--map {target}: not a field", "fields: " + ", ".join(ALIASES))
        else:
            found.fields[target] = wanted[0]
    if not found.box:
        _find_box(found, folded, options, name)
    return found


def _named(columns: Sequence[str]) -> str:
    """The likelier of two columns: `class` beside another is the number of the class that the other names."""
    return next(column for column in columns if column.strip().casefold() != "class")


def _find_box(found: Columns, folded: Mapping[str, str], options: Options, name: str) -> None:
    present = {group: layout for group, layout in BOXES.items() if set(group) <= folded.keys()}
    known = {group: layout for group, layout in present.items() if layout != "?"}
    if len(known) > 1:
        groups = " and ".join(",".join(group) for group in known)
        raise InputRefused(
            f"{name}: {groups} could all be the box", f"--map bbox={','.join(next(iter(known)))}", code="two_columns"
        )
    if known:
        group, found.layout = next(iter(known.items()))
    elif present:
        group = next(iter(present))
        if options.box_format is None:
            raise InputRefused(
                f"{name}: {','.join(group)}: is x,y the top-left corner or the centre?",
                "--box-format xywh (corner) or cxcywh (centre)",
                code="box_corner_or_centre",
            )
    else:
        return
    found.box = tuple(folded[side] for side in group)


def looks_flat(names: Sequence[str]) -> bool:
    """A label, a confidence and a box among the column names."""
    folded = {name.strip().casefold() for name in names}
    boxed = "bbox" in folded or any(set(group) <= folded for group in BOXES)
    return boxed and all(folded & {target, *ALIASES[target]} for target in ("label", "confidence"))


class FlatCsv:
    """CSV and TSV with one row a box."""

    denominator = "unknown"
    layout = "xywh"
    takes_stem = True

    def __init__(self) -> None:
        self.mapping: dict[str, str] = {}
        self.known: tuple[str, ...] = ()
        """Columns that are used beside those of the mapping."""
        self._two_names = TwoNames()

    def fits(self, head: bytes) -> bool:
        """Text that is no JSON."""
        return not head.startswith(PARQUET) and head.lstrip()[:1] not in (b"{", b"[")

    def sniff(self, head: bytes, path: str) -> str | None:
        """A header with a label, a confidence and a box column."""
        if not self.fits(head) or b"\0" in head:
            return None
        names = header(head, path)
        if not looks_flat(names) or set(names) >= SUPERVISION:
            return None
        return "a CSV header with label, confidence and box columns"

    def prepare(self, source: Input, options: Options) -> Options:
        """Settle the columns."""
        names = _names(source, options)
        found = columns_of(names, options, source.name)
        self.columns, self.layout, self.mapping = found, found.layout, found.mapping
        self.names = names
        return options

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file."""
        mark = separator(source.head, source.name)
        has_header = not _numbered(options)
        if options.image_is_file:
            yield from self._read_each(source, mark, has_header=has_header)
        else:

            def rows_of(piece: Piece, keys_only: bool) -> BoxRows:
                columns = self.columns.grouped() if keys_only else self.columns
                cells = parsed(piece, self.names, mark, self._kinds(columns), has_header=has_header)
                return self._rows(cells, columns, has_header=has_header and piece.line == 1)

            yield from in_pieces(source, rows_of)

    def _kinds(self, columns: Columns) -> dict[str, str]:
        """What is read in each column that is needed."""
        fields, box = columns.fields, columns.box
        numbers = {*(box if len(box) == 4 else ()), *(fields[target] for target in NUMBERS if target in fields)}
        texts = {*(box if len(box) == 1 else ()), *(fields[target] for target in fields if target not in NUMBERS)}
        texts |= {name for name in self.names if "label" in fields and name.casefold() in CLASS_IDS}
        return {name: TEXT if name in texts else NUMBER for name in self.names if name in texts | numbers}

    def _read_each(self, source: Input, mark: str, *, has_header: bool) -> Iterator[Chunk]:
        """The records of files that are of one image each; a file without rows is an image without detections."""
        files = source.each()
        while some := list(islice(files, FILES)):
            cells = _of_each(some, self.names, mark, has_header=has_header)
            yield from records(self._rows(cells, self.columns, has_header=has_header))

    def _rows(self, cells: Cells, columns: Columns, *, has_header: bool) -> BoxRows:
        found, faults = columns_as_fields(cells.table, columns)
        used = {*self.columns.fields.values(), *self.columns.box, *self.known}
        unknown = [(k, name) for k, name in enumerate(self.names, 1) if name not in used] if has_header else []
        shown = [f"`{name}`" if name.strip() else f"{k}, which has no name," for k, name in unknown]
        seen = [Seen("unknown_field", f"column {column} is not used") for column in shown]
        seen += self._two_names(cells, columns)
        return BoxRows(found, cells.line, cells.raw, faults, cells.rejects, seen)


def header(head: bytes, path: str) -> list[str]:
    """The cells of the first line."""
    line = first_line(head)
    mark = separator(head, path)
    if mark == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=mark[0], skipinitialspace=mark == SPACED), [])
    except csv.Error:
        return []


def first_line(data: bytes) -> str:
    """The first line that has something in it."""
    text = data[:LONGEST_HEAD].decode("utf-8", "replace").lstrip("\ufeff")
    return next((line for line in text.splitlines() if line.strip()), "")


def separator(head: bytes, path: str) -> str:
    """The delimiter, or SPACED where a space follows each comma of the first line: it belongs to no cell."""
    line, mark = first_line(head), delimiter(head, path)
    return SPACED if mark == "," and 0 < line.count(",") == line.count(SPACED) else mark


def delimiter(head: bytes, path: str) -> str:
    """Tab for `.tsv`; else comma, tab or space, which the first line has; comma when it has none of them.

    Space stands for any run of them. A line with semicolons is not taken for words.
    """
    first = head.lstrip().split(b"\n", 1)[0].strip()
    if path.endswith((".tsv", ".tsv.gz")):
        return "\t"
    return next((mark for mark in (",", "\t", ";", " ") if mark.encode() in first), ",").replace(";", ",")


def _numbered(options: Options) -> bool:
    """Whether `--map FIELD=#N` says that there is no header."""
    return any(re.match(r"#\d+", path) for path in options.map.values())


def _names(source: Input, options: Options) -> list[str]:
    cells = header(source.head, source.name)
    if _numbered(options):
        return [f"#{k}" for k in range(1, len(cells) + 1)]
    if not cells or any(_is_number(cell) for cell in cells):
        raise InputRefused(f"{source.name}: the first line is no header", "--map FIELD=#N", code="no_header")
    return cells


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def columns_as_fields(table: pa.Table, columns: Columns) -> tuple[dict[str, pa.Array], dict[int, Any]]:
    """Fields of records and boxes, and the faults of rows."""
    import pyarrow as pa

    faults: dict[int, tuple[str | None, str, str]] = {}
    found: dict[str, pa.Array] = {}
    for target, column in columns.fields.items():
        values = whole(table[column])
        found[target] = to_numbers(values, target, faults) if target in NUMBERS else values
    found.update(_sides(table, columns, faults))
    n = table.num_rows
    found.setdefault("label", pa.nulls(n, pa.string()))
    for name in ("confidence", *SIDES):
        found.setdefault(name, pa.nulls(n, pa.float64()))
    return found, faults


class TwoNames:
    """Class ids that go with two labels: probably two models in one log. Told once."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._found_at: int | None = None

    def __call__(self, cells: Cells, columns: Columns) -> list[Seen]:
        """What was found in these rows; nothing once it was in rows before."""
        import pyarrow as pa

        table, first = cells.table, int(cells.line[0]) if len(cells.line) else 0
        label = columns.fields.get("label")
        number = next((name for name in table.column_names if name.casefold() in CLASS_IDS), None)
        told = self._found_at not in (None, first)
        if told or label is None or number is None or label == number:
            return []
        text = pa.string()
        both = pa.table({number: table[number].cast(text), label: table[label].cast(text)})
        for row in both.group_by([number, label], use_threads=False).aggregate([]).to_pylist():
            known = self._labels.setdefault(row[number], row[label])
            if None not in row.values() and known != row[label]:
                what = f"id {row[number]} is both {known} and {row[label]}: two models? hint: --map model_id=COLUMN"
                self._found_at = first
                return [Seen("two_names", what)]
        return []


@dataclass
class Piece:
    """Whole rows of a text file: its bytes, the number of its first line, and how to get the bytes again."""

    data: bytes
    line: int
    again: Callable[[], bytes]


RowsOf = Callable[[Piece, bool], BoxRows]
"""The rows of a piece; or only what says which record they belong to."""


def in_pieces(source: Input, rows_of: RowsOf) -> Iterator[Chunk]:
    """The records of a text file with a row a box."""
    file = source.as_file()
    size = os.fstat(file.fileno()).st_size
    yield from pieced(partial(_pieces, file, size, rows_of), large=size > HELD)


def _pieces(file: BinaryIO, end: int, rows_of: RowsOf, keys_only: bool) -> Iterator[BoxRows]:
    """The rows of a file up to byte `end`. The last run of a piece is read again, with the next."""

    def read(start: int, size: int) -> bytes:
        file.seek(start)
        return file.read(size)

    start, line, size = 0, 1, BLOCK
    while start < end:
        data = read(start, min(size, end - start))
        if start + len(data) < end:
            data = data[: _whole_rows(data)]
        if not data:  # not one row
            size *= 2
            continue
        rows = rows_of(Piece(data, line, partial(read, start, len(data))), keys_only)
        last = start + len(data) >= end
        kept = len(rows.line) if last or not len(rows.line) else int(rows.runs[-1])
        if kept < min(len(rows.line), 1):  # all of it is one record
            size *= 2
            continue
        lines, size = count(data, NEWLINE), BLOCK
        used = len(data)
        if kept < len(rows.line):
            lines_left = line + lines - int(rows.line[kept])
            for _ in range(lines_left + 1):
                used = data.rfind(b"\n", 0, used)
            used, lines = used + 1, lines - lines_left
            rows = rows.head(kept)
        start, line = start + used, line + lines
        yield rows


def _whole_rows(data: bytes) -> int:
    """Where the last line of a text ends that does not end within quotes."""
    end = data.rfind(b"\n") + 1
    quotes = count(memoryview(data)[:end], QUOTE) if b'"' in data else 0
    while quotes % 2:
        before = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


@dataclass
class Cells:
    """Rows of a text file: columns by name, the line of each row, and what gives rows as found."""

    table: pa.Table
    line: NDArray[np.int64]
    raw: Callable[[Sequence[int]], list[str]]
    rejects: list[Reject] = field(default_factory=list)


def parsed(piece: Piece, names: list[str], mark: str, kinds: Mapping[str, str], *, has_header: bool) -> Cells:
    """The columns of `kinds`: numbers, or text (dictionaries: a value that is in many rows is kept once).

    Where a number is none, all of them come as text; where a row has another number of cells (it is rejected), or is
    not one line, so do all other columns.
    """
    import numpy as np

    data = _normal(piece.data, mark)
    unique = [f"{name}\0{k}" if name in names[:k] else name for k, name in enumerate(names)]
    skipped = int(has_header and piece.line == 1)
    lines = count(data, NEWLINE) + (not data.endswith(b"\n"))
    if mark == SPACED:
        return _parsed_slowly(data, unique, mark, piece.line, has_header=has_header)
    for wanted in (kinds, dict.fromkeys(kinds, TEXT)):
        table = _columns(data, unique, mark, wanted, skipped=skipped)
        if table is not None and table.num_rows == lines - skipped:
            numbers = np.arange(piece.line + skipped, piece.line + lines)
            return Cells(table, numbers, _Lines(piece.again, mark, skipped))
    return _parsed_slowly(data, unique, mark, piece.line, has_header=has_header)


def _normal(data: bytes, mark: str) -> bytes:
    """Without byte-order mark; one space between cells where any number of them is."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return b"\n".join(b" ".join(line.split()) for line in data.splitlines()) if mark == " " else data


def _columns(data: bytes, names: list[str], mark: str, kinds: Mapping[str, str], *, skipped: int) -> pa.Table | None:
    """Some columns of rows that all have the same number of cells; None when they do not, or a number is none."""
    import pyarrow as pa
    import pyarrow.csv as pc

    types = {TEXT: pa.dictionary(pa.int32(), pa.string()), NUMBER: pa.float64()}
    read = pc.ReadOptions(column_names=names, skip_rows=skipped, use_threads=False, block_size=max(len(data), 1))
    parse = pc.ParseOptions(delimiter=mark, newlines_in_values=b'"' in data)
    convert = pc.ConvertOptions(
        column_types={name: types[kind] for name, kind in kinds.items()},
        include_columns=list(kinds),
        null_values=[""],
        strings_can_be_null=True,
    )
    try:
        return pc.read_csv(pa.BufferReader(data), read, parse, convert)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None


class _Lines:
    """The lines of a text, which is read again when the first is asked for; `skipped` of them are no rows."""

    def __init__(self, again: Callable[[], bytes], mark: str, skipped: int) -> None:
        self._again = again
        self._mark = mark
        self._skipped = skipped

    def __call__(self, rows: Sequence[int]) -> list[str]:
        data, ends = self._data, self._ends
        spans = ((ends[row + self._skipped] + 1, ends[row + self._skipped + 1]) for row in rows)
        return [
            data[begin : min(end, begin + 4 * RAW_KEPT)].decode("utf-8", "replace").rstrip("\r") for begin, end in spans
        ]

    @cached_property
    def _data(self) -> bytes:
        return _normal(self._again(), self._mark)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where lines end, with that before the first."""
        import numpy as np

        found = np.flatnonzero(np.frombuffer(self._data, np.uint8) == NEWLINE)
        return np.concatenate([[-1], found, [len(self._data)]])


def _parsed_slowly(data: bytes, names: list[str], mark: str, line: int, *, has_header: bool) -> Cells:
    """The same, cell by cell, with exact lines; `line` is the number of the first."""
    import numpy as np
    import pyarrow as pa

    rows: list[list[str | None]] = []
    lines: list[int] = []
    tables = [pa.table({name: pa.array([], pa.string()) for name in names})]
    rejects: list[Reject] = []
    for found in _cells(data, len(names), mark, has_header=has_header, header_left=has_header and line == 1):
        if isinstance(found, Reject):
            rejects.append(replace(found, line=found.line + line - 1))
            continue
        lines.append(found[0] + line - 1)
        rows.append(found[1])
        if len(rows) == ROWS:
            tables.append(_as_table(rows, names))
            rows = []
    table = pa.concat_tables([*tables, _as_table(rows, names)])
    return Cells(table, np.array(lines, np.int64), row_texts(table, mark), rejects)


def _of_each(files: Sequence[tuple[str, bytes]], names: list[str], mark: str, *, has_header: bool) -> Cells:
    """The cells of many small files, with the column `@stem`: the file's name without extension."""
    import numpy as np

    rows: list[list[str | None]] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    for name, data in files:
        stem = PurePath(name).stem
        before = len(rows), len(rejects)
        data = data.removeprefix(b"\xef\xbb\xbf")
        for found in _cells(data, len(names), mark, has_header=has_header, header_left=has_header):
            if isinstance(found, Reject):
                rejects.append(replace(found, raw=f"{stem}{mark}{found.raw}"[:RAW_KEPT]))
            else:
                lines.append(found[0])
                rows.append([stem, *found[1]])
        if before == (len(rows), len(rejects)):
            lines.append(1)
            rows.append([stem, *([None] * len(names))])
    table = _as_table(rows, [STEM, *names])
    return Cells(table, np.array(lines, np.int64), row_texts(table, mark), rejects)


def _cells(
    data: bytes, width: int, mark: str, *, has_header: bool, header_left: bool
) -> Iterator[tuple[int, list[str | None]] | Reject]:
    """The line and the cells of each row; one with another number of cells, or that is not UTF-8, is rejected."""
    text = data.decode("utf-8", "surrogateescape")
    damaged = ESCAPED.search(text) is not None

    def shown(cells: list[str]) -> str:
        return mark.join(cells).encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:RAW_KEPT]

    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark[0], skipinitialspace=mark == SPACED)
    before = 0
    while True:
        line = before + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Reject(line, None, "field_count", f"not CSV: {error}", "")
            before = reader.line_num
            continue
        if cells is None:
            return
        before = reader.line_num
        if mark == " ":
            cells = [cell for cell in cells if cell]
        if not cells or (len(cells) == 1 and width > 1 and not cells[0].strip()):
            continue
        if header_left:
            header_left = False
            continue
        if len(cells) != width:
            reason = (
                f"{len(cells)} fields, the header has {width}" if has_header else f"{len(cells)} fields, not {width}"
            )
            yield Reject(line, None, "field_count", reason, shown(cells))
            continue
        if damaged and any(map(ESCAPED.search, cells)):
            yield Reject(line, None, "bad_text", "not UTF-8: write the file as UTF-8", shown(cells))
            continue
        yield line, [cell or None for cell in cells]


def _as_table(rows: list[list[str | None]], names: list[str]) -> pa.Table:
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], names)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole


def row_texts(table: pa.Table, mark: str) -> Callable[[Sequence[int]], list[str]]:
    """What gives rows of the table as lines."""

    def texts(rows: Sequence[int]) -> list[str]:
        found = table.take(list(rows)).to_pylist()
        return [mark.join("" if cell is None else str(cell) for cell in row.values()) for row in found]

    return texts


def to_numbers(values: pa.Array, name: str, faults: dict[int, Any]) -> pa.Array:
    """Text as numbers; what is none is a fault of its row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shown = "bbox" if name in SIDES else name
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not pa.types.is_string(values.type):
        kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
        if any(of(values.type) for of in kinds):
            return values.cast(pa.float64(), safe=False)
        for row in range(len(values)):
            if values[row].is_valid:
                faults.setdefault(row, (shown, "wrong_type", f"`{shown}` is {values.type}"))
        return pa.nulls(len(values), pa.float64())
    trimmed = pc.utf8_trim_whitespace(values)
    trimmed = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
    try:
        return trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    found: list[float | None] = []
    for row, text in enumerate(trimmed.to_pylist()):
        number = None
        if text is not None:
            try:
                number = float(text)
            except ValueError:
                faults.setdefault(row, (shown, "wrong_type", f"`{shown}` is text: {text[:40]!r}"))
        found.append(number)
    return pa.array(found, pa.float64())


def _sides(table: pa.Table, columns: Columns, faults: dict[int, Any]) -> dict[str, pa.Array]:
    import pyarrow as pa

    if len(columns.box) == 4:
        cells = [whole(table[column]) for column in columns.box]
        return {side: to_numbers(values, side, faults) for side, values in zip(SIDES, cells, strict=True)}
    if len(columns.box) != 1:
        return {}
    found: list[list[float | None]] = []
    for row, cell in enumerate(table[columns.box[0]].to_pylist()):
        box = _one_cell(cell)
        if box is None:
            faults.setdefault(row, ("bbox", "bad_box", f"bbox {str(cell)[:80]}"))
        found.append(box or [None] * 4)
    return {side: pa.array([box[k] for box in found], pa.float64()) for k, side in enumerate(SIDES)}


def _one_cell(cell: Any) -> list[float | None] | None:
    """A box in one cell, `[105,48,227,177]`; None when it is none."""
    if cell is None:
        return [None] * 4
    if isinstance(cell, dict):
        cell = [cell.get(side) for side in SIDES]
    parts = cell if isinstance(cell, list) else re.split(r"[,;\s]+", str(cell).strip().strip("[]()").strip())
    try:
        numbers: list[float | None] = [float(part) for part in parts]
    except (ValueError, TypeError):
        return None
    return numbers if len(numbers) == 4 else None


class FlatParquet:
    """Parquet with one row a box."""

    denominator = "unknown"
    layout = "xywh"

    def __init__(self) -> None:
        self.mapping: dict[str, str] = {}

    def fits(self, head: bytes) -> bool:
        """A Parquet file."""
        return head.startswith(PARQUET)

    def sniff(self, head: bytes, path: str) -> str | None:
        """Label, confidence and box columns."""
        from detmon.formats.parquet import open_parquet

        if not self.fits(head):
            return None
        names = open_parquet(path, path).schema_arrow.names
        if "detections" in names or not looks_flat(names):
            return None
        return "Parquet with label, confidence and box columns"

    def prepare(self, source: Input, options: Options) -> Options:
        """Settle the columns."""
        from detmon.formats.parquet import open_parquet

        names = open_parquet(str(source.as_path()), source.name).schema_arrow.names
        self.columns = columns_of(names, options, source.name)
        self.layout, self.mapping = self.columns.layout, self.columns.mapping
        return options

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file."""
        from detmon.formats.parquet import open_parquet

        path = str(source.as_path())
        n = open_parquet(path, source.name).metadata.num_rows
        yield from pieced(partial(self._pieces, path, source.name, n), large=n > HELD_ROWS)

    def _pieces(self, path: str, name: str, n: int, keys_only: bool) -> Iterator[BoxRows]:
        """The `n` rows of a file. The last run of a piece goes to the next."""
        import pyarrow as pa

        from detmon.formats.parquet import open_parquet, tables

        columns = self.columns.grouped() if keys_only else self.columns
        texts = [column for target, column in columns.fields.items() if target not in NUMBERS]
        wanted = [*columns.fields.values(), *columns.box]
        left: list[pa.Table] = []
        line, least = 1, 0
        for table in tables(open_parquet(path, name, texts), wanted, name, PIECE_ROWS):
            table = pa.concat_tables([*left, table])
            table = pa.table([whole(column) for column in table.columns], table.column_names)
            end = line + table.num_rows > n
            if table.num_rows < least and not end:
                left = [table]
                continue
            rows = _table_rows(table, columns, line)
            kept = table.num_rows if end else int(rows.runs[-1])
            least = 0 if kept else 2 * table.num_rows  # all of it is one record
            left, line = [_compact(table.slice(kept))] if kept else [table], line + kept
            if kept:
                yield rows if end else rows.head(kept)


def _table_rows(table: pa.Table, columns: Columns, line: int) -> BoxRows:
    """The rows of a table, of which `line` is the number of the first."""
    import numpy as np
    import pyarrow as pa

    from detmon.formats.chunk import rows_as_json

    n = table.num_rows
    faults: dict[int, tuple[str | None, str, str]] = {}
    found: dict[str, Any] = {"label": pa.nulls(n, pa.string())}
    for target, column in columns.fields.items():
        values = _plain(table[column]) if target in NUMBERS else whole(table[column])
        found[target] = to_numbers(values, target, faults) if target in NUMBERS else values
        if target == "confidence" and pa.types.is_string(values.type):
            there = values.is_valid().to_numpy(zero_copy_only=False).nonzero()[0]
            faults.update((int(row), (target, "wrong_type", "`confidence` is text")) for row in there)
    found.update(_sides(table, columns, faults))
    for name in ("confidence", *SIDES):
        found.setdefault(name, pa.nulls(n, pa.float64()))
    shown = table.append_column("line", pa.array(np.arange(n)))
    return BoxRows(found, np.arange(line, line + n), lambda some: rows_as_json(shown, some), faults)


def _compact(table: pa.Table) -> pa.Table:
    """A few rows, with no value in their dictionaries that is not in the rows."""
    import pyarrow as pa

    for place, (name, kind) in enumerate(zip(table.column_names, table.schema.types, strict=True)):
        if pa.types.is_dictionary(kind):
            values = whole(table[name]).dictionary_decode()
            table = table.set_column(place, name, values.dictionary_encode())
    return table


def _plain(column: Any) -> Any:
    """One array; a dictionary's values, and short strings for long ones."""
    import pyarrow as pa

    found = whole(column)
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    return found.cast(pa.string()) if pa.types.is_large_string(found.type) else found
