"""What a comparison reads from the store: sums, never rows, wherever a row is a unit of its own.

Confidences are counted in integer millionths and latencies in microseconds, so all sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon.stats.comparison import Sums
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]

COUNTS = ("rows", "images", "errors", "detections", "scored", "confidence", "empty", "low")
"""What each row adds; `scored` boxes have a confidence, `low` ones one below 0.5, `confidence` is in millionths."""
PAIRS = {
    "avg_confidence": ("confidence", "scored"),
    "detections_per_image": ("detections", "images"),
    "no_detection_rate": ("empty", "images"),
    "low_confidence_rate": ("low", "scored"),
    "error_rate": ("errors", "rows"),
}
"""Metric → (Y, X) of the ratio sum Y / sum X."""
SCALE = {"confidence": 1e-6}
EXACT = 2_000_000
LOOKED_UP = 250_000
"""Up to `EXACT` rows each image is looked up; above, about so many of them."""
_BOXES = {
    "detections": "CAST(n_detections AS BIGINT)",
    "scored": "CAST(confidence_n AS BIGINT)",
    "confidence": "CAST(round(confidence_sum * 1e6) AS BIGINT)",
}
_MICRO = "CAST(round(CAST(d.confidence AS DOUBLE) * 1e6) AS BIGINT)"
_KEPT = f"list_filter(detections, lambda d: d.confidence IS NULL OR {_MICRO} >= $floor)"
_CUT_BOXES = {
    "detections": f"array_length({_KEPT})",
    "scored": f"array_length(list_filter(detections, lambda d: {_MICRO} >= $floor))",
    "confidence": f"coalesce(list_sum(list_transform({_KEPT}, lambda d: {_MICRO})), 0)",
}
_LOW = f"array_length(list_filter(detections, lambda d: {_MICRO} < 500000))"
_LOW_CUT = f"array_length(list_filter(detections, lambda d: {_MICRO} < 500000 AND {_MICRO} >= $floor))"
_UNKNOWN = "batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown')"
_PRODUCT = {("confidence", "confidence"): "CAST(confidence AS HUGEINT) * confidence"}
"""The only product that can pass 64 bits: millionths of an image with thousands of boxes, squared."""
_UNITS = {"image_id": "image_id", "source": "source"}
_DAYS = "AND NOT list_contains($left_out, date_diff('microsecond', $start, ts) // 86400000000)"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Scope:
    """Which rows: of models `a` and `b` in [start, until), in slots of `slot`.

    Boxes below `floor` and the days since the start that are `left_out` are no part of it, nor, if `common`, are images
    that only one of the models saw.
    """

    a: str
    b: str
    start: datetime
    until: datetime
    slot: timedelta
    unit: str
    low: bool = False
    floor: int | None = None
    left_out: tuple[int, ...] = ()
    common: bool = False

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return (self.until - self.start) // self.slot

    @property
    def days(self) -> str:
        """The condition on the days, for the statements that have a place for it."""
        return _DAYS if self.left_out else ""

    @property
    def bound(self) -> dict[str, Any]:
        """The values of the statements that ask for both models' rows of the whole time."""
        return {"a": self.a, "b": self.b, "start": self.start, "until": self.until}

    @property
    def bound_days(self) -> dict[str, Any]:
        """The values of the statements that have a place for the condition on the days."""
        return self.bound | ({"left_out": list(self.left_out)} if self.left_out else {})

    def counts(self, day: int) -> bool:
        """Whether a day since the start is part of it."""
        return day not in self.left_out

    def rows(self) -> tuple[str, dict[str, Any]]:
        """The text of the rows and its values."""
        values = self.bound_days | {"slot": self.slot // timedelta(microseconds=1)}
        columns = _BOXES if self.floor is None else _CUT_BOXES
        low = "0" if not self.low else _LOW if self.floor is None else _LOW_CUT
        if self.floor is not None:
            values["floor"] = self.floor
        unit = _UNITS.get(self.unit, "tags[$tag]")
        if unit.endswith("[$tag]"):
            values["tag"] = self.unit.removeprefix("tag:")
        text = statement("ab_rows").format(**columns, low=low, unit=unit, unknown=_UNKNOWN, days=self.days)
        return statement("ab_common_rows").format(rows=text) if self.common else text, values


@dataclass(frozen=True)
class Cell:
    """The sums of one arm, slot and source: `counts` by COUNTS, `products` by pair of them."""

    b: bool
    slot: int
    source: str | None
    counts: dict[str, int]
    products: dict[tuple[str, str], int]
    floor_low: float | None
    floor_high: float | None
    unknown: bool


def cells(con: Connection, scope: Scope, metrics: Sequence[str]) -> list[Cell]:
    """The sums that `metrics` need, where each row is a unit."""
    rows, values = scope.rows()
    wanted = sorted({pair for metric in metrics if metric in PAIRS for pair in _products(*PAIRS[metric])})
    columns = [f"sum({count})" for count in COUNTS]
    columns += [f"sum({_PRODUCT.get((one, other), f'{one} * {other}')})" for one, other in wanted]
    text = statement("ab_sums").format(sums=", ".join(columns), rows=rows)
    found = []
    for b, slot, source, *sums, floor_low, floor_high, unknown in con.execute(text, values).fetchall():
        counts = dict(zip(COUNTS, map(int, sums), strict=False))
        products = dict(zip(wanted, map(int, sums[len(COUNTS) :]), strict=True))
        found.append(Cell(b, slot, source, counts, products, floor_low, floor_high, unknown))
    return sorted(found, key=lambda cell: (cell.slot, cell.b, cell.source or ""))


def _products(y: str, x: str) -> list[tuple[str, str]]:
    return [(y, y), (y, x), (x, x)]


def sums_of(some: Sequence[Cell], y: str, x: str) -> Sums:
    """The sums of a ratio over cells whose rows are units; centred in whole numbers, so that nothing cancels."""
    units = sum(cell.counts["rows"] for cell in some)
    sy, sx = (sum(cell.counts[name] for cell in some) for name in (y, x))
    yy, xy, xx = (sum(cell.products[pair] for cell in some) for pair in _products(y, x))

    def centred(product: int, one: int, other: int) -> float:
        return (units * product - one * other) / units if units else 0.0

    k, m = SCALE.get(y, 1.0), SCALE.get(x, 1.0)
    return Sums(
        units, sy * k, sx * m, centred(yy, sy, sy) * k * k, centred(xx, sx, sx) * m * m, centred(xy, sy, sx) * k * m
    )


@dataclass(frozen=True)
class Images:
    """Images, or a share of them: those with several rows; and of one source those in both arms, and those in B."""

    repeated: int
    shared: int
    of_b: int

    @property
    def shadow(self) -> bool:
        """Whether B runs beside A: nearly all of its images were also A's."""
        return self.shared > 0 and self.shared >= 0.8 * self.of_b


def part_of(rows: int) -> int:
    """One unit in how many is looked up."""
    return rows // LOOKED_UP if rows > EXACT else 1


def misrouted(con: Connection, scope: Scope, salt: str, split: float, part: int) -> float:
    """The share of the units whose arm is not the one that the hash says."""
    rows, values = scope.rows()
    bound = {**values, "salt": salt, "split": split, "part": part}
    units, strangers = con.execute(statement("ab_misrouted").format(rows=rows), bound).fetchall()[0]
    return strangers / units if units else 0.0


def images(con: Connection, scope: Scope, part: int) -> Images:
    """How images and rows belong together, of one image in `part`."""
    text = statement("ab_images").format(days=scope.days)
    ((repeated, shared, of_b),) = con.execute(text, {**scope.bound_days, "part": part}).fetchall()
    return Images(int(repeated), int(shared), int(of_b))


@dataclass(frozen=True)
class Units:
    """Sums of units by slot: `names[unit]`, and one place in the arrays for each unit, arm and slot.

    `values` by COUNTS; units and slots are whole numbers; `without` rows had no value of the unit.
    """

    names: list[str]
    unit: Places
    b: NDArray[np.bool_]
    slot: Places
    values: dict[str, Floats]
    without: int

    def kept(self, where: NDArray[np.bool_]) -> Units:
        """Only some of the places."""
        values = {name: array[where] for name, array in self.values.items()}
        return Units(self.names, self.unit[where], self.b[where], self.slot[where], values, self.without)


def units(con: Connection, scope: Scope) -> Units:
    """The sums of each unit, arm and slot."""
    rows, values = scope.rows()
    sums = ", ".join(f"CAST(sum({count}) AS DOUBLE) AS {count}" for count in COUNTS)
    table = _arrow(con, statement("ab_units").format(sums=sums, rows=rows), values)
    known = table.filter(table["unit"].is_valid())
    without = sum(table.filter(table["unit"].is_null())["rows"].to_pylist())
    names, code = _coded(known["unit"])
    return Units(
        names,
        code,
        known["b"].to_numpy(),
        known["slot"].to_numpy().astype("int64"),
        {count: known[count].to_numpy() * SCALE.get(count, 1.0) for count in COUNTS},
        int(without),
    )


def _arrow(con: Connection, text: str, values: dict[str, Any]) -> Any:
    """The rows of a statement as an Arrow table."""
    return con.sql(text, params=values).to_arrow_table()


def _coded(column: Any) -> tuple[list[str], Places]:
    """A text column as its values and their places."""
    import pyarrow as pa

    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False).astype("int64")


