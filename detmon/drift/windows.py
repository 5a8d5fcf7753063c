"""A window of a log: what the choice of blocks asks of it, and what each block holds.

Whole hours come from the rollups, the rest of a window (and what rollups do not hold: detections above a floor, one
source, blocks shorter than an hour) from its rows. Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any

from detmon.drift.counts import Counts, counted
from detmon.drift.pieces import MICROSECOND, Piece, cells, pieces, whole_hours
from detmon.errors import UsageError
from detmon.stats.blocks import Block
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Columns = dict[str, Any]

PARTS = 4
"""Parts of a day, of six hours each."""
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
    pruned_before: datetime | None = None
    """Rows before it are gone (`prune`); the rollups are not."""

    @property
    def has_rollups(self) -> bool:
        return self.model_id is not None


@dataclass(frozen=True)
class Hours:
    """What was logged an hour and source: rows of equal index. Rows with status error have times, but no images."""

    names: tuple[str, ...]
    """The sources, sorted; "" for rows without one."""
    source: Whole
    """The number of the row's source in `names`."""
    hour: NDArray[np.datetime64]
    images: Whole
    errors: Whole
    micro: Whole
    scored: Whole
    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]
    floors: tuple[float, ...]
    """The smallest and the largest confidence floor, where any is logged."""
    denominator_known: bool

    def by_source(self, values: Whole) -> dict[str, int]:
        """The sum of `values`, one a row, of each source."""
        import numpy as np

        sums = np.bincount(self.source, values, len(self.names)).tolist()
        return {name: int(total) for name, total in zip(self.names, sums, strict=True)}


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
        return {name: images for name, images in self.logged.by_source(self.logged.images).items() if images}

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
        import numpy as np

        cut = pieces(ranges, self.zone)
        places = [piece.place * 24 + piece.hour for piece in cut]
        images = np.bincount(*self._images(cut, places), 24 * len(ranges)).astype(np.int64)
        return [row.tolist() for row in images.reshape(-1, 24)]

    def volumes(self, length: timedelta, blocks: int) -> dict[int, int]:
        """Images by block of `length` since the first one; the last block takes what is left."""
        self.need_rows()
        values = {"first": self.first, "length": length // MICROSECOND, "last": blocks - 1}
        return dict(self._ask("drift_volumes", **values))

    # --- what the blocks hold ---

    def days(self, blocks: Sequence[Block], hours: Sequence[int]) -> Counts:
        """What whole days (or the same clock range of days) hold in the local clock `hours`, by part of the day."""
        ranges = [(block.start, block.end) for block in blocks]
        cut = [piece for piece in pieces(ranges, self.zone) if piece.hour in hours]
        places = [piece.place * PARTS + piece.hour // 6 for piece in cut]
        return counted((len(blocks), PARTS), *self._read_pieces(cut, places), places)

    def spans(self, blocks: Sequence[Block]) -> Counts:
        """What blocks of any length hold."""
        cut = [Piece(block.start, block.end, place, 0) for place, block in enumerate(blocks)]
        places = range(len(blocks))
        return counted((len(blocks), 1), *self._read_pieces(cut, places), places)

    def of_sources(self, blocks: Sequence[Block]) -> Counts:
        """What each source's images hold; a label's cells are images."""
        import numpy as np

        places = {block.source: place for place, block in enumerate(blocks)}
        whole = [Piece(self.start, self.end, 0, 0)]
        objects, confidences, classes = (
            _placed(self._of_rows(name, whole, key="source"), places) for name in ("objects", "confidences", "classes")
        )
        counts = counted((len(blocks), 1), objects, confidences, classes, range(len(blocks)))
        images = dict(zip(*self._of_rows("images", whole).values(), strict=True))
        return replace(counts, cells=np.array([int(images[label]) for label in counts.labels], np.int64))

    def source_classes(self) -> dict[str, dict[str, int]]:
        """Detections of each source by label."""
        table = self._of_rows("classes", [Piece(self.start, self.end, 0, 0)], key="source")
        found: dict[str, dict[str, int]] = {}
        for source, label, n in zip(*(table[name].tolist() for name in ("key", "label", "n")), strict=True):
            found.setdefault(source, {})[label] = n
        return found

    def presence(self, blocks: Sequence[Block]) -> dict[str, int]:
        """In how many of the blocks (of time, in order) each source has images."""
        cut = [Piece(block.start, block.end, 0, 0) for block in blocks]
        if all(piece.on_the_hour for piece in cut):
            return self._presence_of_hours(blocks)
        self.need_rows()
        text = statement("drift_presence").format(rows=statement("drift_rows").format(**_ALL_BOXES))
        return dict(self.log.con.execute(text, self._values(**cells(cut, range(len(cut))))).fetchall())

    def _presence_of_hours(self, blocks: Sequence[Block]) -> dict[str, int]:
        import numpy as np

        logged = self.logged
        starts, ends = (np.array([getattr(b, edge) for b in blocks], "datetime64[us]") for edge in ("start", "end"))
        block = np.searchsorted(starts, logged.hour, "right") - 1
        inside = (block >= 0) & (logged.hour < ends[block]) & (logged.images > 0)
        seen = np.zeros((len(logged.names), len(blocks)), bool)
        seen[logged.source[inside], block[inside]] = True
        return dict(zip(logged.names, seen.sum(axis=1).tolist(), strict=True))

    @cached_property
    def logged(self) -> Hours:
        """What was logged an hour and source."""
        whole, edges = whole_hours(self.start, self.end) if self._reads_rollups else (None, [(self.start, self.end)])
        if edges:
            self.need_rows()
        tables = [] if whole is None else [self._columns("drift_hours", start=whole[0], end=whole[1], source=...)]
        tables += [self._columns("drift_hours_of_rows", start=start, end=end) for start, end in edges]
        return _hours(tables)

    # --- reading ---

    @property
    def rows_pruned(self) -> bool:
        """Whether rows of the window are gone, so that only whole hours can be told of."""
        return self.log.pruned_before is not None and self.start < self.log.pruned_before

    def need_rows(self) -> None:
        """Raise UsageError where what needs rows can no longer be told."""
        if self.rows_pruned:
            raise UsageError(
                f"rows of {self.log.model_id} before {self.log.pruned_before:%Y-%m-%d %H:%M} UTC are pruned",
                "what is left of them are whole hours of all sources: whole days, no --by source, no shorter blocks",
            )

    @property
    def _reads_rollups(self) -> bool:
        return self.log.has_rollups and self.source is None and self.floor is None

    @cached_property
    def _span(self) -> tuple[datetime, datetime]:
        if self.logged.errors.any() and not self.rows_pruned:
            first, last = self._ask("drift_span")[0]
            return first, last
        return self.logged.first.min().item(), self.logged.last.max().item()

    def _values(self, **values: Any) -> dict[str, Any]:
        given = {"model": self.log.model_id, "source": self.source, "start": self.start, "end": self.end, **values}
        return {name: value for name, value in given.items() if value is not ...}

    def _ask(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.log.con.execute(statement(name), self._values(**values)).fetchall()

    def _columns(self, name: str, **values: Any) -> Columns:
        return self._fetched(statement(name), **values)

    def _fetched(self, text: str, **values: Any) -> Columns:
        return self.log.con.execute(text, self._values(**values)).fetchnumpy()

    def _read_pieces(self, cut: Sequence[Piece], places: Sequence[int]) -> tuple[Columns, Columns, Columns]:
        """What the pieces hold: objects and confidences by place, classes by piece."""
        histograms = (self._read(name, cut, places) for name in ("objects", "confidences"))
        return *histograms, self._read("classes", cut, range(len(cut)))  # type: ignore[return-value]

    def _read(self, name: str, cut: Sequence[Piece], places: Sequence[int]) -> Columns:
        """The `objects`, `confidences` or `classes` of pieces; their `key` is the place of the piece."""
        whole, rest = _split(cut, places, [self._reads_rollups and piece.is_whole_hour for piece in cut])
        tables = [self._of_rollups(name, *whole)] if whole[0] else []
        return _joined([*tables, self._of_rows(name, *rest)] if rest[0] else tables)

    def _images(self, cut: Sequence[Piece], places: Sequence[int]) -> tuple[Whole, Whole]:
        """Images of the pieces as (place, number) pairs."""
        import numpy as np

        whole, rest = _split(cut, places, [piece.is_whole_hour for piece in cut])
        key, inside = _of_hours(self.logged, *whole)
        found = [(key, self.logged.images[inside])]
        if rest[0]:
            rows = self._of_rows("objects", *rest)
            found.append((rows["key"], rows["n"]))
        return np.concatenate([keys for keys, _ in found]), np.concatenate([images for _, images in found])

    def _of_rollups(self, name: str, cut: Sequence[Piece], places: Sequence[int]) -> Columns:
        """What whole hours (rising) hold, by place."""
        question = "drift_classes" if name == "classes" else "drift_histogram"
        kind = {"objects": "count", "confidences": "confidence"}.get(name, ...)
        hours = [piece.start for piece in cut]
        span = {"start": hours[0], "end": cut[-1].end, "source": ...}
        table = self._columns(question, kind=kind, hours=hours, places=list(places), **span)
        if name != "confidences":
            return table
        return _joined([{**table, "micro": 0 * table["n"]}, self._micro(cut, places)])

    def _micro(self, cut: Sequence[Piece], places: Sequence[int]) -> Columns:
        """The sum of the confidences of each hour, as rows of a histogram that count nothing."""
        import numpy as np

        key, inside = _of_hours(self.logged, cut, places)
        nothing = np.zeros(len(key), np.int64)
        return {"key": key, "bin": nothing, "n": nothing, "micro": self.logged.micro[inside]}

    def _of_rows(self, name: str, cut: Sequence[Piece], places: Sequence[int] = (0,), key: str = "place") -> Columns:
        """What the rows of pieces (rising) hold, by place or by source."""
        self.need_rows()
        boxes = _ALL_BOXES if self.floor is None else _HIGH_BOXES
        text = statement(f"drift_{name}_of_rows").format(key=key, rows=statement("drift_rows").format(**boxes))
        floor = ... if self.floor is None else self.floor
        return self._fetched(text, floor=floor, **cells(cut, places))


def _split(
    cut: Sequence[Piece], places: Sequence[int], chosen: Sequence[bool]
) -> tuple[tuple[list[Piece], list[int]], tuple[list[Piece], list[int]]]:
    """The chosen pieces with their places, and the others."""
    found: tuple[tuple[list[Piece], list[int]], tuple[list[Piece], list[int]]] = (([], []), ([], []))
    for piece, place, one in zip(cut, places, chosen, strict=True):
        some = found[0 if one else 1]
        some[0].append(piece)
        some[1].append(place)
    return found


def _of_hours(logged: Hours, cut: Sequence[Piece], places: Sequence[int]) -> tuple[Whole, NDArray[np.bool_]]:
    """Which rows of `logged` lie in whole hours (rising), and the place of each of these."""
    import numpy as np

    starts = np.array([piece.start for piece in cut], "datetime64[us]")
    if not cut:
        return np.zeros(0, np.int64), np.zeros(len(logged.hour), bool)
    number = np.minimum(np.searchsorted(starts, logged.hour), len(starts) - 1)
    inside = starts[number] == logged.hour
    return np.array(places, np.int64)[number[inside]], inside


@contextmanager
def by_source(reference: Window, current: Window) -> Iterator[None]:
    """Lets both windows be read source by source: their rows are sorted once, in a table that hides the store's."""
    made = []
    try:
        for con in {id(window.log.con): window.log.con for window in (reference, current)}.values():
            mine = [window for window in (reference, current) if window.log.con is con]
            values = {
                "start": min(window.start for window in mine),
                "end": max(window.end for window in mine),
                "model": mine[0].log.model_id,
            }
            con.execute(statement("drift_by_source"), values)
            made.append(con)
        yield
    finally:
        for con in made:
            con.execute("DROP TABLE temp.predictions")


def _placed(table: Columns, places: Mapping[str | None, int]) -> Columns:
    """Rows whose key is a source, with the source's place instead; other sources are left out."""
    import numpy as np

    key = np.array([places.get(source, -1) for source in table["key"].tolist()], np.int64)
    return {name: values[key >= 0] for name, values in {**table, "key": key}.items()}


def _joined(tables: Sequence[Columns]) -> Columns:
    import numpy as np

    if len(tables) == 1:
        return tables[0]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _hours(tables: Sequence[Columns]) -> Hours:
    import numpy as np

    every = _joined(tables)
    listed = every["source"].tolist()
    names = tuple(sorted(set(listed)))
    numbers = {name: number for number, name in enumerate(names)}
    floors = [np.ma.compressed(table[name]) for table in tables for name in ("floor_min", "floor_max")]
    known = np.concatenate(floors)  # null where a log does not tell
    return Hours(
        names=names,
        source=np.fromiter((numbers[name] for name in listed), np.int64, len(listed)),
        hour=every["hour"].astype("datetime64[us]"),
        images=every["images"],
        errors=every["errors"],
        micro=every["micro"],
        scored=every["scored"],
        first=every["first"].astype("datetime64[us]"),
        last=every["last"].astype("datetime64[us]"),
        floors=(float(known.min()), float(known.max())) if len(known) else (),
        denominator_known=not bool(every["unknown"].any()),
    )
