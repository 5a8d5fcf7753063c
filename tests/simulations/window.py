"""A window of a simulated log: frames with a time and a source, as the choice of blocks asks about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detmon.times import aware_utc


@dataclass(frozen=True)
class Frames:
    """The images of [start, end) at `times` (datetime64[us], any order), each of the source named in `names`."""

    start: datetime
    end: datetime
    times: NDArray[np.datetime64]
    names: NDArray[np.str_]
    zone: tzinfo = UTC

    @property
    def images(self) -> int:
        return len(self.times)

    @property
    def first(self) -> datetime:
        return self.times.min().item()

    @property
    def last(self) -> datetime:
        return self.times.max().item()

    @property
    def timestamps(self) -> int:
        return len(np.unique(self.times))

    @cached_property
    def sources(self) -> Mapping[str, int]:
        names, counts = np.unique(self.names, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def hours(self, ranges: Sequence[tuple[datetime, datetime]]) -> Sequence[Sequence[int]]:
        quarters, place = np.unique(self.times.astype("datetime64[15m]"), return_inverse=True)
        clock = [aware_utc(q.astype("datetime64[us]").item()).astimezone(self.zone).hour for q in quarters]
        hours = np.array(clock, np.int64)[place]
        return [
            np.bincount(
                hours[(self.times >= np.datetime64(a)) & (self.times < np.datetime64(b))], minlength=24
            ).tolist()
            for a, b in ranges
        ]

    def volumes(self, length: timedelta, blocks: int) -> Mapping[int, int]:
        places, counts = np.unique(
            np.minimum((self.times - self.times.min()) // np.timedelta64(length), blocks - 1), return_counts=True
        )
        return dict(zip(places.tolist(), counts.tolist(), strict=True))
