"""Ranges of time, cut where the questions of a drift check need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from detmon.stats.blocks import HOUR

MICROSECOND = timedelta(microseconds=1)


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
        return self.end - self.start == HOUR and self.on_the_hour

    @property
    def on_the_hour(self) -> bool:
        """Whether it begins and ends with an hour."""
        return not any(moment.minute or moment.second or moment.microsecond for moment in (self.start, self.end))


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


def whole_hours(
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


def cells(cut: Sequence[Piece], places: Sequence[int]) -> dict[str, Any]:
    """Pieces as drift_rows takes them, with a place each: under the cells of equal length that they touch."""
    start, end = cut[0].start, cut[-1].end
    length = max((end - start) // (2 * len(cut)), MICROSECOND)
    touched = [
        (cell, place, piece)
        for place, piece in zip(places, cut, strict=True)
        for cell in range((piece.start - start) // length, (piece.end - MICROSECOND - start) // length + 1)
    ]
    return {
        "start": start,
        "end": end,
        "length": length // MICROSECOND,
        "cells": [cell for cell, _, _ in touched],
        "places": [place for _, place, _ in touched],
        "starts": [piece.start for _, _, piece in touched],
        "ends": [piece.end for _, _, piece in touched],
    }
