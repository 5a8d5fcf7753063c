"""Ingest under kill -9, beside other processes, on streams that do not end: real processes throughout."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import synthetic
from conftest import Shell
from test_ingest import BAD, box, jsonl, proved, query, record

SMALL_BATCHES = """
import sys, detmon.ingest, detmon.formats.parquet
detmon.ingest.BATCH_ROWS, detmon.ingest.GAP = int(sys.argv.pop(1)), float(sys.argv.pop(1))
detmon.formats.parquet.ROWS = 500
from detmon.cli.app import main
main()
"""


def small_batches(rows: int, gap: float, *args: object) -> list[str]:
    """The argument list of a detmon process that commits every `rows` rows."""
    return [sys.executable, "-W", "error", "-c", SMALL_BATCHES, str(rows), str(gap), *map(str, args)]


@contextmanager
def started(command: list[str], folder: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone at the end."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def logs(folder: Path) -> list[str]:
    """A log of several batches, small ones with bad lines, a folder of tiny ones: 3,400 good records, 30 bad."""
    synthetic.write_parquet(folder / "big.parquet", 3000)
    for n in range(3):
        good = [record(k, model_id=f"small-{n}", detections=[box()]) for k in range(100)]
        bad = [{**BAD, "timestamp": f"2026-11-20T09:00:{k:02}Z"} for k in range(10)]
        (folder / f"small-{n}.jsonl").write_text(jsonl(*good, *bad))
    (folder / "tiny").mkdir()
    for n in range(100):
        (folder / "tiny" / f"{n}.json").write_text(jsonl(record(n, model_id="tiny", detections=[box()])))
    return ["big.parquet", "small-0.jsonl", "tiny", "small-1.jsonl", "small-2.jsonl"]


def stored_exactly(folder: Path) -> None:
    """All of `logs` once, all of it proved, every file seen."""
    counts = "SELECT (SELECT count(*) FROM predictions), (SELECT count(DISTINCT prediction_id) FROM predictions), "
    assert query(folder, counts + "(SELECT count(*) FROM quarantine)") == [(3400, 3400, 30)]
    assert query(folder, "SELECT count(DISTINCT sha256) FROM batches WHERE complete") == [(104,)]
    assert proved(folder)


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_kill_at_any_moment(detmon: Shell, kills: int) -> None:
    chance = random.Random(kills)
    command = small_batches(600, 0, "ingest", *logs(detmon.folder))
    begin = time.monotonic()
    assert subprocess.run(command, cwd=detmon.folder, capture_output=True).returncode == 0
    whole = time.monotonic() - begin
    stored_exactly(detmon.folder)
    for kill in range(kills):
        if kill % 4 == 0:  # a new store, killed four times
            for file in detmon.folder.glob("detmon.duckdb*"):
                file.unlink()
        with started(command, detmon.folder) as process:
            time.sleep(chance.uniform(0.2, 1.0) * whole)
            process.send_signal(signal.SIGKILL)
        if (detmon.folder / "detmon.duckdb").exists() and kill % 2:
            detmon("status", code=None)
        if kill % 4 == 3:
            assert subprocess.run(command, cwd=detmon.folder, capture_output=True).returncode == 0
            stored_exactly(detmon.folder)


@pytest.mark.parametrize("place", ["ingest.staged", "ingest.written", "ingest.committed"])
def test_kill_at_each_step(detmon: Shell, place: str) -> None:
    names = logs(detmon.folder)
    died = detmon.process("ingest", *names, env={"DETMON_FAILPOINT": place})
    assert died.returncode == -signal.SIGKILL
    done = detmon("ingest", *names, "--json").json
    assert done["predictions"] == (0 if place == "ingest.committed" else 3400)
    stored_exactly(detmon.folder)


def test_two_writers_and_a_reader(detmon: Shell) -> None:
    for n in (1, 2):
        synthetic.write_parquet(detmon.folder / f"{n}.parquet", 3000, n, model=f"m{n}")
    writers = [small_batches(500, 0.05, "ingest", f"{n}.parquet") for n in (1, 2)]
    with started(writers[0], detmon.folder) as one, started(writers[1], detmon.folder) as two:
        until((detmon.folder / "detmon.duckdb").exists)
        reads = 0
        while one.poll() is None or two.poll() is None:
            assert detmon.process("status", "--json").returncode == 0
            reads += 1
        assert (one.wait(), two.wait()) == (0, 0), (one.stderr, two.stderr)
    assert reads > 0
    assert query(detmon.folder, "SELECT count(*) FROM predictions") == [(6000,)]
    assert query(detmon.folder, "SELECT count(DISTINCT batch_id) = count(*) FROM batches") == [(True,)]
    assert proved(detmon.folder)


def test_a_store_that_stays_locked(detmon: Shell) -> None:
    (detmon.folder / "a.jsonl").write_text(jsonl(record()))
    detmon("ingest", "a.jsonl")
    (detmon.folder / "b.jsonl").write_text(jsonl(record(1)))
    hold = "import duckdb, sys; con = duckdb.connect('detmon.duckdb'); print('held', flush=True); sys.stdin.read()"
    with started([sys.executable, "-c", hold], detmon.folder, stdin=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        failed = detmon.process("--lock-timeout", "0.3", "ingest", "b.jsonl")
        assert failed.returncode == 4
        assert f"in use by process {holder.pid}; waited 0.3 s" in failed.stderr.decode()
        waiting = threading.Timer(0.5, holder.communicate)  # let go while the next one waits
        waiting.start()
        assert detmon.process("--lock-timeout", "30", "ingest", "b.jsonl").returncode == 0
        waiting.join()
    assert query(detmon.folder, "SELECT count(*) FROM predictions") == [(2,)]


def count(folder: Path) -> int:
    """Predictions stored so far."""
    if not (folder / "detmon.duckdb").exists():
        return 0
    return int(query(folder, "SELECT count(*) FROM predictions")[0][0])


def test_a_stream_is_written_while_it_runs(detmon: Shell) -> None:
    with started(detmon.command("ingest", "-", "--json"), detmon.folder, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(jsonl(record(0), record(1)).encode())
        process.stdin.flush()
        until(lambda: count(detmon.folder) == 2)
        out, _ = process.communicate(jsonl(record(2)).encode())
        assert process.returncode == 0
    assert json.loads(out)["predictions"] == 3
    assert proved(detmon.folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_follow_standard_input_until_a_signal(detmon: Shell, number: int, code: int) -> None:
    command = detmon.command("ingest", "-", "--follow", "--json")
    with started(command, detmon.folder, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(jsonl(record(0)).encode())
        process.stdin.flush()
        until(lambda: count(detmon.folder) == 1)
        process.send_signal(number)
        out, err = process.communicate()
        assert process.returncode == code, err
    assert json.loads(out)["predictions"] == 1
    assert b"Traceback" not in err


def test_follow_a_file_that_grows_and_is_replaced(detmon: Shell) -> None:
    log = detmon.folder / "log.jsonl"
    log.write_text(jsonl(record(0)))
    with started(detmon.command("ingest", "log.jsonl", "--follow", "--json"), detmon.folder) as process:
        until(lambda: count(detmon.folder) == 1)
        with log.open("a") as file:
            file.write(jsonl(record(1)))
        until(lambda: count(detmon.folder) == 2)
        log.rename(detmon.folder / "log.jsonl.1")
        log.write_text(jsonl(record(2)))
        until(lambda: count(detmon.folder) == 3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
        assert process.returncode == 0, err
    assert json.loads(out)["predictions"] == 3
    assert proved(detmon.folder)


def test_ctrl_c_leaves_whole_batches(detmon: Shell) -> None:
    synthetic.write_parquet(detmon.folder / "log.parquet", 3000)
    with started(small_batches(500, 0.5, "ingest", "log.parquet"), detmon.folder) as process:
        until(lambda: count(detmon.folder) >= 500)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert proved(detmon.folder)
    detmon("ingest", "log.parquet")
    assert count(detmon.folder) == 3000


def test_a_full_disk_loses_nothing(detmon: Shell) -> None:
    synthetic.write_parquet(detmon.folder / "log.parquet", 20_000)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)); "
    command = [sys.executable, "-c", limit + "from detmon.cli.app import main; main()", "ingest", "log.parquet"]
    failed = subprocess.run(command, cwd=detmon.folder, capture_output=True)
    assert failed.returncode == 4
    assert re.search(rb"error: cannot write detmon.duckdb: .*File too large", failed.stderr)
    assert count(detmon.folder) == 0
    detmon("ingest", "log.parquet")
    assert count(detmon.folder) == 20_000
    assert proved(detmon.folder)


def test_a_lock_in_the_middle_ends_the_call(detmon: Shell) -> None:
    """Batches that were written stay; the rest is taken by the next call."""
    synthetic.write_parquet(detmon.folder / "log.parquet", 3000)
    hold = (
        "import duckdb, sys, time\n"
        "while True:\n"
        "    try:\n"
        "        con = duckdb.connect('detmon.duckdb')\n"
        "        break\n"
        "    except duckdb.Error:\n"
        "        time.sleep(0.001)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with started(small_batches(500, 1.0, "--lock-timeout", "0.2", "ingest", "log.parquet"), detmon.folder) as process:
        until(lambda: count(detmon.folder) >= 500)
        with started([sys.executable, "-c", hold], detmon.folder, stdin=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            _, err = process.communicate()
            assert process.returncode == 4
            assert f"in use by process {holder.pid}" in err.decode()
    assert 0 < count(detmon.folder) < 3000
    detmon("ingest", "log.parquet")
    assert count(detmon.folder) == 3000
    assert proved(detmon.folder)


def test_progress_on_a_terminal_only(detmon: Shell) -> None:
    import pty

    (detmon.folder / "a.jsonl").write_text(jsonl(record()))
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        detmon.command("ingest", "a.jsonl", "--json"),
        cwd=detmon.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert json.loads(ran.stdout)["predictions"] == 1
    assert re.search(r"\x1b\[", shown)
    piped = detmon.process("ingest", "a.jsonl")
    assert b"\x1b" not in piped.stdout + piped.stderr


@pytest.mark.parametrize("mebibytes", [40, pytest.param(2048, marks=pytest.mark.slow)])
def test_a_huge_line_through_a_pipe_costs_bounded_memory_and_its_neighbours_nothing(
    detmon: Shell, mebibytes: int
) -> None:
    before, after = (jsonl(*(record(k) for k in part)).encode() for part in (range(10), range(10, 20)))
    with started(Shell.command("ingest", "-", "--json"), detmon.folder, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(before + b'{"model_id":"m","image_id":"')
        for _ in range(mebibytes):
            process.stdin.write(b"x" * (1 << 20))
        process.stdin.write(b'"}\n' + after)
        process.stdin.flush()
        peak = 0
        if mebibytes > 1000:
            peak = psutil.Process(process.pid).memory_info().rss
        out, err = process.communicate()
    assert process.returncode == 0, err
    report = json.loads(out)
    assert (report["predictions"], report["rejected"]) == (20, 1)
    assert peak < 600 << 20
    row = detmon("quarantine", "list", "--json").json[0]
    assert (row["code"], row["line"], len(row["raw"])) == ("line_too_long", 11, 2000)
