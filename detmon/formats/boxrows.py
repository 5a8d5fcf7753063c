"""Logs with one row a box: rows → records, whatever the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from detmon.formats.chunk import BOX_FIELDS, CANONICAL, RAW_KEPT, Chunk, Seen
from detmon.formats.contract import Reject

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Places = NDArray[np.int64]
    Flags = NDArray[np.bool_]

RECORD = tuple(name for name in CANONICAL if name != "detections")
KEY = ("model_id", "source", "image_id", "timestamp")
GROUPED = (*KEY, "prediction_id")
"""What says which rows belong to one record."""
SIDES = ("x", "y", "w", "h")
RECORDS_OF_A_CHUNK = 30_000
"""Few enough for the arrays of a chunk to reuse the memory of the one before; untouched memory is dear."""


@dataclass
class BoxRows:
    """All rows of a file, in columns.

    `columns`: fields of the record and of the box (the box as its four sides), each as long as the file; `line`: the
    line of each row; `faults`: row → field, code, reason; `raw(rows)`: rows as found.
    """

    columns: Mapping[str, pa.Array]
    line: Places
    raw: Callable[[Sequence[int]], list[str]]
    faults: dict[int, tuple[str | None, str, str]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    _changes: dict[str, Flags] = field(default_factory=dict)

    def changes(self, name: str) -> Flags:
        """Where the value of a column differs from the one before."""
        if name not in self._changes:
            self._changes[name] = _changes(self.columns[name])
        return self._changes[name]

    @property
    def runs(self) -> Places:
        """Where rows begin that follow one another and belong to one record."""
        import numpy as np

        new = np.zeros(len(self.line), bool)
        new[:1] = True
        for name in _keys(self.columns):
            new |= self.changes(name)
        if "image_id" in self.columns and self.columns["image_id"].null_count:
            new |= self.columns["image_id"].is_null().to_numpy(zero_copy_only=False)
        return np.flatnonzero(new)

    def head(self, n: int) -> BoxRows:
        """The first `n` rows, and the rejects before the next."""
        end = self.line[n]
        return replace(
            self,
            columns={name: column.slice(0, n) for name, column in self.columns.items()},
            line=self.line[:n],
            faults={row: fault for row, fault in self.faults.items() if row < n},
            rejects=[reject for reject in self.rejects if reject.line < end],
            _changes={name: changed[:n] for name, changed in self._changes.items()},
        )


def pieced(read: Callable[[bool], Iterator[BoxRows]], *, large: bool) -> Iterator[Chunk]:
    """The records of a file that is read in pieces: `read(True)` gives their columns of `GROUPED` only.

    No piece ends within rows of one record that follow one another. Where other rows of a record are in another piece,
    all pieces become one. Whether they are is known when all were read: those of a `large` file are read twice.
    """
    if large:
        alone = _ascending(read(True)) or _apart(read(True))
        found = read(False) if alone else iter([_one_of(list(read(False)))])
    else:
        pieces = list(read(False))
        alone = len(pieces) == 1 or _ascending(iter(pieces)) or _apart(iter(pieces))
        found = _emptied(pieces if alone else [_one_of(pieces)])
    for rows in found:
        yield from records(rows)


def _emptied(pieces: list[BoxRows]) -> Iterator[BoxRows]:
    """The pieces, none of them kept."""
    while pieces:
        yield pieces.pop(0)


def _ascending(pieces: Iterator[BoxRows]) -> bool:
    """Whether all times of a piece, as they are written, come after those of the one before: records cannot mix."""
    import pyarrow as pa
    import pyarrow.compute as pc

    largest = None
    for rows in pieces:
        times = rows.columns.get("timestamp")
        if not len(rows.line):
            continue
        if times is None or times.null_count or pa.types.is_nested(times.type) or "prediction_id" in rows.columns:
            return False
        first = times.take(pa.array(rows.runs))
        ends = pc.min_max(first.dictionary_decode() if pa.types.is_dictionary(first.type) else first).as_py()
        if largest is not None and not largest < ends["min"]:
            return False
        largest = ends["max"]
    return True


def _apart(pieces: Iterator[BoxRows]) -> bool:
    """Whether no record has rows in two pieces, by hashes of what makes a record (equal ones are taken for equal)."""
    import numpy as np
    import pyarrow as pa

    from detmon.store import connect, statement

    hashes = []
    with connect() as con:
        for rows in pieces:
            runs = pa.array(rows.runs)
            first = {name: rows.columns[name].take(runs) for name in _keys(rows.columns)}
            absent = {"image_id": pa.array([""] * len(runs), pa.string())}
            absent |= {name: pa.nulls(len(runs), pa.string()) for name in GROUPED if name != "image_id"}
            con.register("runs", pa.table({**absent, **first}))
            hashes.append(np.unique(con.sql(statement("hash_runs")).to_arrow_table().column(0).to_numpy()))
            con.unregister("runs")
    found = np.sort(np.concatenate([*hashes, np.array([], np.uint64)]))
    return not bool((found[1:] == found[:-1]).any())


def _one_of(pieces: list[BoxRows]) -> BoxRows:
    """Pieces that follow one another as one."""
    import numpy as np
    import pyarrow as pa

    begins = np.cumsum([0, *(len(piece.line) for piece in pieces)])
    columns = {}
    for name in pieces[0].columns:
        parts = [piece.columns[name] for piece in pieces]
        if len({part.type for part in parts}) > 1:
            parts = [part.dictionary_decode() if pa.types.is_dictionary(part.type) else part for part in parts]
        columns[name] = pa.chunked_array(parts).unify_dictionaries().combine_chunks()

    def raw(some: Sequence[int]) -> list[str]:
        places = np.searchsorted(begins, some, "right") - 1
        found = zip(some, places.tolist(), strict=True)
        return [text for row, place in found for text in pieces[place].raw([row - int(begins[place])])]

    return BoxRows(
        columns,
        np.concatenate([piece.line for piece in pieces]),
        raw,
        {
            row + int(begin): fault
            for begin, piece in zip(begins, pieces, strict=False)
            for row, fault in piece.faults.items()
        },
        [reject for piece in pieces for reject in piece.rejects],
        [one for piece in pieces for one in piece.seen],
    )


def records(rows: BoxRows) -> Iterator[Chunk]:
    """Rows that belong to the same inference become one record, in the order of their first rows."""
    import numpy as np

    n = len(rows.line)
    seen, rejects = rows.seen, rows.rejects
    if not n and not rejects:
        return
    order, starts = _groups(rows)
    if order is not None:
        rows = _in_order(rows, order)
    fields, disagree = _record_fields(rows, starts)
    if disagree:
        seen = [*seen, Seen("group_disagrees", "{n} records have rows that disagree: the first value taken", disagree)]
    count = len(starts) - 1
    bad: dict[int, int] = {}  # the record of each faulty row, with its first one
    for row in sorted(rows.faults):
        bad.setdefault(int(np.searchsorted(starts, row, "right")) - 1, row)
    for begin in range(0, max(count, 1), RECORDS_OF_A_CHUNK):
        end = min(begin + RECORDS_OF_A_CHUNK, count)
        some = sorted(bad.keys() & set(range(begin, end))) if bad else []
        for k in some:
            text = "\n".join(rows.raw(range(starts[k], starts[k + 1])))[:RAW_KEPT]
            rejects.append(Reject(int(rows.line[bad[k]]), *rows.faults[bad[k]], text))
        groups = np.delete(np.arange(begin, end), np.array(some, np.int64) - begin)
        yield _chunk(rows, groups, starts, fields, rejects, seen)
        seen, rejects = [], []


def _in_order(rows: BoxRows, order: Places) -> BoxRows:
    """The rows in another order."""
    import numpy as np
    import pyarrow as pa

    picked = pa.array(order)
    place = np.argsort(order) if rows.faults else order
    return replace(
        rows,
        columns={name: column.take(picked) for name, column in rows.columns.items()},
        line=rows.line[order],
        raw=lambda some: rows.raw(order[list(some)].tolist()),
        faults={int(place[row]): fault for row, fault in rows.faults.items()},
        _changes={},
    )


def _chunk(
    rows: BoxRows,
    groups: Places,
    starts: Places,
    fields: Mapping[str, pa.Array],
    rejects: list[Reject],
    seen: list[Seen],
) -> Chunk:
    """Some records, whose rows follow one another; rows between them are left out, and so are those without a box."""
    import numpy as np
    import pyarrow as pa

    begin, end = (starts[groups[0]], starts[groups[-1] + 1]) if len(groups) else (0, 0)
    columns = {name: column.slice(begin, end - begin) for name, column in rows.columns.items()}
    line = rows.line[begin:end]
    lengths = np.diff(starts)[groups]
    kept = ~_empty(columns, len(line))
    if lengths.sum() < len(line):
        wanted = np.zeros(len(starts) - 1, bool)
        wanted[groups] = True
        first, last = groups[0], groups[-1] + 1
        kept &= np.repeat(wanted[first:last], np.diff(starts[first : last + 1]))
    offsets = np.concatenate([[0], np.cumsum(kept)])
    offsets = np.concatenate([[0], offsets[starts[groups + 1] - begin]])
    if not kept.all():
        columns = {name: column.filter(pa.array(kept)) for name, column in columns.items()}
        line = line[kept]
    parts = {"bbox": _bbox([columns[side] for side in SIDES]), "line": pa.array(line)}
    parts |= {name: columns[name] for name in BOX_FIELDS if name in columns}
    structs = pa.StructArray.from_arrays(list(parts.values()), list(parts))
    table = pa.table(
        {
            **{name: column.take(pa.array(groups)) for name, column in fields.items()},
            "detections": pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), structs),
            "line": pa.array(rows.line[starts[groups]]),
        }
    )

    def raw(some: Sequence[int]) -> list[str]:
        return ["\n".join(rows.raw(range(starts[group], starts[group + 1]))) for group in groups[list(some)]]

    return Chunk(table, raw, rejects, seen)


def _bbox(sides: list[pa.Array]) -> pa.Array:
    """Boxes as structs; null where all four sides are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not all(side.null_count for side in sides):
        return pa.StructArray.from_arrays(sides, list(SIDES))
    missing = pc.and_(pc.and_(sides[0].is_null(), sides[1].is_null()), pc.and_(sides[2].is_null(), sides[3].is_null()))
    return pa.StructArray.from_arrays(sides, list(SIDES), mask=missing)


