"""Folders of logs: what in them is no log, and names that say something.

As in `model_id=veh@3/source=cam1/dt=2026-11-20/part-0.parquet`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from detmon.formats.contract import Options, Source

FIELDS = {"model_id": "model", "source": "source"}
"""Folder key → the option that fills the field where the log lacks it; other keys are ignored."""
BESIDE = {
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".mp4", ".avi", ".mov", ".mkv", ".yaml", ".yml",
    ".ini", ".toml", ".md", ".pt", ".onnx", ".duckdb", ".wal",
}  # fmt: skip
"""Extensions of what lies beside logs in a folder, and is none."""
MARKERS = (
    ".*", "_SUCCESS", "_committed_*", "_started_*", "_metadata", "_common_metadata", "_temporary", "_delta_log",
    "_spark_metadata",
)  # fmt: skip
"""What is hidden, and what Spark and its like leave beside their data: files and folders."""
NULL = "__HIVE_DEFAULT_PARTITION__"


def may_be_log(path: str) -> bool:
    """Whether a file in a folder may be a log; `path` is its place in the folder."""
    parts = path.split("/")
    if any(fnmatchcase(part, marker) for part in parts for marker in MARKERS):
        return False
    return PurePosixPath(parts[-1]).suffix.lower() not in BESIDE


def by_folders(source: Source, options: Options) -> Options:
    """The options, with what the folders of the log say; that is nearer to it than what is said of all logs."""
    said = said_by_folders(source)
    return replace(options, model=said.get("model", options.model), source=said.get("source", options.source))


def said_by_folders(source: Source) -> dict[str, str]:
    """The options that the folders of a log stand for."""
    if source.remote is not None:
        parts = source.name.split("/")[3:-1]
    else:
        path = source.path.absolute() if source.path is not None else Path()
        parts = list((path if source.files else path.parent).parts)
    matches = (re.fullmatch(r"(\w+)=(.+)", part) for part in parts)
    pairs = ((match[1], unquote(match[2])) for match in matches if match)
    return {FIELDS[key]: value for key, value in pairs if key in FIELDS and value != NULL}
