"""Temporary files for copies of logs: gone when they are closed, and, of a process that was killed, an hour later."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

PREFIX = "detmon-"
SUFFIXES = (".copy", ".spool")
LEFT_SECONDS = 3600
"""A file that nobody holds any more is removed when it was written so long ago."""


def temporary(suffix: str, *, buffering: int = -1) -> IO[bytes]:
    """A new file with a name in TMPDIR, held by this process until it is closed. Raises OSError."""
    _swept(tempfile.gettempdir())
    file = tempfile.NamedTemporaryFile(prefix=PREFIX, suffix=suffix, buffering=buffering)  # noqa: SIM115
    with suppress(OSError):  # no locks there: it may be swept if it is read for longer than an hour
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    return file


@cache
def _swept(folder: str) -> None:
    """Remove what killed processes of this user left behind; once a process."""
    for suffix in SUFFIXES:
        for path in Path(folder).glob(f"{PREFIX}*{suffix}"):
            with suppress(OSError):
                _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        if state.st_uid == os.getuid() and state.st_mtime < time.time() - LEFT_SECONDS:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
