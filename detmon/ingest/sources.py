"""What the user named → the files and streams to read, and the options that hold for each."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from detmon.errors import OperationError, UnknownName, UsageError
from detmon.formats.contract import Options, Source
from detmon.formats.hive import by_folders, may_be_log
from detmon.formats.remote import find, is_remote
from detmon.times import parse_instant, parse_zone

STDIN = "-"
CHOICES = {
    "bad_rows": ("quarantine", "fail"),
    "dedup": ("window", "full"),
    "score_scale": ("probability", "percent", "logit", "clip"),
    "latency_unit": ("ms", "s"),
    "image_id": ("path", "name", "stem"),
    "box_format": ("xywh", "xyxy", "cxcywh", "xywh-norm", "xyxy-norm", "cxcywh-norm"),
}


@dataclass
class Progress:
    """How far an ingest is, for who looks on: the log in hand, and the rows read so far."""

    logs: int
    log: int = 0
    path: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Settings:
    """How one source is read: the reader's options, and how far back resent records are looked for."""

    options: Options
    everywhere: bool


def resolve(named: Sequence[str]) -> list[Source]:
    """Every file behind paths, folders (recursively, but for what is no log), globs, addresses and `-`, in order."""
    return [source for name in named for source in _resolved(name)]


def _resolved(name: str) -> Iterator[Source]:
    path = Path(name).expanduser()
    if name == STDIN:
        yield Source(STDIN, stream=sys.stdin.buffer)
    elif is_remote(name):
        yield from find(name)
    elif os.path.isdir(path):
        found = sorted(_files(path))
        if not found:
            raise UsageError(f"no log in the folder {name}")
        yield from (Source(str(file), file) for file in found)
    elif not os.path.exists(path) and glob.has_magic(name):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise UsageError(f"nothing matches {name}")
        for match in matches:
            yield from _resolved(match)
    elif _is_pipe(path):
        yield Source(name, stream=path.open("rb", buffering=0))
    else:
        yield Source(name, path)


def _is_pipe(path: Path) -> bool:
    """Whether it can be read but once, as `<(zcat log.gz)`."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False  # which is told when it is read


def _files(folder: Path) -> Iterator[Path]:
    """What may be a log in a folder and those below it; with what cannot be read, so that this is told."""
    closed: list[Path] = []
    for place, _, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        for path in (Path(place, name) for name in names):
            if may_be_log(path.relative_to(folder).as_posix()) and _is_file(path):
                yield path
    yield from closed


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def said(source: Source, options: Options) -> dict[str, str]:
    """Whose log it is, as told from outside: by its folders and by the options. Equal contents of others are others."""
    told = by_folders(source, options)
    return {name: value for name in ("model", "source") if (value := getattr(told, name)) is not None}


def fingerprint(source: Source, options: Options) -> tuple[str | None, int | None]:
    """sha256 (hex) and size of a file's content, None of a stream; raises OperationError when it cannot be read.

    Of a folder that is one log, sha256 over name, size and content of each of its files, in order of name. What is
    `said` of the log besides counts as content.
    """
    if source.path is None:
        return None, None
    digest, size = _folder_digest(source.files) if source.files else _file_digest(source.path, source.name)
    if besides := said(source, options):
        digest.update(repr(sorted(besides.items())).encode())
    return digest.hexdigest(), size


def _folder_digest(files: Sequence[Path]) -> tuple[hashlib._Hash, int]:
    digest, total = hashlib.sha256(), 0
    for file in sorted(files, key=lambda file: file.name):
        try:
            content = file.read_bytes()
        except OSError as error:
            raise OperationError(f"cannot read {file}: {error.strerror}") from None
        digest.update(f"{file.name}\0{len(content)}\0".encode())
        digest.update(content)
        total += len(content)
    return digest, total


def _file_digest(path: Path, name: str) -> tuple[hashlib._Hash, int]:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256"), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise OperationError(f"cannot read {name}: {error.strerror}") from None


def settings(given: Mapping[str, Any], tables: Mapping[str, Any], source: Source) -> Settings:
    """The options of the call over those of the configuration's tables `[ingest."GLOB"]` that match the source."""
    place = str(source.path.absolute()) if source.path else source.name
    merged: dict[str, Any] = {}
    for pattern, table in tables.items():
        if fnmatch(place, pattern):
            merged |= table
    merged |= {name: value for name, value in given.items() if value is not None}
    dedup = _choice("dedup", str(merged.pop("dedup", "window")))
    return Settings(_options(merged), dedup == "full")


def _options(raw: Mapping[str, Any]) -> Options:
    known = [field.name for field in fields(Options)]
    for name in raw:
        if name not in known:
            raise UnknownName("option of ingest", name, known)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        read = _READ.get(name)
        values[name] = _choice(name, str(value)) if name in CHOICES else read(value) if read else value
    if isinstance(values.get("start"), str):
        values["start"] = parse_instant(values["start"], parse_zone(raw.get("tz") or "UTC"))
    if values.get("tz"):
        parse_zone(values["tz"])
    return Options(**values)


def _choice(name: str, value: str) -> str:
    if value not in CHOICES[name]:
        option = name.replace("_", "-")
        raise UnknownName(f"--{option}", value, CHOICES[name], f"one of {', '.join(CHOICES[name])}")
    return value


def _pair(separator: str, example: str) -> Callable[[Any], tuple[int, int]]:
    def read(value: Any) -> tuple[int, int]:
        try:
            first, second = value.split(separator) if isinstance(value, str) else value
            return int(first), int(second)
        except (ValueError, TypeError):
            raise UsageError(f"{value!r} is not of the form {example}") from None

    return read


def _mapping(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(name): str(column) for name, column in value.items()}
    pairs = [str(item).partition("=") for item in ([value] if isinstance(value, str) else value)]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise UsageError(f"--map {name}{equals}{column}: write FIELD=COLUMN")
    return {name: column for name, _, column in pairs}


def _place(value: Any) -> Path | str:
    return str(value) if is_remote(value) else Path(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        raise UsageError(f"{value!r} is not a number") from None


_READ: dict[str, Callable[[Any], Any]] = {
    "frames": _pair(":", "FIRST:LAST"),
    "image_size": _pair("x", "WIDTHxHEIGHT"),
    "images": _place,
    "categories": _place,
    "map": _mapping,
    "fps": _number,
    "confidence_floor": _number,
    "merge_boxes": _number,
}
