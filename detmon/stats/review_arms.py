"""Two arms' precision from reviewed images that were chosen with known probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detmon.stats.comparison import TINY, Arm, Difference, DifferenceWithTest, score_test, welch
from detmon.stats.distributions import norm_isf, t_sf
from detmon.stats.estimation import cluster_variance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ENOUGH_UNITS = 50
ENOUGH_WRONG = 10
"""With fewer reviewed units or wrong detections in an arm, a t test does not hold its level."""


@dataclass(frozen=True)
class ReviewedArm:
    """An arm's weighted share: its variance over units, the reviewed units, detections `n` and wrong ones."""

    value: float
    variance: float
    units: int
    n: int
    wrong: int

    @property
    def arm(self) -> Arm:
        """As the t test takes it."""
        return Arm(self.value, self.variance, self.units)

    @property
    def effective(self) -> tuple[float, float]:
        """(correct, n) of a simple random sample that would be as informative: n divided by the design effect."""
        simple = self.value * (1 - self.value) / self.n
        effect = max(self.variance / simple, 1.0) if simple > 0 else 1.0
        return self.value * self.n / effect, self.n / effect


def reviewed_arm(y: Floats, x: Floats, weights: Floats, units: Floats) -> ReviewedArm | None:
    """Sum w Y / sum w X over reviewed images, clustered by unit (whole numbers); None without a reviewed detection."""
    import numpy as np

    total = float(weights @ x)
    _, place = np.unique(units, return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    if total <= 0 or count < 2:
        return None
    value = float(weights @ y) / total
    variance = cluster_variance(weights, y, x, place)
    return ReviewedArm(value, variance, count, int(x.sum()), int((x - y).sum()))


def precision_difference(a: ReviewedArm, b: ReviewedArm, *, units_are_images: bool) -> Difference:
    """B - A: Welch's t where both arms have reviews and errors enough, else a score test on effective counts.

    For units other than images the score statistic is read as a t with Welch's degrees of freedom.
    """
    difference = welch(a.arm, b.arm)
    if min(a.units, b.units) >= ENOUGH_UNITS and min(a.wrong, b.wrong) >= ENOUGH_WRONG:
        return difference
    (x_a, n_a), (x_b, n_b) = a.effective, b.effective
    z = score_test(x_a, n_a, x_b, n_b).z
    df = math.inf if units_are_images else difference.df
    z = math.copysign(norm_isf(max(t_sf(abs(z), df), TINY)), z)
    return DifferenceWithTest(difference.est, difference.se, df, z, (x_a, n_a, x_b, n_b))
