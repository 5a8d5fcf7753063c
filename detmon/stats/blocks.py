"""Which blocks of time, or of sources, two windows are compared over (docs/statistics.md, "Blocks").

Boxes of an image, images of a scene and hours of a day are alike, so the yardstick of every drift test is the scatter
between blocks. The choice needs few facts about a window, given by a `Window` that an SQL query or an array can answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from statistics import median
from typing import Protocol

from detmon.errors import UsageError
from detmon.times import aware_utc, format_duration, format_instant, midnight, naive_utc

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
SHOWN = 5
"""So many blocks that were left out are named."""
MAX_BLOCKS = 10_000
"""More blocks than this are refused: a longer block tells the same."""
MAX_EMPTY = 200_000
"""So many, empty ones counted, are not even looked at."""
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
    shared sources. Raises UsageError for a length outside its range.
    """
    return _Chooser(reference, current, zone, settings or Settings()).choose(block)


@dataclass(frozen=True)
class _Kept:
    """What is left of a window's blocks, and what the volume rule took away."""

    blocks: tuple[Block, ...]
    dropped: tuple[Block, ...] = ()

    @classmethod
    def of(cls, blocks: Sequence[Block], share: float) -> _Kept:
        """Empty blocks do not exist; those with less than `share` of the median block's images are dropped."""
        filled = [block for block in blocks if block.images]
        large = volume_rule([block.images for block in filled], share)
        return cls(
            tuple(block for block, keep in zip(filled, large, strict=True) if keep),
            tuple(block for block, keep in zip(filled, large, strict=True) if not keep),
        )

    def only(self, wanted: Sequence[bool]) -> _Kept:
        """The blocks that are `wanted`; the others are not called dropped."""
        return replace(self, blocks=tuple(block for block, keep in zip(self.blocks, wanted, strict=True) if keep))


def volume_rule(images: Sequence[int], share: float) -> list[bool]:
    """Whether each block has at least `share` of the images of the median of the blocks that are not empty."""
    filled = [count for count in images if count]
    least = share * median(filled) if filled else 0.0
    return [count > 0 and count >= least for count in images]


