"""A window of a log: what the choice of blocks asks of it, and what each block holds.

Whole hours come from the rollups, the rest of a window (and what rollups do not hold: detections above a floor, one
source, blocks shorter than an hour) from its rows. Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any

from detmon.stats.blocks import HOUR, Block
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detmon.stats.probes import BlockCounts

    Whole = NDArray[np.int64]
    Columns = dict[str, Any]

PARTS = 4
"""Parts of a day, of six hours each."""
BINS = {"objects": 66, "confidences": 1000}
_MICROSECOND = timedelta(microseconds=1)
_ABOVE_FLOOR = (
    "list_filter(detections, lambda d: d.confidence IS NULL OR round(CAST(d.confidence AS DOUBLE) * 1e6) >= $floor)"
)
_ALL_BOXES = {"detections": "detections", "n": "CAST(n_detections AS BIGINT)"}
_HIGH_BOXES = {"detections": _ABOVE_FLOOR, "n": f"array_length({_ABOVE_FLOOR})"}


@dataclass(frozen=True)
class Log:
    """Where predictions are: those of one model in a store with its rollups, or all rows of a table (None)."""

    con: Connection
    model_id: str | None = None

    @property
    def has_rollups(self) -> bool:
        return self.model_id is not None


@dataclass(frozen=True)
class Piece:
    """The part of a range that lies in one local clock hour; `place` is the range's."""

    start: datetime
    end: datetime
    place: int
    hour: int

    @property
    def is_whole_hour(self) -> bool:
        """Whether it is an hour of the rollups."""
        return self.end - self.start == HOUR and not (self.start.minute or self.start.second or self.start.microsecond)


@dataclass(frozen=True)
class Hours:
    """What was logged an hour and source: rows of equal index. Rows with status error have times, but no images."""

    hour: NDArray[np.datetime64]
    source: Sequence[str]
    images: Whole
    errors: Whole
    micro: Whole
    scored: Whole
    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]
    floors: tuple[float, ...]
    """The smallest and the largest confidence floor, where any is logged."""
    denominator_known: bool


@dataclass(frozen=True)
class Counts:
    """What the blocks of one window hold, by part of the day where the blocks are days (else one part).

    `objects` [G, P, 66], `confidence` [G, P, 1000], `micro` [G, P], `classes` [G, P, K], `cells` [K].
    """

    objects: Whole
    confidence: Whole
    micro: Whole
    labels: tuple[str, ...]
    classes: Whole
    cells: Whole


