"""Canonical Parquet, read where it lies: the rows of a large log need not be stored to be counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from detmon.store import Connection, connect, statement

MAGIC = b"PAR1"
NEEDED = {"model_id": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "image_id": "VARCHAR"}
OPTIONAL = {
    "prediction_id": ("VARCHAR",),
    "source": ("VARCHAR",),
    "status": ("VARCHAR",),
    "confidence_floor": ("FLOAT", "DOUBLE"),
    "tags": ("MAP(VARCHAR, VARCHAR)",),
}
"""Columns that may be missing, and the types that ingest takes as they are."""
ABSENT = {"tags": "CAST(NULL AS MAP(VARCHAR, VARCHAR))", "confidence_floor": "CAST(NULL AS FLOAT)"}
BOXES = {
    "confidence FLOAT": "detections",
    "confidence DOUBLE": (
        "list_transform(detections, lambda d: {'label': d.label, 'confidence': CAST(d.confidence AS FLOAT)})"
    ),
}
"""Types of the scores, and the detections with scores as they are stored."""


def in_place(paths: Sequence[Path], folder: Path, now: datetime) -> Connection | None:
    """A connection whose `predictions` are the rows of these files; None where `ingest` must read them.

    That is so where a file is of another format, a type needs a conversion, a record is unusable, or one occurs twice.
    `folder` takes what does not fit into memory.
    """
    if not all(_is_parquet(path) for path in paths):
        return None
    con = connect()
    try:
        if _opened(con, paths, folder) and _is_clean(con, now):
            return con
    except BaseException:
        con.close()
        raise
    con.close()
    return None


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _opened(con: Connection, paths: Sequence[Path], folder: Path) -> bool:
    """Make the views, if the columns are canonical."""
    import duckdb

    con.execute("SET temp_directory = $folder", {"folder": str(folder)})
    try:
        con.read_parquet([str(path) for path in paths], hive_partitioning=False).create_view("log")
    except duckdb.Error:  # ingest says what is wrong with it
        return False
    types = {name: str(kind).replace('"', "") for name, kind, *_ in con.execute("DESCRIBE log").fetchall()}
    boxes = types.get("detections", "")
    canonical = (
        all(types.get(name) == kind for name, kind in NEEDED.items())
        and all(types.get(name, kinds[0]) in kinds for name, kinds in OPTIONAL.items())
        and boxes.startswith("STRUCT(")
        and boxes.endswith("[]")
        and "label VARCHAR" in boxes
        and any(score in boxes for score in BOXES)
    )
    if canonical:
        columns = {name: name if name in types else ABSENT.get(name, "CAST(NULL AS VARCHAR)") for name in OPTIONAL}
        columns["detections"] = next(sql for score, sql in BOXES.items() if score in boxes)
        con.execute("CREATE TABLE batches AS SELECT 1 AS batch_id, 'known' AS denominator")
        con.execute(statement("drift_log").format(**columns))
    return canonical


def _is_clean(con: Connection, now: datetime) -> bool:
    """Whether ingest would take every record, once and as it is."""
    texts = [text for (text,) in con.execute(statement("drift_log_texts")).fetchall()]
    if not texts or not all(text and text.strip() and len(text) <= 512 and text.isprintable() for text in texts):
        return False
    faulty = con.execute(statement("drift_log_faults"), {"now": now}).fetchall() != [(False,)]
    return not faulty and con.execute(statement("drift_log_repeats")).fetchall() == [(False,)]
