"""A batch: rows of one or more logs that are written together, in one transaction."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon import failpoints, models, verdicts
from detmon.errors import StoreError
from detmon.formats.contract import Part, Reject, Warned, stored_schema
from detmon.ingest.history import History, Trait, findings, look_back, look_closer
from detmon.ingest.rollups import rollups
from detmon.records import plain
from detmon.store import Connection, Store, connect, statement, transaction
from detmon.store.rollups import merge_fragments, renew
from detmon.times import format_instant

if TYPE_CHECKING:
    import pyarrow as pa

RAW_LIMIT = 2000
"""Characters of a rejected record that are kept."""
WRITING_MEMORY = "450MB"
"""What DuckDB may take while a batch is written."""
SMALL = 10_000
"""Rows of a part that becomes a piece of its own; smaller ones share one."""
LOOSE = 500
"""Parts that share a piece at most: a table of one row takes as much memory as one of a hundred."""
RESENT_WITHIN = timedelta(days=1)
"""A record logged twice is looked for so far around the batch's own times (`--dedup full`: everywhere)."""


@dataclass
class Log:
    """One source on its way into the store, with what has been written of it so far."""

    path: str
    sha256: str | None = None
    bytes: int | None = None
    version: str | None = None
    """What a server says of the content, where the log is a remote object."""
    format: str | None = None
    denominator: str = "unknown"
    supplies: bool = False
    """The log is stored, without its images that have no detections: now these are known."""
    strict: bool = False
    """`--bad-rows fail`: one rejected record, and nothing of the log is stored."""
    status: str = "taken"
    predictions: int = 0
    detections: int = 0
    duplicates: int = 0
    rejected: int = 0
    everywhere: bool = False
    """`--dedup full`: resent records are looked for in the whole store."""
    history: dict[str, History] = field(default_factory=dict)
    traits: dict[str, Trait] = field(default_factory=dict)

    def count(self, written: dict[str, int]) -> None:
        """Add what a batch wrote of this log."""
        self.predictions += written["n_ok"]
        self.detections += written["n_detections"]
        self.duplicates += written["n_duplicate"]
        self.rejected += written["n_rejected"]

    def findings(self) -> list[Warned]:
        """How the log differs from what its models logged before."""
        found = []
        for model_id, trait in self.traits.items():
            if model_id in self.history:
                found += findings(model_id, trait, self.history[model_id])
        return found


@dataclass
class _Share:
    """What one log has in a batch, beside its rows, which have its `number`."""

    log: Log
    number: int
    rejects: list[Reject] = field(default_factory=list)
    read: int = 0
    complete: bool = False

    def look(self, table: pa.Table) -> None:
        """Keep what rows tell about each model."""
        import pyarrow.compute as pc

        ids = table["model_id"].unique().to_pylist()
        for model_id in ids:
            mine = table if len(ids) == 1 else table.filter(pc.equal(table["model_id"], model_id))
            self.log.traits.setdefault(model_id, Trait()).add(mine)


class Conflict(Exception):
    """A log that must hold no rejected record holds one that contradicts the store."""

    def __init__(self, log: Log, reject: Reject) -> None:
        super().__init__(reject.reason)
        self.log = log
        self.reject = reject