def _empty(columns: Mapping[str, pa.Array], n: int) -> Flags:
    """Rows without label, confidence and box: an inference that found nothing."""
    import numpy as np

    parts = [columns[name] for name in ("label", "confidence", *SIDES)]
    empty = np.full(n, all(part.null_count for part in parts))
    for part in parts if empty.any() else ():
        empty &= part.is_null().to_numpy(zero_copy_only=False)
    return empty


def _changes(column: pa.Array) -> Flags:
    """Where a value differs from the one before; null equals null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    changed = np.zeros(len(column), bool)
    if not len(column) or column.null_count == len(column):
        return changed
    values = column.indices if pa.types.is_dictionary(column.type) else column
    if column.null_count:
        null = column.is_null().to_numpy(zero_copy_only=False)
        changed[1:] = null[1:] != null[:-1]
    differs = pc.not_equal(values.slice(1), values.slice(0, len(column) - 1)).fill_null(False)
    changed[1:] |= differs.to_numpy(zero_copy_only=False)
    return changed


def _keys(columns: Mapping[str, pa.Array]) -> list[str]:
    return [name for name in GROUPED if name in columns]


def _groups(rows: BoxRows) -> tuple[Places | None, Places]:
    """The order of the rows that puts each record's side by side (None: they are), and where each record starts then.

    Runs of equal rows are compared by their first rows. Rows that do not say which image they are of stand alone.
    """
    import numpy as np
    import pyarrow as pa

    n, runs, columns = len(rows.line), rows.runs, rows.columns
    group, count = _numbered({name: columns[name].take(pa.array(runs)) for name in _keys(columns)}, len(runs))
    new = np.diff(group, prepend=-1) != 0
    runs, group = runs[new], group[new]
    if len(runs) == count:
        return None, np.append(runs, n)
    group = np.repeat(group, np.diff(runs, append=n))
    return np.argsort(group, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(group))])


def _numbered(columns: Mapping[str, pa.Array], n: int) -> tuple[Places, int]:
    """The record of each row, numbered by first appearance, and how many there are."""
    import numpy as np

    group = np.zeros(n, np.int64)
    for name in KEY:
        if name in columns:
            group = _joined(group, _codes(columns[name]))
    if "image_id" in columns and columns["image_id"].null_count:
        lone = columns["image_id"].is_null().to_numpy(zero_copy_only=False)
        group = np.where(lone, n + np.arange(n), group)
    if "prediction_id" in columns:
        given = _codes(columns["prediction_id"])
        has = columns["prediction_id"].is_valid().to_numpy(zero_copy_only=False)
        group = np.where(has, given * 2, group * 2 + 1)
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse], len(first)


def _joined(one: Places, two: Places) -> Places:
    """Equal numbers where both are equal."""
    import numpy as np

    width = int(two.max(initial=0)) + 1
    if int(one.max(initial=0)) >= 2**61 // width:
        one = np.unique(one, return_inverse=True)[1].astype(np.int64)
    return one * width + two


def _codes(column: pa.Array) -> Places:
    """Equal numbers for equal values, null among them."""
    import numpy as np
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    codes: Places = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _record_fields(rows: BoxRows, starts: Places) -> tuple[dict[str, Any], int]:
    """The first value of each record's fields, and how many records have rows that disagree."""
    import numpy as np
    import pyarrow as pa

    count = len(starts) - 1
    fields = {}
    disagree = np.zeros(count, bool)
    for name in (name for name in RECORD if name in rows.columns):
        column, changed = rows.columns[name], rows.changes(name)
        changed[starts[:-1]] = False
        if changed.any():
            fields[name], differs = _first_values(column, starts)
            disagree |= differs
        else:
            fields[name] = column.take(pa.array(starts[:-1]))
        if pa.types.is_dictionary(column.type):
            fields[name] = fields[name].dictionary_decode()
    return fields, int(disagree.sum())


def _first_values(column: pa.Array, starts: Places) -> tuple[pa.Array, Flags]:
    """The first value of each record that is not null, and whether another follows."""
    import numpy as np
    import pyarrow as pa

    n = len(column)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    codes = _codes(column)
    first = np.minimum.reduceat(np.where(valid, np.arange(n), n), starts[:-1])
    low = np.minimum.reduceat(np.where(valid, codes, n + 1), starts[:-1])
    high = np.maximum.reduceat(np.where(valid, codes, -1), starts[:-1])
    return column.take(pa.array(first, mask=first == n)), (high >= 0) & (low != high)
