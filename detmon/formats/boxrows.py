"""Logs with one row a box: rows → records, whatever the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detmon.formats.chunk import CANONICAL, RAW_KEPT, Chunk, Seen
from detmon.formats.contract import Reject

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

RECORD = tuple(name for name in CANONICAL if name != "detections")
KEY = ("model_id", "source", "image_id", "timestamp")
SIDES = ("x", "y", "w", "h")
RECORDS_OF_A_CHUNK = 125_000


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


def records(rows: BoxRows) -> Iterator[Chunk]:
    """Rows that belong to the same inference become one record, in the order of their first rows."""
    import numpy as np

    seen, rejects = rows.seen, rows.rejects
    n = len(rows.line)
    if not n and not rejects:
        return
    group, count = _groups(rows.columns, n)
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=count))])
    fields, disagree = _record_fields(rows.columns, order, starts)
    if disagree:
        seen = [*seen, Seen("group_disagrees", "{n} records have rows that disagree: the first value taken", disagree)]
    bad = {int(group[row]): row for row in sorted(rows.faults, reverse=True)}
    box = ~_empty(rows.columns, n)
    for begin in range(0, max(count, 1), RECORDS_OF_A_CHUNK):
        end = min(begin + RECORDS_OF_A_CHUNK, count)
        some = [k for k in range(begin, end) if k not in bad] if bad else range(begin, end)
        for k in sorted(bad.keys() & set(range(begin, end))):
            row = bad[k]
            text = "\n".join(rows.raw(order[starts[k] : starts[k + 1]].tolist()))[:RAW_KEPT]
            rejects.append(Reject(int(rows.line[row]), *rows.faults[row], text))
        yield _chunk(rows, np.array(some, np.int64), order, starts, fields, box, rejects, seen)
        seen, rejects = [], []


def _chunk(
    rows: BoxRows,
    groups: Places,
    order: Places,
    starts: Places,
    fields: Mapping[str, pa.Array],
    box: NDArray[np.bool_],
    rejects: list[Reject],
    seen: list[Seen],
) -> Chunk:
    import numpy as np
    import pyarrow as pa

    lengths = starts[groups + 1] - starts[groups]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    picked = order[np.repeat(starts[groups], lengths) + within]
    kept = box[picked]
    counts = np.bincount(np.repeat(np.arange(len(groups)), lengths)[kept], minlength=len(groups))
    picked = picked[kept]
    sides = [rows.columns[side].take(picked) for side in SIDES]
    parts = {
        "label": rows.columns["label"].take(picked),
        "confidence": rows.columns["confidence"].take(picked),
        "bbox": _bbox(sides),
        "line": pa.array(rows.line[picked]),
        **{name: rows.columns[name].take(picked) for name in ("detection_id", "track_id") if name in rows.columns},
    }
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    structs = pa.StructArray.from_arrays(list(parts.values()), list(parts))
    table = pa.table(
        {
            **{name: column.take(groups) for name, column in fields.items()},
            "detections": pa.ListArray.from_arrays(offsets, structs),
            "line": pa.array(rows.line[order[starts[groups]]] if len(groups) else np.empty(0, np.int64)),
        }
    )

    def raw(some: Sequence[int]) -> list[str]:
        found = []
        for place in some:
            group = groups[place]
            found.append("\n".join(rows.raw(order[starts[group] : starts[group + 1]].tolist())))
        return found

    return Chunk(table, raw, rejects, seen)


def _bbox(sides: list[pa.Array]) -> pa.Array:
    """Boxes as structs; null where all four sides are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = pc.and_(pc.and_(sides[0].is_null(), sides[1].is_null()), pc.and_(sides[2].is_null(), sides[3].is_null()))
    return pa.StructArray.from_arrays(sides, list(SIDES), mask=missing)


def _empty(columns: Mapping[str, pa.Array], n: int) -> NDArray[np.bool_]:
    """Rows without label, confidence and box: an inference that found nothing."""
    import numpy as np

    empty = np.ones(n, bool)
    for name in ("label", "confidence", *SIDES):
        empty &= columns[name].is_null().to_numpy(zero_copy_only=False)
    return empty


def _groups(columns: Mapping[str, pa.Array], n: int) -> tuple[Places, int]:
    """The record of each row, numbered by first appearance, and how many there are."""
    import numpy as np

    group = np.zeros(n, np.int64)
    for name in KEY:
        if name in columns:
            group = _joined(group, _codes(columns[name]))
    if "prediction_id" in columns:
        given = _codes(columns["prediction_id"])
        has = columns["prediction_id"].is_valid().to_numpy(zero_copy_only=False)
        group = np.where(has, given * 2, group * 2 + 1)
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse], len(first)


def _joined(one: Places, two: Places) -> Places:
    import numpy as np

    both = one * (int(two.max(initial=0)) + 1) + two
    _, inverse = np.unique(both, return_inverse=True)
    joined: Places = inverse.astype(np.int64)
    return joined


def _codes(column: pa.Array) -> Places:
    """Equal numbers for equal values, null among them."""
    import numpy as np
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    codes: Places = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _record_fields(columns: Mapping[str, pa.Array], order: Places, starts: Places) -> tuple[dict[str, Any], int]:
    """The first value of each record's fields, and how many records have rows that disagree."""
    import numpy as np
    import pyarrow as pa

    n, count = len(order), len(starts) - 1
    fields = {}
    disagree = np.zeros(count, bool)
    for name in RECORD:
        if name not in columns:
            continue
        column = columns[name]
        if not count:
            fields[name] = pa.nulls(0)
            continue
        valid = column.is_valid().to_numpy(zero_copy_only=False)[order]
        first = np.minimum.reduceat(np.where(valid, np.arange(n), n), starts[:-1])
        place = np.where(first < n, order[np.minimum(first, n - 1)], -1)
        first_values = column.take(pa.array(place, mask=place < 0))
        is_dictionary = pa.types.is_dictionary(column.type)
        fields[name] = first_values.dictionary_decode() if is_dictionary else first_values
        codes = _codes(column)[order]
        low = np.minimum.reduceat(np.where(valid, codes, n + 1), starts[:-1])
        high = np.maximum.reduceat(np.where(valid, codes, -1), starts[:-1])
        disagree |= (high >= 0) & (low != high)
    return fields, int(disagree.sum())