class Batch:
    """Rows gathered in memory until they are written; `rows` and `boxes` say how many."""

    def __init__(self) -> None:
        self.rows = self.boxes = 0
        self._shares: list[_Share] = []
        self._numbers = itertools.count()
        self._pieces: list[pa.Table] = []
        self._loose: list[pa.Table] = []
        """Parts of small logs, which become one piece."""
        self._staging = connect()
        self._staging.execute("SET preserve_insertion_order = true")  # derived ids join their rows by place

    @property
    def logs(self) -> int:
        """How many logs have a part in it."""
        return len(self._shares)

    def add(self, log: Log, part: Part) -> None:
        """Take a part of `log`."""
        share = self._share(log)
        share.read += part.read
        share.rejects.extend(part.rejects)
        if part.table.num_rows:
            share.look(part.table)
            self._loose.append(_with(part.table, "owner", share.number))
            self.rows += part.table.num_rows
            self.boxes += _boxes(part.table)
            if len(self._loose) >= LOOSE or part.table.num_rows >= SMALL:
                self._gather()

    def end(self, log: Log) -> None:
        """The log has been read to its end."""
        self._share(log).complete = True

    def drop(self, log: Log) -> None:
        """Forget what is not written of `log`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        gone = pa.array([share.number for share in self._shares if share.log is log], pa.int32())
        self._shares = [share for share in self._shares if share.log is not log]
        if not len(gone):
            return
        self._gather()
        self._pieces = [piece.filter(pc.invert(pc.is_in(piece["owner"], gone))) for piece in self._pieces]
        self.rows = sum(piece.num_rows for piece in self._pieces)
        self.boxes = sum(map(_boxes, self._pieces))

    def write(self, store: Store, now: datetime) -> tuple[int, int]:
        """Write all that was gathered in one transaction, and start anew. Raises Conflict (nothing is written).

        Returns how many verdicts had waited for it, and how many of them contradict it.
        """
        if not self._shares:
            return 0, 0
        self._gather()
        staged = _Staged(self._staging, self._shares, self._pieces)
        failpoints.reach("ingest.staged")
        with store.writing(create=True) as con, _said_plainly(store), transaction(con):
            con.execute(f"SET memory_limit = '{WRITING_MEMORY}'")  # the batch itself needs the rest
            con.execute("SET write_buffer_row_group_count = 1")  # row groups go to the file as they fill up
            staged.write(con, now)
            failpoints.reach("ingest.written")
        failpoints.reach("ingest.committed")
        for share, written in zip(self._shares, staged.counts, strict=True):
            share.log.count(written)
        self._shares, self._pieces, self.rows, self.boxes = [], [], 0, 0
        return staged.joined

    def close(self) -> None:
        """Give the memory back."""
        self._staging.close()

    def _share(self, log: Log) -> _Share:
        if not self._shares or self._shares[-1].log is not log:
            self._shares.append(_Share(log, next(self._numbers)))
        return self._shares[-1]

    def _gather(self) -> None:
        """Make one piece of what is loose: derive missing ids, encode what repeats."""
        import pyarrow as pa

        if self._loose:
            self._pieces.append(_encoded(self._identified(pa.concat_tables(self._loose))))
            self._loose = []

    def _identified(self, table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("prediction_id")
        if not table.column(place).null_count:
            return table
        self._staging.register("part", table)
        derived = self._staging.sql(statement("derive_ids")).to_arrow_table()
        self._staging.unregister("part")
        return table.set_column(place, "prediction_id", derived.column(0))


class _Staged:
    """Everything that a batch writes, worked out before the store is opened."""

    def __init__(self, con: Connection, shares: list[_Share], pieces: list[pa.Table]) -> None:
        self.con = con
        self.shares = shares
        self.rejects = [list(share.rejects) for share in shares]
        self.duplicates = [0] * len(shares)
        self.counts: list[dict[str, int]] = []
        self.joined = (0, 0)
        self.table = _gathered(shares, pieces)
        if self.table.num_rows:
            self._take_out_repeated()
            self.ordered = _ascending(self.table["ts"])
            self.cells = rollups(con, self.table, ordered=self.ordered)

    def write(self, con: Connection, now: datetime) -> None:
        """Write it, in the caller's transaction."""
        first_batch = _one(con, "next_batches", n=len(self.shares))
        if self.table.num_rows:
            self._take_out_known(con)
        if self.table.num_rows:
            self._look_back(con)
            self._write_rows(con, first_batch)
        rejected = self._write_quarantine(con, first_batch)
        self._write_manifest(con, first_batch, rejected, now)
        if self.table.num_rows:
            models.register_seen(con, sorted(self.table["model_id"].unique().to_pylist()), now)
            merge_fragments(con, *_span(self.table["ts"]))
            self.joined = verdicts.join_waiting(con, first_batch)
        for share in self.shares:
            if share.complete and share.log.supplies:
                _supply(con, share.log)

    def _take_out_repeated(self) -> None:
        """Remove the rows that the batch has twice. Rare: only where hashes of ids meet are the ids compared."""
        import numpy as np

        self.con.register("staged", _numbered(self.table))
        hashes = np.sort(self.con.sql(statement("id_hashes")).to_arrow_table().column(0).to_numpy())
        if (hashes[1:] == hashes[:-1]).any():
            self._take_out(self.con.execute(statement("repeated_rows")).fetchall())
        self.con.unregister("staged")

    def _take_out(self, repeats: list[tuple[int, bool]]) -> None:
        """Remove rows (their number, and whether the earlier one is equal); unequal ones go into quarantine."""
        import numpy as np

        if not repeats:
            return
        rows = np.array([n for n, _ in repeats])
        owners = self.table["owner"].take(rows).to_pylist()
        for owner, (_, same) in zip(owners, repeats, strict=True):
            self.duplicates[owner] += same
        others = [n for n, same in repeats if not same]
        for row in self.table.select(_CONFLICT_SHOWS).take(others).to_pylist() if others else ():
            self._conflict(row)
        keep = np.ones(self.table.num_rows, bool)
        keep[rows] = False
        self.table = self.table.filter(keep)

    def _conflict(self, row: dict[str, Any]) -> None:
        owner, line = row.pop("owner"), row.pop("line")
        reason = f"{row['prediction_id']} was logged before with other detections"
        row["timestamp"] = format_instant(row.pop("ts"))
        raw = json.dumps(plain(row), ensure_ascii=False)[:RAW_LIMIT]
        reject = Reject(line, "prediction_id", "id_conflict", reason, raw)
        if self.shares[owner].log.strict:
            raise Conflict(self.shares[owner].log, reject)
        self.rejects[owner].append(reject)

    def _take_out_known(self, con: Connection) -> None:
        """Remove the rows that the store has. Rare, so the rollups are simply worked out again."""
        start, end = _span(self.table["ts"])
        times = {"earliest": start - RESENT_WITHIN, "latest": end + RESENT_WITHIN}
        if any(share.log.everywhere for share in self.shares):
            times = {"earliest": datetime.min, "latest": datetime.max}
        con.register("staged", _numbered(self.table))
        known = con.execute(statement("known_rows"), times).fetchall()
        con.unregister("staged")
        if known:
            self._take_out(known)
            self.cells = rollups(self.con, self.table, ordered=self.ordered) if self.table.num_rows else {}

    def _look_back(self, con: Connection) -> None:
        start, end = _span(self.table["ts"])
        before: dict[str, History] = {}
        for log in (share.log for share in self.shares):
            for model_id in log.traits.keys() - log.history.keys():
                if model_id not in before:
                    before[model_id] = look_back(con, model_id, start, end)
                before[model_id] = look_closer(con, model_id, start, end, before[model_id], log.traits[model_id])
                log.history[model_id] = before[model_id]

    def _write_rows(self, con: Connection, first_batch: int) -> None:
        con.register("staged", self.table.drop_columns(["line", "denominator"]))
        order = "" if self.ordered else " ORDER BY ts"
        con.execute(statement("add_predictions") + order, {"first_batch": first_batch})
        con.unregister("staged")
        for table, cells in self.cells.items():
            con.register("cells", cells)
            add = f"INSERT INTO {table} BY NAME {statement('cells_of_batch')}"
            con.execute(add, {"first_batch": first_batch})
            con.unregister("cells")

    def _write_quarantine(self, con: Connection, first_batch: int) -> list[int]:
        """Write the rejected records; returns how many are new, a log."""
        import pyarrow as pa

        rows = [
            {"owner": owner, "path": self.shares[owner].log.path, **asdict(reject), "raw": reject.raw[:RAW_LIMIT]}
            for owner, rejects in enumerate(self.rejects)
            for reject in rejects
        ]
        new = [0] * len(self.shares)
        if rows:
            con.register("rejected", pa.Table.from_pylist(rows, schema=_rejected_schema()))
            for (batch,) in con.execute(statement("add_quarantine"), {"first_batch": first_batch}).fetchall():
                new[batch - first_batch] += 1
            con.unregister("rejected")
        return new

    def _write_manifest(self, con: Connection, first_batch: int, rejected: list[int], now: datetime) -> None:
        import pyarrow as pa

        spans = _spans(self.table, len(self.shares))
        self.counts = [
            {
                "n_read": share.read,
                "n_ok": n_ok,
                "n_rejected": rejected[owner],
                "n_duplicate": self.duplicates[owner] + len(self.rejects[owner]) - rejected[owner],
                "n_detections": n_detections,
            }
            for owner, (share, n_ok, n_detections) in enumerate(
                zip(self.shares, spans["n_ok"].to_pylist(), spans["n_detections"].to_pylist(), strict=True)
            )
        ]
        abouts = (
            {name: getattr(share.log, name) for name in _MANIFEST} | {"complete": share.complete}
            for share in self.shares
        )
        rows = [
            {"owner": owner, **about, **counted}
            for owner, (about, counted) in enumerate(zip(abouts, self.counts, strict=True))
        ]
        logs = pa.Table.from_pylist(rows, schema=_manifest_schema())
        for name in ("ts_min", "ts_max"):
            logs = logs.append_column(name, spans[name])
        con.register("logs", logs)
        con.execute(statement("add_batches"), {"first_batch": first_batch, "now": now})
        con.unregister("logs")


