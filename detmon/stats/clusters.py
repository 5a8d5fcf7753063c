"""Tests over blocks: a regression on block values, its autocorrelation, and a chi-square for many shares.

Whole blocks are the unit, so boxes, images and hours within one may be as alike as they want. Neighbouring blocks may
be alike too: the variance grows by an AR(1) factor whose rho is estimated, corrected for its small-sample bias, and
held within limits (docs/statistics.md, "The test").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from detmon.stats.blocks import Dependence
from detmon.stats.distributions import f_sf, t_two_sided

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_DF = 5
"""Degrees of freedom below which nothing is tested."""
NO_SCATTER = 1e-18
"""A squared standard error as small as this is rounding: blocks that are all equal."""
NO_DESIGN_EFFECT = 1e-12
"""A mean design effect as small as this is rounding, too."""
DEPENDENT = 1e-9
"""A column of the design that the others explain up to this share of its length is left out."""


@dataclass(frozen=True)
class Design:
    """The regression y ~ 1 + current + extra columns, for G blocks: the reference's n first, then m current ones."""

    current: NDArray[np.bool_]
    columns: Floats
    """[G, columns]; the coefficient of column 1 is the difference between the windows."""

    @classmethod
    def of(cls, current: NDArray[np.bool_], extra: Sequence[Sequence[float] | Floats] = ()) -> Design:
        """Without the extra columns that are constant over the reference, or follow from the others."""
        import numpy as np

        columns = [np.ones(len(current)), current.astype(float)]
        columns += [column for column in np.asarray(extra, float) if np.ptp(column[~current]) > 0]
        found = np.stack(columns, axis=1)
        lengths = np.linalg.norm(found, axis=0)
        new = abs(np.diag(np.linalg.qr(found)[1])) > DEPENDENT * lengths
        return cls(current, found[:, new])

    @property
    def n(self) -> int:
        """Reference blocks."""
        return int((~self.current).sum())

    @property
    def m(self) -> int:
        """Current blocks."""
        return int(self.current.sum())

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        rows, columns = self.columns.shape
        return int(rows - columns)

    @cached_property
    def inverse(self) -> Floats:
        """(X'X)^-1."""
        import numpy as np

        return np.asarray(np.linalg.inv(self.columns.T @ self.columns))

    @property
    def unit(self) -> float:
        """The variance of the difference per unit of residual variance."""
        return float(self.inverse[1, 1])

    def fit(self, y: Floats) -> Fits:
        """The difference and the residuals of each column of `y` [G, P]."""
        coefficients = self.inverse @ (self.columns.T @ y)
        return Fits(self, coefficients[1], y - self.columns @ coefficients)


@dataclass(frozen=True)
class Fits:
    """Differences [P] between the windows and residuals [G, P] of P block values."""

    design: Design
    differences: Floats
    residuals: Floats

    def autocorrelations(self, kappa: float) -> Floats:
        """Corrected lag-1 autocorrelations [P] of the residuals, never across the windows' border.

        The correction kappa (1 + 3r)/G follows Kendall, Biometrika 41 (1954).
        """
        import numpy as np

        inner = ~np.diff(self.design.current)[:, None]
        products = (self.residuals[1:] * self.residuals[:-1] * inner).sum(axis=0)
        squares = (self.residuals**2).sum(axis=0)
        r = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
        return np.asarray(r + kappa * (1 + 3 * r) / len(self.residuals))

    def tests(self, rhos: Floats) -> list[Test]:
        """The test of each column, given its rho."""
        variances = (self.residuals**2).sum(axis=0) / self.design.df
        return [
            _test(self.design, float(difference), float(variance), float(rho))
            for difference, variance, rho in zip(self.differences, variances, rhos, strict=True)
        ]


@dataclass(frozen=True)
class Test:
    """A difference between the windows, its standard error, degrees of freedom and two-sided p."""

    diff: float
    se: float
    df: float
    p: float

    @property
    def t(self) -> float:
        """The t statistic; 0 where nothing scatters."""
        return self.diff / self.se if self.se else 0.0


def _test(design: Design, difference: float, variance: float, rho: float) -> Test:
    se2 = variance * design.unit * ar1_inflation(design.m, design.n, rho)
    rows = design.n + design.m
    df = design.df if rho <= 0 else max(design.df / ar1_factor(rows, rho), 4.0)
    if se2 <= NO_SCATTER:
        return Test(difference, 0.0, df, 1.0)
    se = float(se2**0.5)
    return Test(difference, se, df, t_two_sided(difference / se, df))


def limited(rhos: Floats, like: Dependence) -> Floats:
    """Autocorrelations within the limits of their block length."""
    import numpy as np

    return np.clip(rhos, like.floor, like.cap)


def ar1_factor(k: int, rho: float) -> float:
    """k times the variance of a mean of k AR(1) values over their variance: 1 + 2 sum (1 - j/k) rho^j, j < k."""
    if k < 2:
        return 1.0
    return 1 + 2 * (rho / (1 - rho) - rho * (1 - rho**k) / (k * (1 - rho) ** 2))


def ar1_inflation(m: int, n: int, rho: float) -> float:
    """How much larger AR(1) neighbours make the variance of a difference of means of m and n blocks; at least 1."""
    if rho <= 0:
        return 1.0
    current, reference = ar1_factor(m, rho), ar1_factor(n, rho)
    rows = m + n
    larger = (current / m + reference / n) / (1 / m + 1 / n)
    return max(1.0, larger * (rows - 2) / max(rows - reference - current, 1.0))


@dataclass(frozen=True)
class RaoScott:
    """A chi-square test of shares over clusters, referred to F; `mean_deff`: the mean design effect."""

    X2: float
    mean_deff: float
    df1: float
    df2: int
    F: float
    p: float


def rao_scott(design: Design, counts: Floats, rho: float = 0.0) -> RaoScott | None:
    """Whether the shares of K columns differ between the windows; counts [G, K], every column with a sum.

    Second-order corrected chi-square of Rao and Scott, Annals of Statistics 12 (1984), with block clusters. None if
    there are fewer than two columns, or a window is empty.
    """
    import numpy as np

    totals = counts.sum(axis=1)
    reference, current = float(totals[~design.current].sum()), float(totals[design.current].sum())
    free = counts.shape[1] - 1
    if free < 1 or not reference or not current:
        return None
    shares = counts.sum(axis=0) / totals.sum()
    fits = design.fit((counts - shares * totals[:, None]) / own_mean(totals, design.current)[:, None])
    df = design.df
    scale = 1 / reference + 1 / current
    covariance = fits.residuals.T @ fits.residuals / df * design.unit * ar1_inflation(design.m, design.n, rho)
    effects = covariance / np.sqrt(np.outer(shares, shares)) / scale
    trace = float(np.trace(effects))
    chi2 = float((fits.differences**2 / shares).sum() / scale)
    if trace <= NO_DESIGN_EFFECT * free:
        return RaoScott(chi2, 0.0, float(free), df, 0.0, 1.0)
    squares = (float((effects**2).sum()) - trace**2 / df) * df**2 / ((df - 1) * (df + 2))
    spread = max(squares, trace**2 / free) / trace**2 * free
    df1 = free / spread
    f = chi2 / (trace / free * spread) / df1
    return RaoScott(chi2, trace / free, df1, df, f, f_sf(f, df1, df))


def own_mean(values: Floats, current: NDArray[np.bool_]) -> Floats:
    """For each block the mean of its own window."""
    import numpy as np

    return np.asarray(np.where(current, values[current].mean(), values[~current].mean()))
