"""The shapes that pass between readers, validation and ingest. pyarrow is imported where it is used."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


STEM = "@stem"
"""Stands for a column that holds the name of the file, without folder and extension."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a full disk says when a copy is written."""


@dataclass(frozen=True)
class Fetched:
    """What became of fetching an object: its version, and whether it differs from the known one (else it is not read).

    `version` is what the server says of the content (None: nothing that can be trusted). It holds only when the object
    was not written in the last minute before it was read, where `written` is told (naive UTC).
    """

    version: str | None
    written: datetime | None = None
    changed: bool = True


class Remote(Protocol):
    """An object that lies elsewhere. `name` is its address without secrets, `size` its bytes where they are known."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int | None: ...

    def fetch(self, file: IO[bytes], known: str | None) -> Fetched:
        """Copy all of it to `file`, unless its version is the `known` one. Raises OperationError."""
        ...


@dataclass(frozen=True)
class Source:
    """One file, stream or remote object to read. `name` is what messages and the manifest call it.

    `files`: those of a folder (`path`) that are one log, a file an image. A remote object has a `path` while a copy of
    it is at hand (`remote.Copies`).
    """

    name: str
    path: Path | None = None
    stream: BinaryIO | None = None
    follow: bool = False
    files: tuple[Path, ...] = ()
    remote: Remote | None = None
    fetched: Fetched | None = None


@dataclass(frozen=True)
class Options:
    """What the user says about a log (docs/formats.md); None: not said. A file is a path, or an address (text)."""

    log_format: str = "auto"
    model: str | None = None
    source: str | None = None
    images: Path | str | None = None
    frames: tuple[int, int] | None = None
    complete: bool = False
    categories: Path | str | None = None
    category_offset: int | None = None
    label: str | None = None
    start: datetime | None = None
    fps: float | None = None
    tz: str | None = None
    image_size: tuple[int, int] | None = None
    image_id: str | None = None
    box_format: str | None = None
    score_scale: str | None = None
    latency_unit: str | None = None
    confidence_floor: float | None = None
    merge_boxes: float | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    bad_rows: str = "quarantine"

    @property
    def image_is_file(self) -> bool:
        """Whether each file is of the image that it is named after (`--map image_id=@stem`)."""
        return self.map.get("image_id") == STEM

    @property
    def names_all_images(self) -> bool:
        """Whether it says which images were seen, those without detections, too."""
        return self.complete or self.images is not None or self.frames is not None


@dataclass(frozen=True)
class Reject:
    """A record that is not stored, and why. `line` counts from 1 (rows, for Parquet)."""

    line: int
    field: str | None
    code: str
    reason: str
    raw: str


@dataclass(frozen=True)
class Warned:
    """A finding about stored records, counted over the file."""

    code: str
    message: str
    count: int


@dataclass(frozen=True)
class Part:
    """Some records of a source: `table` has the schema STORED, `read` counts the good and the bad."""

    table: pa.Table
    rejects: tuple[Reject, ...]
    read: int


class Reading(Protocol):
    """An open source. Opening has looked at the sample already, and raised InputRefused if it must be refused."""

    format: str
    because: str
    """Why it was recognised as this format."""
    denominator: str
    """known | inferred | unknown (docs/formats.md)."""
    mapping: Mapping[str, str]
    """Field → where it comes from, for `--dry-run`."""

    def parts(self) -> Iterator[Part]:
        """The records, in bounded memory (about a million detections a part), in the file's order."""
        ...

    def warnings(self) -> list[Warned]:
        """What was found; complete once `parts` is exhausted."""
        ...

    def close(self) -> None:
        """Let go of the source; `parts` does it at its end."""
        ...

    def sample(self, n: int) -> list[dict[str, Any]]:
        """The first `n` records that would be stored, for `--dry-run`."""
        ...


@cache
def stored_schema() -> pa.Schema:
    """The schema of `Part.table`: one row a prediction, boxes as structs, and the box statistics of the row.

    `ts` is naive UTC. `prediction_id` is null where the log has none (ingest derives it). `micro` = confidence in
    integer millionths: `confidence_sum` is their sum / 1e6, `confidence_n` the number of boxes that have one.
    """
    import pyarrow as pa

    box = pa.struct(
        [
            ("label", pa.string()),
            ("confidence", pa.float32()),
            ("x", pa.float32()),
            ("y", pa.float32()),
            ("w", pa.float32()),
            ("h", pa.float32()),
            ("detection_id", pa.string()),
            ("track_id", pa.string()),
        ]
    )
    return pa.schema(
        [
            ("line", pa.int64()),
            ("prediction_id", pa.string()),
            ("model_id", pa.string()),
            ("ts", pa.timestamp("us")),
            ("image_id", pa.string()),
            ("image_uri", pa.string()),
            ("source", pa.string()),
            ("image_width", pa.int32()),
            ("image_height", pa.int32()),
            ("latency_ms", pa.float32()),
            ("status", pa.string()),
            ("confidence_floor", pa.float32()),
            ("tags", pa.map_(pa.string(), pa.string())),
            ("detections", pa.list_(box)),
            ("n_detections", pa.uint16()),
            ("confidence_n", pa.uint16()),
            ("confidence_sum", pa.float64()),
            ("confidence_min", pa.float32()),
            ("confidence_max", pa.float32()),
            ("area_min", pa.float32()),
            ("area_max", pa.float32()),
            ("max_iou", pa.float32()),
        ]
    )
