"""What is no log, and what cannot be read: clear errors, and the others of the folder are ingested."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import resource
import sqlite3
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Shell
from logs import FIRST, Take, lines

from detmon.errors import DetmonError

GOOD = lines(FIRST)
CSV = "image_id,timestamp,label,confidence,x1,y1,x2,y2\na,2026-11-20T08:00:00Z,car,0.9,1,2,30,40\n"


def zipped() -> bytes:
    """A ZIP archive with a log in it."""
    with zipfile.ZipFile(found := io.BytesIO(), "w") as archive:
        archive.writestr("log.jsonl", GOOD)
    return found.getvalue()


def tarred() -> bytes:
    """A tar archive with a log in it."""
    with tarfile.open(fileobj=(found := io.BytesIO()), mode="w") as archive:
        about = tarfile.TarInfo("log.jsonl")
        about.size = len(GOOD)
        archive.addfile(about, io.BytesIO(GOOD))
    return found.getvalue()


THINGS = {
    "photo.log": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is a picture, no log"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(256)), "is a picture, no log"),
    "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< >>\n", "is a PDF, no log"),
    "log.zip": (zipped(), "is a ZIP archive, no log"),
    "weights": (zipped(), "is a ZIP archive, no log"),
    "model.pkl": (pickle.dumps({"a": [1, 2]}), "is a Python pickle, no log"),
    "logs.tar": (tarred(), "is a tar archive, no log"),
    "logs.tar.gz": (gzip.compress(tarred()), "is a tar archive, no log"),
    "wide.jsonl": (GOOD.decode().encode("utf-16"), "is UTF-16 text, no log"),
    "wide.csv": (CSV.encode("utf-16-be"), "is UTF-16 text, no log"),
    "zeros": (bytes(5000), "is no text, no log"),
    "letter": (b"Dear friend,\nhow are you?\n", "of no known format, it begins with: Dear friend"),
    "object.json": (json.dumps({"a": [FIRST] * 9000}).encode(), "of no known format, it begins with: {"),
}


@pytest.mark.parametrize("name", THINGS)
def test_what_is_no_log_is_called_by_its_name(detmon: Shell, name: str) -> None:
    (detmon.folder / "logs").mkdir()
    (detmon.folder / "logs" / name).write_bytes(THINGS[name][0])
    (detmon.folder / "logs" / "good.jsonl").write_bytes(GOOD)
    ran = detmon("ingest", "logs", "--json", code=4)
    assert {file["path"]: file["status"] for file in ran.json["files"]} == {
        f"logs/{name}": "refused",
        "logs/good.jsonl": "taken",
    }
    assert THINGS[name][1] in ran.err
    assert "\0" not in ran.err


def test_databases(detmon: Shell) -> None:
    with duckdb.connect("films.db") as con:
        con.execute("CREATE TABLE films AS SELECT 1 AS n")
    with sqlite3.connect("lite.db") as lite:
        lite.execute("CREATE TABLE t(a)")
    before = Path("films.db").read_bytes()
    assert "is a DuckDB file, no log" in detmon("ingest", "films.db", code=4).err
    assert "is an SQLite file, no log" in detmon("ingest", "lite.db", code=4).err
    Path("good.jsonl").write_bytes(GOOD)
    for words in (("model", "list"), ("ingest", "good.jsonl")):
        ran = detmon("--db", "films.db", *words, code=4)
        assert "films is a DuckDB file, but not a detmon store: it has the tables films" in ran.err
        assert "hint: --db PATH or DETMON_DB names another file" in ran.err
    assert Path("films.db").read_bytes() == before
    assert "is not a detmon store" in detmon("--db", "lite.db", "model", "list", code=4).err


def test_a_csv_in_another_encoding_keeps_the_rows_that_can_be_read(detmon: Shell) -> None:
    rows = [f"{k},2026-11-20T08:00:{k:02}Z,{'café' if k == 7 else 'car'},0.9,1,2,30,40" for k in range(20)]
    Path("log.csv").write_bytes("\n".join([CSV.split("\n")[0], *rows, ""]).encode("latin-1"))
    done = detmon("ingest", "log.csv", "--model", "m", "--json").json
    assert (done["predictions"], done["rejected"]) == (19, 1)
    (row,) = detmon("quarantine", "list", "--json").json
    assert (row["line"], row["code"], row["raw"]) == (9, "bad_text", "7,2026-11-20T08:00:07Z,caf\ufffd,0.9,1,2,30,40")
    assert row["reason"] == "not UTF-8: write the file as UTF-8"


def test_a_folder_of_many_things(detmon: Shell) -> None:
    logs = detmon.folder / "logs"
    (logs / "deep").mkdir(parents=True)
    (logs / "deep" / "a.csv").write_text(CSV)
    (logs / "b.jsonl").write_bytes(GOOD)
    for beside in (".hidden.jsonl", "README.md", "model.pt", "a.jpg"):
        (logs / beside).write_bytes(GOOD)
    (logs / "up").symlink_to("..")
    (logs / "gone.jsonl").symlink_to("nowhere")
    (logs / "loop.jsonl").symlink_to("loop.jsonl")
    os.mkfifo(logs / "pipe.jsonl")
    ran = detmon("ingest", "logs", "--model", "m", "--json", code=4)
    assert {Path(file["path"]).name: file["status"] for file in ran.json["files"]} == {
        "a.csv": "taken",
        "b.jsonl": "taken",
        "gone.jsonl": "failed",
        "loop.jsonl": "failed",
    }
    assert "cannot read logs/gone.jsonl: No such file or directory" in ran.err
    assert "cannot read logs/loop.jsonl: Too many levels of symbolic links" in ran.err
    (logs / "nothing").mkdir()
    assert "no log in the folder logs/nothing" in detmon("ingest", "logs/nothing", code=2).err


@pytest.fixture
def closed(detmon: Shell) -> Iterator[Path]:
    """A folder that may not be looked into."""
    folder = detmon.folder / "logs" / "closed"
    folder.mkdir(parents=True)
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        folder.chmod(0o700)
        pytest.skip("this user may read everything")
    yield folder
    folder.chmod(0o700)


def test_a_folder_without_permission(detmon: Shell, closed: Path) -> None:
    (closed.parent / "good.jsonl").write_bytes(GOOD)
    ran = detmon("ingest", "logs", "--json", code=4)
    assert [file["status"] for file in ran.json["files"]] == ["failed", "taken"]
    assert "cannot read logs/closed: Permission denied" in ran.err
    assert "cannot read logs/closed" in detmon("ingest", "logs/closed", code=4).err
    assert "cannot read logs/closed/a.jsonl: Permission denied" in detmon("ingest", "logs/closed/a.jsonl", code=4).err


def test_a_named_pipe_is_read_once(detmon: Shell) -> None:
    os.mkfifo("pipe.jsonl")
    writer = threading.Thread(target=lambda: Path("pipe.jsonl").write_bytes(GOOD))
    writer.start()
    done = detmon("ingest", "pipe.jsonl", "--json").json
    writer.join()
    assert (done["predictions"], done["files"][0]["path"]) == (1, "pipe.jsonl")


# --- bombs -------------------------------------------------------------------------------------------------------


def zeros(gigabytes: float) -> bytes:
    """Zeros, as gzip."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 24)) for _ in range(int(gigabytes * 64))), packer.flush()])


