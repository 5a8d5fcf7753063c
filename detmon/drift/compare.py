"""Two windows against each other: blocks, counts, verdict, and what is to be known beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from detmon.drift.counts import Counts, together
from detmon.drift.windows import Window
from detmon.stats.blocks import Block, Choice, Note, Settings, choose
from detmon.stats.drift import DAY_PARTS, Verdict, judge

if TYPE_CHECKING:
    from detmon.stats.probes import BlockCounts


@dataclass(frozen=True)
class Comparison:
    """A finished check of two windows (with detections above the common floor only)."""

    reference: Window
    current: Window
    choice: Choice
    counts: BlockCounts
    verdict: Verdict
    notes: tuple[Note, ...]

    @cached_property
    def denominator_known(self) -> bool:
        """Whether both logs hold the images without detections, too."""
        return self.reference.logged.denominator_known and self.current.logged.denominator_known


def compare(reference: Window, current: Window, block: timedelta | str, settings: Settings) -> Comparison:
    """Choose the blocks, count what they hold, and judge."""
    notes = []
    if floor := _differing_floor(reference, current):
        reference, current = (replace(window, floor=floor) for window in (reference, current))
        notes.append(
            Note(
                "confidence_floor_differs",
                f"The logs have different confidence floors: detections below {floor / 1e6:g} are left out of both.",
            )
        )
    choice = choose(reference, current, block, reference.zone, settings)
    counts, parts = _counted(reference, current, choice)
    known = reference.logged.denominator_known and current.logged.denominator_known
    verdict = judge(choice, counts, parts, settings, denominator_known=known)
    return Comparison(reference, current, choice, counts, verdict, tuple(notes))


def _differing_floor(reference: Window, current: Window) -> int | None:
    """The highest confidence floor, in millionths, where there are several."""
    floors = {round(floor * 1e6) for window in (reference, current) for floor in window.logged.floors}
    return max(floors) if len(floors) > 1 else None


def _counted(reference: Window, current: Window, choice: Choice) -> tuple[BlockCounts, Mapping[str, BlockCounts]]:
    """What each block holds, and each part of the day of it."""

    def counts(window: Window, blocks: tuple[Block, ...]) -> Counts:
        if choice.size is None:
            return window.days([Block(window.start, window.end, window.images)], choice.hours)
        if choice.size == "source":
            return window.of_sources(blocks)
        return window.days(blocks, choice.hours) if choice.parts else window.spans(blocks)

    whole, parts = together(counts(reference, choice.reference), counts(current, choice.current))
    return whole, dict(zip(DAY_PARTS, parts, strict=True)) if choice.parts else {}
