"""The process that watches one training on this machine, so that no terminal, shell or parent has to.

`python -m detmon.training.supervisor FOLDER` leaves its caller at once, starts the command of `FOLDER/order.json` in a
session of its own, and stays until it has ended: it keeps the log within bounds, ends what runs for too long or is
cancelled, and writes down how it ended (`outcome.json`) before it tells the store. It is alive as long as it holds the
lock on `process.json`, which the kernel takes from it however it dies. Both files are written in place, into room that
was taken before the start: a full disk does not keep it from saying how a training ended. Standard library only, for it
lives as long as the training.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from detmon import processes

ORDER, PROCESSES, OUTCOME, CANCEL = "order.json", "process.json", "outcome.json", "cancel"
LOG, OWN_LOG = "log.txt", "supervisor.log"
ROOM = 4096
"""Bytes of `process.json` and `outcome.json`, blank until they are written."""
LOG_HEAD, LOG_BYTES = 1 << 20, 8 << 20
"""Of a log that grows beyond `LOG_BYTES` the first `LOG_HEAD` bytes and the newest are kept."""
BLOCK = 1 << 16
PIPE_BLOCKS = 16
"""A pipe holds no more of what was printed last."""
REPORTS, REPORT_PAUSE = 60, 60.0
"""So often, and with such a pause in seconds, the store is told; who asks for the job later finds the outcome, too."""
WRONG_CALL = 2
"""The exit code of a report that would fail again: there is no such store, or no such job."""
STARTED = b"started\n"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ORPHANS_S = 5.0
"""So long processes that a training left behind have to be gone."""


class Log:
    """The output of the training, in a file of bounded size; a disk that is full loses output, not the training."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append; the middle goes when the file grows too long."""
        with contextlib.suppress(OSError):
            self._file.seek(self._size)
            self._size += self._file.write(data)
            if self._size > LOG_BYTES:
                self._shorten()

    def _shorten(self) -> None:
        """Keep the head and half of the rest; in place, for which a full disk has room, too."""
        kept = (LOG_BYTES - LOG_HEAD) // 2
        self._file.seek(self._size - kept)
        tail = self._file.read(kept)
        note = b"\n[detmon: output left out here]\n"
        self._file.seek(LOG_HEAD)
        self._file.write(note + tail)
        self._size = LOG_HEAD + len(note) + len(tail)
        self._file.truncate(self._size)


class Supervisor:
    """Runs the command of one order; `stop` is set by a signal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.order: Mapping[str, Any] = json.loads((folder / ORDER).read_text("utf-8"))
        self.stop = False
        self._began, self._clock = time.time(), time.monotonic()
        _adopt()
        self._processes = (folder / PROCESSES).open("r+b", buffering=0)
        fcntl.flock(self._processes, fcntl.LOCK_EX)
        self._log = Log(folder / LOG)
        self._wakes, waker = os.pipe()
        for end in (self._wakes, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stopped)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes `select`

    def _stopped(self, *_: object) -> None:
        self.stop = True

    def run(self) -> None:
        """Start the command, wait for its end, write down how it ended."""
        _overwrite(self._processes, {"supervisor": processes.identity()})
        if (self.folder / CANCEL).exists():  # it came before anybody could be told
            self._over(None, "cancelled")
            return
        try:
            process = subprocess.Popen(
                self.order["argv"],
                cwd=self.order["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            what = getattr(error, "strerror", None) or error
            self._over(127, "unstarted", f"cannot start {self.order['argv'][0][:200]!r}: {what}")
            return
        trainer = processes.identity(process.pid)
        _overwrite(self._processes, {"supervisor": processes.identity(), "trainer": trainer})
        _tell_starter()
        why = self._watch(process)
        code = process.returncode
        self._over(code if code >= 0 else 128 - code, why)

    def _watch(self, process: subprocess.Popen[bytes]) -> str | None:
        """Wait until the command has ended; why it was made to end, None if it did by itself."""
        assert process.stdout is not None
        output: int | None = process.stdout.fileno()
        os.set_blocking(process.stdout.fileno(), False)
        why: str | None = None
        due = self._clock + self.order["timeout"]  # when it is to be ended, then when it is to be killed
        while process.poll() is None:
            now = time.monotonic()
            if why is None and (self.stop or now >= due):
                why = self._reason()
                _signal_group(process.pid, signal.SIGTERM)
                due = now + self.order["grace"]
            elif why is not None and now >= due:
                _signal_group(process.pid, signal.SIGKILL)
                due = now + self.order["grace"]
            sources = [self._wakes] if output is None else [self._wakes, output]
            select.select(sources, [], [], max(0.0, due - now))
            _drain(self._wakes)
            if output is not None and not self._copy(output):
                output = None
        _signal_group(process.pid, signal.SIGKILL)  # nothing of a training that is over goes on
        _end_orphans()
        for _ in range(PIPE_BLOCKS):
            if output is None or not self._copy(output, last=True):
                break
        return why

    def _reason(self) -> str:
        if (self.folder / CANCEL).exists():
            return "cancelled"
        return "signal" if self.stop else "timeout"

    def _copy(self, output: int, *, last: bool = False) -> bool:
        """Take what was printed into the log; False when there is nothing more to come."""
        try:
            data = os.read(output, BLOCK)
        except BlockingIOError:
            return not last
        self._log.write(data)
        return bool(data)

    def _over(self, code: int | None, why: str | None, reason: str | None = None) -> None:
        """Write down how it ended, first to the folder, then to the store."""
        outcome = {"exit_code": code, "ended": why, "reason": reason, "seconds": time.time() - self._began}
        with (self.folder / OUTCOME).open("r+b", buffering=0) as file:
            _overwrite(file, outcome)
        _tell_starter()
        self._report()

    def _report(self) -> None:
        command = self.order["report"]
        for attempt in range(REPORTS if command else 0):
            if attempt:
                time.sleep(REPORT_PAUSE)
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if done.returncode in (0, WRONG_CALL):
                return


def _die_with_parent() -> None:
    """Runs in the child: should the supervisor be killed, the training is asked to end, for nobody watches it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _adopt() -> None:
    """What a training starts and leaves becomes this process's child, whatever group or session it made its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _end_orphans() -> None:
    """Kill what the training left behind; the children of these come to us in turn."""
    give_up = time.monotonic() + ORPHANS_S
    while (pids := processes.children()) and time.monotonic() < give_up:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def _overwrite(file: BinaryIO, content: Mapping[str, Any]) -> None:
    """Write JSON into the room of a file, at once and for good."""
    file.seek(0)
    file.write(json.dumps(content).encode().ljust(ROOM))
    os.fsync(file.fileno())


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _drain(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, BLOCK):
            pass


def _tell_starter() -> None:
    """Let go of whoever waits for the start: that is stdout, until now."""
    with contextlib.suppress(OSError):
        os.write(1, STARTED)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main() -> None:
    """Leave the caller, and supervise the folder that is the only argument."""
    if os.fork():
        os._exit(0)
    os.setsid()
    Supervisor(Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
