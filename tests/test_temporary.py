"""Temporary copies: what a killed process leaves behind, and what an interrupted one does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import pytest
from conftest import Shell
from objects import LOG, serving

from detmon.formats import temporary


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty TMPDIR."""
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(made))
    monkeypatch.setenv("TMPDIR", str(made))
    temporary._swept.cache_clear()
    return made


def hours_ago(path: Path, hours: float) -> None:
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))


def test_what_was_left_is_removed_and_nothing_else(folder: Path) -> None:
    names = ["detmon-left.copy", "detmon-left.spool", "detmon-new.copy", "other.copy", "detmon-mine.txt"]
    for name in names:
        (folder / name).write_bytes(b"x")
        hours_ago(folder / name, 0.5 if "new" in name else 2)
    with temporary.temporary(".copy") as held:
        hours_ago(Path(held.name), 2)  # read for long, but still in hand
        temporary._swept.cache_clear()
        with temporary.temporary(".spool"):
            assert Path(held.name).exists()
    assert sorted(path.name for path in folder.iterdir()) == sorted(names[2:])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_copy_that_is_interrupted(detmon: Shell, folder: Path, how: signal.Signals) -> None:
    with serving() as server:
        server.content["/log.jsonl"] = LOG
        server.pauses = True
        command = detmon.command("ingest", f"{server.url}/log.jsonl")
        with subprocess.Popen(command, cwd=detmon.folder, stderr=subprocess.PIPE) as process:
            until = time.monotonic() + 60
            while not server.asked and time.monotonic() < until:
                time.sleep(0.02)
            assert list(folder.iterdir())
            process.send_signal(how)
            _, err = process.communicate(timeout=60)
        assert process.returncode != 0
        assert b"Traceback" not in err
        left = list(folder.iterdir())
        assert len(left) == (how == signal.SIGKILL)
        for path in left:
            hours_ago(path, 2)
        server.pauses = False
        assert detmon.process("ingest", f"{server.url}/log.jsonl").returncode == 0
    assert not list(folder.iterdir())


def test_the_room_is_looked_at_before_the_copy(detmon: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gcs import Bucket

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with serving(files=Bucket()) as bucket:
        bucket.content["log.jsonl"] = LOG
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
        failed = detmon("ingest", "gs://logs/log.jsonl", code=4)
    assert f"no room for its copy ({len(LOG):,} bytes, 1,000 are free) in {folder}" in failed.err
    assert "TMPDIR=FOLDER" in failed.err
    assert not any("alt=media" in path for _, path, _ in bucket.asked)
