"""The contract of trainers: detmon's own keep it, bad ones do not."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from github_server import REPOSITORY, TOKEN, WORKFLOW, GitHubServer, serving

from detmon.hookspecs import Poll, Trainer, TrainingTask
from detmon.testing import trainer_contract
from detmon.training.command import Command
from detmon.training.github import GitHub

SCRIPT = str(Path(__file__).parent / "tiny_trainer.py")
COMMAND = [sys.executable, SCRIPT, "--out", "{output}", "--data", "{dataset}/data.yaml", "--name", "{name}"]


def test_command_keeps_it() -> None:
    trainer_contract(Command, table={"command": COMMAND}, lasting={"command": [*COMMAND, "--hang"], "grace": "1s"})


@contextmanager
def runner(server: GitHubServer) -> Iterator[None]:
    """Ends every run on the branch `main` as soon as it was asked for once; those on `v2` go on."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            for id, ref in list(server.refs.items()):
                if ref == "main" and server.runs[id]["status"] != "completed":
                    server.finish(id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("old", [False, True])
def test_github_keeps_it(monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    table = {"repository": REPOSITORY, "workflow": WORKFLOW}
    with serving(old=old) as server, runner(server):
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        trainer_contract(GitHub, table=table, lasting={**table, "ref": "v2"}, secrets={"GITHUB_TOKEN": TOKEN})


class Fine(Trainer):
    """Keeps the contract, and trains nothing."""

    def start(self, task: TrainingTask) -> str:
        (task.work / "log").write_text("")
        return f"fine:{task.work}"

    def _work(self, handle: str) -> Path:
        from detmon.errors import OperationError

        if not Path(handle.removeprefix("fine:"), "log").exists():
            raise OperationError("no handle")
        return Path(handle.removeprefix("fine:"))

    def poll(self, handle: str) -> Any:
        self._work(handle)
        return "succeeded", 0, None

    def cancel(self, handle: str) -> None:
        self._work(handle)

    def log(self, handle: str) -> str:
        return (self._work(handle) / "log").read_text()


class NoText(Fine):
    def start(self, task: TrainingTask) -> Any:
        return 7


class Forgets(Fine):
    """What it started is known to the object only."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.known: list[str] = []

    def start(self, task: TrainingTask) -> str:
        self.known.append(super().start(task))
        return self.known[-1]

    def poll(self, handle: str) -> Any:
        return "succeeded" if handle in self.known else "failed", 0, None


class AnyHandle(Fine):
    def poll(self, handle: str) -> Any:
        return "succeeded", 0, None


class Undecided(Fine):
    """Cancelling what is over changes it."""

    def cancel(self, handle: str) -> None:
        (self._work(handle) / "cancelled").touch()

    def poll(self, handle: str) -> Any:
        return Poll("cancelled" if (self._work(handle) / "cancelled").exists() else "succeeded", 0)


class OwnWords(Fine):
    def poll(self, handle: str) -> Any:
        return "ok", 0, None


class Bytes(Fine):
    def log(self, handle: str) -> Any:
        return b""


def test_a_plugin_that_keeps_it() -> None:
    trainer_contract(Fine, table={})


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        (NoText, "start must return a handle, which is text"),
        (Forgets, "the training ended as Poll"),
        (AnyHandle, "which is no handle"),
        (Undecided, "must stay as it is"),
        (OwnWords, "must return a status, not 'ok'"),
        (Bytes, "log must return text"),
    ],
)
def test_those_that_do_not(trainer: type[Trainer], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        trainer_contract(trainer, table={})


SLURM = {
    "sbatch": 'log=${2#--output=}; setsid sh "$3" "$4" "$5" >"$log" 2>&1 & echo $! | tee "$HERE/$!"',
    "sacct": 'kill -0 "$2" 2>/dev/null && echo RUNNING || cat "$HERE/$2.state" 2>/dev/null || echo COMPLETED',
    "scancel": 'kill -0 "$1" 2>/dev/null && echo "CANCELLED by 0" >"$HERE/$1.state" && kill -9 -"$1"; true',
}
"""What three programs of Slurm do, as far as the guide's trainer calls them."""


def test_the_one_of_the_guide_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(import subprocess\n.*?register\(\"slurm\".*?)^```$", guide, re.M | re.S)
    for name, text in SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nHERE={tmp_path}\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, text in {"quick.sh": "echo trained", "long.sh": "sleep 600"}.items():
        (tmp_path / name).write_text(text + "\n")
    module: dict[str, Any] = {}
    exec(compile(code, "detmon_slurm.py", "exec"), module)
    quick, long = ({"slurm": {"script": str(tmp_path / name)}} for name in ("quick.sh", "long.sh"))
    trainer_contract(module["Slurm"], table=quick, lasting=long)
