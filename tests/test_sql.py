"""Questions in SQL, and what they cannot reach."""

from __future__ import annotations

import sys

import pytest
from conftest import Shell
from test_ingest import LINES, box, jsonl, record


@pytest.fixture
def store(detmon: Shell) -> Shell:
    (detmon.folder / "log.jsonl").write_text(jsonl(*LINES, record(detections=[box("van"), box()])))
    detmon("ingest", "log.jsonl")
    return detmon


def test_rows(store: Shell) -> None:
    query = "SELECT label, count(*) AS boxes FROM detections GROUP BY label ORDER BY boxes DESC"
    assert store("sql", query, "--json").json == [{"label": "car", "boxes": 2}, {"label": "van", "boxes": 1}]
    assert store("sql", query, "--format", "csv").out == "label,boxes\ncar,2\nvan,1\n"
    assert "car" in store("sql", query).out


def test_values_of_every_kind(store: Shell) -> None:
    query = (
        "SELECT 1.50::DECIMAL(9, 2) AS a, DATE '2026-01-02' AS b, ts AS c, tags AS d, [1, NULL] AS e, "
        "'nan'::DOUBLE AS f, 170141183460469231731687303715884105727::HUGEINT AS g, ts, ts "
        "FROM predictions ORDER BY ts, image_id DESC LIMIT 1"
    )
    (row,) = store("sql", query, "--json").json
    assert row == {
        "a": 1.5, "b": "2026-01-02", "c": "2026-11-20T08:00:00Z", "d": {"site": "north"}, "e": [1, None], "f": None,
        "g": 2**127 - 1, "ts": "2026-11-20T08:00:00Z", "ts_2": "2026-11-20T08:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("/* nothing */", "the question is empty"),
        ("SELECT confidense FROM detections", "confidence"),
        ("DELETE FROM predictions", "read-only"),
        ("CREATE TABLE t(a INTEGER)", "read-only"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("COPY predictions TO 'out.csv'", "disabled"),
        ("ATTACH 'other.duckdb'", "disabled"),
        ("INSTALL httpfs", "disabled"),
        ("SET enable_external_access = true", ""),
        ("SET memory_limit = '1TB'", "locked"),
        ("SELECT * FROM query", "does not exist"),
    ],
)
def test_what_is_refused(store: Shell, query: str, says: str) -> None:
    before = sorted(path.name for path in store.folder.iterdir())
    assert says in store("sql", query, code=2).err
    assert sorted(path.name for path in store.folder.iterdir()) == before


def test_without_a_store(detmon: Shell) -> None:
    assert "no store at" in detmon("sql", "SELECT 1", code=2).err


def test_a_time_with_a_zone(store: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytz", None)  # as where nothing but detmon is installed
    assert "column::TIMESTAMP" in store("sql", "SELECT ts::TIMESTAMPTZ FROM predictions", code=2).err
