"""Verdicts on predictions: the one way into the store for all that people, files and ground truth say.

A verdict names its prediction and its box (by place or id); it is checked against what was predicted, and kept waiting
while the prediction is not stored. What counts of all the verdicts is what the views `current_feedback` and
`image_reviews` say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from detmon.records import Record
from detmon.reviewed import KINDS
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = KINDS
SCOPES = ("boxes_only", "exhaustive")
LATE = "feedback"
"""What the quarantine calls the source of a verdict that waited, and then contradicted its prediction."""


@dataclass(frozen=True)
class VerdictWarning(Record):
    """A finding about a file of verdicts; `count`: how many rows or images have it."""

    code: str
    message: str
    count: int


@dataclass(frozen=True)
class Rejection(Record):
    """A row that is not stored, and why. `line` counts from 1 (rows, for Parquet; tasks, for review tools)."""

    line: int
    field: str | None
    code: str
    reason: str


@dataclass(frozen=True)
class Written:
    """What became of some verdicts: stored, stored before, waiting for their prediction, contradicting it.

    `rejected` has the columns line, field, code, reason, raw. `conflicts`: images that one reviewer calls looked at as
    a whole in one row, and box by box in another. `vague`: verdicts on a whole image that has several boxes.
    """

    accepted: int
    duplicates: int
    waiting: int
    rejected: pa.Table
    conflicts: int
    vague: int


def write(con: Connection, rows: pa.Table | pa.RecordBatchReader, now: datetime) -> Written:
    """Store verdicts, in the caller's transaction. Those whose id is stored are duplicates; rejected ones are returned.

    The columns: `line` (numbers the rows), `feedback_id` (no two alike), `prediction_id`, `detection` (a box's place or
    id, null: the image), `type`, `true_label`, the true box `x, y, w, h` in pixels, `scope`, `reviewer`, `origin`,
    `tide`, `reason`, and `ts` in naive UTC.
    """
    came = _Counted(rows)
    con.register("verdicts", came.reader())
    con.execute(statement("unresolved_feedback"))
    con.unregister("verdicts")
    _resolve(con, first_batch=0)
    new, last, found, accepted, vague = _row(con, statement("count_resolved"))
    rejected = _rejected(con)
    (conflicts,) = _row(con, statement("scope_conflicts"))
    (first,) = _row(con, statement("next_feedback"), n=last)
    con.execute(statement("add_feedback"), {"now": now, "first": first})
    _clear(con)
    return Written(accepted, came.rows - new, new - found, rejected, conflicts, vague)


def join_waiting(con: Connection, first_batch: int) -> tuple[int, int]:
    """Join the verdicts that waited for predictions of the batches from `first_batch` on.

    Returns how many joined, and how many contradict their prediction: these go to the quarantine. What this costs
    depends on the batch and on what waits, not on the store. Runs in the caller's transaction.
    """
    if _row(con, statement("any_waiting")) == (False,):
        return 0, 0
    con.execute(statement("unresolved_waiting"), {"first_batch": first_batch})
    _resolve(con, first_batch)
    rejected = _rejected(con)
    joined = _row(con, statement("join_feedback"))[0]
    con.execute(statement("drop_feedback"))
    quarantine(con, LATE, rejected, first_batch)
    _clear(con)
    return joined, rejected.num_rows


def quarantine(con: Connection, path: str, rejected: pa.Table, batch: int | None = None) -> None:
    """Keep rejected verdicts where `quarantine list` shows them."""
    if rejected.num_rows:
        con.register("rejected", rejected)
        con.execute(statement("quarantine_feedback"), {"path": path, "batch": batch})
        con.unregister("rejected")


class _Counted:
    """An Arrow table or reader that says how many `rows` went through it."""

    def __init__(self, source: pa.Table | pa.RecordBatchReader) -> None:
        self.rows = 0
        self._source = source

    def reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        batches = self._source.to_batches() if isinstance(self._source, pa.Table) else self._source
        return pa.RecordBatchReader.from_batches(self._source.schema, map(self._count, batches))

    def _count(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.rows += batch.num_rows
        return batch


def _resolve(con: Connection, first_batch: int) -> None:
    con.execute(statement("resolve_feedback"), {"first_batch": first_batch})
    rows, verdicts = _row(con, "SELECT count(*), count(DISTINCT n) FROM resolved")
    if rows > verdicts:
        con.execute(statement("single_resolved"))


def _rejected(con: Connection) -> pa.Table:
    return con.sql(statement("rejected_feedback")).to_arrow_table()


def _clear(con: Connection) -> None:
    for table in ("unresolved", "resolved"):
        con.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _row(con: Connection, query: str, **values: object) -> tuple[Any, ...]:
    (row,) = con.execute(query, values).fetchall()
    return row
