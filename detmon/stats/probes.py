"""What a drift check looks at: counts by block, and one value a block for each question (docs/statistics.md, "Probes").

A probe is a ratio of sums, a share or the log of a rate: a plain function of the whole numbers that come in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from detmon.stats.blocks import Choice, Settings, volume_rule
from detmon.stats.clusters import MIN_DF, Design, RaoScott, Test, limited, own_mean, rao_scott
from detmon.stats.distances import js_distance, ks_statistic, wasserstein

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BINS = 1000
"""Equal bins of confidence."""
MIN_DETECTIONS = 20
"""Detections in each window below which only images are counted."""
MIN_DENOMINATOR = 20
"""The median block's denominator below which a share is taken as it is, without the arcsine."""

Scale = Literal["ratio", "log", "arcsine"]
Distance = Literal["class_drift", "confidence_drift", "count_drift"]


@dataclass(frozen=True)
class BlockCounts:
    """What each of G blocks holds: whole numbers that SQL counts. The reference's blocks come first.

    Fields are arrays of integers (`current`: booleans); K labels, sorted.
    """

    current: NDArray[np.bool_]
    """[G] whether the block is of the current window."""
    objects: Ints
    """[G, 66] images by number of detections; the last: 65 or more."""
    micro: Ints
    """[G] sum of the confidences, in millionths."""
    confidence: Ints
    """[G, 1000] detections by confidence, in equal bins: min(999, micro // 1000). Detections without one: nowhere."""
    labels: tuple[str, ...]
    classes: Ints
    """[G, K] detections by label."""
    cells: Ints
    """[K] in how many hours (days), blocks (shorter ones) or images (sources) of the current window a label occurs."""

    @cached_property
    def images(self) -> Ints:
        """[G] images."""
        return _rows(self.objects)

    @cached_property
    def detections(self) -> Ints:
        """[G] detections."""
        return _rows(self.classes)

    @cached_property
    def scored(self) -> Ints:
        """[G] detections that have a confidence."""
        return _rows(self.confidence)

    def only(self, keep: NDArray[np.bool_]) -> BlockCounts:
        """The blocks to `keep`."""
        return BlockCounts(
            self.current[keep],
            self.objects[keep],
            self.micro[keep],
            self.confidence[keep],
            self.labels,
            self.classes[keep],
            self.cells,
        )

    def window(self, values: Ints) -> tuple[Ints, Ints]:
        """The sums of `values` [G, …] over the reference and over the current blocks."""
        return values[~self.current].sum(axis=0), values[self.current].sum(axis=0)


@dataclass(frozen=True)
class Values:
    """One value a block: `y` [G] on a `scale`, about a distance; `pooled` are the two windows' own values.

    `detections`: those of a class, in both windows.
    """

    name: str
    distance: Distance
    scale: Scale
    y: Floats
    pooled: tuple[float, float]
    detections: int = 0


@dataclass(frozen=True)
class Probe:
    """A tested question: its p, and for all but `class_mix` the test and the windows' values."""

    name: str
    distance: Distance
    p: float
    test: Test | None = None
    scale: Scale = "ratio"
    pooled: tuple[float, float] | None = None
    mean_deff: float | None = None
    """Of `class_mix`: the mean design effect."""


