"""What conditions take from the model's own log: usual box sizes, and classes. Once; then it stays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.store import Connection, statement
from detmon.times import format_instant

DAYS = 28
"""So many days are looked at, up to the model's newest prediction."""
ENOUGH = 1000
"""Fewer boxes do not tell usual sizes."""
USUAL_AREA = (0.0005, 0.5)
"""Shares of the image's area that are usual where the log does not tell."""
TAILS = (0.005, 0.995)
"""The quantiles of a model's box areas between which a size is usual."""


@dataclass(frozen=True)
class Taken:
    """What was taken from the log of `start` … `end`: usual areas as shares of the image's, boxes of each class."""

    start: str
    end: str
    min_area: float
    max_area: float
    classes: Mapping[str, int]

    @property
    def known_classes(self) -> list[str]:
        """The classes that the log has, by name."""
        return sorted(self.classes)

    def rare_classes(self, share: float) -> list[str]:
        """The classes that have less than `share` of the boxes, by name."""
        boxes = sum(self.classes.values())
        return [label for label in self.known_classes if self.classes[label] < share * boxes]


def take(con: Connection, model_id: str, now: datetime) -> Taken | None:
    """What the model's log tells now, from whole hours of its rollups; None as long as it has no box."""
    row = con.execute(statement("engine_newest_hour"), {"model": model_id, "now": now}).fetchone()
    if row is None or row[0] is None:
        return None
    end = row[0] + timedelta(hours=1)
    span = {"model": model_id, "start": end - timedelta(days=DAYS), "end": end}
    classes = dict(con.execute(statement("engine_classes"), span).fetchall())
    areas = con.execute(statement("engine_areas"), span).fetchall()
    low, high = usual_areas(areas)
    return Taken(format_instant(span["start"]), format_instant(end), low, high, classes)


def usual_areas(histogram: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The quantiles TAILS of the areas; `histogram` has (bin, n) by bin, bin b being (1.05^(b-1), 1.05^b].

    Within a bin areas are taken to be spread evenly on the logarithmic scale.
    """
    total = sum(n for _, n in histogram)
    if total < ENOUGH:
        return USUAL_AREA
    low, high = (_quantile(histogram, share * total) for share in TAILS)
    return low, high


def _quantile(histogram: Sequence[tuple[int, int]], rank: float) -> float:
    below = 0
    for edge, n in histogram:
        if below + n >= rank:
            return math.exp((edge - 1 + (rank - below) / n) * math.log(1.05))
        below += n
    return math.exp(histogram[-1][0] * math.log(1.05))
