"""Folders that are there when they are complete, and not before."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from detmon.errors import OperationError, UsageError


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` at the end of the block; what killed processes left of such is removed."""
    if os.path.lexists(out):
        raise UsageError(f"{out} exists", "--out names a new folder")
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent, out.name)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(out.name), dir=parent))
    except OSError as error:
        raise OperationError(f"cannot write {out}: {error.strerror}") from None
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
        folder.chmod(0o777 & ~_umask())
        if os.path.lexists(out):  # meanwhile
            raise UsageError(f"{out} exists", "--out names a new folder")
        folder.rename(out)
    except OSError as error:
        raise OperationError(f"cannot write {out}: {error.strerror}") from None
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _prefix(name: str) -> str:
    return f".{name[:100]}.detmon-"


def _sweep(parent: Path, name: str) -> None:
    """Remove unfinished folders of exports that are no longer running: nobody holds their lock."""
    for left in parent.glob("*"):
        if not left.name.startswith(_prefix(name)) or left.is_symlink():
            continue
        with suppress(OSError):
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(lock)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
