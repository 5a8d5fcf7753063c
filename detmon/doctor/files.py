"""Checks of the store's file and of the machine around it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detmon.doctor.records import Finding

NETWORK = ("nfs", "cifs", "smb", "sshfs", "9p", "ceph", "gluster", "lustre", "afs", "s3fs", "gcsfuse", "blobfuse")
"""File systems of which some share a part of this name: locks on them fail or lie."""
GIB = 1 << 30


@dataclass(frozen=True)
class Place:
    """The store's file as the operating system sees it, before it is opened. `size` None: there is none."""

    path: Path
    size: int | None
    mode: int
    wal: int
    free: int
    writable: bool
    file_system: str
    secret_files: Sequence[tuple[Path, int]]
    """Files with secrets, and their modes."""


def look(path: Path, secret_files: Sequence[Path]) -> Place:
    """What is at `path`; nothing is opened or changed."""
    folder = path.resolve().parent
    while not folder.exists():
        folder = folder.parent
    found = path.stat() if path.exists() else None
    wal = Path(f"{path}.wal")
    return Place(
        path=path,
        size=found.st_size if found else None,
        mode=found.st_mode if found else 0,
        wal=wal.stat().st_size if wal.exists() else 0,
        free=shutil.disk_usage(folder).free,
        writable=os.access(folder, os.W_OK) and (found is None or os.access(path, os.W_OK)),
        file_system=_file_system(folder, Path("/proc/mounts")),
        secret_files=[(file, file.stat().st_mode) for file in secret_files if file.exists()],
    )


def _file_system(folder: Path, mounts: Path) -> str:
    """The type of the file system of a folder; "" where the system does not say."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = [(mount, kind) for _, mount, kind, *_ in (line.split() for line in lines) if folder.is_relative_to(mount)]
    return max(found, key=lambda one: len(one[0]))[1] if found else ""


def file_system(place: Place) -> Iterator[Finding]:
    """Whether the store is on a local disk."""
    if any(name in place.file_system for name in NETWORK):
        text = f"{place.path} is on a network file system ({place.file_system}): two processes can damage it"
        yield Finding("network_file_system", "warning", text, "put the store on a local disk, and copy it from there")


def permissions(place: Place) -> Iterator[Finding]:
    """Whether the right people, and only these, can read and write it."""
    if not place.writable:
        text = f"{place.path} or its folder cannot be written: nothing can be ingested, checked or reviewed"
        yield Finding("not_writable", "error", text, "chown it to the user that runs detmon")
    if place.size is not None and place.mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"others can write {place.path} (mode {stat.S_IMODE(place.mode):04o}): your numbers can be changed"
        yield Finding("file_mode", "warning", text, f"chmod 600 {place.path}")
    elif place.size is not None and place.mode & stat.S_IROTH:
        text = f"everybody on this machine can read {place.path} (mode {stat.S_IMODE(place.mode):04o})"
        yield Finding("file_mode", "info", text, f"chmod 600 {place.path}, where images or reviewers are confidential")
    for file, mode in place.secret_files:
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            text = f"{file} holds secrets, and others can read it (mode {stat.S_IMODE(mode):04o})"
            yield Finding("secrets_readable", "warning", text, f'chmod 600 {file}, or write "env:NAME" for each secret')


def room(place: Place) -> Iterator[Finding]:
    """Whether there is room to go on."""
    needed = max(GIB, (place.size or 0) // 10)
    if place.free < needed:
        level = "error" if place.free < GIB // 10 else "warning"
        text = f"{place.free / GIB:.2f} GiB are free beside the store ({(place.size or 0) / GIB:.2f} GiB)"
        yield Finding(
            "disk_space", level, f"{text}: ingest will stop", "detmon prune --older-than 90d, or a larger disk"
        )


def left_over(place: Place) -> Iterator[Finding]:
    """Whether a process was killed while it wrote."""
    if place.wal:
        text = f"a process ended without closing the store: {place.wal:,} bytes of its last writes stood beside it"
        yield Finding(
            "wal_left", "info", text, "nothing is lost: they are read with the store, and the next write folds them in"
        )


def engine(version: str) -> Iterator[Finding]:
    """Whether the installed DuckDB is one that detmon is tested with."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if not (1, 5) <= numbers < (3, 0):
        text = f"DuckDB {version} is installed; detmon is tested with 1.5 and 2"
        yield Finding("duckdb_version", "warning", text, "pip install 'duckdb>=1.5.5,<3'")
