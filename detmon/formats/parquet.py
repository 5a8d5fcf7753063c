"""Canonical Parquet: one row an inference, detections nested."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from detmon.errors import OperationError, nearest
from detmon.formats.chunk import CANONICAL, Chunk, Seen, of_batch
from detmon.formats.contract import Options
from detmon.formats.inputs import PARQUET, Input

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 30_000
"""Records of a chunk: few enough for its arrays to reuse the memory of the one before."""
MOST_BYTES = 100_000_000
"""Bytes of a chunk, about: rows with many boxes are read in smaller pieces."""
LOOKED_GROUPS, LOOKED_ROWS = 4, 100
"""Row groups, and rows of each, that tell how large rows are."""


class Parquet:
    """Canonical records in Parquet."""

    denominator = "known"

    def fits(self, head: bytes) -> bool:
        """A Parquet file."""
        return head.startswith(PARQUET)

    def sniff(self, head: bytes, path: str) -> str | None:
        """Columns `image_id` and `detections`."""
        if not self.fits(head):
            return None
        names = open_parquet(path, path).schema_arrow.names
        return "Parquet with columns `image_id` and `detections`" if {"image_id", "detections"} <= set(names) else None

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records, in row order."""
        file = open_parquet(str(source.as_path()), source.name)
        names = file.schema_arrow.names
        wanted = columns_of(names, options.map)
        seen = _unknown(names, wanted, options)
        line = 1
        for table in tables(file, wanted, source.name):
            n = table.num_rows
            if options.map:
                table = mapped(table, options.map)
            chunk = of_batch(table, line)
            chunk.seen, seen = seen, []
            line += n
            yield chunk


def open_parquet(path: str, name: str, repeated: Collection[str] = ()) -> pq.ParquetFile:
    """The file, or an OperationError when it is cut off or none at all.

    Texts of the columns `repeated` are read as dictionaries: a value that is in many rows is kept once.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, pre_buffer=False, read_dictionary=list(repeated))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = str(error).splitlines()[0]
        raise OperationError(f"{name} is cut off or damaged: {text}", code="unreadable") from None


def read_columns(path: str, name: str, columns: list[str] | None, repeated: Collection[str] = ()) -> pa.Table:
    """Some columns (None: all) of a file at once; `repeated`: as in `open_parquet`."""
    import pyarrow as pa

    try:
        table = open_parquet(path, name, repeated).read(columns)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError) as error:
        text = str(error).splitlines()[0]
        raise OperationError(f"{name} is cut off or damaged: {text}", code="unreadable") from None


def tables(file: pq.ParquetFile, columns: list[str], name: str, rows: int | None = None) -> Iterator[pa.Table]:
    """Some columns, in pieces of bounded size (`rows`, if given); OperationError when the file is damaged."""
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=rows or _rows(file, columns), columns=columns):
            batch.validate(full=True)
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        text = str(error).splitlines()[0]
        raise OperationError(f"{name} is cut off or damaged: {text}", code="unreadable") from None


def _rows(file: pq.ParquetFile, columns: list[str]) -> int:
    """Rows of a piece, by the largest rows at the start of some row groups.

    Not by the metadata of columns: in a damaged file they end the process.
    """
    most = MOST_BYTES / ROWS
    for group in range(0, file.num_row_groups, max(1, file.num_row_groups // LOOKED_GROUPS)):
        for batch in islice(file.iter_batches(batch_size=LOOKED_ROWS, row_groups=[group], columns=columns), 1):
            most = max(most, batch.nbytes / batch.num_rows)
    return max(1, int(MOST_BYTES / most))


def columns_of(names: list[str], mapping: Any) -> list[str]:
    """The columns that are fields, or that fields are mapped from."""
    mapped_from = {path.split(".")[0] for field, path in mapping.items() if not field.startswith("detections.")}
    return [name for name in names if name in CANONICAL or name in mapped_from]


def _unknown(names: list[str], wanted: list[str], options: Options) -> list[Seen]:
    if options.map:
        return []
    found = []
    for name in names:
        if name not in wanted:
            alike = nearest(name, CANONICAL)
            hint = f" (did you mean `{alike}`?)" if alike else ""
            found.append(Seen("unknown_field", f"`{name}` is not a field{hint}"))
    return found


def mapped(table: pa.Table, mapping: Any) -> pa.Table:
    """The table with its columns under canonical names; `detections.FIELD` renames a field of the boxes."""
    import pyarrow as pa

    columns = {name: table[name] for name in table.column_names if name in CANONICAL}
    inner = {}
    for field, path in mapping.items():
        if field.startswith("detections."):
            inner[field.removeprefix("detections.")] = path
        else:
            columns[field] = _at(table, path)
    if inner and "detections" in columns:
        columns["detections"] = _renamed(columns["detections"], inner)
    return pa.table(columns)


def _at(table: pa.Table, path: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if path in table.column_names:
        return table[path]
    first, *rest = path.split(".")
    if first not in table.column_names:
        return pa.nulls(table.num_rows)
    column = table[first]
    for part in rest:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
            return pa.nulls(table.num_rows)
        column = pc.struct_field(column, part)
    return column


def _renamed(column: Any, inner: dict[str, str]) -> Any:
    import pyarrow as pa

    column = column.combine_chunks()
    structs = column.flatten()
    flat = pa.table(dict(zip([f.name for f in structs.type], structs.flatten(), strict=True)))
    parts = {name: flat[name] for name in flat.column_names}
    for field, path in inner.items():
        if "," in path:
            sides = [_at(flat, part).combine_chunks() for part in path.split(",")]
            parts[field] = pa.StructArray.from_arrays(sides, ["x", "y", "w", "h"])
        else:
            parts[field] = _at(flat, path)
    arrays = [part.combine_chunks() if isinstance(part, pa.ChunkedArray) else part for part in parts.values()]
    boxes = pa.StructArray.from_arrays(arrays, list(parts))
    import pyarrow.compute as pc

    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    import numpy as np

    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, boxes, mask=column.is_null() if column.null_count else None)
