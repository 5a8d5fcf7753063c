"""Intervals of shares."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""norm.isf(0.025)."""


def wilson(share: float, n: float, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share observed in `n` (also an effective n) cases; `z` = the quantile used.

    Wilson, JASA 22 (1927). Raises ZeroDivisionError for n = 0.
    """
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def zero_events_upper(n: float, level: float = 0.05) -> float:
    """The share that `n` cases without an event exclude: 1 - level^(1/n)."""
    return -math.expm1(math.log(level) / n)