def _supply(con: Connection, log: Log) -> None:
    """What was stored of a log before gets its denominator; the hours of its rows are summed anew."""
    about = {"sha256": log.sha256, "denominator": log.denominator}
    spans = con.execute(statement("supply_denominator"), about).fetchall() if log.denominator != "unknown" else []
    moments = [moment for span in spans for moment in span if moment is not None]
    if moments:
        renew(con, min(moments), max(moments))


@contextmanager
def _said_plainly(store: Store) -> Iterator[None]:
    """A full disk or too little memory, as an error for users."""
    import duckdb

    faults = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.TransactionException)
    try:
        yield
    except faults as error:
        what = str(error).splitlines()[0]
        raise StoreError(
            f"cannot write {store.path}: {what}", "nothing of this batch is stored; run it again"
        ) from error


_CONFLICT_SHOWS = [
    "owner", "line", "prediction_id", "model_id", "ts", "image_id", "source", "n_detections", "confidence_sum",
]  # fmt: skip


def _encoded(table: pa.Table) -> pa.Table:
    """`table` in one chunk with the columns that repeat dictionary-encoded: a third less memory and time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.combine_chunks()
    for name in ("model_id", "source", "status", "image_uri"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(place).dictionary_encode())
    place = table.schema.get_field_index("detections")
    lists = table.column(place).chunk(0) if table.num_rows else pa.array([], table.schema.field(place).type)
    boxes = lists.flatten()
    fields = [boxes.field(name) for name in range(boxes.type.num_fields)]
    fields[0] = fields[0].dictionary_encode()
    boxes = pa.StructArray.from_arrays(fields, [field.name for field in boxes.type])
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    return table.set_column(place, "detections", pa.ListArray.from_arrays(offsets, boxes))


def _boxes(table: pa.Table) -> int:
    return sum(len(batch["detections"].values) for batch in table.to_batches())


def _with(table: pa.Table, name: str, value: int) -> pa.Table:
    """The table with one more column, of one number."""
    import numpy as np
    import pyarrow as pa

    return table.append_column(name, pa.array(np.full(table.num_rows, value, np.int32)))


def _gathered(shares: list[_Share], pieces: list[pa.Table]) -> pa.Table:
    """All rows, with `owner` (the place of their log among the shares) and `denominator`.

    `denominator` is the first owner with the same denominator: rollup cells of these rows are written as its batch's.
    """
    import numpy as np
    import pyarrow as pa

    first: dict[str, int] = {}
    alike = np.array([first.setdefault(share.log.denominator, owner) for owner, share in enumerate(shares)], np.int32)
    numbers = np.array([share.number for share in shares])
    tables = [_with(_with(_encoded(stored_schema().empty_table()), "owner", 0), "denominator", 0)]
    for piece in pieces:
        owner = np.searchsorted(numbers, piece["owner"].to_numpy()).astype(np.int32)
        piece = piece.set_column(piece.schema.get_field_index("owner"), "owner", pa.array(owner))
        tables.append(piece.append_column("denominator", pa.array(alike[owner])))
    return pa.concat_tables(tables)


def _spans(table: pa.Table, owners: int) -> pa.Table:
    """Rows, boxes, and the first and last time of each owner's rows, which follow one another in order of owner."""
    import numpy as np
    import pyarrow as pa

    rows = np.bincount(table["owner"].to_numpy(), minlength=owners)
    starts = (np.cumsum(rows) - rows)[rows > 0]
    micros = table["ts"].to_numpy().astype(np.int64)
    boxes, first, last = (np.zeros(owners, np.int64) for _ in range(3))
    for ufunc, values, into in (
        (np.add, table["n_detections"].to_numpy().astype(np.int64), boxes),
        (np.minimum, micros, first),
        (np.maximum, micros, last),
    ):
        if len(starts):
            into[rows > 0] = ufunc.reduceat(values, starts)
    times = (pa.array(some, mask=rows == 0).cast(pa.timestamp("us")) for some in (first, last))
    return pa.table([rows, boxes, *times], ["n_ok", "n_detections", "ts_min", "ts_max"])


