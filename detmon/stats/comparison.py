"""Two arms: differences of means, ratios and shares, their tests and intervals, and the units that each arm got.

All functions are of sums over independent units (images, cameras, visits), never over boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from detmon.stats.distributions import chi2_sf, norm_isf, norm_sf, t_two_sided
from detmon.stats.intervals import Z95, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers: TypeAlias = Sequence[float] | NDArray[np.float64]

TINY = 1e-300


@dataclass(frozen=True)
class Arm:
    """One arm's estimate: `value`, the variance of it, and the number of units behind it."""

    value: float
    variance: float
    units: float


@dataclass(frozen=True)
class Difference:
    """B minus A: the estimate, its standard error, and the degrees of freedom of its t statistic."""

    est: float
    se: float
    df: float

    @property
    def t(self) -> float:
        """The t statistic; 0 where nothing varies and nothing differs, infinite where nothing varies."""
        if self.se > 0:
            return self.est / self.se
        return math.copysign(math.inf, self.est) if self.est else 0.0

    @property
    def p(self) -> float:
        """The two-sided p-value."""
        return t_two_sided(self.t, self.df)

    @property
    def z(self) -> float:
        """The normal quantile of the same tail, which sequential rules take."""
        return math.copysign(norm_isf(max(self.p / 2, TINY)), self.est)

    def within(self, quantile: float) -> tuple[float, float]:
        """The interval that `quantile` standard errors, by its test, leave on either side."""
        half = quantile * self.se
        return self.est - half, self.est + half


@dataclass(frozen=True)
class DifferenceWithTest(Difference):
    """A difference with a test of its own: `tested` is its z; of `shares` (x_a, n_a, x_b, n_b) also the interval."""

    tested: float
    shares: tuple[float, float, float, float] | None = None

    @property
    def p(self) -> float:
        """The two-sided p-value."""
        return min(1.0, 2 * norm_sf(abs(self.tested)))

    @property
    def z(self) -> float:
        """The statistic, as a normal quantile."""
        return self.tested

    def within(self, quantile: float) -> tuple[float, float]:
        """Newcombe's interval of shares, which does not shrink to nothing where none is wrong."""
        return super().within(quantile) if self.shares is None else newcombe(*self.shares, quantile)


@dataclass(frozen=True)
class Sums:
    """What a ratio sum Y / sum X needs of an arm's `units` units: sums and centred second moments.

    `yy`, `xx`, `xy` are sums of squares and products about the arm's means: raw ones cancel.
    """

    units: int
    y: float
    x: float
    yy: float
    xx: float
    xy: float

    @property
    def ratio(self) -> Arm | None:
        """The ratio with its variance by linearisation (Cochran, Sampling Techniques, 6.4); None without any X."""
        if not self.x > 0 or self.units < 2:
            return None
        value = self.y / self.x
        spread = max(self.yy - 2 * value * self.xy + value * value * self.xx, 0.0) / (self.units - 1)
        return Arm(value, spread * self.units / (self.x * self.x), self.units)


