"""Which blocks of time, or of sources, two windows are compared over (docs/statistics.md, "Blocks").

Boxes of an image, images of a scene and hours of a day are alike, so the yardstick of every drift test is the scatter
between blocks. The choice needs few facts about a window, given by a `Window` that an SQL query or an array can answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LADDER = (HOUR, timedelta(minutes=10), timedelta(minutes=1), *(timedelta(seconds=s) for s in (10, 5, 1)))
"""The shorter blocks that `auto` tries, longest first."""
FINE = timedelta(seconds=10)
"""Blocks as short as this, or shorter, are so alike that `auto` wants many of them."""
HOURS = range(24)
CLOCK_HOURS = 20
"""So many distinct clock hours in each window, and blocks of an hour get a daily wave in their design."""
SOURCES = 7
"""So many reference sources, or shared ones, can stand in for blocks of time."""
MIN_IMAGES = (50, 10)
"""Reference and current images below which nothing is judged."""
EXPECTED_IMAGES = 10
"""An hour without images counts as missing if so many would have been expected there."""
MAX_BLOCKS = 10_000
"""More blocks than this are refused: a longer block tells the same."""
LONG_SPAN_FACTOR = 0.2
"""What the level is multiplied by when blocks shorter than a day span more than one."""


@dataclass(frozen=True)
class Settings:
    """The constants of a drift check, `[drift]` in the configuration."""

    q: float = 0.05
    """Level: the share of false alarms that is accepted."""
    min_effect: float = 0.02
    """The smallest Jensen-Shannon distance that is called drift."""
    min_relative_change: float = 0.10
    """The smallest relative change of a class's share that affects it."""
    min_class: int = 20
    """Detections, in both windows together, that a class needs to be tested."""
    min_reference_blocks: int = 7
    min_current_blocks: int = 1
    min_volume: float = 0.20
    """A block with fewer images than this share of its window's median block is left out."""
    min_events: int = 5
    """Events (and non-events) that a share needs to be tested."""
    min_fine_blocks: int = 24
    """Blocks in all that `auto` wants of blocks of ten seconds or less."""
    low_confidence: float = 0.5
    """The confidence below which a detection counts as low; a multiple of 0.001."""
    weekend: tuple[int, ...] = (5, 6)
    """The days of the weekend, Monday = 0."""


@dataclass(frozen=True)
class Note:
    """A code for programs and a sentence for people."""

    code: str
    message: str


class Window(Protocol):
    """What the choice asks of a window: predictions with status ok in [start, end). Instants are naive UTC."""

    @property
    def start(self) -> datetime: ...

    @property
    def end(self) -> datetime: ...

    @property
    def images(self) -> int: ...

    @property
    def first(self) -> datetime:
        """The first prediction; asked only when there are images, as is `last`."""

    @property
    def last(self) -> datetime: ...

    @property
    def timestamps(self) -> int:
        """The number of distinct timestamps; asked only when days do not do."""

    @property
    def sources(self) -> Mapping[str, int]:
        """Images of each source; images without one under ""."""

    def hours(self, ranges: Sequence[tuple[datetime, datetime]]) -> Sequence[Sequence[int]]:
        """Images of each range [start, end) by local clock hour, 24 numbers a range. Ranges do not overlap."""

    def volumes(self, length: timedelta, blocks: int) -> Mapping[int, int]:
        """Images by block index min((t - first) // length, blocks - 1), without the empty ones."""


@dataclass(frozen=True)
class Block:
    """The instants [start, end), naive UTC; of one `source`, or of all (None)."""

    start: datetime
    end: datetime
    images: int
    source: str | None = None


@dataclass(frozen=True)
class Dependence:
    """How strongly neighbouring blocks are taken to be alike: the correction `kappa`, and the limits of rho."""

    kappa: float = 0.0
    floor: float = 0.0
    cap: float = 0.0


DAYS = Dependence(kappa=1, floor=0, cap=0.8)
NONE = Dependence()


def dependence(length: timedelta) -> Dependence:
    """The likeness of neighbouring blocks of a length below a day."""
    if length >= FINE:
        return Dependence(kappa=2, floor=0.2, cap=0.8)
    if length >= timedelta(seconds=5):
        return Dependence(kappa=2, floor=0.4, cap=0.9)
    return Dependence(kappa=3, floor=0.8, cap=0.97)


@dataclass(frozen=True)
class Choice:
    """The blocks that a check compares, reference first, each window in time order (sources: by name).

    `size` is `1d`, `1h`, …, `source`, or None when nothing can be judged, with the `reason`. `hours` are the local
    clock hours that count (all but for days). `design` holds the extra columns of the regression, one number a block.
    """

    size: str | None
    reference: tuple[Block, ...] = ()
    current: tuple[Block, ...] = ()
    dropped: tuple[Block, ...] = ()
    warnings: tuple[Note, ...] = ()
    reason: Note | None = None
    hours: tuple[int, ...] = tuple(HOURS)
    design: tuple[tuple[float, ...], ...] = ()
    dependence: Dependence = NONE
    q: float = 0.05
    paired: bool = False
    """Source blocks of which some are of the same source."""

    @property
    def parts(self) -> bool:
        """Whether the parts of the day are a family of tests of their own."""
        return self.size == "1d"

    @property
    def labels_tested(self) -> bool:
        """Whether new and gone classes can be so by test: blocks far enough apart to be independent."""
        return self.size == "1d" or (self.size == "source" and not self.paired)

    @property
    def ranged(self) -> bool:
        """Whether the usual range of the reference can be told: blocks of time."""
        return self.size not in (None, "source")


def choose(
    reference: Window,
    current: Window,
    block: timedelta | str = "auto",
    zone: tzinfo = UTC,
    settings: Settings | None = None,
) -> Choice:
    """The blocks for two windows; `block` is `auto`, `source`, or a length from a second to a day.

    `auto` takes days if there are enough, sources if the windows show other ones, else the longest shorter block, else
    shared sources.
    """
    raise NotImplementedError
