"""What a drift check answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detmon.records import Record


@dataclass(frozen=True)
class DriftWarning(Record):
    """Something to know about a verdict: a code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class DriftEffect(Record):
    """A value pooled over each period; `adjusted_p` is None where it was not tested."""

    reference: float | None
    current: float | None
    change: float | None
    adjusted_p: float | None


@dataclass(frozen=True)
class DayPartEffect(Record):
    """What moved in one part of the day, for example `18-24`."""

    part: str
    probe: str
    reference: float | None
    current: float | None
    change: float | None
    adjusted_p: float


@dataclass(frozen=True)
class DriftClass(Record):
    """A label's share of the detections in both periods; `tag`: up, down, new, gone or None."""

    label: str
    reference_share: float | None
    current_share: float | None
    relative_change: float | None
    p_value: float | None
    adjusted_p: float | None
    affected: bool
    tag: str | None


@dataclass(frozen=True)
class UsualRange(Record):
    """A distance between stretches of the reference, as long as the current period, and the rest of it."""

    median: float
    max: float


@dataclass(frozen=True)
class Blocks(Record):
    """What was compared: blocks of `size` (`1d`, `1h`, …, `source`; None: no verdict), and how many a period.

    `usual`: so many make a stretch of the usual range; fewer than `current` where the reference is short.
    """

    size: str | None
    reference: int
    current: int
    usual: int


@dataclass(frozen=True)
class SourceMix(Record):
    """How far the shares of the images by source moved, and the classes where every source keeps its share."""

    drift: float | None
    class_drift_same_mix: float | None


@dataclass(frozen=True)
class Histogram(Record):
    """Shares side by side: of the bins from `edges` (their lower ends) on."""

    edges: tuple[float, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True)
class Volume(Record):
    """What was compared of a period."""

    images: int
    detections: int
    sources: int


@dataclass(frozen=True)
class DriftReport(Record):
    """Whether a model's detections in the current period differ from the reference more than usual.

    Distances are Jensen-Shannon, base 2, in [0, 1]. `significant_drift` is None where nothing can be decided;
    `reason` is a sentence, `reason_code` its name. `sources` holds a report a source when asked for, and only then.
    """

    model_id: str | None
    reference_period: str
    current_period: str
    class_drift: float | None
    confidence_drift: float | None
    count_drift: float | None
    significant_drift: bool | None
    reason: str
    reason_code: str
    affected_classes: tuple[str, ...]
    classes: tuple[DriftClass, ...]
    new_classes: tuple[str, ...]
    gone_classes: tuple[str, ...]
    silent_sources: tuple[str, ...]
    effects: Mapping[str, DriftEffect]
    day_part_effects: tuple[DayPartEffect, ...]
    usual_range: Mapping[str, UsualRange | None]
    detectable_change: Mapping[str, Any]
    excluded_share: float | None
    blocks: Blocks
    source_mix: SourceMix
    confidence_ks: float | None
    confidence_w1: float | None
    volumes: Mapping[str, Volume]
    histograms: Mapping[str, Histogram]
    warnings: tuple[DriftWarning, ...]
    source: str | None = None
    """Whose report it is, in `sources`; None: that of all together."""
    sources: tuple[DriftReport, ...] | None = None

    def keys(self) -> list[str]:
        """The keys of `to_dict`: `source` and `sources` only where they are."""
        return [key for key in Record.keys(self) if key not in ("source", "sources") or self[key] is not None]

    @property
    def exit_code(self) -> int:
        """What `--exit-code` gives: 1 for drift or a silent source, 3 for no verdict."""
        if self.significant_drift or self.silent_sources or any(one.significant_drift for one in self.sources or ()):
            return 1
        return 3 if self.significant_drift is None else 0