@dataclass(frozen=True)
class Table:
    """The counts of some blocks, with the regression that compares them: whole blocks, or one part of the day."""

    counts: BlockCounts
    design: Design
    choice: Choice
    settings: Settings
    denominator_known: bool = True

    @classmethod
    def of(cls, choice: Choice, counts: BlockCounts, settings: Settings, *, denominator_known: bool) -> Table:
        """The table of the whole blocks of `choice`."""
        return cls(counts, Design.of(counts.current, choice.design), choice, settings, denominator_known)

    def part(self, counts: BlockCounts) -> Table | None:
        """The table of a part of the day of the same blocks; None if too few of its blocks have images enough."""
        import numpy as np

        keep = np.zeros(len(counts.current), bool)
        for window in (~counts.current, counts.current):
            keep[window] = volume_rule(counts.images[window].tolist(), self.settings.min_volume)
        kept = counts.only(keep)
        n, m = int((~kept.current).sum()), int(kept.current.sum())
        if n < self.settings.min_reference_blocks or m < self.settings.min_current_blocks:
            return None
        design = Design.of(kept.current, [np.asarray(column)[keep] for column in self.choice.design])
        if design.df < MIN_DF:
            return None
        return Table(kept, design, self.choice, self.settings, self.denominator_known)

    # Pooled ---------------------------------------------------------------------------------------------------------

    @cached_property
    def distances(self) -> Mapping[str, float | None]:
        """The three distances of the windows; None if a side is empty, or its denominator unknown."""
        counts = self.counts
        reference, current = (bins.reshape(20, -1).sum(axis=1) for bins in counts.window(counts.confidence))
        return {
            "class_drift": js_distance(*counts.window(counts.classes)),
            "confidence_drift": js_distance(reference, current),
            "count_drift": js_distance(*counts.window(counts.objects)) if self.denominator_known else None,
        }

    @cached_property
    def confidence_ks(self) -> float | None:
        """The largest difference of the cumulative confidences, in bins of 0.01."""
        return ks_statistic(*self._hundredths)

    @cached_property
    def confidence_w1(self) -> float | None:
        """The mean shift between the confidences, in bins of 0.01."""
        return wasserstein(*self._hundredths, [(place + 0.5) / 100 for place in range(100)])

    @property
    def _hundredths(self) -> tuple[Ints, Ints]:
        reference, current = self.counts.window(self.counts.confidence)
        return reference.reshape(100, -1).sum(axis=1), current.reshape(100, -1).sum(axis=1)

    @cached_property
    def low(self) -> Ints:
        """[G] detections of low confidence."""
        return _rows(self.counts.confidence[:, : round(self.settings.low_confidence * BINS)])

    @cached_property
    def above_median(self) -> Ints:
        """[G] detections above the bin in which half of the reference's are reached."""
        cumulative = self.counts.window(self.counts.confidence)[0].cumsum()
        half = int((cumulative * 2 < cumulative[-1]).sum())
        return _rows(self.counts.confidence[:, half + 1 :])

    def effects(self) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
        """The windows' values of what is not a class."""
        counts = self.counts
        images, detections, scored = counts.images, counts.detections, counts.scored
        yield "avg_confidence", self._pooled(counts.micro, scored * 1_000_000)
        known = self.denominator_known
        yield "detections_per_image", self._pooled(detections, images) if known else (None, None)
        yield "no_detection_rate", self._pooled(counts.objects[:, 0], images) if known else (None, None)
        yield "low_confidence_rate", self._pooled(self.low, scored)
        yield "above_median_confidence", self._pooled(self.above_median, scored)

    def _pooled(self, part: Ints, whole: Ints) -> tuple[float | None, float | None]:
        sums = zip(self.counts.window(part), self.counts.window(whole), strict=True)
        reference, current = (float(p) / float(w) if w else None for p, w in sums)
        return reference, current

    # Probes ---------------------------------------------------------------------------------------------------------

    def probes(self, *, whole: bool) -> tuple[Probe, ...]:
        """The tested probes: of the `whole` blocks all of them, of a part of the day the rates and the class mix."""
        import numpy as np

        values = list(self._values(whole=whole))
        classes = list(self._class_values()) if self._filled(self.counts.detections) else []
        found: list[Probe] = []
        mix_rho = 0.0
        if values or classes:
            fits = self.design.fit(np.stack([value.y for value in (*values, *classes)], axis=1))
            rhos = fits.autocorrelations(self.choice.dependence.kappa)
            if classes:
                mix_rho = float(np.average(rhos[len(values) :], weights=[value.detections for value in classes]))
                rhos[len(values) :] = mix_rho
            tested = (*values, *classes) if whole else values
            for value, test in zip(tested, fits.tests(limited(rhos, self.choice.dependence)), strict=False):
                found.append(Probe(value.name, value.distance, test.p, test, value.scale, value.pooled))
        mix = self._class_mix(float(limited(np.array(mix_rho), self.choice.dependence)))
        return (*found, Probe("class_mix", "class_drift", mix.p, mean_deff=mix.mean_deff)) if mix else tuple(found)

    def _class_mix(self, rho: float) -> RaoScott | None:
        """The test of all class shares at once: classes of their own if frequent, the rest together."""
        import numpy as np

        if not self._filled(self.counts.detections):
            return None
        frequent = self._frequent
        rest = self.counts.classes[:, ~frequent].sum(axis=1, keepdims=True)
        columns = [self.counts.classes[:, frequent], *([rest] if rest.sum() else [])]
        return rao_scott(self.design, np.concatenate(columns, axis=1).astype(float), rho)

    def _values(self, *, whole: bool) -> Iterator[Values]:
        """The values that are not of a class, in a fixed order."""
        import numpy as np

        counts = self.counts
        pooled = {name: (a, b) for name, (a, b) in self.effects() if a is not None and b is not None}
        scored = self._filled(counts.scored)
        if scored:
            yield Values(
                "avg_confidence",
                "confidence_drift",
                "ratio",
                ratio(counts.micro / 1e6, counts.scored.astype(float), counts.current),
                pooled["avg_confidence"],
            )
        shares: list[tuple[str, Distance, Ints, Ints]] = []
        if self.denominator_known:
            rate = np.log((counts.detections + 0.5) / counts.images)
            yield Values("detections_per_image", "count_drift", "log", rate, pooled["detections_per_image"])
            shares.append(("no_detection_rate", "count_drift", counts.objects[:, 0], counts.images))
        if scored and whole:
            shares.append(("low_confidence_rate", "confidence_drift", self.low, counts.scored))
            shares.append(("above_median_confidence", "confidence_drift", self.above_median, counts.scored))
        for name, distance, events, cases in shares:
            for _, scale, y in share_values(events[:, None], cases, counts.current, self.settings.min_events):
                yield Values(name, distance, scale, y, pooled[name])

    def _class_values(self) -> Iterator[Values]:
        """The share of each frequent class."""
        import numpy as np

        counts = self.counts
        places = np.flatnonzero(self._frequent)
        reference, current = (window / window.sum() for window in counts.window(counts.classes))
        events = counts.classes[:, places]
        for place, scale, y in share_values(events, counts.detections, counts.current, self.settings.min_events):
            k = int(places[place])
            pooled = float(reference[k]), float(current[k])
            name = class_probe(counts.labels[k])
            yield Values(name, "class_drift", scale, y, pooled, int(events[:, place].sum()))

    @cached_property
    def _frequent(self) -> NDArray[np.bool_]:
        import numpy as np

        return np.asarray(self.counts.classes.sum(axis=0) >= self.settings.min_class)

    def _filled(self, values: Ints) -> bool:
        return all(window >= MIN_DETECTIONS for window in self.counts.window(values))


