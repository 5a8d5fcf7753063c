"""A simulated log: frames with a time, a source and boxes, and the check of its two windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from detmon.stats.blocks import Choice, choose
from detmon.stats.drift import DAY_PARTS, Verdict, judge
from detmon.stats.probes import BINS, BlockCounts

from .window import Frames
from .world import Boxes, Ints

OBJECTS = 66
PARTS = len(DAY_PARTS)


@dataclass(frozen=True)
class Log:
    """Frames at `times` (datetime64[us], UTC) of the sources in `names`; which of them are `current`; their boxes."""

    times: NDArray[np.datetime64]
    names: NDArray[np.str_]
    current: NDArray[np.bool_]
    boxes: Boxes
    classes: int

    def windows(self) -> tuple[Frames, Frames]:
        """The two windows, each of whole days."""
        reference, current = (self._window(mask) for mask in (~self.current, self.current))
        return reference, current

    def _window(self, mask: NDArray[np.bool_]) -> Frames:
        days = self.times[mask].astype("datetime64[D]").astype("datetime64[us]")
        start, end = days.min().item(), days.max().item() + timedelta(days=1)
        return Frames(start, end, self.times[mask], self.names[mask])

    def check(self, choice: Choice | None = None) -> tuple[Choice, Verdict]:
        """The blocks that are chosen (unless they are known), and the verdict."""
        choice = choice or choose(*self.windows())
        whole, parts = self.tables(choice)
        return choice, judge(choice, whole, parts)

    def tables(self, choice: Choice) -> tuple[BlockCounts, dict[str, BlockCounts]]:
        """What each block holds, and for days what each part of the day holds of it."""
        place, hours = self._places(choice), self.times.astype("datetime64[h]").astype(np.int64)
        if not choice.parts:
            cells = np.arange(len(place)) if choice.size == "source" else place
            return self._counted(place, cells, choice, 1), {}
        clock = hours % 24
        place = np.where((place >= 0) & np.isin(clock, choice.hours), place * PARTS + clock // 6, -1)
        quarters = self._counted(place, hours - hours.min(), choice, PARTS)
        parts = {name: _grouped(quarters, slice(i, i + 1)) for i, name in enumerate(DAY_PARTS)}
        return _grouped(quarters, slice(0, PARTS)), parts

    def _places(self, choice: Choice) -> Ints:
        """The block of each frame, -1 for none."""
        place = np.full(len(self.times), -1)
        for first, blocks, mask in (
            (0, choice.reference, ~self.current),
            (len(choice.reference), choice.current, self.current),
        ):
            if choice.size == "source":
                known = {block.source: first + i for i, block in enumerate(blocks)}
                names, of = np.unique(self.names[mask], return_inverse=True)
                place[mask] = np.array([known.get(name, -1) for name in names.tolist()])[of]
            else:
                starts, ends = (_instants([getattr(b, side) for b in blocks]) for side in ("start", "end"))
                at = np.searchsorted(starts, self.times[mask], side="right") - 1
                place[mask] = np.where((at >= 0) & (self.times[mask] < ends[at]), first + at, -1)
        return place

    def _counted(self, place: Ints, cell: Ints, choice: Choice, parts: int) -> BlockCounts:
        """Counts by place; a label is seen in the cells of its current frames."""
        rows = parts * len(choice.reference + choice.current)
        current = np.arange(rows) >= parts * len(choice.reference)
        objects = np.minimum(np.bincount(self.boxes.frame, minlength=len(place)), OBJECTS - 1)
        kept, boxes = place >= 0, self.boxes.where(place[self.boxes.frame] >= 0)
        at = place[boxes.frame]
        micro = np.rint(boxes.confidence * 1e6).astype(np.int64)
        seen = current[at]
        cells = np.unique(cell[boxes.frame[seen]] * self.classes + boxes.label[seen])
        return BlockCounts(
            current=current,
            objects=_table(place[kept], objects[kept], rows, OBJECTS),
            micro=np.bincount(at, micro, minlength=rows).astype(np.int64),
            confidence=_table(at, np.minimum(micro // 1000, BINS - 1), rows, BINS),
            labels=labels(self.classes),
            classes=_table(at, boxes.label, rows, self.classes),
            cells=np.bincount(cells % self.classes, minlength=self.classes),
        )


def labels(classes: int) -> tuple[str, ...]:
    """Names of the classes, in the order of their numbers."""
    return tuple(f"class{k:02d}" for k in range(classes))


def _instants(moments: list[datetime]) -> NDArray[np.datetime64]:
    return np.array(moments, "datetime64[us]")


def _table(row: Ints, column: Ints, rows: int, columns: int) -> Ints:
    """How often each pair occurs."""
    return np.bincount(row * columns + column, minlength=rows * columns).reshape(rows, columns)


def _grouped(quarters: BlockCounts, parts: slice) -> BlockCounts:
    """The days of a table by day and part, summed over some parts."""

    def days(values: Ints) -> Ints:
        return values.reshape(-1, PARTS, *values.shape[1:])[:, parts].sum(axis=1)

    return BlockCounts(
        quarters.current[::PARTS],
        days(quarters.objects),
        days(quarters.micro),
        days(quarters.confidence),
        quarters.labels,
        days(quarters.classes),
        quarters.cells,
    )
