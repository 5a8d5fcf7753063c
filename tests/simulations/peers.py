"""Evidently and NannyML with their defaults, each in a Python of its own, asked about the same boxes.

They need other versions of common libraries than detmon's tests, so each lives in a virtual environment:

    python -m venv peers-evidently && peers-evidently/bin/pip install evidently "pandas<3"
    python -m venv peers-nannyml && peers-nannyml/bin/pip install nannyml statsmodels

and is found through DETMON_EVIDENTLY and DETMON_NANNYML, the paths of their `python`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .world import Boxes

HERE = Path(__file__).parent
PYTHONS = {"Evidently": "DETMON_EVIDENTLY", "NannyML": "DETMON_NANNYML"}
REPLICATES = 20
"""So many logs they are asked about: they take a second each."""


class Peers:
    """Collects the boxes of logs in a temporary folder; `answers` says how often each peer found drift."""

    def __enter__(self) -> Peers:
        self._folder = tempfile.TemporaryDirectory(prefix="detmon-peers-")
        self._files: list[Path] = []
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.cleanup()

    def add(self, boxes: Boxes, times: NDArray[np.datetime64], current: NDArray[np.bool_]) -> None:
        """The boxes of a log, whose frames were taken at `times`; only of the first logs."""
        if len(self._files) == REPLICATES:
            return
        order = np.lexsort((times[boxes.frame], current))
        path = Path(self._folder.name) / f"{len(self._files)}.npz"
        np.savez(path, confidence=boxes.confidence[order], label=boxes.label[order], current=current[order])
        self._files.append(path)

    def answers(self) -> dict[str, str]:
        """The share of logs in which each peer sees drift."""
        return {name: self._ask(name, os.environ.get(python)) for name, python in PYTHONS.items()}

    def _ask(self, name: str, python: str | None) -> str:
        if not python:
            return "not installed"
        script = HERE / f"peer_{name.lower()}.py"
        quiet = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [python, script, *self._files], env={**os.environ, **quiet}, capture_output=True, text=True, check=True
        )
        alarms = [line == "drift" for line in done.stdout.splitlines() if line in ("drift", "no drift")]
        assert len(alarms) == len(self._files), done.stdout + done.stderr
        return f"{100 * sum(alarms) / len(alarms):.0f} %"
