"""Running commands against each other: CPU, wall time and peak memory of whole processes, interleaved, medians."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Installed programs have their bytecode; one that compiles itself at each start is nobody's."""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    cpu: float
    wall: float
    megabytes: float


@dataclass(frozen=True)
class Row:
    """One line of the table: the work, what it is compared with, the budget, what was measured."""

    work: str
    unit: str
    budget: str
    measured: str
    detail: str = ""


def run(command: Sequence[str], folder: Path, stdin: Path | None = None) -> Cost:
    """Run a command to its end; raises when it fails."""
    begin = time.monotonic()
    with open(stdin or os.devnull, "rb") as source:
        process = subprocess.Popen(
            command, cwd=folder, env=ENVIRONMENT, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    with process.stderr as stderr:
        if process.returncode:
            raise RuntimeError(f"{command}: exit {process.returncode}\n{stderr.read().decode()}")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss / 1024)


def interleaved(
    works: Mapping[Name, Callable[[], Cost]], times: int, of: Callable[[list[float]], float] = statistics.median
) -> dict[Name, Cost]:
    """Each work so many times, in turns; the medians, or what else is to be taken `of` the runs."""
    costs: dict[Name, list[Cost]] = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            costs[name].append(work())
    return {
        name: Cost(*(of([getattr(cost, field) for cost in found]) for field in ("cpu", "wall", "megabytes")))
        for name, found in costs.items()
    }


def python(script: str, *args: object) -> list[str]:
    """The argument list of a Python process."""
    return [sys.executable, "-c", script, *map(str, args)]


def detmon(*args: object) -> list[str]:
    """The argument list of a detmon process."""
    return [sys.executable, "-m", "detmon", *map(str, args)]
