"""Rollups: hourly, additive summaries of the predictions, and the proof that they equal them.

Every cell is a key and integer sums (or a minimum or maximum), so partial cells merge exactly in any order. Cells of
different denominators (docs/formats.md) stay apart: a cell's `batch_id` is one of its denominator's batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.store.files import Connection, statement


@dataclass(frozen=True)
class Rollup:
    """One rollup table: its key beside the hour and model, and how its columns merge."""

    table: str
    key: tuple[str, ...]
    sums: tuple[str, ...]
    lows: tuple[str, ...] = ()
    highs: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    """The statements that compute it from `rows` (predictions with their denominator)."""

    @property
    def keys(self) -> str:
        """The grouping columns."""
        return ", ".join(("hour", "model_id", *self.key))

    @property
    def measures(self) -> str:
        """The merged columns."""
        return ", ".join(
            [f"CAST(sum({name}) AS HUGEINT) AS {name}" for name in self.sums]
            + [f"min({name}) AS {name}" for name in self.lows]
            + [f"max({name}) AS {name}" for name in self.highs]
        )


ROLLUPS = (
    Rollup(
        "rollup_images",
        ("source",),
        (
            "images",
            "errors",
            "empty",
            "n",
            "nn",
            "s",
            "ss",
            "ns",
            "confidence_n",
            "latency_n",
            "latency_s",
            "latency_ss",
        ),
        ("ts_min", "floor_min"),
        ("ts_max", "floor_max"),
        ("rollup_images",),
    ),
    Rollup("rollup_histograms", ("kind", "bin"), ("n",), raw=("rollup_counts", "rollup_boxes")),
    Rollup("rollup_classes", ("label",), ("detections", "images", "s", "ss"), raw=("rollup_classes",)),
)
_WHOLE = "NOT EXISTS (SELECT 1 FROM pruned AS x WHERE x.model_id = r.model_id AND r.hour < x.before)"
HOUR = timedelta(hours=1)
FRAGMENTS = 32
"""An hour written by so many batches is merged."""


def rollups_equal_raw(con: Connection, since: datetime | None = None) -> bool:
    """Whether every rollup cell equals, exactly, what the predictions give, where these are not pruned.

    Reads the whole store, or what is from `since`, the start of an hour, on.
    """
    rows, cells = statement("rows_of_rollups"), _WHOLE
    if since is not None:  # a variable is a constant to the planner, which then reads those rows only
        con.execute("SET VARIABLE summed_since = CAST($since AS TIMESTAMP)", {"since": since})
        rows += " AND p.ts >= getvariable('summed_since')"
        cells += " AND r.hour >= getvariable('summed_since')"
    con.execute(f"CREATE OR REPLACE TEMP VIEW rows AS {rows}")
    return all(_equal(con, rollup, cells) for rollup in ROLLUPS)


def _equal(con: Connection, rollup: Rollup, compared: str) -> bool:
    cells = [_summed(rollup, source) for source in (_raw(rollup), f"{_cells(rollup)} WHERE {compared}")]
    unequal = f"({cells[0]} EXCEPT {cells[1]}) UNION ALL ({cells[1]} EXCEPT {cells[0]})"
    found = con.execute(f"SELECT count(*) FROM ({unequal})").fetchone()  # noqa: S608
    return found == (0,)


def renew(con: Connection, start: datetime, end: datetime) -> None:
    """Sum the hours in [start, end] anew, in a transaction; none of their rows may be pruned."""
    first = start.replace(minute=0, second=0, microsecond=0)
    last = end.replace(minute=0, second=0, microsecond=0)
    for name, value in (("renewed_since", first), ("renewed_before", last + HOUR)):
        con.execute(f"SET VARIABLE {name} = CAST($value AS TIMESTAMP)", {"value": value})
    some = " AND p.ts >= getvariable('renewed_since') AND p.ts < getvariable('renewed_before')"
    con.execute(f"CREATE OR REPLACE TEMP VIEW rows AS {statement('rows_of_rollups')}{some}")
    for rollup in ROLLUPS:
        span = {"first": first, "last": last}
        con.execute(f"DELETE FROM {rollup.table} WHERE hour BETWEEN $first AND $last", span)  # noqa: S608
        con.execute(
            f"INSERT INTO {rollup.table} BY NAME SELECT r.* EXCLUDE (denominator), b.batch_id "  # noqa: S608
            f"FROM {_summed(rollup, _raw(rollup))} AS r JOIN "
            "(SELECT denominator, min(batch_id) AS batch_id FROM batches GROUP BY denominator) AS b USING (denominator)"
        )


def merge_fragments(con: Connection, start: datetime, end: datetime, fragments: int = FRAGMENTS) -> None:
    """Merge the cells of the hours in [start, end] that at least `fragments` batches wrote; in a transaction."""
    span = {"start": start, "end": end, "fragments": fragments}
    for (hour,) in con.execute(statement("fragmented_hours"), span).fetchall():
        for rollup in ROLLUPS:
            _merge(con, rollup, hour)


def _merge(con: Connection, rollup: Rollup, hour: datetime) -> None:
    merged = f"SELECT {rollup.keys}, min(batch_id) AS batch_id, {rollup.measures} FROM ({_cells(rollup)})"  # noqa: S608
    con.execute(
        f"CREATE TEMP TABLE merged AS {merged} WHERE hour = $hour GROUP BY {rollup.keys}, denominator",
        {"hour": hour},
    )
    con.execute(f"DELETE FROM {rollup.table} WHERE hour = $hour", {"hour": hour})  # noqa: S608
    con.execute(f"INSERT INTO {rollup.table} BY NAME SELECT * FROM merged")  # noqa: S608
    con.execute("DROP TABLE merged")


def _summed(rollup: Rollup, source: str) -> str:
    """The cells of a query, one a key and denominator."""
    keys = f"{rollup.keys}, denominator"
    return f"(SELECT {keys}, {rollup.measures} FROM ({source}) GROUP BY {keys})"  # noqa: S608


def _raw(rollup: Rollup) -> str:
    """Its parts as the rows of the view `rows` give them."""
    return " UNION ALL ".join(f"({statement(name)})" for name in rollup.raw)


def _cells(rollup: Rollup) -> str:
    return f"SELECT r.*, b.denominator FROM {rollup.table} r JOIN batches b USING (batch_id)"  # noqa: S608
