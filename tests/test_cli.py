"""How the program behaves in a shell: pipes, closed streams, encodings, full disks."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Shell

from detmon.cli.app import NOUNS


@pytest.mark.parametrize("verb", ["metric list", "metric list --format csv", "metric list --json", "--help"])
def test_a_reader_that_leaves_is_141_without_noise(detmon: Shell, verb: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "wb") as pipe:
        done = subprocess.run(detmon.command(*verb.split()), stdout=pipe, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_stream_that_is_closed_leads_nowhere(detmon: Shell) -> None:
    script = '"$0" -m detmon metric list >&-; echo $?; "$0" -m detmon model show x 2>&-; echo $?'
    done = subprocess.run(["bash", "-c", script, detmon.command()[0]], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n2\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_no_fault_of_the_program(detmon: Shell) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            detmon.command("metric", "list", "--json"), stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert (done.returncode, done.stderr) == (4, b"error: writing the output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_terminal_lacks_are_escaped(detmon: Shell, encoding: str) -> None:
    detmon("model", "register", "Tür→Łódź")
    env = {"PYTHONIOENCODING": encoding}
    shown = detmon.process("model", "list", "--json", env=env)
    assert json.loads(shown.stdout.decode(encoding))[0]["name"] == "Tür→Łódź"
    for form in ("table", "csv", "jsonl"):
        assert detmon.process("model", "list", "--format", form, env=env).returncode == 0
    assert b"\\u2192" in detmon.process("model", "show", "→", env=env).stderr


def test_an_argument_that_is_no_text(detmon: Shell) -> None:
    done = subprocess.run([*detmon.command("model", "show"), b"\xff"], capture_output=True, timeout=60)
    assert (done.returncode, b"is not UTF-8" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "says"), [("log.jsonl", "is not a detmon store"), ("folder", "cannot open folder"), ("x/y", "no store at")]
)
def test_what_is_no_store_is_called_that(detmon: Shell, name: str, says: str) -> None:
    (detmon.folder / "log.jsonl").write_text('{"a": 1}\n')
    (detmon.folder / "folder").mkdir()
    failed = detmon("--db", name, "model", "list", code=None)
    assert failed.code in (2, 4)
    assert says in failed.err
    assert "fault of detmon" not in failed.err


def test_a_few_known_values_are_listed(detmon: Shell) -> None:
    detmon("model", "register", "m")
    assert "one of queued, sending, sent" in detmon("notify", "list", "--status", "xx", code=2).err


def test_the_readme_lists_every_noun() -> None:
    (table,) = re.findall(r"^## Commands\n(.*?)^## ", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)", " ".join(first))) == set(NOUNS)


def test_a_narrow_terminal_shows_the_first_columns(detmon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    detmon(
        "model", "register", "a-rather-long-name-of-a-model", "--version", "2026", "--uri", "s3://bucket/" + "x" * 40
    )
    monkeypatch.setenv("COLUMNS", "40")
    assert "s3://bucket" in detmon("model", "list").out  # a pipe has no width
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = detmon("model", "list")
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.out).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[0].split() == ["id", "name"]
    assert "note: too narrow for version, uri" in shown.err
