"""Whether two windows differ by more than blocks of the same world do (docs/statistics.md, "Drift")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from detmon.stats.blocks import Choice, Note, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAY_PARTS = ("00-06", "06-12", "12-18", "18-24")
DISTANCES = ("class_drift", "confidence_drift", "count_drift")


@dataclass(frozen=True)
class BlockCounts:
    """What each of G blocks holds: whole numbers that SQL counts. The reference's blocks come first.

    Fields are arrays of integers (`current`: booleans); K labels, sorted.
    """

    current: NDArray[np.bool_]
    """[G] whether the block is of the current window."""
    objects: NDArray[np.int64]
    """[G, 66] images by number of detections; the last: 65 or more."""
    micro: NDArray[np.int64]
    """[G] sum of the confidences, in millionths."""
    confidence: NDArray[np.int64]
    """[G, 1000] detections by confidence, in equal bins: min(999, micro // 1000). Detections without one: nowhere."""
    labels: tuple[str, ...]
    classes: NDArray[np.int64]
    """[G, K] detections by label."""
    cells: NDArray[np.int64]
    """[K] in how many hours (days), blocks (shorter ones) or images (sources) of the current window a label occurs."""


@dataclass(frozen=True)
class Effect:
    """A pooled value of both windows; `adjusted_p` is None where it was not tested."""

    reference: float | None
    current: float | None
    change: float | None
    adjusted_p: float | None


@dataclass(frozen=True)
class PartEffect:
    """A probe that moved in one part of the day."""

    part: str
    probe: str
    reference: float | None
    current: float | None
    change: float | None
    adjusted_p: float


@dataclass(frozen=True)
class ClassChange:
    """A label's share of the detections in both windows; `tag`: up, down, new, gone or None."""

    label: str
    reference_share: float | None
    current_share: float | None
    relative_change: float | None
    p_value: float | None
    adjusted_p: float | None
    affected: bool
    tag: str | None


@dataclass(frozen=True)
class UsualRange:
    """A distance between stretches of the reference itself."""

    median: float
    max: float


@dataclass(frozen=True)
class Verdict:
    """What a drift check says. Distances are None only if a side is empty, or their denominator unknown."""

    class_drift: float | None
    confidence_drift: float | None
    count_drift: float | None
    significant_drift: bool | None
    reason: Note
    affected_classes: tuple[str, ...]
    classes: tuple[ClassChange, ...]
    new_classes: tuple[str, ...]
    gone_classes: tuple[str, ...]
    effects: Mapping[str, Effect]
    """avg_confidence, detections_per_image, no_detection_rate, low_confidence_rate, above_median_confidence."""
    usual_range: Mapping[str, UsualRange | None]
    """By distance; None for source blocks."""
    usual_blocks: int
    """The number of blocks of a stretch in `usual_range`; fewer than the current blocks if the reference is short."""
    detectable_change: Mapping[str, float | Mapping[str, float | None] | None]
    """By probe (absolute; detections_per_image relative), and `classes`: by label, relative."""
    confidence_ks: float | None
    confidence_w1: float | None
    day_part_effects: tuple[PartEffect, ...]
    excluded_share: float | None
    """A class absent from the reference has, with 95 % confidence, a share below this one."""
    p_value: float | None
    """The smallest adjusted p of the check, for comparing sources; None without a verdict."""
    hits: tuple[str, ...] = ()
    """The probes that moved, by p: `avg_confidence`, `class:car`, `18-24 class_mix`, …"""
    warnings: tuple[Note, ...] = field(default=())


def judge(
    choice: Choice,
    counts: BlockCounts,
    parts: Mapping[str, BlockCounts] | None = None,
    settings: Settings | None = None,
    *,
    denominator_known: bool = True,
) -> Verdict:
    """The verdict on two windows, whose `counts` have a row for each block of `choice.reference + choice.current`.

    `parts` are the same blocks by part of the day (keys: DAY_PARTS), wanted if `choice.parts`. Without blocks
    (`choice.size` None) `counts` has two rows, the windows. `denominator_known` is False when images without
    detections may be missing from the log: what counts images is then None.
    """
    raise NotImplementedError


def significant_among(verdicts: Sequence[Verdict], q: float) -> list[bool | None]:
    """Which of many checks, one a source, are significant when all are looked at; None where there is no verdict."""
    raise NotImplementedError
