"""The list of images that a model really saw (`--images`, `--frames`): sizes, times, and the empty ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon.errors import OperationError, UsageError
from detmon.formats.chunk import Chunk, Seen, of_batch, raw_schema
from detmon.formats.contract import Options
from detmon.formats.frame import Frame
from detmon.formats.inputs import PARQUET, Input
from detmon.formats.instants import Instants, State, instants
from detmon.formats.remote import opened

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TEXTS = ("image_uri", "source")
NUMBERS = ("image_width", "image_height", "latency_ms")
OTHER_NAMES = {
    "image_id": ("image_id", "image", "file_name", "filename", "image_path", "path"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date_time", "date_captured"),
    "source": ("source", "camera", "camera_id", "stream"),
    "image_width": ("image_width", "width"),
    "image_height": ("image_height", "height"),
    "image_uri": ("image_uri", "uri"),
    "latency_ms": ("latency_ms",),
}
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
CHUNK = 100_000


class Images:
    """Images by id, and which of them a log has shown.

    `columns` hold, for each image, what the list says; `also` gives other names of images (COCO's numbers).
    """

    def __init__(self, ids: pa.Array, columns: Mapping[str, Any], zone: str | None, also: Mapping[str, str]) -> None:
        import numpy as np
        import pyarrow as pa

        self.ids = ids
        self.columns = columns
        self.zone = zone
        self._also = also
        self.shown = np.zeros(len(ids), bool)
        stamps = columns.get("timestamp")
        self.times: Instants = instants(stamps if stamps is not None else pa.nulls(len(ids)), zone)

    def fill(self, frame: Frame) -> None:
        """Name the images of a frame as the list does, fill what the log lacks, note which were shown."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = frame.texts["image_id"]
        if self._also:
            ids = pa.array([self._also.get(one, one) for one in ids.to_pylist()], pa.string())
            frame.texts["image_id"] = ids
        place = pc.index_in(ids, self.ids)
        listed = place.is_valid().to_numpy(zero_copy_only=False)
        where = place.fill_null(0).to_numpy(zero_copy_only=False)
        self.shown[where[listed]] = True
        frame.unlisted = ~listed
        rows = np.flatnonzero(~listed & ids.is_valid().to_numpy(zero_copy_only=False))
        unknown = ids.take(rows).to_pylist()
        frame.faults.add(rows, "image_id", "image_not_listed", lambda k: f"`{unknown[k]}` is not in the list of images")
        if not len(self.ids):
            return
        for name in TEXTS:
            if name in self.columns:
                frame.texts[name] = pc.coalesce(frame.texts[name], self.columns[name].take(place))
        for name in NUMBERS:
            if name in self.columns:
                value, known = frame.numbers[name], self.columns[name].take(place).to_numpy(zero_copy_only=False)
                frame.numbers[name] = np.where(np.isnan(value), known, value)
        missing = (frame.times.state == State.missing) & listed
        frame.times.micros = np.where(missing, self.times.micros[where], frame.times.micros)
        frame.times.state = np.where(missing, self.times.state[where], frame.times.state).astype(np.uint8)

    def answer_to_stems(self) -> list[Seen]:
        """Images are meant by their names without folder and extension, too: `a`, `a-2` for the second of that name."""
        from detmon.formats.supply import image_ids

        ids = self.ids.to_pylist()
        stems: dict[str, list[str]] = {}
        for stem, one in zip(image_ids(self.ids, "stem").to_pylist(), ids, strict=True):
            stems.setdefault(stem, []).append(one)
        several = {stem: found for stem, found in stems.items() if len(found) > 1}
        names = {f"{stem}-{k}": one for stem, found in several.items() for k, one in enumerate(found[1:], start=2)}
        self._also = {**names, **{stem: found[0] for stem, found in stems.items()}, **self._also}
        if not several:
            return []
        stem, found = next(iter(several.items()))
        text = (
            f"{{n}} names stand for several images, as `{stem}` for {found[0]} and {found[1]}: whose boxes are these?"
        )
        return [Seen("stem_collision", text, len(several))]

    def missing(self) -> Iterator[Chunk]:
        """An empty record for each image that the log has not shown."""
        import numpy as np
        import pyarrow as pa

        places = np.flatnonzero(~self.shown)
        boxes = raw_schema().field("detections").type
        for begin in range(0, len(places), CHUNK):
            some = places[begin : begin + CHUNK]
            n = len(some)
            table = pa.table(
                {
                    "image_id": self.ids.take(some),
                    "detections": pa.array([[]] * n, boxes),
                    "line": pa.array(np.zeros(n, np.int64)),
                    **{name: column.take(some) for name, column in self.columns.items()},
                }
            )
            yield of_batch(table)

    def example(self) -> str | None:
        """An id of the list."""
        return self.ids[0].as_py() if len(self.ids) else None


def of_frames(first: int, last: int, name_of: Any) -> Images:
    """The frames `first` to `last`, both included; `name_of` gives the image id of a number."""
    import pyarrow as pa

    if last < first:
        raise UsageError(f"--frames {first}:{last} is empty")
    return Images(pa.array([name_of(k) for k in range(first, last + 1)], pa.string()), {}, None, {})


def read_images(place: Path | str, options: Options) -> Images:
    """The list in a file (COCO, CSV, Parquet, JSON Lines, text) or the pictures of a folder.

    Raises UsageError when it has no image ids, OperationError when it cannot be read.
    """
    path = Path(place)
    if path.is_dir():
        return _of_pictures(path, options)
    with opened(place) as source:
        return _listed(Input(source), options)


def _listed(data: Input, options: Options) -> Images:
    try:
        if data.head.startswith(PARQUET):
            return _of_parquet(data, options)
        text = data.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if text in (b"{", b"["):
            return _of_json(data, options)
        return _of_text(data, options)
    finally:
        data.close()


def _of_pictures(folder: Path, options: Options) -> Images:
    """The pictures below a folder, with the sizes in their headers (as a viewer turns them)."""
    import imagesize

    found = sorted(one for one in folder.rglob("*") if one.suffix.lower() in PICTURES)
    sizes = [imagesize.get(one) for one in found]
    columns = {
        "image_width": [width if width > 0 else None for width, _ in sizes],
        "image_height": [height if height > 0 else None for _, height in sizes],
    }
    return _made([one.relative_to(folder).as_posix() for one in found], _typed(columns), options)


def _made(ids: list[str | None], columns: Mapping[str, Any], options: Options, also: Any = None) -> Images:
    import numpy as np
    import pyarrow as pa

    from detmon.formats.supply import image_ids

    named = image_ids(pa.array(ids, pa.string()), options.image_id)
    if not len(named) or named.null_count == len(named):
        raise UsageError(f"--images {options.images} names no images")
    _, first = np.unique(np.array(named.fill_null("").to_pylist(), dtype=object), return_index=True)
    first.sort()
    by_number = {} if also is None else {str(key): named[k].as_py() for k, key in enumerate(also)}
    return Images(
        named.take(first), {name: column.take(first) for name, column in columns.items()}, options.tz, by_number
    )


def _typed(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    import pyarrow as pa

    found = {}
    for name, values in columns.items():
        if name in NUMBERS:
            found[name] = pa.array([_float(value) for value in values], pa.float64())
        else:
            found[name] = pa.array([None if value in (None, "") else str(value) for value in values], pa.string())
    return found


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _of_rows(rows: list[dict[str, Any]], options: Options, also: Any = None) -> Images:
    present = {key.strip().casefold(): key for row in rows[:1000] for key in row if isinstance(key, str)}
    chosen = {
        field: next((present[name] for name in names if name in present), None) for field, names in OTHER_NAMES.items()
    }
    key = chosen.pop("image_id")
    if key is None:
        raise UsageError(f"--images {options.images} has no column image_id", "columns: " + ", ".join(present.values()))
    columns = {field: [row.get(name) for row in rows] for field, name in chosen.items() if name is not None}
    ids = [None if row.get(key) is None else str(row[key]) for row in rows]
    return _made(ids, _typed(columns), options, also)


def _of_json(data: Input, options: Options) -> Images:
    text = data.whole().decode("utf-8-sig", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("images"), list):
        rows = [row for row in found["images"] if isinstance(row, dict)]
        return _of_rows(rows, options, also=[row.get("id") for row in rows])
    if isinstance(found, list):
        return _of_rows([row for row in found if isinstance(row, dict)], options)
    try:
        return _of_rows([json.loads(line) for line in text.splitlines() if line.strip()], options)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise OperationError(f"--images {data.name} is no JSON: {error}", code="unreadable") from None


def _of_parquet(data: Input, options: Options) -> Images:
    from detmon.formats.parquet import read_columns

    table = read_columns(str(data.as_path()), data.name, None)
    return _of_rows(table.to_pylist(), options)


def _of_text(data: Input, options: Options) -> Images:
    import csv
    import io

    text = data.whole().decode("utf-8-sig", "replace")
    first = next((line for line in text.splitlines() if line.strip()), "")
    cells = {cell.strip().strip('"').casefold() for cell in first.split(",")}
    if cells & set(OTHER_NAMES["image_id"]):
        return _of_rows(list(csv.DictReader(io.StringIO(text, newline=""))), options)
    return _made([line.strip() for line in text.splitlines() if line.strip()], {}, options)


def missing_ids(samples: list[Frame]) -> tuple[int, int, str | None]:
    """How many records of the samples are of images that are not listed, of how many, and one such id."""
    flags: list[NDArray[np.bool_]] = [frame.unlisted for frame in samples if frame.unlisted is not None]
    example = next(
        (
            frame.texts["image_id"][int(frame.unlisted.argmax())].as_py()
            for frame in samples
            if frame.unlisted is not None and frame.unlisted.any()
        ),
        None,
    )
    return int(sum(flag.sum() for flag in flags)), sum(len(flag) for flag in flags), example
