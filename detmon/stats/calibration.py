"""What a confidence means: precision as a function of it, learnt from reviewed boxes.

`scores` are confidences in [0, 1], `correct` 0 or 1, `w` the weight of each box's image; all of shape (boxes,).
Formulas: docs/statistics.md, "Expected precision".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from detmon.stats.distributions import t_isf
from detmon.stats.estimation import sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Codes = NDArray[np.integer[Any]]

Curve: TypeAlias = "Callable[[Floats], Floats]"
"""Confidences → expected precisions."""

ISOTONIC_BOXES, ISOTONIC_IMAGES = 500, 100
PLATT_BOXES, PLATT_IMAGES = 150, 50
"""The least that each kind of curve is fitted to."""
GROUPS = 20
"""Groups of the jackknife."""
CHECK_BEYOND = 2.576
"""The calibration check fails beyond this many standard errors: 1 % of the time if nothing changed."""
BINS = 10
"""Bins of the reliability curve."""


@dataclass(frozen=True)
class Bin:
    """Reviewed boxes with a confidence in [low, high): how many, their mean confidence, their precision."""

    low: float
    high: float
    n: int
    confidence: float
    precision: float


def isotonic_curve(scores: Floats, correct: Floats, w: Floats) -> Curve:
    """The best non-decreasing curve; straight between its knots, flat outside.

    Boxes of equal confidence count as one, with their weighted mean. Barlow et al., Statistical Inference under Order
    Restrictions (1972).
    """
    import numpy as np

    knots, place = np.unique(scores, return_inverse=True)
    weight = sums(place, w)
    heights = isotonic(sums(place, w * correct) / weight, weight)
    return lambda at: np.interp(at, knots, heights)


def isotonic(y: Floats, w: Floats | None = None) -> Floats:
    """The non-decreasing sequence with the least weighted squared distance to `y`."""
    from scipy.optimize import isotonic_regression

    fitted: Floats = isotonic_regression(y, weights=w).x
    return fitted


def platt_curve(scores: Floats, correct: Floats, w: Floats) -> Curve:
    """The logistic curve expit(a + b logit(confidence)) with the least weighted log loss. Platt (1999)."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    x, share = _logit(scores), w / w.mean()

    def loss(ab: Floats) -> tuple[float, Floats]:
        z = ab[0] + ab[1] * x
        slope = share * (expit(z) - correct)
        return -float((share * (correct * log_expit(z) + (1 - correct) * log_expit(-z))).sum()), np.array(
            [slope.sum(), (slope * x).sum()]
        )

    a, b = minimize(loss, (0.0, 1.0), jac=True, method="BFGS").x
    return lambda at: np.asarray(expit(a + b * _logit(at)))


def _logit(scores: Floats) -> Floats:
    import numpy as np
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, 1e-4, 1 - 1e-4)))


def method(boxes: int, images: int) -> str | None:
    """The kind of curve that so many reviewed boxes of so many images allow: isotonic, platt, or None."""
    if boxes >= ISOTONIC_BOXES and images >= ISOTONIC_IMAGES:
        return "isotonic"
    return "platt" if boxes >= PLATT_BOXES and images >= PLATT_IMAGES else None


CURVES: Mapping[str, Callable[[Floats, Floats, Floats], Curve]] = {"isotonic": isotonic_curve, "platt": platt_curve}
"""How each kind of curve is fitted."""


def jackknife_variance(without: Sequence[float]) -> float:
    """The variance of an estimate, given the estimates without each of g groups: (g - 1)/g sum (theta_(j) - mean)²."""
    count = len(without)
    mean = math.fsum(without) / count
    return (count - 1) / count * math.fsum((one - mean) ** 2 for one in without)


def jackknife(estimate: float, without: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of an estimate in [0, 1], given the estimates without each of the groups.

    Student's quantile with g - 1 df. Quenouille (1956), Tukey (1958).
    """
    half = t_isf(0.025, len(without) - 1) * math.sqrt(jackknife_variance(without))
    return max(0.0, estimate - half), min(1.0, estimate + half)


def calibration_z(off: Floats, of_curve: float = 0.0) -> float:
    """How many standard errors the reviewed boxes are off what a curve expected of them; 0 where nothing varies.

    `off` are, per cluster of images, correct boxes minus their expected precisions, weighted; `of_curve` is the
    variance of their sum that comes from the curve, which is an estimate itself.
    """
    spread = math.sqrt(float((off**2).sum()) + of_curve)
    return abs(float(off.sum())) / spread if spread > 0 else 0.0


def reliability(scores: Floats, correct: Floats, w: Floats) -> list[Bin]:
    """Weighted mean confidence and precision in equal bins of the confidence; bins without a box are left out."""
    import numpy as np

    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    found = []
    for number in np.unique(place).tolist():
        inside = place == number
        weight = w[inside]
        total = float(weight.sum())
        confidence = float((weight * scores[inside]).sum()) / total
        precision = float((weight * correct[inside]).sum()) / total
        found.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), confidence, precision))
    return found


def calibration_error(scores: Floats, correct: Floats, w: Floats) -> float:
    """The mean distance of precision from confidence over the bins of `reliability`, weighted (ECE).

    Naeini, Cooper and Hauskrecht, AAAI (2015).
    """
    import numpy as np

    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    return float(np.abs(sums(place, w * (correct - scores))).sum() / w.sum())
