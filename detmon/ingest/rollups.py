"""Rollup cells of staged rows. What an image has once is counted in SQL, what a box has with arrays (5× cheaper)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from detmon.store import Connection, statement
from detmon.store.rollups import ROLLUPS, Rollup

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

HOUR = 3_600_000_000
"""An hour in microseconds."""


def rollups(con: Connection, rows: pa.Table, *, ordered: bool) -> dict[str, pa.Table]:
    """The cells of each rollup table for `rows` (stored schema, with `denominator`; labels dictionary-encoded).

    Rows in order of time (`ordered`) are counted chunk by chunk, and an hour that two chunks share has partial cells of
    both; otherwise the chunks' cells are merged.
    """
    import pyarrow as pa

    con.register("rows", rows)
    images, counts = (con.sql(statement(name)).to_arrow_table() for name in ("rollup_images", "rollup_counts"))
    con.unregister("rows")
    boxes = [_Boxes(batch) for batch in rows.to_batches()]
    histograms = [table for chunk in boxes for table in (chunk.confidences(), chunk.areas())]
    cells = {
        "rollup_images": images,
        "rollup_histograms": pa.concat_tables([_encoded(counts), *histograms]),
        "rollup_classes": pa.concat_tables([chunk.classes() for chunk in boxes]),
    }
    return cells if ordered else {rollup.table: _merged(con, rollup, cells[rollup.table]) for rollup in ROLLUPS}


def _merged(con: Connection, rollup: Rollup, cells: pa.Table) -> pa.Table:
    con.register("cells", cells)
    keys = f"{rollup.keys}, denominator"
    table = con.sql(f"SELECT {keys}, {rollup.measures} FROM cells GROUP BY {keys}").to_arrow_table()  # noqa: S608
    con.unregister("cells")
    return table


def _encoded(cells: pa.Table) -> pa.Table:
    for place, name in ((cells.schema.get_field_index(name), name) for name in ("model_id", "kind")):
        cells = cells.set_column(place, name, cells.column(place).dictionary_encode())
    return cells


class _Boxes:
    """The boxes of one Arrow batch as flat arrays; `group` numbers the hour × model × denominator of each box."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        import numpy as np
        import pyarrow.compute as pc

        failed = pc.fill_null(pc.equal(batch["status"], "error"), False)
        if pc.any(failed).as_py():
            batch = batch.filter(pc.invert(failed))
        self.counts = batch["n_detections"].to_numpy().astype(np.int64)
        self.boxes = batch["detections"].flatten()
        self.sides = [batch[name].cast("float64").to_numpy(zero_copy_only=False) for name in _SIDES]
        hours = batch["ts"].cast("int64").to_numpy() // HOUR
        models, denominators = batch["model_id"], batch["denominator"].to_numpy()
        code = hours * len(models.dictionary) + models.indices.to_numpy()
        code = code * (denominators.max(initial=0) + 1) + denominators
        _, first, rows = np.unique(code, return_index=True, return_inverse=True)
        self.keys = {
            "hour": _hour_column(hours[first]),
            "model_id": models.take(first),
            "denominator": batch["denominator"].take(first),
        }
        self.rows = rows
        self.group = np.repeat(rows, self.counts)

    def confidences(self) -> pa.Table:
        confidence, group, bins = self.boxes.field("confidence"), self.group, self.micro // 1000
        if confidence.null_count:
            known = confidence.is_valid().to_numpy(zero_copy_only=False)
            group, bins = group[known], bins[known]
        return self._histogram("confidence", group, bins.clip(max=999))

    def areas(self) -> pa.Table:
        import numpy as np

        width, height = (self.boxes.field(name).cast("float64").to_numpy(zero_copy_only=False) for name in ("w", "h"))
        share = width * height / np.repeat(self.sides[0] * self.sides[1], self.counts)
        known, group = np.isfinite(share), self.group
        if not known.all():
            share, group = share[known], group[known]
        bins = np.ceil(np.log(np.maximum(share, 1e-6)) / np.log(1.05)).astype(np.int64)
        return self._histogram("area", group, bins)

    def classes(self) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        labels = self.boxes.field("label")
        n_labels = max(1, len(labels.dictionary))
        codes = labels.indices.to_numpy().astype(np.int64)
        micro = self.micro
        square = micro * micro  # its sum would pass 2⁵³: added in two halves
        cells, detections, (s, high, low) = tally(
            self.group * n_labels + codes, micro, square >> _HALF, square & ((1 << _HALF) - 1)
        )
        pairs = np.repeat(np.arange(len(self.counts)), self.counts) * n_labels + codes
        pairs.sort()
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # each label once an image
        _, images, _ = tally(self.rows[pairs // n_labels] * n_labels + pairs % n_labels)
        return pa.table(
            {
                **self._key_columns(cells // n_labels),
                "label": pa.DictionaryArray.from_arrays((cells % n_labels).astype(np.int32), labels.dictionary),
                "detections": detections,
                "images": images,
                "s": s,
                "ss": (high << _HALF) + low,
            }
        )

    @cached_property
    def micro(self) -> np.ndarray[Any, Any]:
        """Confidences in millionths; 0 where there is none."""
        import numpy as np

        values = self.boxes.field("confidence").cast("float64").fill_null(0).to_numpy()
        micro: np.ndarray[Any, Any] = np.floor(values * 1e6 + 0.5).astype(np.int64)
        return micro

    def _histogram(self, kind: str, group: np.ndarray[Any, Any], bins: np.ndarray[Any, Any]) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        low = int(bins.min()) if len(bins) else 0
        width = int(bins.max()) - low + 1 if len(bins) else 1
        cells, n, _ = tally(group * width + (bins - low))
        return pa.table(
            {
                **self._key_columns(cells // width),
                "kind": pa.DictionaryArray.from_arrays(np.zeros(len(cells), np.int32), [kind]),
                "bin": pa.array(cells % width + low, pa.int32()),
                "n": n,
            }
        )

    def _key_columns(self, group: np.ndarray[Any, Any]) -> dict[str, pa.Array]:
        return {name: column.take(group) for name, column in self.keys.items()}


_SIDES = ("image_width", "image_height")
_HALF = 20


def tally(
    key: np.ndarray[Any, Any], *values: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """The distinct keys (integers ≥ 0), sorted; how often each occurs; and the sums of each of `values` by key.

    Sums are exact up to 2⁵³ (they are added in floating point).
    """
    import numpy as np

    names = None
    if len(key) and int(key.max()) > DENSE * len(key):
        names, key = np.unique(key, return_inverse=True)
    counts = np.bincount(key)
    cells = np.flatnonzero(counts)
    sums = [np.bincount(key, value)[cells].astype(np.int64) for value in values]
    return (cells if names is None else names[cells]), counts[cells], sums


DENSE = 8
"""Up to so many possible keys an item are counted in one array, more are sorted first."""


def _hour_column(hours: np.ndarray[Any, Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(hours * HOUR).cast(pa.timestamp("us"))
