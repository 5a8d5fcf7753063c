"""Opening, waiting, migrating."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from detmon.errors import StoreError, StoreLocked, UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Connection: TypeAlias = "DuckDBPyConnection"
T = TypeVar("T")

WAL_TO_FOLD = 1 << 20
"""Bytes of write-ahead log (left by a killed process) that every reader would replay: folded in first."""
MEMORY_LIMIT = "900MB"
_NO_LOCKS_HERE = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
"""What a file system answers that cannot lock folders; the store belongs on a local disk, but works there too."""
_BUSY = ("Could not set lock", "different configuration", "already attached", "Unique file handle conflict")


def connect(path: Path | str = ":memory:", *, read_only: bool = False) -> Connection:
    """A DuckDB connection set up the way every connection of detmon is."""
    import duckdb

    con = duckdb.connect(str(path), read_only=read_only)
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")  # DuckDB draws it on stdout, even into a pipe
    con.execute("SET preserve_insertion_order = false")
    con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    return con


@cache
def statement(name: str) -> str:
    """The text of `sql/NAME.sql`."""
    return resources.files("detmon.store").joinpath("sql", f"{name}.sql").read_text("utf-8")


@contextmanager
def transaction(con: Connection) -> Iterator[None]:
    """BEGIN … COMMIT; any exception rolls back (a COMMIT after an error would return and write nothing)."""
    import duckdb

    con.execute("BEGIN")
    try:
        yield
        con.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # a failed COMMIT has ended it already; a full disk fails here again
            con.execute("ROLLBACK")
        raise


def newest_schema() -> int:
    """The version of the schema that this detmon writes."""
    return len(_migrations())


def pruned_before(con: Connection, model_id: str) -> datetime | None:
    """The instant before which rows of a model were removed; None where none were."""
    row: tuple[datetime] | None = con.execute(statement("pruned_before"), {"model": model_id}).fetchone()
    return row[0] if row else None


class Store:
    """The DuckDB file at `path`; `lock_timeout` is how many seconds to wait for other processes."""

    def __init__(self, path: Path, lock_timeout: float = 60.0) -> None:
        self.path = path
        self.lock_timeout = lock_timeout
        self._current = False  # known to be at the newest migration

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection; any number of processes can hold one.

        Raises UsageError when there is no store yet, StoreLocked, StoreError.
        """
        self._must_exist()
        if self._wal_is_large():
            self._bring_up_to_date()
        con = self._open(read_only=True)
        try:
            if not self._current and _version(con) < len(_migrations()):
                self._close(con)
                self._bring_up_to_date()
                con = self._open(read_only=True)
            yield con
        finally:
            self._close(con)

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[Connection]:
        """A read-write connection; nobody else can open the store meanwhile, so be short.

        Raises UsageError when there is no store and `create` is not set, StoreLocked, StoreError.
        """
        if create:
            self._make_folder()
        else:
            self._must_exist()
        con = self._open(read_only=False)
        try:
            if not self._current:
                _migrate(con)
                self._current = True
            yield con
        finally:
            self._close(con)

    def patiently(self, attempt: Callable[[], T]) -> T:
        """`attempt()`, again and again while another process holds the file, up to `lock_timeout` seconds.

        Raises StoreLocked naming the holder, or StoreError when waiting cannot help.
        """
        import duckdb

        give_up = time.monotonic() + self.lock_timeout
        pause = 0.005
        while True:
            try:
                with self._gate(wait=False):
                    return attempt()
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    raise self._locked("") from None
                pause = 0.005  # the gate is held for moments
            except duckdb.Error as error:
                text = str(error)
                if not any(sign in text for sign in _BUSY):
                    raise self._translated(error) from error
                if time.monotonic() >= give_up:
                    raise self._locked(text) from None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            pause = min(pause * 1.6, 0.1)

    @contextmanager
    def _gate(self, *, wait: bool) -> Iterator[None]:
        """Keeps an opening of the file apart from every closing; raises BlockingIOError where it does not `wait`.

        DuckDB reads the header and only then asks for its lock. A process that opens the file while another one writes
        its last checkpoint and leaves would go on with the old header: commits would be lost, or the file damaged. The
        gate is a lock on the folder, held for the moments of opening and closing only.
        """
        folder = os.open(self.path.resolve().parent, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_LOCKS_HERE:
                    raise
            yield
        finally:
            os.close(folder)

    def _close(self, con: Connection) -> None:
        with self._gate(wait=True):
            con.close()

    def _open(self, *, read_only: bool) -> Connection:
        if _is_sqlite(self.path):  # DuckDB would fetch an extension from the network
            raise StoreError(f"{self.path} is not a detmon store", "--db PATH or DETMON_DB names another file")
        return self.patiently(lambda: connect(self.path, read_only=read_only))

    def _must_exist(self) -> None:
        if not self.path.exists():
            raise UsageError(
                f"no store at {self.path}", "`detmon ingest LOG` makes one; --db PATH or DETMON_DB names another"
            )

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {self.path.parent}: {error.strerror}") from None

    def _wal_is_large(self) -> bool:
        try:
            return Path(f"{self.path}.wal").stat().st_size > WAL_TO_FOLD
        except OSError:
            return False

    def _bring_up_to_date(self) -> None:
        with self.writing():
            pass

    def _locked(self, text: str) -> StoreLocked:
        holder = re.search(r"\(PID (\d+)\)", text)
        pid = int(holder[1]) if holder else None
        who = f"process {pid}" if pid else "another part of this process" if text else "another process"
        return StoreLocked(
            f"{self.path} is in use by {who}; waited {self.lock_timeout:g} s",
            "wait for it to end, or give --lock-timeout a longer time",
            pid,
        )

    def _translated(self, error: Exception) -> Exception:
        text = str(error).splitlines()[0]
        if "version number" in text or "newer version" in text:
            import duckdb

            return StoreError(
                f"{self.path} was written by another version of DuckDB than the installed {duckdb.__version__}: {text}",
                "install the version that wrote it (files of DuckDB 2 do not open in 1.5)",
            )
        if "not a valid DuckDB database" in text or "in-memory database in read-only mode" in text:  # a log, for one
            return StoreError(f"{self.path} is not a detmon store", "--db PATH or DETMON_DB names another file")
        if error.__class__.__name__ in ("IOException", "InternalException", "SerializationException"):
            return StoreError(f"cannot open {self.path}: {text}")
        return error


@cache
def _migrations() -> tuple[str, ...]:
    folder = resources.files("detmon.store").joinpath("migrations")
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql")))


def _version(con: Connection) -> int:
    """The version of the schema, 0 of a new file. Raises StoreError for a database that is somebody else's."""
    import duckdb

    version, name, known = 0, None, _migrations()
    with suppress(
        duckdb.CatalogException, duckdb.BinderException, duckdb.ConversionException
    ):  # no such table, or another
        ((version, name),) = con.execute(statement("schema_version")).fetchall()
    ours = name == known[version - 1] if 0 < version <= len(known) else version > 0 or not _tables(con)
    if ours:
        return version
    file, tables = con.execute("SELECT current_database()").fetchall()[0][0], _tables(con)
    shown = ", ".join(tables[:3]) + (", …" if len(tables) > 3 else "")
    raise StoreError(
        f"{file} is a DuckDB file, but not a detmon store: it has the tables {shown}",
        "--db PATH or DETMON_DB names another file",
    )


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(15) == b"SQLite format 3"
    except OSError:
        return False  # a new file, or one that DuckDB has its own word on


def _tables(con: Connection) -> list[str]:
    return [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]


def _migrate(con: Connection) -> None:
    """Bring the schema up to the newest migration, each in a transaction of its own."""
    done = _version(con)
    pending = _migrations()[done:]
    if done > len(_migrations()):
        raise StoreError("the store was made by a newer detmon", "pip install --upgrade detmon")
    for number, name in enumerate(pending, start=done + 1):
        text = resources.files("detmon.store").joinpath("migrations", name).read_text("utf-8")
        with transaction(con):
            con.execute("CREATE TABLE IF NOT EXISTS migrations(version INTEGER PRIMARY KEY, name VARCHAR)")
            con.execute(text)
            con.execute("INSERT INTO migrations VALUES ($version, $name)", {"version": number, "name": name})
