"""Fixtures that many tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("DETMON_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
VECTORS = Path(os.environ.get("DETMON_TEST_VECTORS", ROOT / ".." / "shared" / "vectors")).resolve()


@dataclass
class Result:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs `detmon` in a folder of its own: in this process (fast), or as a real one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.capfd = capfd

    def __call__(self, *args: object, code: int | None = 0, stdin: str | bytes | None = None) -> Result:
        """`detmon ARGS`, in this process unless there is `stdin`; asserts the exit code unless `code` is None."""
        if stdin is not None:
            done = self.process(*args, stdin=stdin)
            result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        else:
            from detmon.cli.app import run

            self.capfd.readouterr()
            status = run([str(arg) for arg in args])
            result = Result(status, *self.capfd.readouterr())
        assert "Traceback" not in result.err
        if code is not None:
            assert result.code == code, f"exit {result.code}, not {code}\n{result.out}\n{result.err}"
        return result

    def process(
        self, *args: object, stdin: str | bytes | None = None, env: dict[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """`detmon ARGS` as a process of its own."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return subprocess.run(
            self.command(*args),
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            timeout=timeout,
        )

    @staticmethod
    def command(*args: object) -> list[str]:
        """The argument list of a detmon process."""
        return [sys.executable, "-W", "error", "-m", "detmon", *map(str, args)]


@pytest.fixture
def detmon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """The program, in an empty folder, with an empty environment of its own."""
    for name in list(os.environ):
        if name.startswith(("DETMON_", "SMTP_", "SLACK_", "PAGERDUTY_")) and not name.startswith("DETMON_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capfd)


@pytest.fixture
def data() -> Path:
    """The folder of the real logs."""
    if not DATA.is_dir():
        pytest.skip("real logs not found at ../shared/data")
    return DATA


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """Reads a file of test vectors."""

    def read(name: str) -> Any:
        if not VECTORS.is_dir():
            pytest.skip("test vectors not found at ../shared/vectors")
        return json.loads((VECTORS / name).read_text("utf-8"))

    return read


@pytest.fixture(scope="session", autouse=True)
def _small_logs_as_large_ones() -> None:
    """Logs of tests are small: they are read with an engine in this process, and line by line in real ones."""
    from detmon.formats import objectlines

    objectlines.SMALL = 0


@pytest.fixture
def take(tmp_path: Path) -> Any:
    """Reads a log to its end: bytes (as a file called `name`), or a path, with reading options."""
    from logs import Taken

    from detmon.formats import Options, Source

    def read(content: bytes | Path, name: str = "log.jsonl", **options: Any) -> Taken:
        path = content if isinstance(content, Path) else tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        return Taken(Source(path.name, path), Options(**options))

    return read
