"""Verdicts of people: one at a time, or by the file; and what was said so far."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from detmon import failpoints, verdicts
from detmon.errors import OperationError, UnknownName, UsageError
from detmon.feedback.reading import Columns, load
from detmon.feedback.records import Feedback, Imported
from detmon.formats import Source
from detmon.formats.inputs import Input
from detmon.formats.remote import opened
from detmon.store import Connection, Store, connect, statement, transaction
from detmon.verdicts import Rejection, VerdictWarning

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = 1000
"""So many rejected rows are named in the answer; the quarantine has all."""
STAGING_MEMORY, WRITING_MEMORY = "300MB", "450MB"
"""What DuckDB may take while a file is read, and while its verdicts are written."""
ALIKE = 5
VAGUE = "verdicts are on a whole image that has several boxes, and judge none of them"
__all__ = ["add", "import_file", "listed"]


def add(
    con: Connection,
    now: datetime,
    note: Callable[[str], None],
    *,
    prediction_id: str,
    type: str,
    detection: int | str | None = None,
    label: str | None = None,
    bbox: Sequence[float] | str | None = None,
    reviewer: str | None = None,
    scope: str | None = None,
) -> Feedback:
    """Store one verdict, in the caller's transaction.

    `detection` is the place of a box or its id (None: the image), `label` the true one, `bbox` the true box
    [x, y, width, height]. Raises UnknownName or UsageError for what a file's row would be rejected for.
    """
    for kind, value, known in (("feedback type", type, verdicts.TYPES), ("scope", scope, verdicts.SCOPES)):
        if value is not None and value not in known:
            raise UnknownName(kind, value, known)
    feedback_id = f"fb_{uuid4().hex[:12]}"
    box = bbox if bbox is None or isinstance(bbox, str) else ", ".join(map(str, bbox))
    cells: dict[str, object] = {
        **{"line": 1, "prediction_id": prediction_id, "detection_index": None if detection is None else str(detection)},
        **{"feedback_type": type, "true_label": label, "bbox": box, "scope": scope, "reviewer": reviewer},
        **{"timestamp": None, "feedback_id": feedback_id},
    }
    with _staging() as staging:
        staging.execute(statement("make_given"))
        staging.execute(statement("give_row"), cells)
        _stage(staging, now, "add")
        for _, _, _, reason, _ in staging.execute(statement("unusable_feedback")).fetchall():
            raise UsageError(reason)
        written = verdicts.write(con, staging.sql(statement("usable_feedback")).to_arrow_table(), now)
    for row in written.rejected.to_pylist():
        raise UsageError(f"{prediction_id}: {row['reason']}")
    if written.waiting:
        raise _unknown(con, prediction_id)
    if written.vague:
        note(f"{prediction_id} has several boxes, and the verdict judges none of them: --detection N names one")
    return listed(con, feedback=feedback_id)[0]


def _unknown(con: Connection, prediction_id: str) -> UnknownName:
    found = con.execute(statement("alike_predictions"), {"name": prediction_id, "limit": ALIKE}).fetchall()
    hint = "`feedback import` keeps verdicts until their prediction is ingested"
    return UnknownName("prediction", prediction_id, (), f"perhaps {', '.join(i for (i,) in found)}" if found else hint)


def listed(
    con: Connection,
    *,
    model: str | None = None,
    prediction: str | None = None,
    type: str | None = None,
    waiting: bool | None = None,
    feedback: str | None = None,
    limit: int | None = None,
) -> list[Feedback]:
    """Verdicts, newest first, those that no longer count among them."""
    if type is not None and type not in verdicts.TYPES:
        raise UnknownName("feedback type", type, verdicts.TYPES)
    wanted = {"model": model, "prediction": prediction, "type": type, "waiting": waiting}
    found = con.execute(statement("list_feedback"), {**wanted, "feedback": feedback, "limit": limit})
    return [Feedback(*row) for row in found.fetchall()]


def import_file(store: Store, source: str, clock: Callable[[], datetime]) -> Imported:
    """Store the verdicts of a file, or of standard input (`-`), in one transaction (docs/feedback.md).

    A bad row is rejected alone, and kept in the quarantine. Raises InputRefused, OperationError.
    """
    with _opened(source) as found:
        data = Input(found)
        try:
            with _staging() as staging:
                format, columns = load(staging, data)
                _stage(staging, clock(), "import")
                return _written(store, staging, data.name, format, columns, clock())
        finally:
            data.close()


def _opened(name: str) -> AbstractContextManager[Source]:
    if name == "-":
        return nullcontext(Source("-", stream=sys.stdin.buffer))
    if Path(name).expanduser().is_dir():
        raise OperationError(f"cannot read {name}: it is a folder", code="unreadable")
    return opened(name)


@contextmanager
def _staging() -> Iterator[Connection]:
    """A database of its own for the rows of a file; what does not fit into memory goes to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="detmon-") as folder, connect() as con:
        con.execute("SET temp_directory = $folder", {"folder": folder})
        con.execute(f"SET memory_limit = '{STAGING_MEMORY}'")
        con.execute("SET preserve_insertion_order = true")
        yield con


def _stage(con: Connection, now: datetime, origin: str) -> None:
    types, scopes = list(verdicts.TYPES), list(verdicts.SCOPES)
    con.execute(statement("stage_feedback"), {"now": now, "origin": origin, "types": types, "scopes": scopes})


def _written(store: Store, staging: Connection, name: str, format: str, columns: Columns, now: datetime) -> Imported:
    unusable: pa.Table = staging.sql(statement("unusable_feedback")).to_arrow_table()
    repeated, zoneless = staging.execute(statement("count_staged")).fetchall()[0]
    failpoints.reach("feedback.staged")
    with store.writing(create=True) as con, transaction(con):
        con.execute(f"SET memory_limit = '{WRITING_MEMORY}'")
        rows = staging.sql(statement("usable_feedback")).to_arrow_reader(100_000)
        written = verdicts.write(con, rows, now)
        for rejected in (unusable, written.rejected):
            verdicts.quarantine(con, name, rejected)
        failpoints.reach("feedback.written")
    shown = [*unusable.slice(0, LISTED).to_pylist(), *written.rejected.slice(0, LISTED).to_pylist()]
    shown.sort(key=lambda row: row["line"])
    return Imported(
        file=name,
        format=format,
        accepted=written.accepted,
        duplicates=written.duplicates + repeated,
        waiting=written.waiting,
        rejected=unusable.num_rows + written.rejected.num_rows,
        rejections=tuple(Rejection(row["line"], row["field"], row["code"], row["reason"]) for row in shown[:LISTED]),
        warnings=tuple(_warnings(columns, zoneless, written)),
    )


def _warnings(columns: Columns, zoneless: int, written: verdicts.Written) -> Iterator[VerdictWarning]:
    for name, meant in columns.unknown().items():
        also = f" (did you mean `{meant}`?)" if meant else ""
        yield VerdictWarning("unknown_field", f"`{name}` is not a field{also}", 1)
    if zoneless:
        yield VerdictWarning("no_zone", f"{zoneless:,} times have no zone: read as UTC", zoneless)
    if written.conflicts:
        message = f"{written.conflicts:,} images are exhaustive and boxes_only for one reviewer: the later row counts"
        yield VerdictWarning("scope_conflict", message, written.conflicts)
    if written.vague:
        message = f"{written.vague:,} {VAGUE}"
        yield VerdictWarning("whole_image", message, written.vague)