@dataclass(frozen=True)
class Window:
    """The predictions of `log` in [start, end) with status ok; of one `source`, or of all (None).

    `floor`: detections of a smaller confidence, in millionths, are left out.
    """

    log: Log
    start: datetime
    end: datetime
    zone: tzinfo = UTC
    source: str | None = None
    floor: int | None = None

    # --- what the choice of blocks asks ---

    @cached_property
    def images(self) -> int:
        """Images."""
        return int(self.logged.images.sum())

    @cached_property
    def sources(self) -> Mapping[str, int]:
        """Images of each source, sorted by name; those without one under ""."""
        found: dict[str, int] = {}
        for source, images in zip(self.logged.source, self.logged.images.tolist(), strict=True):
            found[source] = found.get(source, 0) + images
        return {source: found[source] for source in sorted(found) if found[source]}

    @property
    def first(self) -> datetime:
        """The first image's time."""
        return self._span[0]

    @property
    def last(self) -> datetime:
        """The last image's time."""
        return self._span[1]

    @cached_property
    def timestamps(self) -> int:
        """The number of distinct timestamps."""
        return int(self._ask("drift_timestamps")[0][0])

    def hours(self, ranges: Sequence[tuple[datetime, datetime]]) -> list[list[int]]:
        """Images of each range by local clock hour."""
        found = [[0] * 24 for _ in ranges]
        for piece, images in zip(cut := pieces(ranges, self.zone), self._images(cut), strict=True):
            found[piece.place][piece.hour] += images
        return found

    def volumes(self, length: timedelta, blocks: int) -> dict[int, int]:
        """Images by block of `length` since the first one; the last block takes what is left."""
        values = {"first": self.first, "length": length // _MICROSECOND, "last": blocks - 1}
        return dict(self._ask("drift_volumes", **values))

    # --- what the blocks hold ---

    def days(self, blocks: Sequence[Block], hours: Sequence[int]) -> Counts:
        """What whole days (or the same clock range of days) hold in the local clock `hours`, by part of the day."""
        import numpy as np

        ranges = [(block.start, block.end) for block in blocks]
        cut = [piece for piece in pieces(ranges, self.zone) if piece.hour in hours]
        places = np.array([piece.place * PARTS + piece.hour // 6 for piece in cut], np.int64)
        return self._counts(len(blocks), PARTS, *self._read_pieces(cut), places)

    def spans(self, blocks: Sequence[Block]) -> Counts:
        """What blocks of any length hold."""
        import numpy as np

        cut = [Piece(block.start, block.end, place, 0) for place, block in enumerate(blocks)]
        return self._counts(len(blocks), 1, *self._read_pieces(cut), np.arange(len(cut)))

    def of_sources(self, blocks: Sequence[Block]) -> Counts:
        """What each source's images hold; a label's cells are images."""
        import numpy as np

        places = {block.source: place for place, block in enumerate(blocks)}
        whole = [Piece(self.start, self.end, 0, 0)]
        objects, confidences, classes = (
            _placed(self._of_rows(f"drift_{name}_of_rows", whole, "source"), places)
            for name in ("objects", "confidences", "classes")
        )
        counts = self._counts(len(blocks), 1, objects, confidences, classes, np.arange(len(blocks)))
        images = dict(zip(*self._of_rows("drift_images_of_classes", whole).values(), strict=True))
        return replace(counts, cells=np.array([int(images[label]) for label in counts.labels], np.int64))

    def source_classes(self) -> dict[str, dict[str, int]]:
        """Detections of each source by label."""
        table = self._of_rows("drift_classes_of_rows", [Piece(self.start, self.end, 0, 0)], "source")
        found: dict[str, dict[str, int]] = {}
        for source, label, n in zip(*(table[name].tolist() for name in ("key", "label", "n")), strict=True):
            found.setdefault(source, {})[label] = n
        return found

    def presence(self, blocks: Sequence[Block]) -> dict[str, int]:
        """In how many of the blocks (of time) each source has images."""
        cut = [Piece(block.start, block.end, 0, 0) for block in blocks]
        text = statement("drift_presence").format(rows=statement("drift_rows").format(**_ALL_BOXES))
        return dict(self.log.con.execute(text, self._values(**_cells(cut))).fetchall())

    @cached_property
    def logged(self) -> Hours:
        """What was logged an hour and source."""
        whole, edges = _whole_hours(self.start, self.end) if self._reads_rollups else (None, [(self.start, self.end)])
        tables = [] if whole is None else [self._columns("drift_hours", start=whole[0], end=whole[1], source=...)]
        tables += [self._columns("drift_hours_of_rows", start=start, end=end) for start, end in edges]
        return _hours(tables)

    # --- reading ---

    @property
    def _reads_rollups(self) -> bool:
        return self.log.has_rollups and self.source is None and self.floor is None

    @cached_property
    def _span(self) -> tuple[datetime, datetime]:
        if self.logged.errors.any():
            first, last = self._ask("drift_span")[0]
            return first, last
        return self.logged.first.min().item(), self.logged.last.max().item()

    def _values(self, **values: Any) -> dict[str, Any]:
        given = {"model": self.log.model_id, "source": self.source, "start": self.start, "end": self.end, **values}
        return {name: value for name, value in given.items() if value is not ...}

    def _ask(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.log.con.execute(statement(name), self._values(**values)).fetchall()

    def _columns(self, name: str, **values: Any) -> Columns:
        return self.log.con.execute(statement(name), self._values(**values)).fetchnumpy()

    def _images(self, cut: Sequence[Piece]) -> list[int]:
        """Images of each piece."""
        import numpy as np

        found = np.zeros(len(cut), np.int64)
        objects = self._read("objects", cut)
        np.add.at(found, objects["key"], objects["n"])
        return [int(images) for images in found]

    def _read_pieces(self, cut: Sequence[Piece]) -> tuple[Columns, Columns, Columns]:
        return self._read("objects", cut), self._read("confidences", cut), self._read("classes", cut)

    def _read(self, name: str, cut: Sequence[Piece]) -> Columns:
        """The rows of `objects`, `confidences` or `classes` in the pieces; their `key` is the piece."""
        numbers = range(len(cut))
        whole = [number for number in numbers if self._reads_rollups and cut[number].is_whole_hour]
        rest = sorted(set(numbers) - set(whole))
        tables = []
        if whole:
            tables.append(_renumbered(self._of_rollups(name, [cut[number].start for number in whole]), whole))
        if rest:
            some = [cut[number] for number in rest]
            tables.append(_renumbered(self._of_rows(f"drift_{name}_of_rows", some), rest))
        return _joined(tables)

    def _of_rollups(self, name: str, hours: Sequence[datetime]) -> Columns:
        """Rollup cells of `hours` (rising); `key` is the place of the hour."""
        import numpy as np

        question = "drift_classes" if name == "classes" else "drift_histogram"
        kind = {"objects": "count", "confidences": "confidence"}.get(name, ...)
        table = self._columns(question, kind=kind, start=hours[0], end=hours[-1] + HOUR, source=...)
        starts = np.array(hours, "datetime64[us]")
        hour = table.pop("hour").astype("datetime64[us]")
        key = np.searchsorted(starts, hour)
        inside = starts[np.minimum(key, len(starts) - 1)] == hour
        found = {"key": key[inside], **{column: values[inside] for column, values in table.items()}}
        if name == "confidences":
            found["micro"] = self._micro(starts, found["key"])
        return found

    def _micro(self, starts: NDArray[np.datetime64], key: Whole) -> Whole:
        """The sum of confidences of each hour, in the first of its rows."""
        import numpy as np

        sums = np.zeros(len(starts) + 1, np.int64)
        places = np.searchsorted(starts, self.logged.hour)
        inside = starts[np.minimum(places, len(starts) - 1)] == self.logged.hour
        np.add.at(sums, places[inside], self.logged.micro[inside])
        hours, rows = np.unique(key, return_index=True)
        micro = np.zeros(len(key), np.int64)
        micro[rows] = sums[hours]
        return micro

    def _of_rows(self, name: str, cut: Sequence[Piece], key: str = "piece") -> Columns:
        """Counts of the rows of some pieces (rising), by piece or by source."""
        boxes = _ALL_BOXES if self.floor is None else _HIGH_BOXES
        text = statement(name).format(key=key, rows=statement("drift_rows").format(**boxes))
        floor = ... if self.floor is None else self.floor
        return self.log.con.execute(text, self._values(floor=floor, **_cells(cut))).fetchnumpy()

    def _counts(
        self, blocks: int, parts: int, objects: Columns, confidences: Columns, classes: Columns, places: Whole
    ) -> Counts:
        """Counts by block and part; `places[key]` is the number of a row's block and part."""
        import numpy as np

        def added(table: Columns, column: str, values: str = "n", width: int = 1) -> Whole:
            cell = places[table["key"]] * width + (table[column] if width > 1 else 0)
            sums = np.bincount(cell, table[values], blocks * parts * width)  # exact: below 2⁵³
            return sums.astype(np.int64).reshape(blocks, parts, width)

        names = sorted(set(classes["label"].tolist()))
        numbers = {label: number for number, label in enumerate(names)}
        label = np.array([numbers[name] for name in classes["label"].tolist()], np.int64)
        by_label = {"key": classes["key"], "label": label, "n": classes["n"]}
        occurs = np.unique(classes["key"].astype(np.int64) * max(len(names), 1) + label) % max(len(names), 1)
        return Counts(
            objects=added(objects, "bin", width=BINS["objects"]),
            confidence=added(confidences, "bin", width=BINS["confidences"]),
            micro=added(confidences, "key", "micro")[:, :, 0],
            labels=tuple(names),
            classes=added(by_label, "label", width=max(len(names), 1))[:, :, : len(names)],
            cells=np.bincount(occurs, minlength=len(names)).astype(np.int64),
        )


def together(reference: Counts, current: Counts) -> tuple[BlockCounts, list[BlockCounts]]:
    """The blocks of two windows over the union of their labels: all of each block, and each part of it."""
    import numpy as np

    from detmon.stats.probes import BlockCounts

    labels = tuple(sorted({*reference.labels, *current.labels}))

    def aligned(values: Whole, own: tuple[str, ...]) -> Whole:
        numbers = {label: number for number, label in enumerate(labels)}
        result = np.zeros((*values.shape[:-1], len(labels)), np.int64)
        result[..., [numbers[label] for label in own]] = values
        return result

    def joined(name: str) -> Whole:
        return np.concatenate([getattr(reference, name), getattr(current, name)])

    classes = np.concatenate([aligned(side.classes, side.labels) for side in (reference, current)])
    is_current = np.arange(len(classes)) >= len(reference.classes)
    cells = aligned(current.cells, current.labels)

    def counts(choose: Any) -> BlockCounts:
        return BlockCounts(
            current=is_current,
            objects=choose(joined("objects")),
            micro=choose(joined("micro")),
            confidence=choose(joined("confidence")),
            labels=labels,
            classes=choose(classes),
            cells=cells,
        )

    parts = [counts(lambda values, part=part: values[:, part]) for part in range(classes.shape[1])]
    return counts(lambda values: values.sum(axis=1)), parts


def pieces(ranges: Sequence[tuple[datetime, datetime]], zone: tzinfo) -> list[Piece]:
    """The ranges, cut at each local clock hour."""
    found = []
    for place, (start, end) in enumerate(ranges):
        while start < end:
            local = start.replace(tzinfo=UTC).astimezone(zone)
            past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
            until = min(start + HOUR - past, end)
            found.append(Piece(start, until, place, local.hour))
            start = until
    return found


def _whole_hours(
    start: datetime, end: datetime
) -> tuple[tuple[datetime, datetime] | None, list[tuple[datetime, datetime]]]:
    """The whole hours in [start, end), and what is left at its edges."""
    floor = start.replace(minute=0, second=0, microsecond=0)
    first = floor if floor == start else floor + HOUR
    last = end.replace(minute=0, second=0, microsecond=0)
    if first >= last:
        return None, [(start, end)]
    edges = [(left, right) for left, right in ((start, first), (last, end)) if left < right]
    return (first, last), edges


def _cells(cut: Sequence[Piece]) -> dict[str, Any]:
    """Pieces as drift_rows takes them: each under the cells of equal length that it touches."""
    start, end = cut[0].start, cut[-1].end
    length = max((end - start) // (2 * len(cut)), _MICROSECOND)
    touched = [
        (cell, number, piece)
        for number, piece in enumerate(cut)
        for cell in range((piece.start - start) // length, (piece.end - _MICROSECOND - start) // length + 1)
    ]
    return {
        "start": start,
        "end": end,
        "length": length // _MICROSECOND,
        "cells": [cell for cell, _, _ in touched],
        "pieces": [number for _, number, _ in touched],
        "starts": [piece.start for _, _, piece in touched],
        "ends": [piece.end for _, _, piece in touched],
    }


def _renumbered(table: Columns, numbers: Sequence[int]) -> Columns:
    import numpy as np

    return {**table, "key": np.array(numbers, np.int64)[table["key"]]}


def _placed(table: Columns, places: Mapping[str | None, int]) -> Columns:
    """Rows whose key is a source, with the source's place instead; other sources are left out."""
    import numpy as np

    key = np.array([places.get(source, -1) for source in table["key"].tolist()], np.int64)
    return {name: values[key >= 0] for name, values in {**table, "key": key}.items()}


def _joined(tables: Sequence[Columns]) -> Columns:
    import numpy as np

    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _hours(tables: Sequence[Columns]) -> Hours:
    import numpy as np

    every = _joined(tables)
    floors = [  # null where a log does not tell
        floor
        for table in tables
        for name in ("floor_min", "floor_max")
        for floor in np.ma.compressed(table[name]).tolist()
    ]
    return Hours(
        hour=every["hour"].astype("datetime64[us]"),
        source=every["source"].tolist(),
        images=every["images"],
        errors=every["errors"],
        micro=every["micro"],
        scored=every["scored"],
        first=every["first"].astype("datetime64[us]"),
        last=every["last"].astype("datetime64[us]"),
        floors=(min(floors), max(floors)) if floors else (),
        denominator_known=not bool(every["unknown"].any()),
    )
