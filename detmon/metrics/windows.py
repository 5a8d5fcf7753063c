"""Windows, and runs of them: the slots of a rule are at equal distances, which one pass over the rows can use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from detmon.times import EPOCH

Window: TypeAlias = tuple[datetime, datetime]
"""[start, end), naive UTC."""
FEWEST = 4
"""Fewer windows are joined with the rows one by one."""
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Run:
    """Windows of one length at equal distances, in order."""

    windows: Sequence[Window]

    def values(self) -> dict[str, Any]:
        """The parameters of a statement over a run."""
        (start, end), (later, _) = self.windows[0], self.windows[1]
        return {
            "origin": (start - EPOCH) // _MICROSECOND,
            "step": (later - start) // _MICROSECOND,
            "length": (end - start) // _MICROSECOND,
            "count": len(self.windows),
            "first": start,
            "last": self.windows[-1][1],
        }


def split(windows: Iterable[Window]) -> tuple[list[Run], list[Window]]:
    """The runs among `windows`, and those that are in none."""
    lengths: dict[timedelta, list[Window]] = defaultdict(list)
    for window in sorted(set(windows)):
        lengths[window[1] - window[0]].append(window)
    runs, rest = [], []
    for alike in lengths.values():
        for part in _evenly_spaced(alike):
            if len(part) < FEWEST:
                rest += part
            else:
                runs.append(Run(part))
    return runs, rest


def _evenly_spaced(windows: Sequence[Window]) -> Iterable[list[Window]]:
    """Stretches of sorted windows in which all distances are equal."""
    part: list[Window] = []
    for window in windows:
        if len(part) > 1 and window[0] - part[-1][0] != part[1][0] - part[0][0]:
            pair = len(part) == 2  # its second may begin an even stretch
            yield part[:1] if pair else part
            part = part[1:] if pair else []
        part.append(window)
    yield part


def joined(windows: Sequence[Window]) -> dict[str, Any]:
    """The parameters of a statement that joins windows with the rows."""
    return {
        "starts": [start for start, _ in windows],
        "ends": [end for _, end in windows],
        "first": min(start for start, _ in windows),
        "last": max(end for _, end in windows),
    }
