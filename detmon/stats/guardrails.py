"""What a winner must not have broken: one-sided checks at level 0.05, each pass, fail or unclear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from detmon.stats.comparison import Arm, Difference
from detmon.stats.distributions import t_isf

Status = Literal["pass", "fail", "unclear"]
Z = 1.6448536269514722
"""norm.isf(0.05)."""
RECALL_LIMIT = -0.02
OBJECTS_LIMIT = 0.95
LATENCY_LIMIT = 1.10


@dataclass(frozen=True)
class Guardrail:
    """One check: what was observed, in the metric's unit, and the limit that it must keep."""

    metric: str
    status: Status
    observed: float
    limit: float
    low: float
    high: float


def recall_not_worse(difference: Difference) -> Guardrail:
    """Recall of the leading arm minus that of the other: fail where it is significantly worse."""
    half = t_isf(0.05, difference.df) * difference.se
    low, high = difference.est - half, difference.est + half
    status: Status = "fail" if high < 0 else "pass" if low > RECALL_LIMIT else "unclear"
    return Guardrail("recall", status, difference.est, RECALL_LIMIT, low, high)


def objects_not_fewer(a: Arm, b: Arm) -> Guardrail | None:
    """Objects per image of B over A, on the log scale; None when an arm has none."""
    if a.value <= 0 or b.value <= 0:
        return None
    ratio = math.log(b.value / a.value)
    half = Z * math.sqrt(a.variance / a.value**2 + b.variance / b.value**2)
    low, high = math.exp(ratio - half), math.exp(ratio + half)
    status: Status = "fail" if high < OBJECTS_LIMIT else "pass" if low > OBJECTS_LIMIT else "unclear"
    return Guardrail("detections_per_image", status, math.exp(ratio), OBJECTS_LIMIT, low, high)


def latency_not_higher(share_above: float, n_a: float, n_b: float) -> Guardrail:
    """B's share above 1.1 times A's p95 against the 5 % that A has above its own."""
    se = math.sqrt(share_above * (1 - share_above) / n_b + 0.05 * 0.95 / n_a)
    low, high = share_above - 0.05 - Z * se, share_above - 0.05 + Z * se
    status: Status = "pass" if high < 0 else "fail" if low > 0 else "unclear"
    return Guardrail("p95_latency_ms", status, share_above, 0.05, low + 0.05, high + 0.05)