CLASS = "class:"
LONGEST = 40
"""Letters of a label in a sentence."""


def shortened(label: str) -> str:
    """A label as a sentence shows it."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def class_probe(label: str) -> str:
    """The name of a class's probe."""
    return CLASS + label


def ratio(part: Floats, whole: Floats, current: NDArray[np.bool_]) -> Floats:
    """The block values of a ratio of sums: (part - R0 whole) / mean whole of the block's own window.

    Their difference of means is exactly the difference of the windows' ratios. `part` is [G] or [G, K], `whole` [G].
    """
    import numpy as np

    pooled = part.sum(axis=0) / whole.sum()
    spread, mean = (
        (whole, own_mean(whole, current)) if part.ndim == 1 else (whole[:, None], own_mean(whole, current)[:, None])
    )
    return np.asarray((part - pooled * spread) / mean)


def share_values(
    events: Ints, cases: Ints, current: NDArray[np.bool_], min_events: int
) -> Iterator[tuple[int, Scale, Floats]]:
    """The block values of each column of `events` [G, K] among `cases` [G], with its place and scale.

    A share with fewer than `min_events` events, or non-events, has none: with few events the arcsine follows the number
    of cases alone, and a changed frame rate would read as drift. With enough events in large blocks the values are
    Anscombe's arcsine (Biometrika 35, 1948), else the plain ratio.
    """
    import numpy as np

    rarer = np.minimum(events.sum(axis=0), (cases[:, None] - events).sum(axis=0))
    large = bool(cases.all()) and float(np.median(cases)) >= MIN_DENOMINATOR
    plain = ratio(events.astype(float), cases.astype(float), current)
    arcsine = np.arcsin(np.sqrt(np.clip((events + 0.375) / (cases + 0.75)[:, None], 0, 1)))
    for place in np.flatnonzero(rarer >= min_events):
        if large and rarer[place] >= min_events * len(cases):
            yield int(place), "arcsine", arcsine[:, place]
        else:
            yield int(place), "ratio", plain[:, place]


def _rows(values: Ints) -> Ints:
    return values.sum(axis=1)  # type: ignore[no-any-return]
