"""Ratios estimated from a sample of reviewed images: weights, variances, intervals.

An image i of the sample carries a weight w (how many images it stands for), a numerator y and a denominator x: correct
boxes and reviewed boxes for precision, found objects and objects for recall. Formulas: docs/statistics.md, "Quality
from reviews", after Hajek (1971) and Särndal, Swensson and Wretman, Model Assisted Survey Sampling (1992).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detmon.stats.distributions import t_isf
from detmon.stats.intervals import Z95, wilson, zero_events_upper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Codes = NDArray[np.integer[Any]]

MANY_CLUSTERS, FEW_CLUSTERS = 8, 4
"""Days are clusters from 8 on, else hours where these are 8; below 4 every image is one."""
SMALL_CELL = 5
"""A cell of non-response with fewer selected images is merged with those of the other sources."""
MOST_RATES = 12
"""With more different inclusion probabilities (a budget makes many) those within a factor of 2 share a cell."""
ASSISTED_IMAGES = 200
"""Reviewed images that a model-assisted estimate needs."""


@dataclass(frozen=True)
class Ratio:
    """An estimated ratio and its 95 % interval.

    `n` is the unweighted denominator (reviewed boxes, objects, images), `effective_n` how many independent ones carry
    the same information. `single` says that every image was its own cluster.
    """

    value: float
    low: float
    high: float
    n: int
    effective_n: float
    clusters: int
    single: bool = False


def clusters(source: Codes, day: Codes, hour: Codes) -> tuple[Codes, bool]:
    """The cluster of each image, and whether each image is its own: (source, day), else (source, hour), else images.

    `source`, `day` and `hour` are integer codes of the images, shape (images,).
    """
    import numpy as np

    days, hours = (
        np.unique(source * (part.max() - part.min() + 1) + part - part.min(), return_inverse=True)[1]
        for part in (day, hour)
    )
    if _count(days) >= MANY_CLUSTERS:
        return days, False
    if _count(hours) >= MANY_CLUSTERS:
        return hours, False
    if _count(days) >= FEW_CLUSTERS:
        return days, False
    return np.arange(len(source)), True


def _count(codes: Codes) -> int:
    return int(codes.max()) + 1 if len(codes) else 0


def sums(codes: Codes, values: Floats, count: int = 0) -> Floats:
    """The sums of the values of each code, shape (at least `count`,)."""
    import numpy as np

    return np.bincount(codes, values, count).astype(np.float64)


def cluster_variance(w: Floats, y: Floats, x: Floats, cluster: Codes) -> float:
    """Variance of the weighted ratio sum(w y) / sum(w x) over clusters: G/(G-1) sum_g (sum_g w e)² / (sum w x)².

    `cluster` numbers the clusters from 0 without gaps. Infinite with one cluster.
    """
    total = float((w * x).sum())
    ratio = float((w * y).sum()) / total
    residual = sums(cluster, w * (y - ratio * x))
    count = len(residual)
    return math.inf if count < 2 else count / (count - 1) * float((residual**2).sum()) / total**2


def ratio_estimate(
    w: Floats, y: Floats, x: Floats, source: Codes, day: Codes, hour: Codes, *, share: bool = True
) -> Ratio | None:
    """The weighted ratio sum(w y) / sum(w x) with its interval; None where all x are 0.

    All arrays have the shape (images,). A `share` lies in [0, 1] and gets Wilson's interval with an effective n and
    Student's quantile; any other ratio (misses per image) the usual symmetric one, cut off at 0.
    """
    there = x > 0
    if not there.any():
        return None
    w, y, x = w[there], y[there], x[there]
    cluster, single = clusters(source[there], day[there], hour[there])
    value = float((w * y).sum() / (w * x).sum())
    variance = cluster_variance(w, y, x, cluster)
    groups, n = _count(cluster), int(x.sum())
    quantile = t_isf(0.025, groups - 1) if groups > 1 else Z95
    interval = _share_interval if share else _rate_interval
    low, high, effective = interval(value, variance, min(kish(w), n), n, quantile)
    return Ratio(value, low, high, n, effective, groups, single)


def _share_interval(
    value: float, variance: float, unclustered: float, n: int, quantile: float
) -> tuple[float, float, float]:
    if not 0 < variance < math.inf or not 0 < value < 1:
        effective = unclustered if variance < math.inf else 1.0
        if value in (0, 1):
            excluded = zero_events_upper(effective)
            return (0.0, excluded, effective) if value == 0 else (1 - excluded, 1.0, effective)
    else:
        effective = min(value * (1 - value) / variance, n)
    return *wilson(value, effective, quantile), effective


def _rate_interval(
    value: float, variance: float, unclustered: float, n: int, quantile: float
) -> tuple[float, float, float]:
    if value == 0:  # the rate of a Poisson count that shows none in n images with a chance of 5 %
        return 0.0, -math.log(0.05) / unclustered, unclustered
    half = quantile * math.sqrt(variance)
    return max(0.0, value - half), value + half, unclustered


def kish(w: Floats) -> float:
    """How many equally weighted images tell as much as these: (sum w)² / sum w². Kish, Survey Sampling (1965)."""
    return float(w.sum() ** 2 / (w**2).sum())


def design_ratio(y: Floats, x: Floats, pi: Floats) -> tuple[float, float]:
    """The ratio and its standard error over repeated draws from this period's images alone.

    Poisson sampling with inclusion probabilities `pi`: V = k/(k-1) sum (1 - pi)(w e)² / (sum w x)², w = 1/pi. Says
    nothing about other days of the same process.
    """
    w = 1 / pi
    total = float((w * x).sum())
    value = float((w * y).sum()) / total
    residual = w * (y - value * x)
    variance = len(w) / (len(w) - 1) * float(((1 - pi) * residual**2).sum()) / total**2
    return value, math.sqrt(variance)


@dataclass(frozen=True)
class Cell:
    """Images selected with one inclusion probability from one source, and how many of them are reviewed."""

    pi: float
    source: Hashable
    selected: int
    reviewed: int


def weights(cells: Sequence[Cell]) -> Mapping[tuple[float, Hashable], float] | float:
    """How many images a reviewed image of each (pi, source) stands for: 1 / (pi · share of its cell reviewed).

    Small cells, and those without a review, are merged over the sources of their pi. Where some pi has selected images
    but no review at all, that pi is returned instead: nothing can stand for them.
    """
    groups: dict[float, list[Cell]] = {}
    coarse = len({cell.pi for cell in cells}) > MOST_RATES
    for cell in cells:
        groups.setdefault(2.0 ** math.floor(math.log2(cell.pi)) if coarse else cell.pi, []).append(cell)
    found: dict[tuple[float, Hashable], float] = {}
    for _, members in sorted(groups.items()):
        if not any(cell.reviewed for cell in members):
            return members[0].pi
        sources = _by_source(members)
        small = {source for source, part in sources.items() if part[0] < SMALL_CELL or not part[1]}
        merged = _added(sources[source] for source in small)
        if merged[0] < SMALL_CELL or not merged[1]:
            merged = _added(sources.values())
        for cell in members:
            selected, reviewed = merged if cell.source in small else sources[cell.source]
            found[cell.pi, cell.source] = selected / (cell.pi * reviewed)
    return found


def _by_source(cells: Sequence[Cell]) -> dict[Hashable, tuple[int, int]]:
    sources: dict[Hashable, tuple[int, int]] = {}
    for cell in cells:
        sources[cell.source] = _added([sources.get(cell.source, (0, 0)), (cell.selected, cell.reviewed)])
    return sources


def _added(parts: Any) -> tuple[int, int]:
    listed = list(parts)
    return sum(part[0] for part in listed), sum(part[1] for part in listed)


def assisted_ratio(
    w: Floats, y: Floats, expected: Floats, all_expected: float, all_boxes: int
) -> tuple[float, float, float]:
    """Precision of the period's own boxes with the help of what their confidences let expect; (value, low, high).

    `y` are correct boxes and `expected` sums of expected precision of the reviewed images, `all_expected` and
    `all_boxes` those of every image. P = (b M + sum w (y - b m)) / D, b = sum(w m y) / sum(w m²),
    V = sum (1 - 1/w) w² (y - b m)² / D². Särndal, Swensson and Wretman (1992), chapter 6.
    """
    slope = float((w * expected * y).sum() / (w * expected**2).sum())
    residual = y - slope * expected
    value = (slope * all_expected + float((w * residual).sum())) / all_boxes
    half = Z95 * math.sqrt(float(((w - 1) * w * residual**2).sum())) / all_boxes
    return value, max(0.0, value - half), min(1.0, value + half)
