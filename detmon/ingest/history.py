"""What only the store can tell about a log: that its scores or its labels are no longer those of its model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from detmon.formats.contract import Warned
from detmon.store import Connection, statement

if TYPE_CHECKING:
    import pyarrow as pa

LOOK_BACK = timedelta(days=28)
ENOUGH_BOXES = 1000
FLOOR_SHIFT = 0.05
NEW_LABELS = 0.3
"""Share of a log's boxes whose labels the model never had before that makes `label_map_changed`."""


@dataclass(frozen=True)
class History:
    """What a model logged in the 28 days before a batch. `lowest`: its smallest confidence, in steps of 0.001."""

    boxes: int
    lowest: float | None
    floors: tuple[float | None, float | None]
    labels: frozenset[str]


@dataclass
class Trait:
    """The same of one log and model, gathered part by part."""

    boxes: int = 0
    lowest: float | None = None
    floors: tuple[float | None, float | None] = (None, None)
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, rows: pa.Table) -> None:
        """Take in rows of one model (labels dictionary-encoded)."""
        import pyarrow.compute as pc

        self.boxes += pc.sum(rows["confidence_n"]).as_py() or 0
        self.lowest = _least(self.lowest, pc.min(rows["confidence_min"]).as_py())
        floors = pc.min_max(rows["confidence_floor"]).as_py()
        least, most = self.floors
        self.floors = (_least(least, floors["min"]), _most(most, floors["max"]))
        for batch in rows.to_batches():
            for count in batch["detections"].flatten().field("label").value_counts().to_pylist():
                self.labels[count["values"]] += count["counts"]


def look_back(con: Connection, model_id: str, start: datetime, end: datetime) -> History:
    """The model's rollups from 28 days before `start` up to `end`."""
    span = {"model_id": model_id, "start": start - LOOK_BACK, "end": end}
    boxes, lowest = con.execute(statement("history_scores"), span).fetchall()[0]
    least, most = con.execute(statement("history_floors"), span).fetchall()[0]
    labels = frozenset(label for (label,) in con.execute(statement("history_labels"), span).fetchall())
    return History(boxes or 0, None if lowest is None else lowest / 1000, (least, most), labels)


def findings(model_id: str, now: Trait, before: History) -> list[Warned]:
    """`floor_moved` and `label_map_changed` of a whole log against its model's history."""
    found = []
    if now.floors[0] is not None and before.floors[0] is not None and now.floors != before.floors:
        text = f"{model_id}: confidence_floor {_span(now.floors)}, before {_span(before.floors)}"
        found.append(Warned("floor_moved", f"{text}: mean confidence and counts are not comparable", 1))
    elif _begins_elsewhere(now, before):
        text = f"{model_id}: scores begin at {now.lowest:.2f}, before at {before.lowest:.2f}"
        found.append(Warned("floor_moved", f"{text}: mean confidence and counts are not comparable", 1))
    new = {label: n for label, n in now.labels.items() if label not in before.labels}
    total, unknown = now.labels.total(), sum(new.values())
    known = before.boxes >= ENOUGH_BOXES or len(new) == len(now.labels)  # a short history lacks labels by chance
    if before.labels and known and total >= ENOUGH_BOXES and unknown > NEW_LABELS * total:
        names = ", ".join(sorted(new, key=lambda label: -new[label])[:3])
        text = f"{model_id}: {unknown} of {total} boxes have labels it never had before ({names})"
        found.append(Warned("label_map_changed", f"{text}: another label map? Drift will show it", unknown))
    return found


def _begins_elsewhere(now: Trait, before: History) -> bool:
    if now.lowest is None or before.lowest is None or min(now.boxes, before.boxes) < ENOUGH_BOXES:
        return False
    return abs(int(now.lowest * 1000) / 1000 - before.lowest) > FLOOR_SHIFT + 1e-9


def _least(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)


def _span(floors: tuple[float | None, float | None]) -> str:
    least, most = floors
    return f"{least:.3g}" if least == most else f"{least:.3g} to {most:.3g}"
