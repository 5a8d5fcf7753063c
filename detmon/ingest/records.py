"""What an ingest answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detmon.errors import DetmonError
from detmon.records import Record


@dataclass(frozen=True)
class LogWarning(Record):
    """A finding about the stored records of one log; `count`: how many records or boxes have it."""

    code: str
    message: str
    count: int


@dataclass(frozen=True)
class IngestedFile(Record):
    """One log of an ingest. `status`: taken | seen (its content was ingested before) | refused | failed."""

    path: str
    format: str | None
    status: str
    predictions: int
    detections: int
    duplicates: int
    rejected: int
    warnings: tuple[LogWarning, ...]


@dataclass(frozen=True)
class Ingested(Record):
    """What an ingest wrote: totals, and each file's share."""

    predictions: int
    detections: int
    duplicates: int
    rejected: int
    files: tuple[IngestedFile, ...]
    errors: tuple[DetmonError, ...] = ()
    """Why files were refused or failed (an attribute only)."""
    interrupted: bool = False
    """Ended by Ctrl-C (an attribute only)."""

    def keys(self) -> list[str]:
        """The keys of `to_dict`: without what only the caller in Python can use."""
        return [key for key in Record.keys(self) if key not in ("errors", "interrupted")]

    @property
    def exit_code(self) -> int:
        """What the shell gets: 4 if a file failed, 2 if an option would cure a refused one."""
        codes = [error.exit_code for error in self.errors]
        return max(codes, default=130 if self.interrupted else 0)


@dataclass(frozen=True)
class LogPreview(Record):
    """What an ingest of one log would do. `mapping`: field → where it comes from; `records`: the first ones."""

    path: str
    format: str | None
    because: str | None
    status: str
    mapping: Mapping[str, str]
    records: tuple[Mapping[str, Any], ...]
    predictions: int
    detections: int
    rejected: int
    warnings: tuple[LogWarning, ...]


@dataclass(frozen=True)
class Preview(Record):
    """A dry run: nothing was written."""

    files: tuple[LogPreview, ...]
    errors: tuple[DetmonError, ...] = ()
    """Why files would be refused or fail (an attribute only)."""

    def keys(self) -> list[str]:
        """The keys of `to_dict`: without the errors, which only the caller in Python can use."""
        return ["files"]

    @property
    def exit_code(self) -> int:
        """What the shell would get."""
        return max((error.exit_code for error in self.errors), default=0)


@dataclass(frozen=True)
class Quarantined(Record):
    """A record that was not stored, and why. `line` counts from 1 (rows, for Parquet)."""

    file: str
    line: int
    field: str | None
    code: str
    reason: str
    raw: str
