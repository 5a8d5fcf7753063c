"""Files of verdicts: CSV, JSON Lines (or an array) and Parquet, told apart by their content, into a table of text.

DuckDB reads a file whose every line is a whole row. Any other is read again row by row, so that a bad row is known by
its line and the others are kept.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from detmon.errors import InputRefused, OperationError, nearest
from detmon.formats.inputs import PARQUET, Input
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import pyarrow as pa

FIELDS = (
    "prediction_id", "detection_index", "feedback_type", "true_label", "bbox", "scope", "reviewer", "timestamp",
    "feedback_id",
)  # fmt: skip
ALIASES = {"type": "feedback_type"}
REQUIRED = ("prediction_id", "feedback_type")
MARKS = ",;\t"
"""What separates the cells of a CSV."""
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CHUNK = 50_000
SAMPLE = 10_000
RAW_KEPT = 2000
ARRAY = 1 << 30
"""A JSON array is read at once; it may have so many bytes."""


@dataclass(frozen=True)
class Columns:
    """Where the fields stand in a file, and the columns that are none."""

    fields: dict[str, str]
    """Column → field."""
    others: tuple[str, ...]

    def completed(self) -> Columns:
        """With the fields that objects further on may have."""
        missing = [name for name in FIELDS if name not in self.fields.values()]
        return Columns({**self.fields, **{name: name for name in missing}}, self.others)

    def unknown(self) -> dict[str, str | None]:
        """Each column that is ignored, with the field that was perhaps meant."""
        return {name: nearest(name, FIELDS) for name in self.others}


@dataclass(frozen=True)
class Row:
    """One row, its cells in the order of FIELDS; or, with a `problem`, a row that cannot be read."""

    line: int
    cells: Sequence[str | None]
    problem: tuple[str, str] | None = None
    raw: str = ""


def load(con: Connection, data: Input) -> tuple[str, Columns]:
    """Fill the tables `given` (line, and FIELDS as text) and `broken` of `con`; returns the format and the columns.

    Raises InputRefused for a file without the needed columns, OperationError for one that cannot be read.
    """
    import pyarrow as pa

    con.execute(statement("make_given"))
    head = data.head
    if head.startswith(PARQUET):
        return "parquet", _parquet(con, data)
    first = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if first == b"[":
        return "json", _json_array(con, data)
    read = _json_lines if first == b"{" else _csv
    try:
        return ("jsonl" if first == b"{" else "csv"), read(con, data)
    except pa.ArrowException as error:
        raise OperationError(f"{data.name} cannot be read: {error}", code="unreadable") from None


def columns_of(names: Iterable[str], source: str) -> Columns:
    """The fields among a file's columns; raises InputRefused when one is missing or there twice."""
    fields: dict[str, str] = {}
    others = []
    for name in names:
        folded = name.strip().casefold()
        field = ALIASES.get(folded, folded)
        if field not in FIELDS:
            others.append(name)
        elif field in fields.values():
            raise InputRefused(f"{source}: two columns give `{field}`", "leave one of them out", code="two_columns")
        else:
            fields[name] = field
    for field in REQUIRED:
        if field not in fields.values():
            shown = ", ".join(others[:20]) or "none"
            hint = f"columns: {', '.join(FIELDS)}; here unknown: {shown}"
            raise InputRefused(f"{source} has no column `{field}`", hint, code="no_header")
    return Columns(fields, tuple(others))


# --- Parquet ---


def _parquet(con: Connection, data: Input) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(data.as_path()) as file:
            found = columns_of(file.schema_arrow.names, data.name)
            line = 1
            for batch in file.iter_batches(CHUNK, columns=list(found.fields)):
                table = pa.Table.from_batches([batch])
                table = table.rename_columns([found.fields[name] for name in table.column_names])
                table = pa.table({name: _text(table[name]) for name in table.column_names})
                _add(con, table.append_column("line", pa.array(range(line, line + len(table)), pa.int64())))
                line += len(table)
            return found
    except (pa.ArrowException, OSError) as error:
        raise OperationError(f"{data.name} is cut off or damaged: {error}", code="unreadable") from None


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose cast to text DuckDB can do alike for all: dictionaries and bytes unpacked."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()) if pa.types.is_binary(column.type) else column


# --- CSV ---


def _csv(con: Connection, data: Input) -> Columns:
    mark, names = _header(data)
    found = columns_of(names, data.name)
    path = data.as_path()
    headed = data.head[:1] not in (b"\r", b"\n") and not data.head.startswith(WIDE)
    if headed and _csv_at_once(con, str(path), mark, names, found):
        return found
    encoding = "utf-16" if data.head.startswith(WIDE) else "utf-8-sig"
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as text:
        _slowly(con, _csv_rows(text, mark, names, found))
    return found


def _header(data: Input) -> tuple[str, list[str]]:
    """What separates the cells, and the names in the first line."""
    wide = data.head.startswith(WIDE)
    text = data.head.decode("utf-16" if wide else "utf-8-sig", "replace")
    line = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(MARKS, key=line.count)
    try:
        return mark, next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return mark, []


def _csv_at_once(con: Connection, path: str, mark: str, names: Sequence[str], found: Columns) -> bool:
    """Whether DuckDB could read the file, and its lines are its rows."""
    import duckdb

    columns = {found.fields.get(name, f"other {place}"): "VARCHAR" for place, name in enumerate(names)}
    try:
        with con.cursor() as reader:
            rows = reader.read_csv(
                path, header=False, skiprows=1, delimiter=mark, quotechar='"', escapechar='"', columns=columns,
                all_varchar=True, auto_detect=False,
            )  # fmt: skip
            return _taken(con, rows, {}, path, header=1)
    except duckdb.Error:
        con.execute("DELETE FROM given")
        return False


