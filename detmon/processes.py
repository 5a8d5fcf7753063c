"""Which process something belongs to, and whether that process still lives."""

from __future__ import annotations

import json
import os
import socket
from functools import cache
from pathlib import Path


@cache
def host_identity() -> str:
    """This machine and process space: on Linux the boot and the pid namespace, elsewhere the host's name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def identity(pid: int | None = None) -> str:
    """A process (default: this one), as a claim carries it: JSON [host identity, pid, process start]."""
    pid = os.getpid() if pid is None else pid
    return json.dumps([host_identity(), pid, _start(pid)])


def is_dead(owner: str | None) -> bool:
    """Whether the claimant is known to be gone. A process of another host or container never is: its lease counts."""
    if owner is None:
        return True
    return json.loads(owner)[0] == host_identity() and living(owner) is None


def living(owner: str | None) -> int | None:
    """The pid of a process that lives here; None for one that ended (also unburied), or is of another host or boot."""
    if owner is None:
        return None
    host, pid, start = json.loads(owner)
    lives = host == host_identity() and _alive(pid) and _start(pid) == start
    return int(pid) if lives else None


def children() -> list[int]:
    """The processes whose parent this one is; none where there is no /proc."""
    pids = (int(one.name) for one in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if _stat(pid)[1:2] == [str(os.getpid())]]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _stat(pid)[:1] != ["Z"]


def _start(pid: int) -> str | None:
    """When a process started, in the kernel's clock ticks: a reused pid has another start."""
    return next(iter(_stat(pid)[19:20]), None)  # field 22


def _stat(pid: int) -> list[str]:
    """The fields of a process behind its name, which may hold spaces; none where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