def forged(place: int, value: bytes) -> bytes:
    """A Parquet file in whose footer something is another number."""
    pq.write_table(pa.Table.from_pylist([FIRST] * 3), file := io.BytesIO())
    data = bytearray(file.getvalue())
    place = len(data) - place
    data[place : place + len(value)] = value
    return bytes(data)


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BOMBS = {
    "zeros in gzip": lambda: zeros(0.5),
    "a line of blanks in gzip": lambda: gzip.compress(GOOD + b" " * (200 << 20), 1),
    "nested objects": lambda: GOOD + NESTED + b"\n" + GOOD,
    "nested arrays": lambda: b"[" * 500_000,
    "nested tags": lambda: GOOD + lines({**FIRST, "tags": "@"}).replace(b'"@"', NESTED),
    "a long number": lambda: GOOD + lines({**FIRST, "latency_ms": "@"}).replace(b'"@"', b"9" * (1 << 20)),
    "a long number in an array": lambda: b"[" + GOOD + b"," + b"9" * (1 << 20) + b"]",
    "many quotes in a CSV": lambda: (CSV + '"' * 1_000_001).encode(),
    "many columns in a CSV": lambda: b",".join(b"c%d" % k for k in range(100_000)) + b"\n",
    "many keys": lambda: GOOD + json.dumps({**FIRST, **{f"k{k}": k for k in range(100_000)}}).encode(),
    "a footer longer than the Parquet file": lambda: forged(8, b"\xff\xff\xff\x7f"),
    **{f"a forged footer of Parquet, {k}": lambda k=k: forged(k, b"\xff\xff\xff\xff\x0f") for k in range(60, 900, 60)},
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(take: Take, name: str) -> None:
    data = BOMBS[name]()
    began = time.monotonic()
    code = None
    try:
        assert len(take(data, model="m", tz="UTC").rows) <= 3
    except DetmonError as error:
        code = getattr(error, "code", None)
    assert code != "reader_failed"
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_ten_gigabytes_of_zeros(detmon: Shell) -> None:
    Path("bomb.gz").write_bytes(zeros(10))
    Path("line.gz").write_bytes(gzip.compress(GOOD) + zeros(10))
    assert "is no text" in detmon("ingest", "bomb.gz", code=4).err
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert detmon("ingest", "line.gz", "--json").json["rejected"] == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10  # kilobytes
