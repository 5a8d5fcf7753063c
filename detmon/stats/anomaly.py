"""How unusual a value is, measured against the same clock time of the days before (docs/statistics.md, Anomalies).

Plain Python over some thirty numbers. Only the tails are scipy's, loaded when the first score is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from detmon.stats.distributions import norm_isf, norm_sf, t_isf, t_sf

Scale: TypeAlias = Literal["share", "log", "plain"]
"""Shares as they are; counts, rates and times as logarithms; what is neither (a metric of the user's) as it is."""

SMALLEST = 1e-9
"""What a logarithm takes for nothing."""
LEAST_P = 1e-300
"""A tail is never smaller, so that a score is finite: |z| ≤ 37."""
LARGEST_LOG = 700.0


@dataclass(frozen=True)
class Settings:
    """The constants of `[anomaly]`.

    `z`: a score that far from 0 is a breach (sensitivity low and high: 0.5 more and less); `for_`: consecutive
    evaluations that fire, and resolve; `resolve_z`: below it an evaluation is quiet. `days` of history, at least
    `min_days` with a value, only those of the same type (weekend or not) where these are at least `min_days_of_type`;
    a day needs `min_samples`. `floor`: smallest spread of a share, `log_floor` of a logarithm. `weekend`: Monday = 0.
    """

    z: float = 3.5
    for_: int = 3
    resolve_z: float = 2.5
    days: int = 28
    min_days: int = 7
    min_days_of_type: int = 8
    min_samples: int = 20
    floor: float = 0.005
    log_floor: float = 0.02
    weekend: tuple[int, ...] = (5, 6)

    def threshold(self, sensitivity: str) -> float:
        """The score that is a breach at a sensitivity: low, normal, high."""
        return self.z + {"low": 0.5, "high": -0.5}.get(sensitivity, 0.0)


DEFAULTS = Settings()


@dataclass(frozen=True)
class Usual:
    """What `k` days say of one more value: the `median`, and the `spread` of its distance from it, on `scale`."""

    median: float
    spread: float
    k: int
    scale: Scale

    def z(self, value: float) -> float:
        """How unusual `value` is, as a normal score: the t quantile of its distance, on the normal scale."""
        distance = (_scaled(value, self.scale) - self.median) / self.spread
        tail = max(t_sf(abs(distance), self.k - 1), LEAST_P)
        return math.copysign(max(norm_isf(tail), 0.0), distance)

    def at(self, z: float) -> float:
        """The value whose score is `z`."""
        tail = max(norm_sf(abs(z)), LEAST_P)
        place = self.median + math.copysign(t_isf(tail, self.k - 1), z) * self.spread if z else self.median
        if self.scale == "log":
            value = math.exp(min(place, LARGEST_LOG))
            return value if value > 2 * SMALLEST else 0.0
        return min(max(place, 0.0), 1.0) if self.scale == "share" else place


def usual(history: Sequence[float], scale: Scale, settings: Settings = DEFAULTS) -> Usual:
    """What at least two values of the same clock time say.

    The spread of one value is the largest of MAD, half of the standard deviation and the floor; √(1 + 1.57 / k) adds
    that of the median.
    """
    values = [_scaled(value, scale) for value in history]
    median, mad = center(values)
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    floor = {"share": settings.floor, "log": settings.log_floor}.get(scale, settings.log_floor * abs(median))
    spread = max(mad, deviation / 2, floor) or SMALLEST
    return Usual(median, spread * math.sqrt(1 + 1.57 / len(values)), len(values), scale)


def center(values: Sequence[float]) -> tuple[float, float]:
    """The median, and 1.4826 times the median distance from it."""
    median = _median(values)
    return median, 1.4826 * _median([abs(value - median) for value in values])


def of_alike_days(days: Iterable[tuple[bool, float]], weekend: bool, settings: Settings = DEFAULTS) -> list[float]:
    """The values of the days of the same type, where these are enough; else of all. A day: (is of a weekend, value)."""
    known = list(days)
    alike = [value for of_weekend, value in known if of_weekend == weekend]
    return alike if len(alike) >= settings.min_days_of_type else [value for _, value in known]


def _median(values: Sequence[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _scaled(value: float, scale: Scale) -> float:
    return math.log(max(value, SMALLEST)) if scale == "log" else value
