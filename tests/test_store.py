"""The store: opening, waiting for the lock, migrating, rolling back."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from detmon.errors import StoreError, StoreLocked, UsageError
from detmon.store import Store, transaction

HOLD = """
import sys
from pathlib import Path
from detmon.store import Store
with Store(Path(sys.argv[1])).writing(create=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.duckdb"


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that holds the store read-write until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_named(path: Path) -> None:
    with hold(path) as process, pytest.raises(StoreLocked) as raised, Store(path, lock_timeout=0.2).reading():
        pass
    assert raised.value.pid == process.pid
    assert f"process {process.pid}" in raised.value.message
    assert raised.value.exit_code == 4


@pytest.mark.parametrize("tables", [["films"], ["migrations", "films"], ["numbered migrations"]])
def test_somebody_elses_database_is_left_alone(path: Path, tables: list[str]) -> None:
    made = {
        "films": "CREATE TABLE films AS SELECT 1 AS n",
        "migrations": "CREATE TABLE migrations AS SELECT 'first' AS label",
        "numbered migrations": "CREATE TABLE migrations AS SELECT 3 AS version, 'films' AS name",
    }
    with duckdb.connect(str(path)) as con:
        for name in tables:
            con.execute(made[name])
    before = path.read_bytes()
    for opened in (Store(path).reading(), Store(path).writing(), Store(path).writing(create=True)):
        with (
            pytest.raises(StoreError, match="is a DuckDB file, but not a detmon store: it has the tables") as raised,
            opened,
        ):
            pass
        assert raised.value.hint == "--db PATH or DETMON_DB names another file"
    assert path.read_bytes() == before


def test_an_empty_database_becomes_a_store(path: Path) -> None:
    duckdb.connect(str(path)).close()
    with Store(path).reading() as con:
        assert con.execute("SELECT count(*) FROM models").fetchone() == (0,)


def test_waiting_ends_when_the_holder_does(path: Path) -> None:
    process = hold(path)
    assert process.stdin is not None
    timer = threading.Timer(0.3, process.stdin.close)
    timer.start()
    with Store(path).writing() as con:
        assert con.execute("SELECT count(*) FROM models").fetchone() == (0,)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_nothing_is_made_by_looking(path: Path) -> None:
    with pytest.raises(UsageError, match="no store at"), Store(path).reading():
        pass
    assert not path.exists()


def test_another_file_is_no_store(path: Path) -> None:
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match="is not a detmon store"), Store(path).reading():
        pass


def test_an_error_rolls_back_and_the_connection_lives_on(path: Path) -> None:
    with Store(path).writing(create=True) as con:
        with pytest.raises(ZeroDivisionError), transaction(con):
            con.execute("INSERT INTO models(id, name) VALUES ('a', 'a')")
            raise ZeroDivisionError
        with transaction(con):
            con.execute("INSERT INTO models(id, name) VALUES ('b', 'b')")
        assert con.execute("SELECT id FROM models").fetchall() == [("b",)]


def test_an_older_store_is_brought_up_to_date_by_a_reader(path: Path) -> None:
    import duckdb

    duckdb.connect(str(path)).close()
    with Store(path).reading() as con:
        assert con.execute("SELECT count(*) FROM predictions").fetchone() == (0,)


def test_a_store_of_a_newer_detmon_is_refused(path: Path) -> None:
    with Store(path).writing(create=True) as con:
        con.execute("INSERT INTO migrations VALUES (999, 'later')")
    with pytest.raises(StoreError, match="newer detmon"), Store(path).writing():
        pass


def test_an_opening_waits_for_a_closing(tmp_path: Path) -> None:
    """DuckDB reads the header before it locks the file: an opening that met a closing would read an old one."""
    import fcntl
    import os

    path = tmp_path / "s.duckdb"
    with Store(path).writing(create=True):
        pass
    folder = os.open(tmp_path, os.O_RDONLY)  # as a process does that is about to close the file
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(StoreLocked), Store(path, lock_timeout=0.05).reading():
            pass
    finally:
        os.close(folder)
    with Store(path, lock_timeout=0.05).reading():
        pass


def test_a_folder_that_cannot_be_locked_still_holds_a_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr("fcntl.flock", flock)
    with Store(path).writing(create=True) as con:
        assert con.execute("SELECT count(*) FROM models").fetchone() == (0,)


def test_while_another_process_opens_or_closes_it_the_store_is_in_use(path: Path) -> None:
    with Store(path).writing(create=True):
        pass
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        with pytest.raises(StoreLocked, match="in use by another process"), Store(path, lock_timeout=0.1).reading():
            pass
    finally:
        os.close(folder)