def _csv_rows(text: io.TextIOBase, mark: str, names: Sequence[str], found: Columns) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=mark)
    places = {found.fields[name]: place for place, name in enumerate(names) if name in found.fields}
    order = [places.get(field) for field in FIELDS]
    headed, line = False, 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(line, (), ("field_count", f"not CSV: {error}"))
            cells = []
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            if headed:
                yield _csv_row(line, cells, order, len(names), mark)
            headed = True
        line = reader.line_num + 1


def _csv_row(line: int, cells: list[str], order: Sequence[int | None], n: int, mark: str) -> Row:
    if len(cells) != n:
        problem = ("field_count", f"{len(cells)} fields, the header has {n}")
        return Row(line, (), problem, mark.join(cells))
    return Row(line, [cells[place] or None if place is not None else None for place in order])


# --- JSON ---


def _json_lines(con: Connection, data: Input) -> Columns:
    path = data.as_path()
    with path.open("rb") as lines:
        keys = _keys(_object(line) for line in islice(lines, SAMPLE))
    found = columns_of(keys, data.name).completed()
    if _json_at_once(con, str(path), found):
        return found
    with path.open("rb") as lines:
        _slowly(con, _json_rows(enumerate(lines, 1), found))
    return found


def _json_at_once(con: Connection, path: str, found: Columns) -> bool:
    import duckdb

    try:
        with con.cursor() as reader:
            rows = reader.read_json(path, columns=dict.fromkeys(found.fields, "VARCHAR"), format="newline_delimited")
            return _taken(con, rows, found.fields, path, header=0)
    except duckdb.Error:
        con.execute("DELETE FROM given")
        return False


def _json_array(con: Connection, data: Input) -> Columns:
    content = b"".join(islice(data.blocks(), ARRAY >> 20))
    try:
        objects = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise OperationError(f"{data.name} is cut off or no JSON: {error}", code="unreadable") from None
    found = columns_of(_keys(objects), data.name)
    _slowly(con, (_json_row(line, one, found) for line, one in enumerate(objects, 1)))
    return found


def _keys(objects: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(key for one in objects if isinstance(one, dict) for key in one))


def _object(line: bytes) -> Any:
    try:
        return json.loads(line.removeprefix(codecs.BOM_UTF8))
    except (ValueError, RecursionError):
        return None


def _json_rows(lines: Iterable[tuple[int, bytes]], found: Columns) -> Iterator[Row]:
    for number, line in lines:
        if line.strip():
            one = _object(line)
            row = _json_row(number, one, found)
            yield row if isinstance(one, dict) else Row(number, (), row.problem, line.decode("utf-8", "replace"))


def _json_row(line: int, one: Any, found: Columns) -> Row:
    if not isinstance(one, dict):
        return Row(line, (), ("bad_json", "not a JSON object"), repr(one))
    values = {field: one.get(name) for name, field in found.fields.items()}
    cells = [values.get(field) for field in FIELDS]
    return Row(line, [cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells])


# --- into the tables ---


def _taken(con: Connection, rows: Any, fields: Mapping[str, str], path: str, *, header: int) -> bool:
    """Put what DuckDB reads into `given`, unless the file's lines are not its rows: then nothing stays there."""
    import pyarrow as pa

    count = 0
    for batch in rows.to_arrow_reader(CHUNK):
        table = pa.Table.from_batches([batch])
        table = table.rename_columns([fields.get(name, name) for name in table.column_names])
        first = count + header + 1
        count += len(table)
        line = pa.array(range(first, first + len(table)), pa.int64())
        _add(con, table.select([name for name in table.column_names if name in FIELDS]).append_column("line", line))
    if count + header == _lines(path):
        return True
    con.execute("DELETE FROM given")
    return False


def _lines(path: str) -> int:
    count, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def _slowly(con: Connection, rows: Iterator[Row]) -> None:
    import pyarrow as pa

    while some := list(islice(rows, CHUNK)):
        good, bad = [], []
        for row in some:
            problem = row.problem or _bad_text(row.cells)
            bad.append((row.line, *problem, _shown(row))) if problem else good.append(row)
        columns = zip(*(row.cells for row in good), strict=True) if good else ([] for _ in FIELDS)
        table = pa.table({field: pa.array(cells, pa.string()) for field, cells in zip(FIELDS, columns, strict=True)})
        _add(con, table.append_column("line", pa.array([row.line for row in good], pa.int64())))
        if bad:
            con.executemany("INSERT INTO broken VALUES (?, NULL, ?, ?, ?)", bad)


def _bad_text(cells: Sequence[str | None]) -> tuple[str, str] | None:
    for field, cell in zip(FIELDS, cells, strict=True):
        if cell is not None and not cell.isascii():
            try:
                cell.encode()
            except UnicodeEncodeError:
                return "bad_text", f"`{field}` is not UTF-8"
    return None


def _shown(row: Row) -> str:
    text = row.raw or json.dumps(dict(zip(FIELDS, row.cells, strict=False)), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()[:RAW_KEPT]


def _add(con: Connection, table: pa.Table) -> None:
    con.register("part", table)
    con.execute("INSERT INTO given BY NAME SELECT * FROM part")
    con.unregister("part")