@dataclass(frozen=True)
class Latencies:
    """Latencies by arm, slot, bucket, and unit where rows are not units (else an array of zeros)."""

    unit: Places
    b: NDArray[np.bool_]
    slot: Places
    bucket: Places
    n: Floats
    s: Floats
    ss: Floats

    def kept(self, where: NDArray[np.bool_]) -> Latencies:
        """Only some of the places."""
        return Latencies(
            self.unit[where],
            self.b[where],
            self.slot[where],
            self.bucket[where],
            self.n[where],
            self.s[where],
            self.ss[where],
        )

    def arm(self, b: bool) -> Latencies:
        """Those of one arm."""
        return self.kept(self.b == b)

    def until(self, end: int) -> Latencies:
        """Those of the slots before `end`."""
        return self.kept(self.slot < end)


def latencies(con: Connection, scope: Scope, names: Sequence[str] | None = None) -> Latencies:
    """The latencies of the arms; by the units of `names` where given."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    rows, values = scope.rows()
    keys = "b, slot" if names is None else "CAST(unit AS VARCHAR) AS unit, b, slot"
    table = _arrow(con, statement("ab_latencies").format(keys=keys, rows=rows), values)
    unit = np.zeros(len(table), np.int64)
    if names is not None:
        places = compute.index_in(table["unit"], pa.array(names, pa.string()))
        table = table.filter(places.is_valid())
        unit = places.drop_null().to_numpy().astype("int64")
    slot, bucket = (table[name].to_numpy().astype("int64") for name in ("slot", "bucket"))
    n, s, ss = (table[name].to_numpy().astype("float64") for name in ("n", "s", "ss"))
    return Latencies(unit, table["b"].to_numpy(), slot, bucket, n, s, ss)


def before(scope: Scope) -> Scope:
    """The same units in the week before the test."""
    return replace(scope, start=scope.start - timedelta(days=7), until=scope.start, left_out=())


def confidences(con: Connection, scope: Scope) -> Mapping[bool, list[int]]:
    """The confidences of each arm in 1000 bins, over the whole hours of the test."""
    found = {False: [0] * 1000, True: [0] * 1000}
    for b, bin_, n in con.execute(statement("ab_confidences"), scope.bound).fetchall():
        found[b][bin_] = int(n)
    return found


def later(con: Connection, scope: Scope) -> dict[str, int]:
    """Predictions of each arm after the last look: shown, not tested."""
    counts = con.execute(statement("ab_later"), scope.bound).fetchall()[0]
    return {"a": int(counts[0]), "b": int(counts[1])}


def span(con: Connection, scope: Scope) -> float:
    """Over how many days the rows of the models came: at least one, 0 without rows."""
    first, last = con.execute(statement("ab_span"), scope.bound).fetchall()[0]
    return max(1.0, (last - first) / timedelta(days=1)) if first is not None else 0.0


AGREEMENT_IMAGES = 100_000
"""So many common images are enough to say how often two models agree."""


def agreement(con: Connection, scope: Scope) -> float | None:
    """The share of A's boxes with a box of B of the same label at an IoU of 0.5, on common images."""
    text = statement("ab_agreement").format(days=scope.days)
    ((same, boxes),) = con.execute(text, {**scope.bound_days, "most": AGREEMENT_IMAGES}).fetchall()
    return float(same / boxes) if boxes else None
