"""The trainer `command`: a program of this machine, started once for each job and watched by a supervisor."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from detmon import processes
from detmon.errors import ConfigError, OperationError, UsageError
from detmon.hookspecs import Poll, Trainer, TrainerConfig, TrainingTask
from detmon.times import parse_duration
from detmon.training import described, placeholders, supervisor

GRACE = timedelta(seconds=30)
"""So long a training that is to end has between TERM and KILL."""
MARGIN_S = 15.0
"""Seconds that a kill, and writing down its effect, may take on a busy machine."""
STEP_S = 0.05
"""Between two looks at a process that is to end."""


class Command(Trainer):
    """Runs `command` of `[training]`: one list of arguments, no shell. A handle is JSON: host, folder and output."""

    pause_s = 0.2

    def __init__(self, config: TrainerConfig) -> None:
        super().__init__(config)
        grace = config.table.get("grace")
        self._grace = (GRACE if grace is None else parse_duration(str(grace))).total_seconds()
        self.ends_within_s = self._grace + MARGIN_S

    def plan(self, task: TrainingTask) -> Sequence[str]:
        """The arguments. Raises UsageError for a template that cannot be filled, or a program that is not there."""
        argv = fill(self._template(), task)
        place = Path(argv[0])
        found = shutil.which(self.config.folder / place if place.parent != Path() else place, path=self._path())
        if found is None:
            hint = "[training] command: its first word must be a program on the PATH, or a path"
            raise UsageError(f"no such command: {argv[0]}", hint)
        return argv

    def start(self, task: TrainingTask) -> str:
        """Start the supervisor, which starts the command; comes back as soon as that runs, or could not be started."""
        order = {
            "argv": fill(self._template(), task),
            "cwd": str(self.config.folder),
            "timeout": task.timeout.total_seconds(),
            "grace": self._grace,
            "report": list(task.report),
        }
        try:
            (task.work / supervisor.ORDER).write_text(json.dumps(order), "utf-8")
            for name in (supervisor.PROCESSES, supervisor.OUTCOME):
                (task.work / name).write_bytes(b" " * supervisor.ROOM)
            with (task.work / supervisor.OWN_LOG).open("ab") as own_log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "detmon.training.supervisor", str(task.work)],
                    cwd=self.config.folder,
                    env=dict(self.config.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=own_log,
                    start_new_session=True,
                )
        except OSError as error:
            raise OperationError(f"cannot start a training in {task.work}: {error.strerror}") from None
        said, _ = process.communicate()
        if said != supervisor.STARTED:
            raise OperationError(f"the supervisor of {task.id} did not start", f"see {task.work / supervisor.OWN_LOG}")
        return _handle(task)

    def find(self, task: TrainingTask) -> str | None:
        """The handle, if the supervisor came so far as to start something."""
        return _handle(task) if _read(task.work / supervisor.PROCESSES) else None

    def poll(self, handle: str) -> Poll:
        """How it ended if that is written down, else whether its supervisor lives."""
        work, output = _places(handle)
        log = str(work / supervisor.LOG)
        if not work.is_dir():
            return Poll("failed", reason=f"its folder {work} is gone: nothing is known of it")
        lives = _is_supervised(work)
        if outcome := _read(work / supervisor.OUTCOME):  # read last: it is written before the supervisor leaves
            return _ended(outcome, output)._replace(log=log, seconds=outcome["seconds"])
        if lives:
            return Poll("running", log=log)
        if processes.living(_read(work / supervisor.PROCESSES).get("trainer")):
            reason = "its supervisor was killed: nobody will know its exit code; `detmon train cancel` ends it"
            return Poll("running", reason=reason, log=log)
        if (work / supervisor.CANCEL).exists():
            return Poll("cancelled", reason="cancelled after its supervisor was killed", log=log)
        reason = f"its supervisor was killed, or the machine went down: what it wrote until then is in {output}"
        return Poll("failed", reason=reason, log=log)

    def cancel(self, handle: str) -> None:
        """Ask the supervisor to end the training; where there is none any more, end it from here."""
        work, _ = _places(handle)
        if not work.is_dir() or _read(work / supervisor.OUTCOME):
            return
        (work / supervisor.CANCEL).touch()
        here = _read(work / supervisor.PROCESSES)
        if _is_supervised(work):
            if pid := processes.living(here.get("supervisor")):
                os.kill(pid, signal.SIGTERM)
        elif pid := processes.living(here.get("trainer")):
            self._end(pid, here["trainer"])

    def log(self, handle: str) -> str:
        """The output of the command, standard error included."""
        work, _ = _places(handle)
        try:
            return (work / supervisor.LOG).read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _end(self, group: int, identity: str) -> None:
        """TERM, and KILL for what is still there after the grace."""
        os.killpg(group, signal.SIGTERM)
        give_up = time.monotonic() + self._grace
        while processes.living(identity) and time.monotonic() < give_up:
            time.sleep(STEP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    def _template(self) -> list[str]:
        command = self.config.table.get("command")
        if command is None:
            hint = 'for example command = ["python", "train.py", "--data", "{dataset}/data.yaml", "--out", "{output}"]'
            raise ConfigError("[training] has no command", hint)
        if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
            hint = 'one text for each argument, no shell: ["python", "train.py", "--out", "{output}"]'
            raise ConfigError(f"[training] command = {command!r} is no list of texts", hint)
        return command

    def _path(self) -> str:
        return self.config.environment.get("PATH", os.defpath)


def fill(template: Sequence[str], task: TrainingTask) -> list[str]:
    """The arguments of one task; each stays one, whatever the values hold. Raises UsageError."""
    known = placeholders.values(task)
    return [placeholders.filled(word, known, "[training] command") for word in template]


def _handle(task: TrainingTask) -> str:
    return json.dumps({"host": socket.gethostname(), "work": str(task.work), "output": str(task.output)})


def _places(handle: str) -> tuple[Path, Path]:
    """Folder and output of a handle. Raises OperationError for one of another host whose folder is not shared."""
    try:
        said = json.loads(handle)
        host, work, output = said["host"], Path(said["work"]), Path(said["output"])
    except (ValueError, KeyError, TypeError):
        raise OperationError(f"{handle!r} is no handle of the trainer `command`") from None
    if not work.is_dir() and host != socket.gethostname():
        raise OperationError(f"it was started on {host}, and {work} is not here", f"ask on {host}")
    return work, output


def _is_supervised(work: Path) -> bool:
    """Whether a supervisor holds its lock."""
    try:
        with (work / supervisor.PROCESSES).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # not there, or a file system without locks: the process itself says it
        return processes.living(_read(work / supervisor.PROCESSES).get("supervisor")) is not None
    return False


def _read(path: Path) -> dict[str, Any]:
    """A file that the supervisor writes; empty until it has."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes() or b"{}")
    except (OSError, ValueError):
        return {}
    return found


def _ended(outcome: Mapping[str, Any], output: Path) -> Poll:
    """What the outcome, and what the training left, say of it."""
    code, ended = outcome["exit_code"], outcome["ended"]
    if ended == "cancelled":
        return Poll("cancelled", code)
    if ended == "timeout":
        return Poll("failed", code, reason="it took longer than [training] timeout, and was ended")
    if ended == "signal":
        return Poll("failed", code, reason="its supervisor was asked to end by a signal: is the machine going down?")
    if ended == "unstarted":
        return Poll("failed", code, reason=outcome["reason"])
    if code:
        said = f"exit code {code}" if code < 128 else f"ended by signal {code - 128}"
        return Poll("failed", code, reason=said)
    try:
        return Poll("succeeded", code, described.model_of(output))
    except OperationError as error:
        return Poll("failed", code, reason=error.message)
