"""Looking at a test every day without paying for it: spending boundaries, repeated p-values, always-valid p-values.

The boundaries are those of Lan and DeMets (Biometrika 70, 1983) with a spending function of the O'Brien-Fleming type,
computed by the recursion of Armitage, McPherson and Rowe (JRSS A 132, 1969). The always-valid p-value is the mixture of
Robbins (Annals of Mathematical Statistics 41, 1970) in the form of Waudby-Smith et al. (arXiv 2103.06476).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from detmon.stats.distributions import norm_isf, norm_sf, special

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NEVER = 20.0
"""A boundary that nothing crosses: nothing is spent at that look."""
POINTS = 401
"""Points of the grid on which the density of the statistic is carried from look to look."""
COARSE = 201
"""Points enough for a p-value of four digits."""
_REACH = 8.0
_SMALLEST, _LARGEST = 1e-10, 0.999


def spent(fraction: float, alpha: float = 0.05) -> float:
    """The two-sided alpha spent when `fraction` (0, 1] of the test has passed: 4 P(Z > z(alpha/4) / sqrt(f))."""
    return 4 * norm_sf(norm_isf(alpha / 4) / math.sqrt(min(fraction, 1.0)))


def boundaries(
    information: Sequence[float], fractions: Sequence[float], alpha: float = 0.05, points: int = POINTS
) -> list[float]:
    """The |Z| that decides at each look: `information` on any scale, rising; `fractions` of the planned duration."""
    path = _Path(information, points)
    before = 0.0
    for fraction in fractions:
        now = spent(fraction, alpha)
        path.step(max(now - before, 0.0))
        before = max(now, before)
    return path.found


def repeated_p(z: Sequence[float], information: Sequence[float], fractions: Sequence[float]) -> float:
    """The smallest alpha at which some look crosses its boundary; 1 when none crosses at 0.999.

    It never rises as looks are added. Jennison and Turnbull, Group Sequential Methods (2000), chapter 9.
    """
    from scipy.optimize import brentq

    def beyond(log_alpha: float) -> float:
        """How far the look that is furthest ahead is beyond its boundary."""
        found = boundaries(information, fractions, math.exp(log_alpha), COARSE)
        return max(abs(one) - bound for one, bound in zip(z, found, strict=True))

    low, high = math.log(_SMALLEST), math.log(_LARGEST)
    if not z or beyond(high) < 0:
        return 1.0
    if beyond(low) >= 0:
        return _SMALLEST
    return math.exp(brentq(beyond, low, high, xtol=1e-6))


class _Path:
    """The density of the score process among the paths that no look has stopped yet."""

    def __init__(self, information: Sequence[float], points: int) -> None:
        import numpy as np

        self.times = [one / information[-1] for one in information]
        self.unit = np.linspace(-1, 1, points)
        simpson = np.ones(points)
        simpson[1:-1:2], simpson[2:-1:2] = 4, 2
        self.simpson = simpson / 3 * (2 / (points - 1))
        self.found: list[float] = []
        self.grid: Floats = np.zeros(0)
        self.mass: Floats = np.zeros(0)

    def step(self, alpha: float) -> None:
        """Find the boundary of the next look, which spends `alpha`, and carry the density on."""
        place = len(self.found)
        bound = self._first(alpha) if place == 0 else self._next(place, alpha)
        self.found.append(bound)
        if place + 1 < len(self.times):
            self._carry(place, bound)

    def _first(self, alpha: float) -> float:
        return min(norm_isf(max(alpha, 1e-300) / 2), NEVER)

    def _next(self, place: int, alpha: float) -> float:
        from scipy.optimize import brentq

        step = math.sqrt(self.times[place] - self.times[place - 1])
        root = math.sqrt(self.times[place])

        def leaving(bound: float) -> float:
            out = special().ndtr((self.grid - bound * root) / step) + special().ndtr((-self.grid - bound * root) / step)
            return float(self.mass @ out)

        if alpha <= 0 or leaving(NEVER) > alpha or leaving(0.0) < alpha:
            return NEVER
        return float(brentq(lambda bound: leaving(bound) - alpha, 0.0, NEVER, xtol=1e-10))

    def _carry(self, place: int, bound: float) -> None:
        import numpy as np

        now = self.times[place]
        half = min(bound, _REACH) * math.sqrt(now)
        grid = self.unit * half
        if place == 0:
            density = np.exp(-grid * grid / (2 * now)) / math.sqrt(2 * math.pi * now)
        else:
            step = math.sqrt(now - self.times[place - 1])
            away = (grid[:, None] - self.grid[None, :]) / step
            density = np.exp(-away * away / 2) @ self.mass / (step * math.sqrt(2 * math.pi))
        self.grid, self.mass = grid, density * self.simpson * half


def mixture(n_star: float, alpha: float = 0.05) -> float:
    """The mixture's variance that is best when `n_star` units have come: (-2 ln a + ln(1 - 2 ln a)) / N*."""
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / n_star


def always_valid_p(z: float, n: float, n_star: float, alpha_tuning: float = 0.05) -> float:
    """A p-value for any time: min(1, sqrt(1 + R) exp(-Z^2 R / (2 (1 + R)))), R = n times the mixture's variance."""
    spread = n * mixture(n_star, alpha_tuning)
    return min(1.0, math.sqrt(1 + spread) * math.exp(-z * z * spread / (2 * (1 + spread))))


def always_valid_half_width(se: float, n: float, n_star: float, alpha: float = 0.05) -> float:
    """Half the width of the interval that holds at all times: se sqrt(2 (1 + R) / R ln(sqrt(1 + R) / a))."""
    spread = n * mixture(n_star, alpha)
    return se * math.sqrt(2 * (1 + spread) / spread * math.log(math.sqrt(1 + spread) / alpha))