def sums(y: Numbers, x: Numbers | None = None) -> Sums:
    """The sums of units given one by one; without `x` each counts 1."""
    import numpy as np

    ys = np.asarray(y, float)
    xs = np.ones_like(ys) if x is None else np.asarray(x, float)
    if not len(ys):
        return Sums(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    dy, dx = ys - ys.mean(), xs - xs.mean()
    return Sums(len(ys), float(ys.sum()), float(xs.sum()), float(dy @ dy), float(dx @ dx), float(dy @ dx))


def welch(a: Arm, b: Arm) -> Difference:
    """B - A with Welch's degrees of freedom (Biometrika 34, 1947)."""
    total = a.variance + b.variance
    terms = a.variance**2 / (a.units - 1) + b.variance**2 / (b.units - 1)
    df = total * total / terms if terms > 0 else a.units + b.units - 2
    return Difference(b.value - a.value, math.sqrt(total), df)


def relative(a: Arm, b: Arm) -> Difference:
    """(B - A) / A by the delta method, with the degrees of freedom of B - A."""
    plain = welch(a, b)
    variance = b.variance / a.value**2 + a.variance * b.value**2 / a.value**4
    return Difference(plain.est / a.value, math.sqrt(variance), plain.df)


def paired(errors: Numbers, difference: float) -> Difference:
    """A difference of two ratios over the same units, from each unit's linearised difference."""
    import numpy as np

    spread = float(np.std(np.asarray(errors, float), ddof=1))
    return Difference(difference, spread / math.sqrt(len(errors)), len(errors) - 1)


def ancova(y: Numbers, b: Numbers, pre: Numbers) -> Difference | None:
    """The arm's effect in `y ~ 1 + b + pre`, one row a unit; None when the columns do not settle it.

    `pre` is the unit's own value before the test: what differs between cameras anyway is taken out.
    """
    import numpy as np

    design = np.column_stack([np.ones(len(y)), np.asarray(b, float), np.asarray(pre, float) - np.mean(pre)])
    df = len(y) - 3
    if df < 1 or np.linalg.matrix_rank(design) < 3:
        return None
    inverse = np.linalg.inv(design.T @ design)
    values = np.asarray(y, float)
    beta = inverse @ design.T @ values
    left = values - design @ beta
    return Difference(float(beta[1]), math.sqrt(float(left @ left) / df * float(inverse[1, 1])), df)


@dataclass(frozen=True)
class ScoreTest:
    """Two shares: z of B - A, and its two-sided p."""

    z: float
    p: float


def score_test(x_a: float, n_a: float, x_b: float, n_b: float) -> ScoreTest:
    """Two shares by the pooled score test with the factor sqrt((N - 1) / N) (E. S. Pearson's N - 1 chi-square).

    Counts may be effective ones, not whole. Holds its level where Wald's test does not (few reviews, shares near 1).
    """
    n = n_a + n_b
    pooled = (x_a + x_b) / n
    variance = pooled * (1 - pooled) * (1 / n_a + 1 / n_b)
    z = (x_b / n_b - x_a / n_a) / math.sqrt(variance) * math.sqrt((n - 1) / n) if variance > 0 else 0.0
    return ScoreTest(z, min(1.0, 2 * norm_sf(abs(z))))


def newcombe(x_a: float, n_a: float, x_b: float, n_b: float, quantile: float = Z95) -> tuple[float, float]:
    """An interval (95 %) of the difference B - A of two shares (method 10 of Newcombe, Statist. Med. 17, 1998)."""
    a, b = x_a / n_a, x_b / n_b
    (low_a, high_a), (low_b, high_b) = wilson(a, n_a, quantile), wilson(b, n_b, quantile)
    return b - a - math.hypot(b - low_b, high_a - a), b - a + math.hypot(high_b - b, a - low_a)


@dataclass(frozen=True)
class Exceedance:
    """Shares above the pooled quantile's bucket, which counts from 0."""

    bucket: int
    share_a: float
    share_b: float


def exceedance(hist_a: Sequence[float], hist_b: Sequence[float], q: float) -> Exceedance:
    """The shares of each arm strictly above the bucket of the pooled `q` quantile; histograms over the same buckets."""
    n_a, n_b = sum(hist_a), sum(hist_b)
    need = math.ceil(q * (n_a + n_b) - 1e-9)
    below = 0.0
    for bucket, (one, other) in enumerate(zip(hist_a, hist_b, strict=True)):
        below += one + other
        if below >= need:
            return Exceedance(bucket, sum(hist_a[bucket + 1 :]) / n_a, sum(hist_b[bucket + 1 :]) / n_b)
    raise ValueError("histograms without counts")


def pooled_z(share_a: float, n_a: float, share_b: float, n_b: float) -> ScoreTest:
    """Two shares of independent cases by the pooled z test."""
    pooled = (share_a * n_a + share_b * n_b) / (n_a + n_b)
    variance = pooled * (1 - pooled) * (1 / n_a + 1 / n_b)
    z = (share_b - share_a) / math.sqrt(variance) if variance > 0 else 0.0
    return ScoreTest(z, min(1.0, 2 * norm_sf(abs(z))))


# --- the units that each arm got -----------------------------------------------------------------------------------


def sample_ratio_p(counts: Sequence[float], weights: Sequence[float]) -> float:
    """Whether the arms got their shares of the units: chi-square, df = arms - 1. Weights need not sum to 1."""
    total = sum(counts) / sum(weights)
    expected = [weight * total for weight in weights]
    statistic = sum((got - due) ** 2 / due for got, due in zip(counts, expected, strict=True))
    return chi2_sf(statistic, len(counts) - 1)


def sample_ratio_log_e(counts: Sequence[float], weights: Sequence[float], concentration: float = 100.0) -> float:
    """The log evidence against the weights, valid at any time: a Dirichlet mixture (Lindon and Malek, NeurIPS 2022)."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    prior = [concentration * share for share in shares]

    def log_beta(values: Sequence[float]) -> float:
        return sum(math.lgamma(value) for value in values) - math.lgamma(sum(values))

    likelihood = sum(count * math.log(share) for count, share in zip(counts, shares, strict=True))
    return log_beta([a + n for a, n in zip(prior, counts, strict=True)]) - log_beta(prior) - likelihood


def units_needed(effect_sd: float, ratio_b_to_a: float, alpha: float = 0.05, power: float = 0.8) -> tuple[float, float]:
    """Units of A and B that find a difference of `effect_sd` standard deviations with this power."""
    z = norm_isf(alpha / 2) + norm_isf(1 - power)
    n_b = (1 + ratio_b_to_a) * z * z / (effect_sd * effect_sd)
    return n_b / ratio_b_to_a, n_b


def routed_by_source(counts: Sequence[tuple[int, int]], split: float) -> bool:
    """Whether whole sources were routed, not images: `counts` are the images (A, B) of each source.

    Of the sources with so many images that both arms must have had some, 95 % have all in one arm.
    """
    enough = 10 / min(split, 1 - split)
    large = [pair for pair in counts if sum(pair) >= enough]
    return len(large) >= 2 and sum(min(pair) == 0 for pair in large) >= 0.95 * len(large)