@dataclass(frozen=True)
class _Chooser:
    """The rules, over two windows."""

    reference: Window
    current: Window
    zone: tzinfo
    settings: Settings

    def choose(self, block: timedelta | str) -> Choice:
        """Refuse what has too few images, then go through the rules in their order."""
        images = (self.reference.images, self.current.images)
        for name, count in zip(("reference", "current"), images, strict=True):
            if not count:
                return self._none("no_predictions", f"The {name} period has no predictions.")
        if images[0] < MIN_IMAGES[0] or images[1] < MIN_IMAGES[1]:
            return self._none(
                "too_few_predictions",
                f"Too few predictions to judge: {images[0]} in the reference and {images[1]} in the current period, "
                f"{MIN_IMAGES[0]} and {MIN_IMAGES[1]} needed.",
            )
        if block == "auto":
            return self._auto()
        if block == "source":
            return self._forced(self._sources())
        if not isinstance(block, timedelta) or not LADDER[-1] <= block <= DAY:
            raise UsageError(f"blocks cannot be {_said(block)} long", "write auto, source, or a length from 1s to 1d")
        return self._forced(self._days() if block == DAY else self._short(block))

    def _auto(self) -> Choice:
        days = self._days()
        if days.reason or self._enough(days):
            return days
        sources = self._sources()
        others = self._sources_differ()
        if others and len(sources.reference) >= SOURCES and len(sources.current) >= 2:
            return sources
        for length in LADDER:
            short = self._short(length)
            blocks = len(short.reference) + len(short.current)
            if self._enough(short) and (length > FINE or blocks >= self.settings.min_fine_blocks):
                return short
        if len(self._shared()) >= SOURCES:
            return sources
        if self.reference.timestamps < 2 or self.current.timestamps < 2:
            return self._none(
                "no_time",
                f"The log has no usable times, and fewer than {SOURCES} sources: nothing to judge changes by.",
            )
        return self._none(
            "too_few_blocks",
            f"Not enough blocks to judge: {_count(len(days.reference), 'reference day')}, "
            f"{self.settings.min_reference_blocks} needed (14+ recommended, 28 best); no shorter block gives enough. "
            "Distances are shown without a verdict.",
        )

    def _forced(self, choice: Choice) -> Choice:
        if choice.reason or self._enough(choice):
            return choice
        what = "sources" if choice.size == "source" else f"blocks of {choice.size}"
        return self._none(
            "too_few_blocks",
            f"Not enough {what} to judge: {len(choice.reference)} reference and {len(choice.current)} "
            f"current, {self.settings.min_reference_blocks} and {self.settings.min_current_blocks} needed. "
            "Distances are shown without a verdict.",
        )

    def _enough(self, choice: Choice) -> bool:
        n, m = len(choice.reference), len(choice.current)
        return n >= self.settings.min_reference_blocks and m >= self.settings.min_current_blocks

    def _none(self, code: str, message: str) -> Choice:
        return Choice(None, reason=Note(code, message), q=self.settings.q)

    # Days -----------------------------------------------------------------------------------------------------------

    def _days(self) -> Choice:
        """Whole local days; where the current window holds none, its clock range on earlier days."""
        ranges = tuple(list(whole_days(window.start, window.end, self.zone)) for window in self._windows)
        whole = bool(ranges[1])
        if not whole:
            start = max(self.current.start, self.current.end - DAY)
            ranges = (list(self._same_clock(start, self.current.end)), [(start, self.current.end)])
        hours = [[list(row) for row in window.hours(r)] for window, r in zip(self._windows, ranges, strict=True)]
        notes = [
            Note("partial_days", f"{_count(left, 'image')} of the {name} period outside its whole days left out.")
            for name, window, rows in zip(("reference", "current"), self._windows, hours, strict=True)
            if (whole or name == "current") and rows and (left := window.images - sum(map(sum, rows))) > 0
        ]
        if not whole:
            text = "The current period holds no whole day: a block is the same time of the day, on every day."
            notes.append(Note("same_time_of_day", text))
        kept_hours = common_hours(*([sum(row[h] for row in rows) for h in HOURS] for rows in hours))
        kept = [
            self._keep([Block(*span, sum(row[h] for h in kept_hours)) for span, row in zip(spans, rows, strict=True)])
            for spans, rows in zip(ranges, hours, strict=True)
        ]
        if len(kept_hours) < len(HOURS):
            share = min(sum(row[h] for row in rows for h in kept_hours) / max(sum(map(sum, rows)), 1) for rows in hours)
            if share < self.settings.min_volume and self._would_do(hours):
                return self._none(
                    "no_common_hours",
                    "The two periods show different hours of the day, which cannot be compared with each other.",
                )
            left_out = ", ".join(f"{h:02d}" for h in HOURS if h not in kept_hours)
            notes.append(Note("common_hours", f"Hours seen in one period only are left out of both: {left_out}."))
        choice = self._choice("1d", kept, DAYS, notes)
        weekend = tuple(float(self._local(b.start).weekday() in self.settings.weekend) for b in _blocks(choice))
        return replace(choice, hours=kept_hours, design=(weekend,))

    def _would_do(self, hours: Sequence[Sequence[Sequence[int]]]) -> bool:
        """Whether there would be days enough if all hours counted."""
        reference, current = (sum(1 for row in rows if sum(row)) for rows in hours)
        return reference >= self.settings.min_reference_blocks and current >= self.settings.min_current_blocks

    def _same_clock(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The local clock range of [start, end) on earlier days that lie in the reference, in time order."""
        local = (self._local(start), self._local(end))
        for back in range((end - self.reference.start) // DAY + 1, 0, -1):
            span = tuple(naive_utc((moment - back * DAY).replace(tzinfo=self.zone)) for moment in local)
            if self.reference.start <= span[0] < span[1] <= self.reference.end:
                yield span[0], span[1]

    # Shorter blocks -------------------------------------------------------------------------------------------------

    def _short(self, length: timedelta) -> Choice:
        """Blocks of a length below a day, from each window's first prediction on."""
        size = format_duration(length)
        counts = [short_blocks(w.first, w.last, w.timestamps, length) for w in self._windows]
        if not all(counts):
            return self._choice(size, (_Kept(()), _Kept(())), dependence(length), [])
        too_many = self._none("too_many_blocks", f"The periods are too long for blocks of {size}: take longer ones.")
        if sum(counts) > MAX_EMPTY:
            return too_many
        kept = [
            self._keep(list(_filled(window, length, count)))
            for window, count in zip(self._windows, counts, strict=True)
        ]
        if sum(len(window.blocks) for window in kept) > MAX_BLOCKS:
            return too_many
        notes = [Note("short_blocks", f"Blocks of {size}: day-to-day change is not part of the yardstick.")]
        design: tuple[tuple[float, ...], ...] = ()
        if length == HOUR:
            kept = self._common_clock(kept, notes)
            design = self._wave(kept)
        span = max(w.last for w in self._windows) - min(w.first for w in self._windows)
        q = self.settings.q * (LONG_SPAN_FACTOR if span > DAY else 1)
        return replace(self._choice(size, kept, dependence(length), notes), design=design, q=q)

    def _common_clock(self, kept: list[_Kept], notes: list[Note]) -> list[_Kept]:
        """Of a reference longer than a day, the blocks whose clock hours both windows show, if they are enough."""
        clocks = [[int(self._middle(block)) for block in window.blocks] for window in kept]
        if self.reference.last - self.reference.first <= DAY or set(clocks[0]) == set(clocks[1]):
            return kept
        common = set(clocks[0]) & set(clocks[1])
        fewer = [window.only([hour in common for hour in c]) for window, c in zip(kept, clocks, strict=True)]
        n, m = (len(window.blocks) for window in fewer)
        enough = n >= self.settings.min_reference_blocks and m >= self.settings.min_current_blocks
        which = f"those of the {_count(len(common), 'common hour')}" if enough else "all of them"
        message = f"The blocks fall on different hours of the day: {which} are compared."
        notes.append(Note("clock_hours_differ", message))
        return fewer if enough else kept

    def _wave(self, kept: list[_Kept]) -> tuple[tuple[float, ...], ...]:
        """The daily wave of blocks of an hour, where each window shows nearly all hours."""
        hours = [[self._middle(block) for block in window.blocks] for window in kept]
        if any(len(set(map(int, window))) < CLOCK_HOURS for window in hours):
            return ()
        angles = [2 * math.pi * hour / 24 for window in hours for hour in window]
        return tuple(map(math.cos, angles)), tuple(map(math.sin, angles))

    def _middle(self, block: Block) -> float:
        """The local decimal clock hour of a block's midpoint."""
        local = self._local(block.start + HOUR / 2)
        return local.hour + local.minute / 60 + local.second / 3600 + local.microsecond / 3.6e9

    # Sources --------------------------------------------------------------------------------------------------------

    def _sources(self) -> Choice:
        """One block a source and window; sources of both windows are compared with themselves."""
        kept = self._kept_sources()
        shared = self._shared()
        notes = [
            Note("source_blocks", "Sources are the yardstick: a change common to all of them over time is not seen.")
        ]
        choice = self._choice("source", kept, NONE, notes)
        design = tuple(tuple(float(block.source == name) for block in _blocks(choice)) for name in shared[1:])
        return replace(choice, design=design, paired=bool(shared))

    def _kept_sources(self) -> list[_Kept]:
        return [
            self._keep([Block(w.start, w.end, images, source) for source, images in sorted(w.sources.items())])
            for w in self._windows
        ]

    def _shared(self) -> list[str]:
        names = [{block.source or "" for block in window.blocks} for window in self._kept_sources()]
        return sorted(names[0] & names[1])

    def _sources_differ(self) -> bool:
        """Whether fewer than half of a window's images are of sources that the other window shows too.

        Nobody knows where one of them names no source at all.
        """
        if any(set(window.sources) == {""} for window in self._windows):
            return False
        shared = self._shared()
        return any(sum(w.sources[name] for name in shared) < w.images / 2 for w in self._windows)

    # What they have in common ---------------------------------------------------------------------------------------

    @property
    def _windows(self) -> tuple[Window, Window]:
        return self.reference, self.current

    def _keep(self, blocks: Sequence[Block]) -> _Kept:
        return _Kept.of(blocks, self.settings.min_volume)

    def _local(self, moment: datetime) -> datetime:
        """The local clock time, naive."""
        return aware_utc(moment).astimezone(self.zone).replace(tzinfo=None)

    def _choice(self, size: str, kept: Sequence[_Kept], like: Dependence, notes: Sequence[Note]) -> Choice:
        reference, current = kept
        dropped = (*reference.dropped, *current.dropped)
        found = list(notes)
        if dropped:
            found.append(Note("low_volume", self._left_out(size, dropped)))
        if size != "source":
            if self._sources_differ():
                found.append(Note("sources_differ", "The two periods mostly show different sources."))
            least = self.settings.min_volume * median([block.images for block in reference.blocks] or [0])
            if any(block.images < least for block in current.blocks):
                found.append(
                    Note("small_current", "A current block has far fewer images than the reference's usual ones.")
                )
        return Choice(size, reference.blocks, current.blocks, dropped, tuple(found), dependence=like, q=self.settings.q)

    def _left_out(self, size: str, dropped: Sequence[Block]) -> str:
        names = [block.source or "(no source)" if size == "source" else self._name(size, block) for block in dropped]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return (
            f"Blocks with less than {self.settings.min_volume:.0%} of the usual number of images left out: "
            f"{', '.join(names[:SHOWN])}{more}."
        )

    def _name(self, size: str, block: Block) -> str:
        return str(self._local(block.start).date()) if size == "1d" else format_instant(block.start)


def whole_days(start: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    """The local days that lie wholly in [start, end), as instants."""
    day = aware_utc(start).astimezone(zone).date()
    if midnight(day, zone) < start:
        day += DAY
    while (following := midnight(day + DAY, zone)) <= end:
        yield midnight(day, zone), following
        day += DAY


def common_hours(reference: Sequence[int], current: Sequence[int]) -> tuple[int, ...]:
    """The clock hours to compare, from each window's images by hour.

    An hour in which one window has no image, and the other's share of that hour lets expect ten, is left out.
    """
    total = (sum(reference), sum(current))

    def missing(here: int, there: int, images: int, others: int) -> bool:
        return not here and there * images >= EXPECTED_IMAGES * max(others, 1)

    return tuple(
        h
        for h in HOURS
        if not missing(reference[h], current[h], total[0], total[1])
        and not missing(current[h], reference[h], total[1], total[0])
    )


def short_blocks(first: datetime, last: datetime, timestamps: int, length: timedelta) -> int:
    """How many blocks of a length a window holds: its span is longer than last - first by one step of its clock."""
    if timestamps < 2:
        return 0
    span = (last - first) / length * timestamps / (timestamps - 1)
    return math.floor(span + 1e-9)


def _filled(window: Window, length: timedelta, count: int) -> Iterator[Block]:
    """The blocks that hold images, in time order; the last one reaches to the window's end."""
    for place, images in sorted(window.volumes(length, count).items()):
        start = window.first + place * length
        yield Block(start, start + length if place < count - 1 else window.end, images)


def _blocks(choice: Choice) -> tuple[Block, ...]:
    return choice.reference + choice.current


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _said(block: timedelta | str) -> str:
    return format_duration(block) if isinstance(block, timedelta) else repr(block)
