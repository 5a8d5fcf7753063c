"""Who holds a claim, and whether that process still lives."""

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


def identity() -> str:
    """This process, as a claim carries it: JSON [host identity, pid, process start]."""
    pid = os.getpid()
    return json.dumps([host_identity(), pid, _start(pid)])


def is_dead(owner: str | None) -> bool:
    """Whether the claimant is known to be gone. A process of another host or container never is: its lease counts."""
    if owner is None:
        return True
    host, pid, start = json.loads(owner)
    if host != host_identity():
        return False
    return not _alive(pid) or _start(pid) != start


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start(pid: int) -> str | None:
    """When a process started, in the kernel's clock ticks: a reused pid has another start."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]  # field 22; the name before it may hold spaces