def _numbered(table: pa.Table) -> pa.Table:
    """What duplicates are found by, with the row's number `n`."""
    import numpy as np
    import pyarrow as pa

    columns = {name: table[name] for name in ("prediction_id", "n_detections", "confidence_sum")}
    return pa.table({"n": np.arange(table.num_rows), **columns})


def _span(instants: pa.ChunkedArray) -> tuple[datetime, datetime]:
    import pyarrow.compute as pc

    ends = pc.min_max(instants).as_py()
    return ends["min"], ends["max"]


def _ascending(instants: pa.ChunkedArray) -> bool:
    import numpy as np

    return bool(np.all(np.diff(instants.to_numpy().astype(np.int64)) >= 0))


def _one(con: Connection, name: str, **values: object) -> int:
    return int(con.execute(statement(name), values).fetchall()[0][0])


_MANIFEST = ("sha256", "path", "format", "bytes", "version", "denominator")


def _manifest_schema() -> pa.Schema:
    import pyarrow as pa

    text = ("sha256", "path", "format", "version", "denominator")
    counts = ("bytes", "n_read", "n_ok", "n_rejected", "n_duplicate", "n_detections")
    kinds = {"owner": pa.int32(), "complete": pa.bool_(), **dict.fromkeys(text, pa.string())}
    return pa.schema(list((kinds | dict.fromkeys(counts, pa.int64())).items()))


def _rejected_schema() -> pa.Schema:
    import pyarrow as pa

    text = ("path", "field", "code", "reason", "raw")
    return pa.schema([("owner", pa.int32()), ("line", pa.int64()), *((name, pa.string()) for name in text)])
